import { SHARD_QUOTA } from './shard-rate-limiter.js'

/** What one shard took and refused of late, and what waits for it. */
export interface HotShard {
  readonly stream: string
  readonly shardId: string
  /** Kinesis records and bytes that the service took, a second, over about the last ten seconds. */
  readonly recordsPerSecond: number
  readonly bytesPerSecond: number
  /** Kinesis records that it refused for the shard's quota, a second. Other writers use the quota, too. */
  readonly throttledPerSecond: number
  /** How much of the shard's quota that is, the greater part of records (1000/s) and bytes (1 MiB/s): 1 is all of it. */
  readonly utilization: number
  /** The most that this producer sends to the shard at present, in the same measure. */
  readonly allowance: number
  /** Kinesis records packed and not yet picked for a request. */
  readonly queued: number
}

/** What lanes and limiter say of shards. */
export interface ShardsNow {
  /** Of each shard with something queued, how many Kinesis records. */
  queuedByShard(): ReadonlyMap<string, number>
  /** How much of its quota may be sent to a shard. */
  allowance(shardId: string, now: number): number
}

const WINDOW_MS = 10_000
/** Within the first second there is too little to tell a rate from. */
const SHORTEST_SPAN_MS = 1000

interface Amounts {
  records: number
  bytes: number
  throttled: number
}

interface Heat {
  readonly since: number
  start: number
  current: Amounts
  previous: Amounts
}

/** How busy shards are, by a sliding window: the present one, and of the one before what still lies within ten seconds. */
export class ShardHeat {
  readonly #heats = new Map<string, Heat>()

  accepted(shardId: string, bytes: number, now: number): void {
    const { current } = this.#at(shardId, now)
    current.records++
    current.bytes += bytes
  }

  throttled(shardId: string, kinesisRecords: number, now: number): void {
    this.#at(shardId, now).current.throttled += kinesisRecords
  }

  /** Forgets shards that are no longer open. */
  keepOnly(open: ReadonlySet<string>): void {
    for (const shardId of this.#heats.keys()) if (!open.has(shardId)) this.#heats.delete(shardId)
  }

  /** The busiest of the shards that were written to or have something queued, at most `limit`. */
  hottest(limit: number, shards: ShardsNow, now: number): Busy[] {
    const queuedOf = shards.queuedByShard()
    const busy: Omit<Busy, 'allowance'>[] = []
    for (const shardId of new Set([...this.#heats.keys(), ...queuedOf.keys()])) {
      const rates = this.#rates(shardId, now)
      const queued = queuedOf.get(shardId) ?? 0
      if (rates.recordsPerSecond > 0 || rates.throttledPerSecond > 0 || queued > 0) busy.push({ shardId, ...rates, queued })
    }
    busy.sort(hotter)
    return busy.slice(0, limit).map((shard) => ({ ...shard, allowance: shards.allowance(shard.shardId, now) }))
  }

  #rates(shardId: string, now: number): Rates {
    if (!this.#heats.has(shardId)) return IDLE
    const { since, start, current, previous } = this.#at(shardId, now)
    // Of the window before, the share that is less than ten seconds old: its records are taken to be spread evenly.
    const share = 1 - (now - start) / WINDOW_MS
    const seconds = Math.min(Math.max(now - since, SHORTEST_SPAN_MS), WINDOW_MS) / 1000
    const rate = (amount: keyof Amounts): number => (current[amount] + share * previous[amount]) / seconds
    const [recordsPerSecond, bytesPerSecond] = [rate('records'), rate('bytes')]
    const utilization = Math.max(recordsPerSecond / SHARD_QUOTA.recordsPerSecond, bytesPerSecond / SHARD_QUOTA.bytesPerSecond)
    return { recordsPerSecond, bytesPerSecond, throttledPerSecond: rate('throttled'), utilization }
  }

  #at(shardId: string, now: number): Heat {
    let heat = this.#heats.get(shardId)
    if (heat === undefined) {
      heat = { since: now, start: now, current: nothing(), previous: nothing() }
      this.#heats.set(shardId, heat)
    }
    const windows = Math.floor((now - heat.start) / WINDOW_MS)
    if (windows > 0) {
      heat.previous = windows === 1 ? heat.current : nothing()
      heat.current = nothing()
      heat.start += windows * WINDOW_MS
    }
    return heat
  }
}

type Rates = Pick<HotShard, 'recordsPerSecond' | 'bytesPerSecond' | 'throttledPerSecond' | 'utilization'>
type Busy = Omit<HotShard, 'stream'>

/** For sorting, the hottest first. */
export function hotter(a: Heated, b: Heated): number {
  return b.utilization - a.utilization || b.throttledPerSecond - a.throttledPerSecond || b.queued - a.queued
}

type Heated = Pick<HotShard, 'utilization' | 'throttledPerSecond' | 'queued'>

const IDLE: Rates = { recordsPerSecond: 0, bytesPerSecond: 0, throttledPerSecond: 0, utilization: 0 }

function nothing(): Amounts {
  return { records: 0, bytes: 0, throttled: 0 }
}
