/** What may be sent a second: Kinesis records, and bytes of their data and partition keys. Infinity for no limit. */
export interface SendRate {
  readonly recordsPerSecond: number
  readonly bytesPerSecond: number
}

/**
 * A token bucket of records and one of bytes; an entry takes from both or from neither. They start full, with `burstSeconds` worth of the
 * rate. An entry larger than the whole bucket passes when the bucket is full and leaves it in debt, so that the rate holds over time.
 */
export class TokenBucket {
  /** May change: what was filled stays, as far as the bucket still holds it. */
  rate: SendRate
  readonly #burstSeconds: number
  #records: number
  #bytes: number
  #filledAt: number

  constructor(rate: SendRate, burstSeconds: number, now: number, share = 1) {
    this.rate = rate
    this.#burstSeconds = burstSeconds
    this.#records = Math.max(1, rate.recordsPerSecond * share * burstSeconds)
    this.#bytes = rate.bytesPerSecond * share * burstSeconds
    this.#filledAt = now
  }

  /**
   * Takes the tokens and returns 0, or takes nothing and returns after how many milliseconds to ask again. `share` scales the rate. `onCredit`
   * takes them whether they are there or not: a debt is filled first.
   */
  take(bytes: number, now: number, share = 1, onCredit = false): number {
    const recordsPerSecond = this.rate.recordsPerSecond * share
    const bytesPerSecond = this.rate.bytesPerSecond * share
    const mostBytes = bytesPerSecond * this.#burstSeconds
    if (now > this.#filledAt) {
      const seconds = (now - this.#filledAt) / 1000
      this.#records = Math.min(Math.max(1, recordsPerSecond * this.#burstSeconds), this.#records + seconds * recordsPerSecond)
      this.#bytes = Math.min(mostBytes, this.#bytes + seconds * bytesPerSecond)
      this.#filledAt = now
    }
    const recordsMissing = 1 - this.#records
    const bytesMissing = Math.min(bytes, mostBytes) - this.#bytes
    if (!onCredit && (recordsMissing > ROUNDING || bytesMissing > ROUNDING)) {
      // At least one millisecond: a wait that rounds to nothing would have the caller ask again without time having passed.
      const seconds = Math.max(
        recordsMissing > 0 ? recordsMissing / recordsPerSecond : 0,
        bytesMissing > 0 ? bytesMissing / bytesPerSecond : 0,
      )
      return Math.max(1, Math.ceil(seconds * 1000 - ROUNDING))
    }
    this.#records -= 1
    this.#bytes -= bytes
    return 0
  }

  /** What was taken for an entry that was not sent after all. */
  giveBack(bytes: number): void {
    this.#records += 1
    this.#bytes += bytes
  }

  /** Nothing is there, and nothing comes before this time. A debt stays. */
  emptyUntil(time: number): void {
    this.#records = Math.min(0, this.#records)
    this.#bytes = Math.min(0, this.#bytes)
    this.#filledAt = Math.max(this.#filledAt, time)
  }
}

/** Filling in fractions leaves the sum a hair below the whole number that it stands for. */
const ROUNDING = 1e-6
