import { finishAggregates, type SealedAggregate } from '@shardwise/aggregation'
import { effectiveHashKey, type HashKeyRange, inRange } from '@shardwise/core/hash-key'
import type { PutRecordsEntry } from '@shardwise/core/kinesis-port'
import type { Shard } from '@shardwise/core/shard-map'
import type { Account } from './account.js'
import { MemberRecords, type Members } from './members.js'
import type { AttemptFailure, UserRecord } from './user-record.js'
import type { WaitedFor } from './waited-for.js'

/** Bytes in a pooled buffer, to be given back once. */
export type PackedBytes = Pick<SealedAggregate, 'bytes' | 'byteLength' | 'release'>

/**
 * One Kinesis record on its way: an aggregate of user records, of one where that one has tags, or a single record sent plain. It is the unit of limits, of order,
 * of retry and of settlement: its members settle together or go back together.
 */
export class Entry {
  /** User records. */
  readonly count: number
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
  #members: Members
  readonly #partitionKey: string
  readonly #explicitHashKey: string | undefined
  #packed: PackedBytes | undefined
  #wire: PutRecordsEntry | undefined
  #span: HashKeyRange | undefined

  private constructor(
    members: Members,
    shard: Shard | undefined,
    explicitHashKey: string | undefined,
    deadline: number,
    packed: PackedBytes | undefined,
  ) {
    const { partitionKey, data } = members.first
    this.#members = members
    this.count = members.count
    this.shard = shard
    this.#partitionKey = partitionKey
    this.#explicitHashKey = explicitHashKey
    this.bytes = (packed ?? data).byteLength + Buffer.byteLength(partitionKey)
    this.deadline = deadline
    const { expiresAt, lastExpiresAt, expirySpread, dataBytes, leastDataBytes, mostDataBytes, isFresh } = members.totals
    this.expiresAt = expiresAt
    this.lastExpiresAt = lastExpiresAt
    this.expirySpread = expirySpread
    this.dataBytes = dataBytes
    this.leastDataBytes = leastDataBytes
    this.mostDataBytes = mostDataBytes
    this.isFresh = isFresh
    this.isAggregate = packed !== undefined
    this.#packed = packed
  }

  /** As the caller gave it: its own key, and an explicit hash key only if it has one. */
  static plain(record: UserRecord, shard: Shard | undefined, deadline: number): Entry {
    return new Entry(new MemberRecords([record]), shard, record.explicitHashKey, deadline, undefined)
  }

  /**
   * The outer partition key is the first member's and not the KPL's constant `a`, so that readers which spread work by partition key
   * can; the explicit hash key, the first member's too, is what routes it.
   */
  static aggregate(members: Members, shard: Shard, packed: PackedBytes, deadline: number): Entry {
    const { first } = members
    const explicitHashKey = effectiveHashKey(first.partitionKey, first.explicitHashKey).toString()
    return new Entry(members, shard, explicitHashKey, deadline, packed)
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
      const Data = this.#packed?.bytes ?? this.#members.first.data
      const PartitionKey = this.#partitionKey
      const ExplicitHashKey = this.#explicitHashKey
      this.#wire = ExplicitHashKey === undefined ? { Data, PartitionKey } : { Data, PartitionKey, ExplicitHashKey }
    }
    return this.#wire
  }

  get shardId(): string | undefined {
    return this.shard?.shardId
  }

  /** Its user records, as objects from now on if they were columns before. For what is not the usual way, which ends by `succeed`. */
  get records(): readonly UserRecord[] {
    const apart = this.#members.apart(() => this.wire.Data)
    this.#members = apart
    return apart.records
  }

  /** So many of its user records are twice in the stream, perhaps. */
  get possibleDuplicates(): number {
    return this.mayBeWritten ? this.count : this.#members.possiblyWritten
  }

  /** Attempts of its most tried member, over all entries it was in. */
  get totalAttempts(): number {
    if (this.isFresh) return this.attempts
    let before = 0
    for (const record of this.records) if (record.attempts > before) before = record.attempts
    return before + this.attempts
  }

  /** Attempts that count against `retry.maxAttempts`, of the member with the most: each has its own past. */
  get countedAttempts(): number {
    if (this.isFresh) return this.attempts - this.pardoned
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
    return effectiveHashKey(this.#partitionKey, this.#explicitHashKey)
  }

  /** Ends it: it was delivered there. The room is free before anyone hears of it. */
  succeed(shardId: string, sequenceNumber: string, account: Account): void {
    this.#members.leave(account)
    this.#members.succeed(shardId, sequenceNumber, this.attempts)
    this.free()
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
