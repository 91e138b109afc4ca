import type { Account } from './account.js'
import type { UserRecord } from './user-record.js'

/** What an entry must know of all its user records together. */
export interface MemberTotals {
  /** When the first of them expires, and the last. */
  readonly expiresAt: number
  readonly lastExpiresAt: number
  /** By how much they expire after the first, in sum. */
  readonly expirySpread: number
  /** Their data, in sum, least and most. */
  readonly dataBytes: number
  readonly leastDataBytes: number
  readonly mostDataBytes: number
  /** Whether none was sent before. */
  readonly isFresh: boolean
}

/** The user records of one Kinesis record, in order: as objects, or as columns of what it takes to settle them (record-columns.ts). */
export interface Members {
  readonly count: number
  readonly first: UserRecord
  readonly totals: MemberTotals
  /** So many of them may have been written before. */
  readonly possiblyWritten: number
  add(record: UserRecord): void
  /** Each as an object. `packed` gives the aggregate that they are in. */
  apart(packed: () => Uint8Array): MemberRecords
  /** They have settled. */
  leave(account: Account): void
  /** Whoever wants to know is told that they were delivered, by so many requests for this very Kinesis record. */
  succeed(shardId: string, sequenceNumber: string, attempts: number): void
}

/** User records as objects. */
export class MemberRecords implements Members {
  readonly records: UserRecord[]

  constructor(records: UserRecord[] = []) {
    this.records = records
  }

  get count(): number {
    return this.records.length
  }

  get first(): UserRecord {
    return this.records[0]!
  }

  get totals(): MemberTotals {
    let first = Number.POSITIVE_INFINITY
    let last = Number.NEGATIVE_INFINITY
    let [sum, bytes, least, most, attempts] = [0, 0, Number.POSITIVE_INFINITY, 0, 0]
    const base = this.first.expiresAt
    for (const record of this.records) {
      const { expiresAt, dataBytes } = record
      if (expiresAt < first) first = expiresAt
      if (expiresAt > last) last = expiresAt
      // Not the sum of the times: with a time to live without end they are too great to be added up exactly.
      sum += expiresAt - base
      bytes += dataBytes
      if (dataBytes < least) least = dataBytes
      if (dataBytes > most) most = dataBytes
      attempts += record.attempts
    }
    return {
      expiresAt: first,
      lastExpiresAt: last,
      expirySpread: sum + this.count * (base - first),
      dataBytes: bytes,
      leastDataBytes: least,
      mostDataBytes: most,
      isFresh: attempts === 0,
    }
  }

  get possiblyWritten(): number {
    let count = 0
    for (const { mayBeWritten } of this.records) if (mayBeWritten) count++
    return count
  }

  add(record: UserRecord): void {
    this.records.push(record)
  }

  apart(): this {
    return this
  }

  leave(account: Account): void {
    for (const record of this.records) account.leave(record)
  }

  succeed(shardId: string, sequenceNumber: string, attempts: number): void {
    for (let i = 0; i < this.records.length; i++) {
      const record = this.records[i]!
      if (record.outcome === undefined) continue
      record.succeed({ shardId, sequenceNumber, subSequenceNumber: i, attempts: record.attempts + attempts })
    }
  }
}
