import { SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND } from '@shardwise/core/service-limits'

/**
 * What one shard takes: 1,000 records and 1 MiB (partition keys included) a second, as two token buckets. Each holds at most one
 * second's worth and refills evenly, so any window of one second sees at most twice the rate, and any longer time the rate itself
 * plus one second's worth.
 *
 * A record larger than 1 MiB, on a stream that allows it, is taken when the byte bucket is full and leaves it in debt: nothing more is
 * taken until the debt is refilled (ten seconds for 10 MiB). The service describes this as a tank that a large record drains:
 * https://docs.aws.amazon.com/streams/latest/dev/large-records.html
 */
export class WriteQuota {
  #records = SHARD_WRITE_RECORDS_PER_SECOND
  #bytes = SHARD_WRITE_BYTES_PER_SECOND
  #refilledAt = 0

  /** Whether a record of this size is taken at `now` (monotonic milliseconds). One that is not costs nothing. */
  take(size: number, now: number): boolean {
    if (!this.allows(size, now)) return false
    this.#records -= 1
    this.#bytes -= size
    return true
  }

  /** Whether `take` would. */
  allows(size: number, now: number): boolean {
    if (now > this.#refilledAt) {
      const seconds = (now - this.#refilledAt) / 1000
      this.#records = Math.min(SHARD_WRITE_RECORDS_PER_SECOND, this.#records + seconds * SHARD_WRITE_RECORDS_PER_SECOND)
      this.#bytes = Math.min(SHARD_WRITE_BYTES_PER_SECOND, this.#bytes + seconds * SHARD_WRITE_BYTES_PER_SECOND)
      this.#refilledAt = now
    }
    // Refilling in fractions leaves the sum a hair below the whole number that it stands for.
    return this.#records >= 1 - ROUNDING && this.#bytes >= Math.min(size, SHARD_WRITE_BYTES_PER_SECOND) - ROUNDING
  }
}

const ROUNDING = 1e-6
