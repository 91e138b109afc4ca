import { DEFAULT_MAX_RECORD_BYTES, MAX_GET_BYTES, SHARD_WRITE_BYTES_PER_SECOND } from '@shardwise/core/service-limits'
import type { ReadOutcome } from './polling-pace.js'

/** Less than this an answer need not be: it may hold one record. */
const LEAST_BYTES = 65_536
/** An answer that came so soon may be twice as large and still come long before it is given up (read-patience.ts). */
const QUICK_MS = 3_000

/** How much the next read of a shard may bring, and how to ask for less. Knows no clock. */
export class ReadSize {
  readonly #maxRecords: number
  /** Of the last read that brought any. */
  #recordBytes = DEFAULT_MAX_RECORD_BYTES
  #caughtUpAt: number | undefined
  /** What the network seems to bring in time. Without it a shard with a large backlog would stand still for ever: each answer is as large as the one before. */
  #ceiling = MAX_GET_BYTES

  constructor(maxRecords: number) {
    this.#maxRecords = maxRecords
  }

  /** Tells what a read brought. */
  brought({ sentAt, receivedAt, records, bytes, millisBehindLatest }: ReadOutcome): void {
    if (receivedAt - sentAt <= QUICK_MS) this.#ceiling = Math.min(MAX_GET_BYTES, this.#ceiling * 2)
    if (records > 0) this.#recordBytes = Math.max(1, bytes / records)
    this.#caughtUpAt = millisBehindLatest === undefined ? undefined : sentAt - millisBehindLatest
  }

  /** A read had no answer in time: the next shall bring half as much. */
  timedOut(now: number): void {
    this.#ceiling = Math.max(LEAST_BYTES, this.most(now) / 2)
  }

  /** Whether the next read shall bring less than there may be. */
  get isReduced(): boolean {
    return this.#ceiling < MAX_GET_BYTES
  }

  /**
   * Payload bytes, at most. A shard takes in 1 MiB/s (and so much at once), so one that was read to its tip a moment ago holds little;
   * an answer holds 10 MiB (API_GetRecords).
   */
  most(now: number): number {
    if (this.#caughtUpAt === undefined) return this.#ceiling
    const seconds = Math.max(0, now - this.#caughtUpAt) / 1000
    return Math.min(this.#ceiling, Math.ceil((seconds + 1) * SHARD_WRITE_BYTES_PER_SECOND))
  }

  /** Records to ask for, when they may have so many bytes together (undefined: as many as there are): 1 at least. */
  limit(bytes: number | undefined): number {
    if (bytes === undefined) return this.#maxRecords
    return Math.min(this.#maxRecords, Math.max(1, Math.floor(bytes / this.#recordBytes)))
  }
}
