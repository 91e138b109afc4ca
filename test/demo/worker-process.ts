import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Ledger } from './ledger.js'
import type { FromWorker, ToWorker, WorkerSetup } from './worker-messages.js'

/** The parent's side of one worker process. */
export class WorkerProcess {
  readonly name: string
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  /** Dies with its next batch. */
  #doomed = false
  state: 'running' | 'stopping' | 'killed' | 'stopped' = 'running'
  delivered = 0
  /** Milliseconds behind the tip of each shard, as this worker last saw it. */
  readonly lag: Map<string, number> = new Map()

  constructor(
    setup: WorkerSetup,
    options: { readonly ledger: Ledger; readonly onEvent: (text: string) => void; readonly onFailure: (error: Error) => void },
  ) {
    this.name = setup.name
    // The parent's own arguments (the TypeScript loader and the export condition) are inherited.
    this.#child = fork(fileURLToPath(new URL('./worker.ts', import.meta.url)), { serialization: 'advanced' })
    this.#exited = once(this.#child, 'exit').then(() => {
      if (this.state === 'running')
        options.onFailure(new Error(`Worker ${this.name} ended by itself (exit code ${this.#child.exitCode})`))
      if (this.state !== 'killed') this.state = 'stopped'
      this.lag.clear()
    })
    this.#child.on('message', (message: FromWorker) => {
      if (message.type === 'delivered') {
        options.ledger.record(message.records)
        this.delivered += message.records.rows.length
        this.lag.set(message.records.shardId, message.millisBehindLatest)
        if (this.#doomed) this.#child.kill('SIGKILL')
        else this.#send({ type: 'confirm', batch: message.batch })
      } else if (message.type === 'lost') {
        this.lag.delete(message.shardId)
        options.onEvent(`worker ${this.name} lost ${message.shardId}`)
      } else {
        this.state = 'stopping'
        options.onFailure(new Error(`Worker ${this.name} failed: ${message.message}`))
      }
    })
    this.#send({ type: 'start', worker: setup })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Lets the worker finish what is in hand, checkpoint and hand over its shards. */
  async stop(): Promise<void> {
    if (this.state === 'running') {
      this.state = 'stopping'
      this.#send({ type: 'stop' })
    }
    await this.#exited
  }

  /** SIGKILL at the worst moment: the next batch is handled, and dies before it can be checkpointed. */
  async killInMidBatch(): Promise<void> {
    this.state = 'killed'
    this.#doomed = true
    await this.#exited
  }

  /** SIGKILL: no goodbye. */
  async kill(): Promise<void> {
    if (this.state !== 'stopped') this.state = 'killed'
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  #send(message: ToWorker): void {
    // A worker that was killed may be gone before its last message is confirmed.
    if (this.#child.connected) this.#child.send(message, () => {})
  }
}
