import type { Clock, Scheduled } from '@shardwise/core/clock'
import { VirtualTime } from '../test/simulation/virtual-time.js'

/** 2026-01-01T00:00:00Z */
const EPOCH = 1_767_225_600_000

/**
 * The simulation's time for a benchmark: nobody waits. What is due runs as soon as all that came before it is done, so that work is measured
 * and not the pauses between, and an hour of a fleet passes in seconds.
 */
export class VirtualClock implements Clock {
  readonly #time = new VirtualTime()

  now(): number {
    return this.#time.now
  }

  wallTime(): number {
    return EPOCH + Math.floor(this.#time.now)
  }

  schedule(delayMs: number, run: () => void): Scheduled {
    return this.#time.after(Math.max(0, delayMs), run)
  }

  /** Lets so much time pass. */
  pass(ms: number): Promise<void> {
    return this.#time.pass(this.#time.now + ms)
  }

  /** Lets time pass until `work` has settled. Throws what it rejects with, and if it takes more than `limitMs`. */
  async until<T>(work: Promise<T>, limitMs: number): Promise<T> {
    let settled = false
    const end = (): void => {
      settled = true
    }
    work.then(end, end)
    await this.#time.pass(this.#time.now + limitMs, () => !settled)
    // Who waits for it in vain would wait forever: time stands still.
    if (!settled) throw new Error(`Not done within ${limitMs} ms of virtual time`)
    return work
  }
}
