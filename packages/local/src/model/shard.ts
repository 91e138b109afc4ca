import { type HashKeyRange, MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type { HashKeyRangeText, ShardListing } from '@shardwise/core/kinesis-port'
import { ReadQuota } from './read-quota.js'
import { END_POSITION, formatSequenceNumber, type SequenceNumber, SequenceNumberSource } from './sequence-number.js'
import { Watchers } from './watchers.js'
import { WriteQuota } from './write-quota.js'

/** A record as it is kept. */
export interface StoredRecord {
  readonly sequenceNumber: string
  /** Epoch milliseconds; never decreases within a shard. */
  readonly arrivedAt: number
  /** Absent only on a stream with service-managed distribution, when the producer gave none. */
  readonly partitionKey: string | undefined
  readonly data: Uint8Array
  /** Data and partition key, in bytes. */
  readonly size: number
  readonly encrypted: boolean
}

export interface ShardOrigin {
  /** The shard's number within its stream; its id is made of it. */
  readonly index: number
  readonly range: HashKeyRange
  /** Epoch milliseconds. */
  readonly beganAt: number
  /** The second in the shard's sequence numbers. May lie after `beganAt`: it must be above that of every parent. */
  readonly beganSecond: number
  readonly parentShardId?: string
  readonly adjacentParentShardId?: string
}

/**
 * One shard: its place in the hash space and in the lineage, and its records in order of acceptance. The position of a record counts
 * up from 1; positions outlive the records that retention trims.
 */
export class Shard {
  readonly origin: ShardOrigin
  readonly shardId: string
  readonly range: HashKeyRange
  readonly startingSequenceNumber: string
  readonly writeQuota: WriteQuota = new WriteQuota()
  readonly readQuota: ReadQuota = new ReadQuota()
  /** Told of each record, and when it closes. */
  readonly watchers: Watchers = new Watchers()
  readonly #numbers: SequenceNumberSource
  #records: StoredRecord[] = []
  /** Records before this index of the array are trimmed. They are dropped for real when they are half of it. */
  #head = 0
  /** The position of the record at index 0 of the array. */
  #base = 1
  #endingSequenceNumber: string | undefined
  #closedAt: number | undefined

  constructor(origin: ShardOrigin) {
    this.origin = origin
    this.shardId = shardIdOf(origin.index)
    this.range = origin.range
    this.#numbers = new SequenceNumberSource(origin.beganSecond, origin.index)
    this.startingSequenceNumber = this.#boundary(0, origin.beganSecond)
  }

  /** Epoch milliseconds, or undefined while it is open. */
  get closedAt(): number | undefined {
    return this.#closedAt
  }

  get isOpen(): boolean {
    return this.#closedAt === undefined
  }

  /** Position of the oldest record that retention has kept, or of the next record if there is none. */
  get firstPosition(): number {
    return this.#base + this.#head
  }

  /** Position that the next record gets. */
  get nextPosition(): number {
    return this.#base + this.#records.length
  }

  recordAt(position: number): StoredRecord | undefined {
    return position < this.firstPosition ? undefined : this.#records[position - this.#base]
  }

  /** Epoch milliseconds at which the newest record arrived. */
  get lastArrivedAt(): number {
    return this.#records.at(-1)?.arrivedAt ?? 0
  }

  append(record: Omit<StoredRecord, 'sequenceNumber' | 'arrivedAt'>, wallTime: number): StoredRecord {
    const arrivedAt = Math.max(wallTime, this.lastArrivedAt)
    const second = Math.max(Math.floor(arrivedAt / 1000), this.origin.beganSecond)
    const stored = {
      sequenceNumber: this.#numbers.issue(this.nextPosition, second),
      arrivedAt,
      partitionKey: record.partitionKey,
      data: record.data,
      size: record.size,
      encrypted: record.encrypted,
    }
    this.#records.push(stored)
    this.watchers.tell()
    return stored
  }

  close(wallTime: number): void {
    this.#closedAt = Math.max(wallTime, this.#records.at(-1)?.arrivedAt ?? 0)
    this.#endingSequenceNumber = this.#boundary(
      END_POSITION,
      Math.max(Math.floor(this.#closedAt / 1000), this.origin.beganSecond),
    )
    this.watchers.tell()
  }

  /**
   * A number above every record before `position` and below any record from there on, as the service gives to readers who wait at the tip.
   * It grows with time.
   */
  numberBefore(position: number, wallTime: number): string {
    const last = this.recordAt(position - 1)
    const lastSecond = last === undefined ? this.origin.beganSecond : Math.floor(last.arrivedAt / 1000)
    const second = Math.max(Math.floor(wallTime / 1000), lastSecond + 1, this.origin.beganSecond + 1)
    return this.#boundary(position - 1, second)
  }

  /** Forgets the records that arrived before `horizon`. */
  trim(horizon: number): void {
    const oldest = this.#records[this.#head]
    if (oldest === undefined || oldest.arrivedAt >= horizon) return
    const before = this.#head
    this.#head = this.#firstIndexArrivedFrom(horizon)
    if (this.#head * 2 < this.#records.length) {
      // Moving the rest waits until it is the smaller half, so that trimming costs no more than appending did. The data goes now.
      this.#records.fill(TRIMMED, before, this.#head)
      return
    }
    this.#records = this.#records.slice(this.#head)
    this.#base += this.#head
    this.#head = 0
  }

  /** Position of the first record that arrived at `wallTime` or later; of the next record if none has. */
  positionAtTime(wallTime: number): number {
    return this.#base + this.#firstIndexArrivedFrom(wallTime)
  }

  /** Position of the first record whose number is `text` (parsed as `number`) or above. */
  positionAtNumber(text: string, number: SequenceNumber): number {
    const record = this.recordAt(number.position)
    // Both have 56 digits, so the order of the texts is that of the numbers.
    return record !== undefined && record.sequenceNumber < text ? number.position + 1 : number.position
  }

  listing(): ShardListing {
    const { parentShardId, adjacentParentShardId } = this.origin
    return {
      ShardId: this.shardId,
      ...(parentShardId === undefined ? {} : { ParentShardId: parentShardId }),
      ...(adjacentParentShardId === undefined ? {} : { AdjacentParentShardId: adjacentParentShardId }),
      HashKeyRange: rangeText(this.range),
      SequenceNumberRange: {
        StartingSequenceNumber: this.startingSequenceNumber,
        ...(this.#endingSequenceNumber === undefined ? {} : { EndingSequenceNumber: this.#endingSequenceNumber }),
      },
    }
  }

  #boundary(position: number, second: number): string {
    return formatSequenceNumber({ beganSecond: this.origin.beganSecond, shardIndex: this.origin.index, position, second })
  }

  #firstIndexArrivedFrom(wallTime: number): number {
    let low = this.#head
    let high = this.#records.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#records[middle]!.arrivedAt < wallTime) low = middle + 1
      else high = middle
    }
    return low
  }
}

const TRIMMED: StoredRecord = {
  sequenceNumber: '',
  arrivedAt: 0,
  partitionKey: undefined,
  data: new Uint8Array(0),
  size: 0,
  encrypted: false,
}

export function shardIdOf(index: number): string {
  return `shardId-${String(index).padStart(12, '0')}`
}

/** The service takes the number after the dash for the shard: `shardId-7` is `shardId-000000000007`. Undefined where there is none. */
export function resolveShardId(given: string): string | undefined {
  const digits = given.split('-')[1] ?? given
  return /^\d+$/.test(digits) && Number(digits) < 2 ** 31 ? shardIdOf(Number(digits)) : undefined
}

export function rangeText(range: HashKeyRange): HashKeyRangeText {
  return { StartingHashKey: range.start.toString(), EndingHashKey: range.end.toString() }
}

/** The hash space cut into `count` equal parts; where it does not divide, the boundaries are floor(i * 2^128 / count). */
export function uniformRanges(count: number): HashKeyRange[] {
  const boundary = (part: number): bigint => ((MAX_HASH_KEY + 1n) * BigInt(part)) / BigInt(count)
  return Array.from({ length: count }, (_, part) => ({ start: boundary(part), end: boundary(part + 1) - 1n }))
}
