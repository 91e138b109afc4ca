import { toWords } from '@shardwise/core/hash-key'
import { KeyRouter } from '@shardwise/core/key-router'
import type { Shard, ShardMap } from '@shardwise/core/shard-map'
import { Aggregator } from './aggregator.js'
import { spoilt, strandedByHeaders } from './delivery-failure.js'
import { Entry } from './entry.js'
import type { Fallout } from './fallout.js'
import { KeyAggregator } from './key-aggregator.js'
import { LoneRecords } from './lone-records.js'
import type { Settings } from './producer-options.js'
import type { StreamView } from './stream-view.js'
import type { UserRecord } from './user-record.js'

/** A key has at most 256 characters of at most four bytes. An aggregate must leave room for it in the stream's record size. */
const LONGEST_KEY_BYTES = 1024

/** By so much of their time to live, and at most so many milliseconds, records may expire early for having been put just after others. */
const COLUMN_SPANS_A_LIFE = 1000
const MOST_COLUMN_SPAN_MS = 10

/** Made anew for another map, and for another aggregator. */
interface Router {
  readonly map: ShardMap
  readonly keys: KeyRouter
  /** What records may join. */
  readonly joined: Aggregator | undefined
}

/** Part of the pipeline: makes entries of user records, by the present map and the stream's way of distributing. */
export class Packer {
  /** The service ignores keys: neither predict nor aggregate. Tags have no place then. */
  auto = false
  readonly #settings: Settings
  readonly #view: StreamView
  readonly #words = new Uint32Array(4)
  #router: Router | undefined
  readonly #lone = new LoneRecords()
  #aggregator: Aggregator | KeyAggregator | undefined
  #aggregateMaxBytes = 0

  constructor(settings: Settings, view: StreamView) {
    this.#settings = settings
    this.#view = view
  }

  get openAggregates(): number {
    return this.#aggregator?.openAggregates ?? 0
  }

  /** When an aggregate has lingered long enough. */
  get nextDue(): number | undefined {
    return this.#aggregator?.nextDue
  }

  /** Takes a record in, and appends to `out` the entries that this completes. */
  add(record: UserRecord, now: number, out: Entry[]): void {
    const deadline = now + this.#settings.lingerMs
    if (this.auto) {
      out.push(Entry.plain(record, undefined, deadline))
      return
    }
    const index = this.#predict(record)
    const shard = this.#shardAt(index)
    if (this.#settings.aggregation === 'off') out.push(this.#lone.entry(record, shard, deadline))
    else this.#aggregator!.add(record, index, shard, now, out)
  }

  /** For what may join an open aggregate: undefined where nothing may. */
  get router(): Router | undefined {
    const router = this.#router
    return router?.joined !== undefined && !this.auto && router.map === this.#view.map ? router : undefined
  }

  closeDue(now: number, out: Entry[]): void {
    this.#aggregator?.closeDue(now, out)
  }

  /** Completes the aggregate that the record would join. */
  closeOf(record: UserRecord, out: Entry[]): void {
    if (this.auto || this.#settings.aggregation === 'off') return
    this.#aggregator!.closeOf(record, this.#predict(record), out)
  }

  closeAll(out: Entry[]): void {
    this.#aggregator?.closeAll(out)
  }

  /** Records of former entries, in their order, as entries by the present map, less those that cannot be packed any more. */
  pack(given: readonly UserRecord[], now: number, fallout: Fallout): Entry[] {
    const records = given.filter((record) => {
      const isSpoilt = record.data.byteLength !== record.dataBytes
      if (!isSpoilt && !(this.auto && record.hasHeaders)) return true
      fallout.fail(record, isSpoilt ? spoilt(record) : strandedByHeaders(record, this.#settings.stream))
      return false
    })
    if (this.auto) return records.map((record) => Entry.plain(record, undefined, now))
    if (this.#settings.aggregation === 'off') {
      return records.map((record) => this.#lone.entry(record, this.#shardAt(this.#predict(record)), now))
    }
    const predict = (record: UserRecord): number => this.#predict(record)
    return this.#aggregator!.repack(records, predict, (index) => this.#shardAt(index), now)
  }

  /** Takes up another map or other traits. Completes what is open first: it was packed by the old ones. */
  adapt(out: Entry[]): void {
    this.#aggregator?.changeMap(out)
    const {
      aggregation,
      aggregateMaxBytes,
      lingerMs,
      aggregateMaxRecords: maxRecords,
      ordering,
      onUndelivered,
      recordTtlMs,
    } = this.#settings
    const room = this.#view.traits!.maxRecordBytes - LONGEST_KEY_BYTES
    const maxBytes = Math.max(64, Math.min(aggregateMaxBytes, room))
    if (this.#aggregator !== undefined && maxBytes === this.#aggregateMaxBytes) return
    this.#aggregateMaxBytes = maxBytes
    // Not where order is promised: records that are packed anew come in the order of their ranks, which columns know roughly. Nor for a hook,
    // which is given the very objects that were put.
    const inColumns = ordering === 'none' && onUndelivered === undefined
    const columnSpanMs = inColumns ? Math.min(MOST_COLUMN_SPAN_MS, recordTtlMs / COLUMN_SPANS_A_LIFE) : undefined
    const options = { lingerMs, maxBytes, maxRecords, columnSpanMs }
    this.#aggregator = aggregation === 'key' ? new KeyAggregator(options, this.#lone) : new Aggregator(options, this.#lone)
    this.#router = undefined
  }

  /** Whether the entry's prediction holds for all its members, so that packing them again would give the same bytes. */
  isCurrent(entry: Entry): boolean {
    if (!this.#view.isReady) return false
    return entry.shard === undefined ? this.auto : !this.auto && this.#view.isOpen(entry.shard)
  }

  #predict(record: UserRecord): number {
    const map = this.#view.map!
    if (record.explicitHashKey !== undefined) {
      toWords(BigInt(record.explicitHashKey), this.#words)
      return map.indexOf(this.#words)
    }
    if (this.#router?.map !== map) {
      const joined = this.#settings.aggregation === 'shard' ? (this.#aggregator as Aggregator | undefined) : undefined
      this.#router = { map, keys: new KeyRouter(map), joined }
    }
    return this.#router.keys.indexOf(record.partitionKey)
  }

  #shardAt(index: number): Shard {
    return this.#view.map!.open[index]!
  }
}
