import { finishAggregates, type SealedAggregate } from '@shardwise/aggregation'
import { effectiveHashKey, type HashKeyRange, inRange } from '@shardwise/core/hash-key'
import type { PutRecordsEntry } from '@shardwise/core/kinesis-port'
import type { Shard } from '@shardwise/core/shard-map'
import type { AttemptFailure, UserRecord } from './user-record.js'
import type { WaitedFor } from './waited-for.js'

/** Bytes in a pooled buffer, to be given back once. */
export type PackedBytes = Pick<SealedAggregate, 'bytes' | 'byteLength' | 'release'>

/**
 * One Kinesis record on its way: an aggregate of user records, of one where that one has tags, or a single record sent plain. It is the unit of limits, of order,
 * of retry and of settlement: its members settle together or go back together.
 */
export class Entry {
  readonly records: readonly UserRecord[]
  /**
   * The shard that the map predicts for every member; undefined where the service places records as it likes (AUTO). The shard and not its
   * id: in a stream that was deleted and created anew the same id stands for another range.
   */
  readonly shard: Shard | undefined
  /** Whether it has the KPL's envelope, so that readers judge it by its members. */
  readonly isAggregate: boolean
  /** What it counts in a request and against the shard's limits: data and partition key. */
  readonly bytes: number
  /** Ready to send by then at the latest: the first member's acceptance plus the linger. */
  deadline: number
  /** When its first member expires. */
  readonly expiresAt: number
  /** When its last member does. */
  readonly lastExpiresAt: number
  /** PutRecords requests that carried this very entry. */
  attempts = 0
  /** Those of them that were refused for another entry's sake. */
  pardoned = 0
  /** Whether one of them may have written it. */
  mayBeWritten = false
  /** Entries that its request may have. See isolation.ts. */
  company: number = Number.POSITIVE_INFINITY
  lastFailure: AttemptFailure | undefined = undefined
  /** For the meter, from here on: by how much its members expire after the first of them, in sum; their data, in sum, least and most; whether no member was sent before. */
  readonly expirySpread: number
  readonly dataBytes: number
  readonly leastDataBytes: number
  readonly mostDataBytes: number
  readonly isFresh: boolean
  /** When its last attempt ended. */
  returnedAt = 0
  /** What holds it back at the head of its lane, and since when. */
  heldBy: 'limit' | 'stream-limit' | 'order' | 'retry' | undefined = undefined
  heldSince = 0
  /** When its time was over in its lane: what it had waited for. */
  waitedFor: WaitedFor | undefined = undefined
  readonly #partitionKey: string
  readonly #explicitHashKey: string | undefined
  #packed: PackedBytes | undefined
  #wire: PutRecordsEntry | undefined
  #span: HashKeyRange | undefined

