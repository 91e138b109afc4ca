import type { EventSource } from '@shardwise/core/events'
import { effectiveHashKey, type HashKeyRange, MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type { ShardMap } from '@shardwise/core/shard-map'
import type { Dispatcher } from './dispatcher.js'
import type { Entry } from './entry.js'
import { failedRecord } from './failed-record.js'
import { Fallout } from './fallout.js'
import { Halts } from './halts.js'
import type { Packer } from './packer.js'
import { LaneHaltedError, type StreamUnusableError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import type { Settings } from './producer-options.js'
import type { StreamView } from './stream-view.js'
import type { UserRecord } from './user-record.js'

/** What halting shares with the rest of the pipeline. */
export interface HaltingParts {
  readonly settings: Settings
  readonly events: EventSource<ProducerEvent>
  readonly packer: Packer
  readonly dispatcher: Dispatcher
  readonly view: StreamView
}

const ALL_HASH_KEYS: HashKeyRange = { start: 0n, end: MAX_HASH_KEY }

/** When more keys than this have halted, everything halts: an outage may break the order of any number of keys, and each keeps its error with the record. */
export const MOST_HALTED_KEYS = 10_000

/**
 * Part of the pipeline: what a final failure takes down with it where order is kept. Its lane, or its key, halts: what is queued behind it
 * fails, too, and puts are refused until the caller resumes. What is in flight from before the gap may still be delivered.
 */
export class Halting {
  readonly #parts: HaltingParts
  readonly #halts = new Halts()
  /** Records that were put before the caller resumed, and had not come in by then, with what halted their keys. */
  readonly #leftOut = new WeakMap<UserRecord, Error>()
  #hasResumed = false

  constructor(parts: HaltingParts) {
    this.#parts = parts
  }

  /** Whether anything is to be resumed from. */
  get isHalted(): boolean {
    return this.#halts.any
  }

  /** Whether any record must not be taken. */
  get mayRefuse(): boolean {
    return this.#hasResumed || this.#halts.any
  }

  /** Why the record must not be taken. */
  refusalOf(record: UserRecord): LaneHaltedError | undefined {
    let cause = this.#halts.any ? this.#halts.causeFor(record) : undefined
    if (this.#hasResumed) cause ??= this.#leftOut.get(record)
    return cause && this.#behind(record, cause)
  }

  /** `waiting`: records that wait for room or for a map. They were put before the gap was seen, as what was queued, and fail when they come in. */
  resume(waiting: Iterable<UserRecord>): void {
    if (!this.#halts.any) return
    for (const record of waiting) {
      const cause = this.#halts.causeFor(record)
      if (cause === undefined) continue
      this.#leftOut.set(record, cause)
      this.#hasResumed = true
    }
    this.#halts.resume()
  }

  /** Of records that never were in an entry, all failed. */
  afterUnsent(records: readonly UserRecord[], errors: readonly Error[], now: number): Fallout {
    return this.#after(undefined, records, errors, [], now, (map) => rangesOf(records, map))
  }

  /** Of an entry some of whose records' time is over; all the others go on if they may. */
  afterExpiry(
    entry: Entry,
    late: readonly UserRecord[],
    errors: readonly Error[],
    others: readonly UserRecord[],
    now: number,
  ): Fallout {
    return this.#after(entry, late, errors, others, now, (map) => rangesOf(entry.records, map))
  }

  /** Of an entry all of whose records have failed. */
  afterRefusal(entry: Entry, errors: readonly Error[], now: number): Fallout {
    const { shard, records } = entry
    return this.#after(entry, records, errors, [], now, (map) => (shard ? [widened(shard.range, map)] : rangesOf(records, map)))
  }

  /** Of a stream that cannot be used, with all that waited for it. */
  afterLoss(records: readonly UserRecord[], error: StreamUnusableError): Fallout {
    const fallout = new Fallout()
    for (const record of records) fallout.fail(record, error)
    const { ordering, afterFailure } = this.#parts.settings
    if (ordering !== 'none' && afterFailure === 'halt' && records.length > 0) this.#haltRange(ALL_HASH_KEYS, error, fallout)
    return fallout
  }

  /** Comes last: a listener may resume, and what it puts then must not go down with what was queued before. */
  announce({ halted }: Fallout): void {
    const { events, settings, view } = this.#parts
    for (const halt of halted) {
      const shard = halt.partitionKey === undefined ? view.map?.at(halt.startingHashKey) : undefined
      const shardId = shard?.range.end === halt.endingHashKey ? shard.shardId : undefined
      events.emit({ type: 'lane-halted', stream: settings.stream, shardId, ...halt })
    }
  }

  #after(
    entry: Entry | undefined,
    records: readonly UserRecord[],
    errors: readonly Error[],
    others: readonly UserRecord[],
    now: number,
    broken: (map: ShardMap | undefined) => HashKeyRange[],
  ): Fallout {
    const fallout = new Fallout()
    for (const [i, record] of records.entries()) fallout.fail(record, errors[i]!)
    const { settings, view } = this.#parts
    const halts = settings.afterFailure === 'halt'
    if (!halts || settings.ordering === 'none' || (settings.ordering === 'perShard' && records.length === 0))
      fallout.goOn = others
    else if (settings.ordering === 'perShard') this.#haltLanes(broken(view.map), errors[0]!, others, fallout)
    else {
      this.#haltKeys(entry, records, errors, now, fallout)
      fallout.goOn = this.#sift(others, fallout)
    }
    return fallout
  }

  /** The lanes go down with all they have queued. In order of putting what was late came first: the others go down with it. */
  #haltLanes(ranges: readonly HashKeyRange[], cause: Error, others: readonly UserRecord[], fallout: Fallout): void {
    const { packer, dispatcher } = this.#parts
    for (const range of ranges) this.#haltRange(range, cause, fallout)
    for (const record of others) fallout.fail(record, this.#behind(record, cause))
    enqueue(dispatcher, (open) => packer.closeAll(open))
    for (const range of ranges) {
      for (const queued of dispatcher.clear(range)) {
        for (const record of queued.dissolve()) fallout.fail(record, this.#behind(record, cause))
      }
    }
  }

  /** The keys of the records halt; what was packed with queued records of theirs goes on without them, in its place. */
  #haltKeys(
    entry: Entry | undefined,
    records: readonly UserRecord[],
    errors: readonly Error[],
    now: number,
    fallout: Fallout,
  ): void {
    const { packer, dispatcher, view } = this.#parts
    for (const [i, record] of records.entries()) {
      if (this.#halts.causeFor(record) !== undefined) continue
      const cause = errors[i]!
      if (this.#halts.keys >= MOST_HALTED_KEYS) {
        this.#haltEverything(cause, fallout)
        return
      }
      this.#halts.haltKeyOf(record, cause)
      const { partitionKey, explicitHashKey } = record
      const hashKey = effectiveHashKey(partitionKey, explicitHashKey)
      fallout.halted.push({ partitionKey, explicitHashKey, startingHashKey: hashKey, endingHashKey: hashKey, cause })
    }
    // What waited for a map is refused when it is let through. While there is none nothing is queued.
    if (entry === undefined || !view.isReady) return
    for (const record of records) enqueue(dispatcher, (open) => packer.closeOf(record, open))
    for (const queued of dispatcher.behind(entry, records)) {
      const goOn = this.#sift(queued.dissolve(), fallout)
      dispatcher.replace(queued, packer.pack(goOn, now, fallout), now)
    }
  }

  #haltEverything(last: Error, fallout: Fallout): void {
    const { packer, dispatcher } = this.#parts
    const cause = new Error(
      `${MOST_HALTED_KEYS} keys have halted and then one more, so that now all do; the last: ${last.message}`,
      {
        cause: last,
      },
    )
    this.#haltRange(ALL_HASH_KEYS, cause, fallout)
    enqueue(dispatcher, (open) => packer.closeAll(open))
    for (const queued of dispatcher.clearAll()) {
      for (const record of queued.dissolve()) fallout.fail(record, this.#behind(record, cause))
    }
  }

  /** Those of the records whose keys have not halted; the others fail. */
  #sift(records: readonly UserRecord[], fallout: Fallout): readonly UserRecord[] {
    if (!this.#halts.any) return records
    return records.filter((record) => {
      const cause = this.#halts.causeFor(record)
      if (cause !== undefined) fallout.fail(record, this.#behind(record, cause))
      return cause === undefined
    })
  }

  #haltRange(range: HashKeyRange, cause: Error, { halted }: Fallout): void {
    if (!this.#halts.haltRange(range, cause)) return
    const { start: startingHashKey, end: endingHashKey } = range
    halted.push({ partitionKey: undefined, explicitHashKey: undefined, startingHashKey, endingHashKey, cause })
  }

  #behind(record: UserRecord, cause: Error): LaneHaltedError {
    const failed = failedRecord(record, this.#parts.settings.stream)
    return new LaneHaltedError(failed, record.mayBeWritten ? 'unknown' : 'no', cause)
  }
}

function enqueue(dispatcher: Dispatcher, close: (out: Entry[]) => void): void {
  const closed: Entry[] = []
  close(closed)
  for (const entry of closed) dispatcher.enqueue(entry)
}

/** Of the shards that the records go to, all hash keys while these are not known. */
function rangesOf(records: readonly UserRecord[], map: ShardMap | undefined): HashKeyRange[] {
  if (map === undefined) return [ALL_HASH_KEYS]
  const hashKeys = records.map((record) => effectiveHashKey(record.partitionKey, record.explicitHashKey))
  return [...new Set(hashKeys.map((hashKey) => map.at(hashKey)!.range))]
}

/**
 * The range with all of each open shard that it reaches into. After a merge the lane of the new shard goes down with an entry of one
 * parent, and with it records of the other parent's keys: these halt, too.
 */
function widened(range: HashKeyRange, map: ShardMap | undefined): HashKeyRange {
  const [first, last] = [map?.at(range.start)?.range ?? range, map?.at(range.end)?.range ?? range]
  return {
    start: first.start < range.start ? first.start : range.start,
    end: last.end > range.end ? last.end : range.end,
  }
}
