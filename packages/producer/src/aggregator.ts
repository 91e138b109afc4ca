import { AggregateBuilder, BufferPool, type SealedAggregate } from '@shardwise/aggregation'
import type { Shard } from '@shardwise/core/shard-map'
import { Chain, type Chained } from './chain.js'
import { Entry, type PackedBytes } from './entry.js'
import type { LoneRecords } from './lone-records.js'
import { MemberRecords, type Members } from './members.js'
import { RecordColumns } from './record-columns.js'
import type { UserRecord } from './user-record.js'

export interface AggregatorOptions {
  readonly lingerMs: number
  /** Encoded size of an aggregate. */
  readonly maxBytes: number
  readonly maxRecords: number
  /** Given: members are columns and not objects, as far as they can be, and those that were put within this time expire together. */
  readonly columnSpanMs?: number | undefined
}

/** An aggregate that takes members. Its slot, builder included, is used again for the shard's next one. */
interface Slot extends Chained<Slot> {
  readonly builder: AggregateBuilder
  /** Undefined while it has none. */
  members: Members | undefined
  shard: Shard
  deadline: number
}

const UNCHAINED = { before: undefined, after: undefined, isChained: false }

/** Memory kept for reuse in buffers that hold nothing, and how many: giving one back looks at each. */
const IDLE_POOL_BYTES = 16 * 1024 * 1024
const IDLE_POOL_BUFFERS = 512

/**
 * Packs user records into one open aggregate per predicted shard. A record that would not gain goes plain: one too large for an aggregate,
 * and one that is alone when its aggregate closes, as in the KPL (aws/kinesis/core/kinesis_record.cc); with tags it has its envelope.
 *
 * Entries of one shard come out in the order in which their records came in. There is one deadline an aggregate, that of its first
 * member; because the linger is the same for all, the order of opening is the order of deadlines.
 */
export class Aggregator {
  readonly #options: AggregatorOptions
  readonly #pool: BufferPool
  readonly #lone: LoneRecords
  readonly #slots: (Slot | undefined)[] = []
  /** Slots with members, by deadline. */
  readonly #open = new Chain<Slot>()

  constructor(options: AggregatorOptions, lone: LoneRecords) {
    this.#options = options
    this.#lone = lone
    const maxIdle = Math.min(IDLE_POOL_BUFFERS, Math.ceil(IDLE_POOL_BYTES / options.maxBytes))
    this.#pool = new BufferPool({ bufferBytes: options.maxBytes, maxIdle })
  }

  get openAggregates(): number {
    return this.#open.size
  }

  /** When the next aggregate is due, or undefined. */
  get nextDue(): number | undefined {
    return this.#open.first?.deadline
  }

