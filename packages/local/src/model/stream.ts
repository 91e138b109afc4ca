import { type ReshardStep, reshardShards } from './resharding.js'
import { Shard, uniformRanges } from './shard.js'
import { ShardRouter } from './shard-router.js'
import { StreamConsumers } from './stream-consumers.js'
import { Watchers } from './watchers.js'

/** What can be changed of a stream after its creation, besides its shards and tags. */
export interface StreamSettings {
  readonly mode: 'PROVISIONED' | 'ON_DEMAND'
  readonly retentionHours: number
  readonly maxRecordKiB: number
  readonly distribution: 'USER_PARTITION_KEY' | 'AUTO'
  /** Undefined: not encrypted. */
  readonly keyId: string | undefined
}

/** Something that happens to a stream by itself when its time (monotonic milliseconds) has come. */
export type Change =
  | { readonly at: number; readonly kind: 'reshard'; readonly step: ReshardStep }
  | { readonly at: number; readonly kind: 'settings'; readonly settings: Partial<StreamSettings> }

export type StreamState =
  | { readonly status: 'CREATING'; readonly until: number; readonly shardCount: number }
  | { readonly status: 'ACTIVE' }
  | { readonly status: 'UPDATING'; readonly changes: readonly Change[] }
  | { readonly status: 'DELETING'; readonly until: number }

export interface StreamBirth {
  readonly name: string
  readonly arn: string
  /** Tells streams of one name apart, in iterators and tokens. */
  readonly incarnation: number
  /** Epoch milliseconds. */
  readonly createdAt: number
  /** Its shards' sequence numbers begin in this second or later. */
  readonly firstSecond: number
  readonly settings: StreamSettings
  readonly quotas: boolean
}

const HOUR_MS = 3_600_000

/** A stream with its shards, open, closed and not yet expired. What may be done in which state is decided by the operations. */
export class Stream {
  readonly name: string
  readonly arn: string
  readonly incarnation: number
  readonly createdAt: number
  readonly tags: Map<string, string> = new Map()
  readonly consumers: StreamConsumers = new StreamConsumers()
  /** Told when the state changes, and when the stream is gone. */
  readonly watchers: Watchers = new Watchers()
  settings: StreamSettings
  /** Whether the shards' throughput is limited as the service limits it. */
  quotas: boolean
  /** When (monotonic milliseconds) UpdateShardCount was called, for its daily limit. */
  readonly scalings: number[] = []
  readonly #firstSecond: number
  #state: StreamState
  /** In order of shard number. */
  readonly #shards = new Map<string, Shard>()
  #router = new ShardRouter([])
  #shardsMade = 0
  #placed = 0

  constructor(birth: StreamBirth, state: StreamState) {
    this.name = birth.name
    this.arn = birth.arn
    this.incarnation = birth.incarnation
    this.createdAt = birth.createdAt
    this.settings = birth.settings
    this.quotas = birth.quotas
    this.#state = state
    this.#firstSecond = birth.firstSecond
  }

  get state(): StreamState {
    return this.#state
  }

  set state(state: StreamState) {
    this.#state = state
    this.watchers.tell()
  }

  /** When (monotonic milliseconds) time alone will change something about it or its shards; Infinity if it will not. */
  get nextChangeAt(): number {
    switch (this.#state.status) {
      case 'ACTIVE':
        return Number.POSITIVE_INFINITY
      case 'UPDATING':
        return Math.min(...this.#state.changes.map((change) => change.at))
      default:
        return this.#state.until
    }
  }

  get router(): ShardRouter {
    return this.#router
  }

  get openShards(): readonly Shard[] {
    return this.#router.open
  }

  /** Shards that exist or are about to, for the account's limit. */
  get shardsCounted(): number {
    return this.state.status === 'CREATING' ? this.state.shardCount : this.openShards.length
  }

  /** The last second in which a shard of this stream began. */
  get lastSecond(): number {
    return Math.max(this.#firstSecond, ...[...this.#shards.values()].map((shard) => shard.origin.beganSecond))
  }

  /** Open, closed and not expired, by number. Expired shards and records are forgotten on the way. */
  listShards(wallTime: number): Shard[] {
    const horizon = this.horizon(wallTime)
    for (const shard of this.#shards.values()) {
      shard.trim(horizon)
      if (shard.closedAt !== undefined && shard.closedAt < horizon) this.#shards.delete(shard.shardId)
    }
    return [...this.#shards.values()]
  }

  shard(shardId: string, wallTime: number): Shard | undefined {
    const shard = this.#shards.get(shardId)
    if (shard === undefined) return undefined
    const horizon = this.horizon(wallTime)
    shard.trim(horizon)
    if (shard.closedAt === undefined || shard.closedAt >= horizon) return shard
    this.#shards.delete(shardId)
    return undefined
  }

  /** Records that arrived before this (epoch milliseconds) are gone. */
  horizon(wallTime: number): number {
    return wallTime - this.settings.retentionHours * HOUR_MS
  }

  /** The first shards, when creation is done. */
  open(shardCount: number, wallTime: number): void {
    const beganSecond = Math.max(this.#firstSecond, Math.floor(wallTime / 1000))
    for (const range of uniformRanges(shardCount)) {
      this.#add(new Shard({ index: this.#shardsMade++, range, beganAt: wallTime, beganSecond }))
    }
    this.#router = new ShardRouter(this.#shards.values())
  }

  reshard(step: ReshardStep, wallTime: number): void {
    for (const shard of reshardShards(this.#router, step, wallTime, () => this.#shardsMade++)) this.#add(shard)
    this.#router = new ShardRouter(this.#shards.values())
  }

  /** Service-managed distribution: the open shards in turn. */
  nextPlace(): Shard {
    return this.openShards[this.#placed++ % this.openShards.length]!
  }

  #add(shard: Shard): void {
    this.#shards.set(shard.shardId, shard)
  }
}
