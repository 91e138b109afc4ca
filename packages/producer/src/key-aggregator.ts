import { AggregateBuilder, BufferPool } from '@shardwise/aggregation'
import type { Shard } from '@shardwise/core/shard-map'
import { type AggregatorOptions, fitted } from './aggregator.js'
import { Entry } from './entry.js'
import { LinkedSet } from './linked-set.js'
import type { LoneRecords } from './lone-records.js'
import { MemberRecords } from './members.js'
import { recordKey } from './record-key.js'
import type { UserRecord } from './user-record.js'

/** Records of one key that wait for company, and the size of their aggregate. */
interface Gathering {
  readonly key: string
  readonly shard: Shard
  readonly deadline: number
  readonly records: UserRecord[]
  bytes: number
}

const NO_DATA = new Uint8Array(0)

/**
 * Packs user records into aggregates of one key each (`aggregation: 'key'`), so that every member lies wherever the whole does: no reshard can
 * part them. A record that would not gain goes plain, as with `Aggregator`, and the promises about deadlines and order are the same.
 *
 * Of a key that is open there are only the records themselves. A hundred thousand keys may be, and a buffer for each would take
 * gigabytes; so sizes are added up, and the bytes are written when an aggregate closes.
 */
export class KeyAggregator {
  readonly #options: AggregatorOptions
  readonly #lone: LoneRecords
  readonly #builder: AggregateBuilder
  /** What a record without data takes in an aggregate that has its keys: without and with an explicit hash key. */
  readonly #emptyBytes: readonly [number, number]
  readonly #open = new Map<string, Gathering>()
  /** The same by deadline. */
  readonly #line = new LinkedSet<Gathering>()

  constructor(options: AggregatorOptions, lone: LoneRecords) {
    this.#options = options
    this.#lone = lone
    const { maxBytes } = options
    this.#builder = new AggregateBuilder({ maxBytes, pool: new BufferPool({ bufferBytes: maxBytes, maxIdle: 4 }) })
    this.#emptyBytes = [this.#measure(undefined), this.#measure('0')]
  }

  get openAggregates(): number {
    return this.#open.size
  }

  /** When the next aggregate is due, or undefined. */
  get nextDue(): number | undefined {
    return this.#line.first?.deadline
  }

  /** Adds a record that is predicted for this shard, and appends to `out` what this completes. */
  add(record: UserRecord, _index: number, shard: Shard, now: number, out: Entry[]): void {
    const opened = this.#gather(this.#open, record, shard, now + this.#options.lingerMs, out)
    if (opened !== undefined) this.#line.push(opened)
  }

  closeDue(now: number, out: Entry[]): void {
    for (let first = this.#line.first; first !== undefined && first.deadline <= now; first = this.#line.first) {
      this.#close(this.#open, first, out)
    }
  }

  /** Closes the aggregate that the record would join. */
  closeOf(record: UserRecord, _index: number, out: Entry[]): void {
    const gathering = this.#open.get(recordKey(record))
    if (gathering !== undefined) this.#close(this.#open, gathering, out)
  }

  closeAll(out: Entry[]): void {
    for (const gathering of this.#line) this.#close(this.#open, gathering, out)
  }

  changeMap(out: Entry[]): void {
    this.closeAll(out)
  }

  /** Packs records that were sent before: at once, apart from what is open, in their order. */
  repack(
    records: readonly UserRecord[],
    predict: (record: UserRecord) => number,
    shardAt: (index: number) => Shard,
    now: number,
  ): Entry[] {
    const out: Entry[] = []
    const open = new Map<string, Gathering>()
    for (const record of records) this.#gather(open, record, shardAt(predict(record)), now, out)
    for (const gathering of open.values()) this.#close(open, gathering, out)
    return out
  }

  /** Adds the record to what is open of its key; the gathering, if this opened one. */
  #gather(open: Map<string, Gathering>, record: UserRecord, shard: Shard, deadline: number, out: Entry[]): Gathering | undefined {
    const { maxBytes, maxRecords } = this.#options
    const { partitionKey, data, explicitHashKey, tags } = record
    const key = recordKey(record)
    const alone = this.#builder.sizeWith(partitionKey, data, explicitHashKey, tags)
    const present = open.get(key)
    if (present !== undefined) {
      const bytes = present.bytes + alone - this.#frameBytes(partitionKey, explicitHashKey)
      if (bytes <= maxBytes) {
        present.bytes = bytes
        present.records.push(record)
        if (present.records.length >= maxRecords) this.#close(open, present, out)
        return undefined
      }
      this.#close(open, present, out)
    }
    if (alone > maxBytes || maxRecords === 1) {
      out.push(this.#lone.entry(record, shard, deadline))
      return undefined
    }
    const opened: Gathering = { key, shard, deadline, records: [record], bytes: alone }
    open.set(key, opened)
    return opened
  }

  /** What an aggregate of these keys has beside its records. */
  #frameBytes(partitionKey: string, explicitHashKey: string | undefined): number {
    const empty = this.#emptyBytes[explicitHashKey === undefined ? 0 : 1]!
    return this.#builder.sizeWith(partitionKey, NO_DATA, explicitHashKey) - empty
  }

  #close(open: Map<string, Gathering>, gathering: Gathering, out: Entry[]): void {
    open.delete(gathering.key)
    this.#line.delete(gathering)
    const { records, shard, deadline } = gathering
    // A buffer that was resized or handed over while its record waited would not fit what was added up. Such records go as they are.
    if (records.some((record) => record.data.byteLength !== record.dataBytes)) {
      for (const record of records) out.push(this.#lone.entry(record, shard, deadline))
      return
    }
    if (records.length === 1) {
      out.push(this.#lone.entry(records[0]!, shard, deadline))
      return
    }
    for (const { partitionKey, data, explicitHashKey, tags } of records) {
      this.#builder.tryAdd(partitionKey, data, explicitHashKey, tags)
    }
    out.push(Entry.aggregate(new MemberRecords(records), shard, fitted(this.#builder.seal(), this.#options.maxBytes), deadline))
  }

  #measure(explicitHashKey: string | undefined): number {
    const builder = this.#builder
    builder.tryAdd('k', NO_DATA, explicitHashKey)
    const bytes = builder.sizeWith('k', NO_DATA, explicitHashKey) - builder.byteLength
    builder.discard()
    return bytes
  }
}
