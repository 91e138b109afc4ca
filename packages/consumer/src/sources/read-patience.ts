/** An answer of 10 MiB comes within this at 8 Mbit/s. */
const LEAST_MS = 10_000
/** KCL's kinesisRequestTimeout. */
const MOST_MS = 30_000
const MARGIN = 3
/** So many quick answers in a row: then there are no slow ones any more. Large and small answers take turns. */
const QUICK_ANSWERS = 20

/**
 * How long the answer to a read is waited for. A connection that has died without a word must not keep a shard for long; a slow network must
 * not have each large answer cut off. So patience begins short, doubles when it was used up, and grows to three times what an answer took. Used up at
 * its longest it begins anew: in a long outage every connection may be dead, and the first that is not must not have to wait behind a long one.
 */
export class ReadPatience {
  #ms = LEAST_MS
  #quick = 0

  get ms(): number {
    return this.#ms
  }

  answered(tookMs: number): void {
    const needed = Math.min(MOST_MS, MARGIN * tookMs)
    this.#quick = needed > LEAST_MS ? 0 : this.#quick + 1
    this.#ms = this.#quick < QUICK_ANSWERS ? Math.max(this.#ms, needed) : LEAST_MS
  }

  timedOut(): void {
    this.#quick = 0
    this.#ms = this.#ms === MOST_MS ? LEAST_MS : Math.min(MOST_MS, this.#ms * 2)
  }
}
