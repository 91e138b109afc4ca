/** An answer of 10 MiB comes within this at 8 Mbit/s. */
const LEAST_MS = 10_000
/** KCL's kinesisRequestTimeout. */
const MOST_MS = 30_000
const MARGIN = 3
/** So many quick answers in a row: then there are no slow ones any more. Large and small answers take turns. */
const QUICK_ANSWERS = 20
/** Of so many reads in a row without an answer in time the last has the longest patience. */
const PATIENT_ONE_IN = 10

/**
 * How long the answer to a read is waited for. A connection that has died without a word must not keep a shard for long; a slow network must
 * not have each large answer cut off. So patience with the whole of an answer begins short, doubles when it was used up, and grows to three times
 * what an answer took; used up at its longest it begins anew. Patience with an answer that does not begin stays short, for on a slow network
 * it does: in an outage every connection may be dead, and the first that is not must not have to wait behind one that is.
 * But a service that takes longer than that to begin has to be read, too: so one read in ten is patient all the same, and while what it is
 * given comes late all are.
 */
export class ReadPatience {
  #ms = LEAST_MS
  #quick = 0
  #timeouts = 0
  #beginsLate = false

  get ms(): number {
    return this.#isPatient ? MOST_MS : this.#ms
  }

  /** Until an answer must have begun. */
  get firstByteMs(): number {
    return this.#isPatient ? MOST_MS : LEAST_MS
  }

  get #isPatient(): boolean {
    return this.#beginsLate || this.#timeouts % PATIENT_ONE_IN === PATIENT_ONE_IN - 1
  }

  answered(tookMs: number): void {
    if (this.#isPatient && tookMs > LEAST_MS) this.#beginsLate = true
    this.#timeouts = 0
    const needed = Math.min(MOST_MS, MARGIN * tookMs)
    this.#quick = needed > LEAST_MS ? 0 : this.#quick + 1
    if (this.#quick < QUICK_ANSWERS) {
      this.#ms = Math.max(this.#ms, needed)
    } else {
      this.#ms = LEAST_MS
      this.#beginsLate = false
    }
  }

  timedOut(): void {
    this.#timeouts++
    this.#beginsLate = false
    this.#quick = 0
    this.#ms = this.#ms === MOST_MS ? LEAST_MS : Math.min(MOST_MS, this.#ms * 2)
  }
}
