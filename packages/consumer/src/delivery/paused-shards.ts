import { InvalidOptionError } from '@shardwise/core/options'
import type { StartGate } from './start-gate.js'

/** As Kinesis forms them. Its API allows more, so what is known to be one is taken whatever its form. */
const SHARD_ID = /^shardId-\d{12}$/

/** A mistyped id would pause nothing, without a word. Throws InvalidOptionError. */
export function checkShardId(shardId: string | undefined, isKnown: (shardId: string) => boolean): string | undefined {
  const isOne = shardId === undefined || (typeof shardId === 'string' && (SHARD_ID.test(shardId) || isKnown(shardId)))
  if (isOne) return shardId
  throw new InvalidOptionError('shardId', 'the id of a shard, such as shardId-000000000000, or undefined for all shards', shardId)
}

/** Which shards are paused: some, or all, or all but some. Shards that are not read yet are covered too. */
export class PausedShards implements StartGate {
  #all = false
  /** Those for which the opposite of `#all` holds. */
  readonly #except = new Set<string>()
  readonly #waiting = new Set<() => void>()

  isPaused(shardId: string): boolean {
    return this.#all !== this.#except.has(shardId)
  }

  pause(shardId: string | undefined): void {
    this.#set(true, shardId)
  }

  resume(shardId: string | undefined): void {
    this.#set(false, shardId)
    for (const wake of [...this.#waiting]) wake()
  }

  isOpen(shardId: string): boolean {
    return !this.isPaused(shardId)
  }

  /** The same shards are paused in it, and nobody waits. */
  copy(): PausedShards {
    const copy = new PausedShards()
    copy.#all = this.#all
    for (const shardId of this.#except) copy.#except.add(shardId)
    return copy
  }

  opened(_shardId: string, halt: AbortSignal): Promise<void> {
    if (halt.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake)
        halt.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      halt.addEventListener('abort', wake)
    })
  }

  #set(paused: boolean, shardId: string | undefined): void {
    if (shardId === undefined) {
      this.#all = paused
      this.#except.clear()
    } else if (this.#all === paused) this.#except.delete(shardId)
    else this.#except.add(shardId)
  }
}
