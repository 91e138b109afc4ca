import type { FetchedBatch } from '../sources/record-source.js'

/** What the reads of one shard have brought and what of it is still in memory. */
export class ReadProgress {
  #millisBehindLatest: number | undefined
  #readAt: number | undefined
  #bufferedRecords = 0
  #bufferedBytes = 0

  /** `at`: epoch milliseconds. */
  read({ records, bytes, millisBehindLatest }: FetchedBatch, at: number): void {
    this.#readAt = at
    this.#millisBehindLatest = millisBehindLatest
    this.#bufferedRecords += records.length
    this.#bufferedBytes += bytes
  }

  completed({ records, bytes }: FetchedBatch): void {
    this.#bufferedRecords -= records.length
    this.#bufferedBytes -= bytes
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes
  }

  snapshot(): ReadSnapshot {
    return {
      millisBehindLatest: this.#millisBehindLatest,
      readAt: this.#readAt,
      bufferedRecords: this.#bufferedRecords,
      bufferedBytes: this.#bufferedBytes,
    }
  }
}

export interface ReadSnapshot {
  /** How far the newest read was behind the newest record of the shard. Undefined before the first, and when Kinesis did not say. */
  readonly millisBehindLatest: number | undefined
  /** When that read was answered, in epoch milliseconds. */
  readonly readAt: number | undefined
  /** Kinesis records in memory, an aggregate counting as one; those of a read until all of it is completed. */
  readonly bufferedRecords: number
  /** Payload bytes of these. */
  readonly bufferedBytes: number
}
