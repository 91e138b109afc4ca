import type { Clock } from '@shardwise/core/clock'

/** So many readings are saved by one. */
const SHARED_BY = 16
/** Calls whose readings are nearer to each other than this are a burst. */
const BURST_MS = 1

/** Of a record that is put now. */
export interface Moment {
  readonly now: number
  /** The end of its time to live. */
  readonly expiresAt: number
}

const settled: Promise<void> = Promise.resolve()

/**
 * The time for what is put in bursts: one reading of the clock for up to sixteen calls of one synchronous run. What it is late by makes a record expire, and an aggregate leave, as much earlier. That is the pause, if any, between two calls of
 * one run: nothing can be sent in it, and what was put before it has lost the same time. A timer, an answer or an `await` ends the run.
 *
 * Measured on Node 20: with a reading for each `offer` put-path-repeated takes 1.35 times as long (1.3 to 1.5 in three runs).
 */
export class BurstClock {
  readonly #clock: Clock
  readonly #ttlMs: number
  #moment: Moment = { now: Number.NEGATIVE_INFINITY, expiresAt: Number.NEGATIVE_INFINITY }
  #left = 0
  #endsRun = false
  readonly #end = (): void => {
    this.#left = 0
    this.#endsRun = false
  }

  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock
    this.#ttlMs = ttlMs
  }

  /** The same object for as long as the reading is: numbers of their own would be allocated for each record. */
  get moment(): Moment {
    if (this.#left > 0) {
      this.#left--
      return this.#moment
    }
    const now = this.#clock.now()
    if (now - this.#moment.now < BURST_MS) {
      this.#left = SHARED_BY - 1
      if (!this.#endsRun) void settled.then(this.#end)
      this.#endsRun = true
    }
    this.#moment = { now, expiresAt: now + this.#ttlMs }
    return this.#moment
  }

  /** The clock is read again: for others have read it. */
  forget(): void {
    this.#left = 0
  }
}
