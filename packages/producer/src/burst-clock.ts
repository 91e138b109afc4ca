import type { Clock } from '@shardwise/core/clock'

/** So many readings are saved by one. */
const SHARED_BY = 16
/** Calls whose readings are nearer to each other than this are a burst. */
const BURST_MS = 1

const settled: Promise<void> = Promise.resolve()

/**
 * The time for what is put in bursts: one reading of the clock for up to sixteen calls of one synchronous run. What it is late by makes a record expire, and an aggregate leave, as much earlier. That is the pause, if any, between two calls of
 * one run: nothing can be sent in it, and what was put before it has lost the same time. A timer, an answer or an `await` ends the run.
 *
 * Measured: reading the clock for each `offer` is 16 % of put-path with ten keys to four shards (Node 20).
 */
export class BurstClock {
  readonly #clock: Clock
  #now: number = Number.NEGATIVE_INFINITY
  #left = 0
  #endsRun = false
  readonly #end = (): void => {
    this.#left = 0
    this.#endsRun = false
  }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  now(): number {
    if (this.#left > 0) {
      this.#left--
      return this.#now
    }
    const now = this.#clock.now()
    if (now - this.#now < BURST_MS) {
      this.#left = SHARED_BY - 1
      if (!this.#endsRun) void settled.then(this.#end)
      this.#endsRun = true
    }
    this.#now = now
    return now
  }

  /** The clock is read again: for others have read it. */
  forget(): void {
    this.#left = 0
  }
}