  private constructor(
    records: readonly UserRecord[],
    shard: Shard | undefined,
    explicitHashKey: string | undefined,
    deadline: number,
    packed: PackedBytes | undefined,
  ) {
    const { partitionKey, data } = records[0]!
    this.records = records
    this.shard = shard
    this.#partitionKey = partitionKey
    this.#explicitHashKey = explicitHashKey
    this.bytes = (packed ?? data).byteLength + Buffer.byteLength(partitionKey)
    this.deadline = deadline
    let first = Number.POSITIVE_INFINITY
    let last = Number.NEGATIVE_INFINITY
    let [sum, bytes, least, most, attempts] = [0, 0, Number.POSITIVE_INFINITY, 0, 0]
    const base = records[0]!.expiresAt
    for (const record of records) {
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
    this.expiresAt = first
    this.lastExpiresAt = last
    this.expirySpread = sum + records.length * (base - first)
    this.dataBytes = bytes
    this.leastDataBytes = least
    this.mostDataBytes = most
    this.isFresh = attempts === 0
    this.isAggregate = packed !== undefined
    this.#packed = packed
  }

  /** As the caller gave it: its own key, and an explicit hash key only if it has one. */
  static plain(record: UserRecord, shard: Shard | undefined, deadline: number): Entry {
    return new Entry([record], shard, record.explicitHashKey, deadline, undefined)
  }

  /**
   * The outer partition key is the first member's and not the KPL's constant `a`, so that readers which spread work by partition key
   * can; the explicit hash key, the first member's too, is what routes it.
   */
  static aggregate(records: readonly UserRecord[], shard: Shard, packed: PackedBytes, deadline: number): Entry {
    const first = records[0]!
    const explicitHashKey = effectiveHashKey(first.partitionKey, first.explicitHashKey).toString()
    return new Entry(records, shard, explicitHashKey, deadline, packed)
  }

  /** Completes the bytes of entries that leave together: by itself each would take four times as long. */
  static finish(entries: readonly Entry[]): void {
    finishAggregates(entries.flatMap((entry) => entry.#packed ?? []))
  }

  /** What PutRecords carries. For the first time before the entry ends or leaves its bytes to a request. */
  get wire(): PutRecordsEntry {
    if (this.#wire === undefined) {
      if (this.isAggregate && this.#packed === undefined)
        throw new Error('The entry has ended, and its bytes are those of others')
      const Data = this.#packed?.bytes ?? this.records[0]!.data
      const PartitionKey = this.#partitionKey
      const ExplicitHashKey = this.#explicitHashKey
      this.#wire = ExplicitHashKey === undefined ? { Data, PartitionKey } : { Data, PartitionKey, ExplicitHashKey }
    }
    return this.#wire
  }

  get shardId(): string | undefined {
    return this.shard?.shardId
  }

  /** Attempts of its most tried member, over all entries it was in. */
  get totalAttempts(): number {
    let before = 0
    for (const record of this.records) if (record.attempts > before) before = record.attempts
    return before + this.attempts
  }

  /** Attempts that count against `retry.maxAttempts`, of the member with the most: each has its own past. */
  get countedAttempts(): number {
    let before = 0
    for (const { attempts, pardoned } of this.records) if (attempts - pardoned > before) before = attempts - pardoned
    return before + this.attempts - this.pardoned
  }

  /** The least and the greatest hash key of its members. Worked out when first asked: only a reshard or a misplacement asks. */
  get span(): HashKeyRange {
    if (this.#span === undefined) {
      let start: bigint | undefined
      let end = 0n
      for (const record of this.records) {
        const hashKey = effectiveHashKey(record.partitionKey, record.explicitHashKey)
        if (start === undefined || hashKey < start) start = hashKey
        if (hashKey > end) end = hashKey
      }
      this.#span = { start: start ?? 0n, end }
    }
    return this.#span
  }

  /** Whether every member lies in the range. */
  fits(range: HashKeyRange): boolean {
    return inRange(this.span.start, range) && inRange(this.span.end, range)
  }

  /** The hash key that the service routes this entry by. */
  get routingHashKey(): bigint {
    const first = this.records[0]!
    return effectiveHashKey(first.partitionKey, first.explicitHashKey)
  }

  /** Ends it: its members carry on what it knows, its bytes are free. It must not be sent or asked about again. */
  dissolve(): readonly UserRecord[] {
    for (const record of this.records) {
      record.attempts += this.attempts
      record.pardoned += this.pardoned
      record.mayBeWritten ||= this.mayBeWritten
      record.lastFailure = this.lastFailure ?? record.lastFailure
    }
    this.free()
    return this.records
  }

  /** Ends it: its members have settled, so that they carry nothing on. */
  free(): void {
    this.#packed?.release()
    this.#packed = undefined
  }

  /**
   * Leaves the bytes to the garbage collector instead of giving them back. For an entry whose request was given up while it ran: whoever
   * still reads them for the old request must not find the next aggregate there.
   */
  keepBytes(): void {
    this.#packed = undefined
  }
}
