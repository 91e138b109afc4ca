import { DEFAULT_MAX_RECORD_BYTES, MAX_GET_BYTES, SHARD_WRITE_BYTES_PER_SECOND } from '@shardwise/core/service-limits'
import type { ReadOutcome } from './polling-pace.js'

/** How much the next read of a shard may bring, and how to ask for less. Knows no clock. */
export class ReadSize {
  readonly #maxRecords: number
  /** Of the last read that brought any. */
  #recordBytes = DEFAULT_MAX_RECORD_BYTES
  #caughtUpAt: number | undefined

  constructor(maxRecords: number) {
    this.#maxRecords = maxRecords
  }

  /** Tells what a read brought. */
  brought({ sentAt, records, bytes, millisBehindLatest }: Omit<ReadOutcome, 'receivedAt'>): void {
    if (records > 0) this.#recordBytes = Math.max(1, bytes / records)
    this.#caughtUpAt = millisBehindLatest === undefined ? undefined : sentAt - millisBehindLatest
  }

  /**
   * Payload bytes, at most. A shard takes in 1 MiB/s (and so much at once), so one that was read to its tip a moment ago holds little;
   * an answer holds 10 MiB (API_GetRecords).
   */
  most(now: number): number {
    if (this.#caughtUpAt === undefined) return MAX_GET_BYTES
    const seconds = Math.max(0, now - this.#caughtUpAt) / 1000
    return Math.min(MAX_GET_BYTES, Math.ceil((seconds + 1) * SHARD_WRITE_BYTES_PER_SECOND))
  }

  /** Records to ask for, when they may have so many bytes together (undefined: as many as there are): 1 at least. */
  limit(bytes: number | undefined): number {
    if (bytes === undefined) return this.#maxRecords
    return Math.min(this.#maxRecords, Math.max(1, Math.floor(bytes / this.#recordBytes)))
  }
}
