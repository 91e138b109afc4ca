import { SHARD_READ_BYTES_PER_SECOND, SHARD_READS_PER_SECOND } from '@shardwise/core/service-limits'

/**
 * What one shard gives to GetRecords, all its readers together: five calls in any window of one second, and 2 MiB a second. An
 * answer is never cut short for the second of these; it is paid for afterwards: once more than 2 MiB are outstanding, calls are
 * refused until all of it is paid off at 2 MiB a second. So an answer of 10 MiB blocks the shard's readers for five seconds.
 * Refused calls cost nothing.
 */
export class ReadQuota {
  readonly #calls: number[] = []
  #outstanding = 0
  #paidAt = 0
  #blockedUntil = Number.NEGATIVE_INFINITY

  /** Whether a call is allowed at `now` (monotonic milliseconds). If so it counts. */
  take(now: number): boolean {
    if (now < this.#blockedUntil) return false
    while (this.#calls.length > 0 && now - this.#calls[0]! >= 1000) this.#calls.shift()
    if (this.#calls.length >= SHARD_READS_PER_SECOND) return false
    this.#calls.push(now)
    return true
  }

  /** Charges the bytes of the answer to an allowed call. */
  charge(bytes: number, now: number): void {
    const paid = ((now - this.#paidAt) / 1000) * SHARD_READ_BYTES_PER_SECOND
    this.#outstanding = Math.max(0, this.#outstanding - paid) + bytes
    this.#paidAt = now
    if (this.#outstanding > SHARD_READ_BYTES_PER_SECOND)
      this.#blockedUntil = now + (this.#outstanding / SHARD_READ_BYTES_PER_SECOND) * 1000
  }
}
