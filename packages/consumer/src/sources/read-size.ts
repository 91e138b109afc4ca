import { DEFAULT_MAX_RECORD_BYTES, MAX_GET_BYTES, SHARD_WRITE_BYTES_PER_SECOND } from '@shardwise/core/service-limits'
import type { ReadOutcome } from './polling-pace.js'

/** What came within this comes within the longest patience (see ReadPatience) also if it is twice as much, on a network half as quick again. */
const QUICK_MS = 10_000

/** How much the next read of a shard may bring, and how to ask for less. Knows no clock. */
export class ReadSize {
  readonly #maxRecords: number
  /** Of the last read that brought any. */
  #recordBytes = DEFAULT_MAX_RECORD_BYTES
  #caughtUpAt: number | undefined
  /** Records. Below the maximum where an answer did not come in time. */
  #timely: number

  constructor(maxRecords: number) {
    this.#maxRecords = maxRecords
    this.#timely = maxRecords
  }

  /** Tells what a read brought. */
  brought(read: Omit<ReadOutcome, 'receivedAt'> & { readonly tookMs: number }): void {
    const { sentAt, tookMs, records, bytes, millisBehindLatest } = read
    if (records > 0) this.#recordBytes = Math.max(1, bytes / records)
    this.#caughtUpAt = millisBehindLatest === undefined ? undefined : sentAt - millisBehindLatest
    if (tookMs < QUICK_MS) this.#timely = Math.min(this.#maxRecords, Math.max(this.#timely, records * 2))
  }

  /**
   * A read of so many records at most was not answered in time. What does not come through the network in the time there is would be asked for
   * again and again: so the next reads ask for half as much, until answers are quick again. Returns how many; undefined: it cannot be less.
   */
  timedOut(limit: number): number | undefined {
    // So many fill an answer, as far as is known. Below that, halving makes a difference at once.
    const filling = Math.ceil(MAX_GET_BYTES / this.#recordBytes)
    const before = this.#timely
    this.#timely = Math.max(1, Math.floor(Math.min(limit, filling) / 2))
    return this.#timely < before ? this.#timely : undefined
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
    if (bytes === undefined) return this.#timely
    return Math.min(this.#timely, Math.max(1, Math.floor(bytes / this.#recordBytes)))
  }
}
