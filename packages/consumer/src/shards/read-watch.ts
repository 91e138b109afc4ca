/**
 * Longer than any source is silent while it works: a pause after failures (60 s), an iterator and a read that hang until their limits (30 s
 * each).
 */
const SILENCE_MS = 120_000
/** Looks in a row that must have found the same silence: after a pause of the whole process the source has had no chance to speak. */
const LOOKS = 3

/**
 * Whether the reading of a shard is alive. The time counts while the worker waits for its source; each answer and each word of it (a read
 * that is repeated, a throttled one) begins it anew. While the handler works, the shard is paused or memory is full, nobody waits.
 *
 * Pure: `now` is monotonic.
 */
export class ReadWatch {
  readonly #limitMs: number
  #silentSince: number | undefined
  #looks = 0

  /** `idleMs`: how long the source may pause between reads. */
  constructor(idleMs: number) {
    this.#limitMs = SILENCE_MS + idleMs
  }

  /** The worker begins to wait for its source. */
  waits(now: number): void {
    this.#silentSince = now
    this.#looks = 0
  }

  /** The source has said something. */
  heard(now: number): void {
    if (this.#silentSince !== undefined) this.waits(now)
  }

  /** Nobody waits for the source any more, or it waits for somebody itself. */
  rest(): void {
    this.#silentSince = undefined
  }

  /** Milliseconds for which the source should have said something and did not; undefined: all is well. Ask from time to time. */
  stalledMs(now: number): number | undefined {
    if (this.#silentSince === undefined) return undefined
    this.#looks++
    const silentMs = now - this.#silentSince
    return silentMs > this.#limitMs && this.#looks >= LOOKS ? silentMs : undefined
  }
}
