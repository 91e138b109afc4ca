import { createWriteStream, rmSync, type WriteStream } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Fact } from './facts.js'

/** Too many to be of use. */
const UNLOGGED: ReadonlySet<string> = new Set(['put', 'memory'])

/** Everything that was seen, in a file that stays only when the run has failed. */
export class ChaosLog {
  readonly path: string
  readonly #file: WriteStream

  constructor(name: string) {
    this.path = join(tmpdir(), `shardwise-chaos-${name}-${process.pid}.log`)
    this.#file = createWriteStream(this.path)
    this.#file.on('error', () => {})
  }

  fact(by: string, fact: Fact): void {
    if (!UNLOGGED.has(fact.fact)) this.#file.write(`${by} ${JSON.stringify(fact)}\n`)
  }

  line(text: string): void {
    this.#file.write(`${text}\n`)
  }

  async end(keep: boolean): Promise<void> {
    await new Promise<void>((resolve) => this.#file.end(resolve))
    if (!keep) rmSync(this.path, { force: true })
  }
}