  /** Adds a record that is predicted for the shard at `index` of the present map, and appends to `out` what this completes. */
  add(record: UserRecord, index: number, shard: Shard, now: number, out: Entry[]): void {
    let slot = this.#slots[index]
    if (slot === undefined) {
      const builder = new AggregateBuilder({ maxBytes: this.#options.maxBytes, pool: this.#pool })
      slot = this.#slots[index] = { ...UNCHAINED, builder, members: undefined, shard, deadline: 0 }
    }
    const { builder } = slot
    if (!builder.tryAdd(record.partitionKey, record.data, record.explicitHashKey, record.tags)) {
      if (slot.members !== undefined) out.push(this.#close(slot, slot.members))
      if (!builder.tryAdd(record.partitionKey, record.data, record.explicitHashKey, record.tags)) {
        out.push(this.#lone.entry(record, shard, now + this.#options.lingerMs))
        return
      }
    }
    let { members } = slot
    if (members === undefined) {
      const { lingerMs, columnSpanMs } = this.#options
      slot.deadline = now + lingerMs
      this.#open.push(slot)
      members = slot.members = columnSpanMs === undefined ? new MemberRecords([record]) : new RecordColumns(record, columnSpanMs)
    } else members.add(record)
    if (members.count >= this.#options.maxRecords) out.push(this.#close(slot, members))
  }

  /**
   * Adds a record without tags and explicit hash key to what is open for the shard at `index`, and returns the columns that are to know of it. Undefined,
   * and nothing done: there is none, its members are objects, or this would complete it.
   */
  join(index: number, partitionKey: string, data: Uint8Array): RecordColumns | undefined {
    const slot = this.#slots[index]
    const members = slot?.members
    if (!(members instanceof RecordColumns) || members.count + 1 >= this.#options.maxRecords) return undefined
    return slot!.builder.tryAdd(partitionKey, data) ? members : undefined
  }

  /** Closes what is due, and what goes along with it. */
  closeDue(now: number, out: Entry[]): void {
    const until = closesUntil(this.nextDue, now, this.#options.lingerMs)
    for (let slot = this.#open.first; slot !== undefined && slot.deadline <= until; slot = this.#open.first) {
      out.push(this.#close(slot, slot.members!))
    }
  }

  /** Closes the aggregate that the record would join. */
  closeOf(_record: UserRecord, index: number, out: Entry[]): void {
    const slot = this.#slots[index]
    if (slot?.members !== undefined) out.push(this.#close(slot, slot.members))
  }

  /** Closes every aggregate: for a flush, and before the map changes, since indexes are those of one map. */
  closeAll(out: Entry[]): void {
    for (let slot = this.#open.first; slot !== undefined; slot = this.#open.first) {
      out.push(this.#close(slot, slot.members!))
    }
  }

  /** Closes every aggregate and forgets the indexes. The next `add` is by another map. */
  changeMap(out: Entry[]): void {
    this.closeAll(out)
    this.#slots.length = 0
  }

  /**
   * Packs records that were sent before: at once, apart from what is open, in their order. `predict` gives the index of a record's shard.
   */
  repack(
    records: readonly UserRecord[],
    predict: (record: UserRecord) => number,
    shardAt: (index: number) => Shard,
    now: number,
  ): Entry[] {
    const out: Entry[] = []
    const slots = new Map<number, Slot>()
    for (const record of records) {
      const index = predict(record)
      let slot = slots.get(index)
      if (slot === undefined) {
        const builder = new AggregateBuilder({ maxBytes: this.#options.maxBytes, pool: this.#pool })
        slot = { ...UNCHAINED, builder, members: undefined, shard: shardAt(index), deadline: now }
        slots.set(index, slot)
      }
      const { partitionKey, data, explicitHashKey, tags } = record
      const { builder, members } = slot
      if (members !== undefined) {
        if (members.count < this.#options.maxRecords && builder.tryAdd(partitionKey, data, explicitHashKey, tags)) {
          members.add(record)
          continue
        }
        out.push(this.#close(slot, members))
      }
      if (builder.tryAdd(partitionKey, data, explicitHashKey, tags)) slot.members = new MemberRecords([record])
      else out.push(this.#lone.entry(record, slot.shard, now))
    }
    for (const slot of slots.values()) if (slot.members !== undefined) out.push(this.#close(slot, slot.members))
    return out
  }

  #close(slot: Slot, members: Members): Entry {
    this.#open.delete(slot)
    const { shard, deadline, builder } = slot
    slot.members = undefined
    if (members.count === 1) {
      builder.discard()
      return this.#lone.entry(members.first, shard, deadline)
    }
    return Entry.aggregate(members, shard, fitted(builder.seal(), this.#options.maxBytes), deadline)
  }
}

/** Of the linger: what is due within so much of it goes along with what is due now. What it saves in requests: benchmarks/README.md, `put-ack-latency-peers`. */
const EARLY = 1 / 3

/**
 * Up to which deadline aggregates close at `now`. Shards open theirs at any time, and each would leave when its own time has come, alone: so many
 * requests, where there are many shards and not much comes to each. With a greater part aggregates become smaller, and Kinesis records more, for hardly fewer requests.
 */
function closesUntil(nextDue: number | undefined, now: number, lingerMs: number): number {
  return nextDue !== undefined && nextDue <= now ? now + lingerMs * EARLY : now
}

/**
 * An aggregate that its deadline closed half empty moves to bytes of its own size. Otherwise a slow trickle over many shards, while the
 * service is down, would pile up whole buffers with a few records in each, far beyond what admission counts.
 */
export function fitted(sealed: SealedAggregate, bufferBytes: number): PackedBytes {
  if (sealed.byteLength * 2 <= Math.min(bufferBytes, sealed.bufferBytes)) sealed.shrink()
  return sealed
}
