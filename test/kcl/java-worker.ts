import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Adopt } from './java-tools.js'
import type { Sighting } from './ledger.js'

const SOURCE = fileURLToPath(new URL('./KclWorker.java', import.meta.url))
const LAST_WORDS = 30

export interface JavaWorkerSetup {
  readonly name: string
  readonly classpath: string
  readonly kinesisEndpoint: string
  readonly dynamodbEndpoint: string
  readonly stream: string
  readonly applicationName: string
  readonly failoverTimeMs: number
}

interface Batch {
  readonly batch: number
  readonly shard: string
  readonly records: readonly Sighting[]
}

/** One process with Amazon's KCL. When this process dies, it sees the end of its stdin and stops by itself. */
export class JavaWorker {
  readonly name: string
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  #expected = false

  constructor(
    setup: JavaWorkerSetup,
    on: {
      readonly adopt: Adopt
      readonly records: (shardId: string, records: readonly Sighting[]) => void
      readonly failure: (error: Error) => void
    },
  ) {
    this.name = setup.name
    const args = [setup.kinesisEndpoint, setup.dynamodbEndpoint, setup.stream, setup.applicationName, setup.name]
    const child = spawn(
      'java',
      [
        ...['-Xmx256m', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', setup.classpath, SOURCE],
        ...[...args, String(setup.failoverTimeMs)],
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
    this.#child = child
    on.adopt(child)
    child.once('error', on.failure)
    // A worker that was killed may be gone before its last batch is confirmed.
    child.stdin.on('error', () => {})
    let lastWords: string[] = []
    createInterface({ input: child.stderr }).on('line', (line) => {
      lastWords = [...lastWords.slice(1 - LAST_WORDS), line]
    })
    createInterface({ input: child.stdout }).on('line', (line) => {
      const batch = batchOf(line)
      if (batch === undefined) {
        // A killed worker's last line may have been cut short. Its records were not confirmed, so they come again.
        if (!this.#expected) on.failure(new Error(`${this.name} printed what is no batch: ${line.slice(0, 200)}`))
        return
      }
      on.records(batch.shard, batch.records)
      child.stdin.write(`${batch.batch}\n`)
    })
    // Not 'exit': what it has printed is to be read first.
    this.#ended = once(child, 'close').then(([code]) => {
      if (!this.#expected) on.failure(new Error(`${this.name} ended by itself (exit code ${code}):\n${lastWords.join('\n')}`))
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** SIGKILL: no goodbye. */
  async kill(): Promise<void> {
    this.#expected = true
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  async stop(): Promise<void> {
    this.#expected = true
    this.#child.stdin?.write('stop\n')
    await this.#ended
  }
}

function batchOf(line: string): Batch | undefined {
  try {
    return JSON.parse(line) as Batch
  } catch {
    return undefined
  }
}
