import { type DecodedAggregate, decodeAggregates } from '@shardwise/aggregation'
import type { KinesisRecord } from '@shardwise/core/kinesis-port'
import type { UserRecord } from './consumed-record.js'
import type { UserRecords } from './user-records.js'

/** As many as GetRecords gives Kinesis records. A read of 10 MiB may hold a million tiny user records: they come in parts. */
export const MAX_BATCH_RECORDS = 10_000

/**
 * Kinesis records whose checksums are verified together. Measured on Node 20: one by one consumer-noop-batch takes 28 % more
 * time. Not all of a read at once, as where everything lies in them takes memory until they are delivered.
 */
const DECODED_TOGETHER = 64
const NOTHING: Uint8Array = new Uint8Array(0)

/** In the order of the shard, not empty. */
export interface UserRecordPart {
  readonly records: UserRecord[]
  /** How many of them have a hash key that does not belong to the shard. */
  readonly outsideShardRange: number
}

/**
 * The user records of one read, part by part, made when they are asked for: of all that is in memory they take the most, several times the bytes that
 * they stand for, and what waits for its turn should not have them yet. Measured on Node 20, with the shorter calls of HandlerCalls:
 * `npm run bench -- consumer-http-cbor` went from x2.16 to x2.57 of the SDK loop.
 */
export class UnpackedRead {
  readonly #records: readonly KinesisRecord[]
  readonly #of: Pick<UserRecords, 'firstToDeliver' | 'userRecord'>
  /** The Kinesis record that is next, and in it the member, of so many. */
  #at = -1
  #member = 0
  #members = 0
  /** Of the Kinesis records from this one on, as far as they are decoded. */
  #decoded: readonly (DecodedAggregate | undefined)[] = []
  #decodedFrom = 0

  constructor(records: readonly KinesisRecord[], of: Pick<UserRecords, 'firstToDeliver' | 'userRecord'>) {
    this.#records = records
    this.#of = of
    this.#seek()
  }

  get hasMore(): boolean {
    return this.#at < this.#records.length
  }

  /** As many as there are, and at most so many. Only when there are more. */
  take(most: number = MAX_BATCH_RECORDS): UserRecordPart {
    const records: UserRecord[] = []
    let outsideShardRange = 0
    while (records.length < most && this.hasMore) {
      const record = this.#records[this.#at]!
      const aggregate = this.#decoded[this.#at - this.#decodedFrom]
      const end = Math.min(this.#members, this.#member + most - records.length)
      for (; this.#member < end; this.#member++) {
        const userRecord = this.#of.userRecord(record, aggregate, this.#member)
        if (userRecord.outsideShardRange) outsideShardRange++
        records.push(userRecord)
      }
      if (this.#member === this.#members) this.#seek()
    }
    return { records, outsideShardRange }
  }

  /** To the next Kinesis record with something to deliver, or behind the last. */
  #seek(): void {
    while (++this.#at < this.#records.length) {
      if (this.#at === this.#decodedFrom + this.#decoded.length) this.#decode()
      this.#members = this.#decoded[this.#at - this.#decodedFrom]?.length ?? 1
      this.#member = this.#of.firstToDeliver(this.#records[this.#at]!.SequenceNumber!, this.#members)
      if (this.#member < this.#members) return
    }
    this.#decoded = []
  }

  #decode(): void {
    const some = this.#records.slice(this.#at, this.#at + DECODED_TOGETHER)
    this.#decoded = decodeAggregates(some.map(({ Data }) => Data ?? NOTHING))
    this.#decodedFrom = this.#at
  }
}
