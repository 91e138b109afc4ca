import type { Random } from '@shardwise/core/random'
import { backoffDelay } from '../backoff.js'
import { momentBefore } from '../shared-moments.js'

/** Renewals a failover time. Three leave room for two that fail. */
const TICKS = 3
const FIRST_PAUSE_MS = 50

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

  /** It was not: it goes again soon, and ever less soon, but never later than at the next tick. */
  failed(now: number, random: Random): void {
    this.#failures++
    this.#dueAt = now + backoffDelay(this.#failures, { baseMs: FIRST_PAUSE_MS, maxMs: this.tickMs }, random)
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
