import type { Random } from '@shardwise/core/random'
import { backoffDelay } from '../backoff.js'
import { momentBefore } from '../shared-moments.js'

/** Renewals a failover time. Three leave room for two that fail. */
const TICKS = 3
const FIRST_PAUSE_MS = 50
/** The longest pause, in ticks, of a lease that may still be saved: ten attempts at least before trust ends, by the default failover time and where calls fail at once. */
const LONGEST_WHILE_TRUSTED = 1 / 4

/** When the next write of a lease is due. Pure: `now` is monotonic. */
export class WriteSchedule {
  /** Between two renewals, and so how long a write may take. */
  readonly tickMs: number
  #dueAt: number
  #failures = 0

  /** `sentAt`: when the lease was taken. */
  constructor(failoverTimeMs: number, sentAt: number) {
    this.tickMs = failoverTimeMs / TICKS
    this.#dueAt = momentBefore(sentAt + this.tickMs, this.tickMs)
  }

  get dueAt(): number {
    return this.#dueAt
  }

  /** A write is being sent. */
  sent(now: number): void {
    this.#dueAt = momentBefore(now + this.tickMs, this.tickMs)
  }

  /** It was answered. */
  answered(): void {
    this.#failures = 0
  }

  /**
   * It was not: it goes again soon, and ever less soon. `isTrusted`: the lease still is. Then pauses stay short, for a table that refuses most calls
   * must not cost leases; when nothing is left to save, the table has a tick's rest.
   */
  failed(now: number, random: Random, isTrusted: boolean): void {
    this.#failures++
    const maxMs = isTrusted ? this.tickMs * LONGEST_WHILE_TRUSTED : this.tickMs
    this.#dueAt = now + backoffDelay(this.#failures, { baseMs: FIRST_PAUSE_MS, maxMs }, random)
  }

  /** There is something to write. While a failing write waits for its next attempt, more callers do not shorten the pause. */
  soon(now: number): void {
    if (this.#failures === 0) this.#dueAt = now
  }

  /** Whatever has failed. */
  atOnce(now: number): void {
    this.#dueAt = now
  }
}
