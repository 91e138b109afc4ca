import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ConsumerOptions } from '@shardwise/consumer'
import type { ProcessorShares } from './processor-shares.js'

export type ToFleetWorker =
  | { readonly type: 'run'; readonly options: ConsumerOptions }
  | { readonly type: 'stop' }
  /** `collect`: garbage first, so that the heap is what is in use. */
  | { readonly type: 'sample'; readonly collect: boolean }
  | { readonly type: 'profile'; readonly forMs: number }

export interface FleetSample {
  readonly type: 'sample'
  /** Processor time of the process since it began, all threads, before garbage was collected for this sample. */
  readonly cpuMs: number
  readonly heapBytes: number
  readonly rssBytes: number
  /** Completed reads (or events of a subscription), empty ones too. */
  readonly reads: number
  /** Reads and lease writes that have failed. */
  readonly failures: number
}

export type FromFleetWorker =
  | { readonly type: 'started' | 'subscribed'; readonly shardId: string }
  | { readonly type: 'left'; readonly shardId: string; readonly outcome: string }
  | { readonly type: 'handled'; readonly shardId: string; readonly text: string }
  | { readonly type: 'stopped' }
  | FleetSample
  | { readonly type: 'profiled'; readonly shares: ProcessorShares }
  | { readonly type: 'failed'; readonly message: string }

/** Our side of a worker's process. */
export class FleetWorkerProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #listeners = new Set<(message: FromFleetWorker) => void>()
  #failure: Error | undefined

  constructor() {
    // Our own arguments (the TypeScript loader, the export condition, --expose-gc) are inherited.
    this.#child = fork(fileURLToPath(new URL('./fleet-worker.ts', import.meta.url)))
    this.#exited = once(this.#child, 'exit')
    this.#child.on('message', (message: FromFleetWorker) => {
      if (message.type === 'failed') this.#failure = new Error(`The worker has failed: ${message.message}`)
      for (const listener of this.#listeners) listener(message)
    })
  }

  listen(listener: (message: FromFleetWorker) => void): void {
    this.#listeners.add(listener)
  }

  run(options: ConsumerOptions): void {
    this.#child.send({ type: 'run', options } satisfies ToFleetWorker)
  }

  /** Resolves when the consumer has stopped in good order. */
  async stop(): Promise<void> {
    await this.#ask({ type: 'stop' }, 'stopped')
  }

  sample(collect: boolean): Promise<FleetSample> {
    return this.#ask({ type: 'sample', collect }, 'sample')
  }

  async profile(forMs: number): Promise<ProcessorShares> {
    return (await this.#ask({ type: 'profile', forMs }, 'profiled')).shares
  }

  /** SIGKILL: no goodbye. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Ends the process, whatever its consumer does, and resolves when it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill()
    await this.#exited
  }

  #ask<T extends FromFleetWorker['type']>(question: ToFleetWorker, answer: T): Promise<Extract<FromFleetWorker, { type: T }>> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        this.#listeners.delete(listener)
        settle()
      }
      const listener = (message: FromFleetWorker): void => {
        if (message.type === answer) end(() => resolve(message as Extract<FromFleetWorker, { type: T }>))
        else if (this.#failure !== undefined) end(() => reject(this.#failure))
      }
      this.#listeners.add(listener)
      void this.#exited.then(() => end(() => reject(new Error('The worker ended by itself'))))
      this.#child.send(question)
    })
  }
}
