import { type Clock, sleep } from '@shardwise/core/clock'
import type { CallOptions, ChildShard, KinesisPort, StreamReference } from '@shardwise/core/kinesis-port'
import { listAllShards, type Shard, ShardMap } from '@shardwise/core/shard-map'
import type { Lease, NewLease } from '../leases/lease.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import type { LeaseStore } from '../leases/lease-store.js'
import { missingLeases, type StartingPoint } from './shard-lineage.js'

/** Where to start on shards without history. `latest`: at the moment when the application first started. */
export type InitialPosition = 'latest' | 'trim-horizon' | { readonly at: Date }

export interface ShardDiscoveryOptions {
  readonly kinesis: KinesisPort
  readonly stream: StreamReference
  readonly store: LeaseStore
  readonly initialPosition: InitialPosition
  readonly clock: Clock
  readonly emit: (event: LeaseEvent) => void
}

/** The shards that a stream lists leave parts of the hash space uncovered, several times in a row. Leases were not created. */
export class IncompleteShardListError extends Error {
  override readonly name = 'IncompleteShardListError'
  readonly code = 'ERR_SHARDWISE_INCOMPLETE_SHARD_LIST'
}

/** A reshard under way can show a hole for a moment. */
const LISTINGS = 4
const BETWEEN_LISTINGS_MS = 1_000
const CREATES_AT_ONCE = 16

/** Keeps the lease table complete: compares the shards of the stream with the leases. Any worker may do it at any time. */
export class ShardDiscovery {
  readonly #options: ShardDiscoveryOptions

  constructor(options: ShardDiscoveryOptions) {
    this.#options = options
  }

  /**
   * Creates the leases that the table lacks. Resolves to their keys. Rejects as Kinesis and the store do, or with
   * IncompleteShardListError; then call again.
   */
  async createMissing(options: CallOptions = {}): Promise<readonly string[]> {
    const { store, emit } = this.#options
    // Leases before shards: a child that is created in between has, in our listing, a parent that has not ended, and is left alone.
    const { leases } = await store.list({ ...options, consistent: true })
    const shards = await this.#shards(options)
    const anyMissing = missingLeases({ shards, leases, start: { kind: 'trim-horizon' } }).length > 0
    if (!anyMissing) return []
    const known = leases.flatMap(({ startAt }) => startAt ?? [])
    const start = await this.#startingPoint(known, options)
    const missing = missingLeases({ shards, leases, start })
    const created: NewLease[] = []
    for (let i = 0; i < missing.length; i += CREATES_AT_ONCE) {
      const create = async (lease: NewLease): Promise<void> => {
        if (await store.create(lease, options)) created.push(lease)
      }
      await Promise.all(missing.slice(i, i + CREATES_AT_ONCE).map(create))
    }
    for (const { leaseKey, checkpoint } of created) emit({ type: 'lease-created', leaseKey, checkpoint })
    return created.map(({ leaseKey }) => leaseKey)
  }

  /** For a shard that ended without the service naming its children: those that the stream lists. */
  async childrenOf({ shardId }: Pick<Lease, 'shardId'>, options: CallOptions = {}): Promise<readonly ChildShard[]> {
    const { kinesis, stream } = this.#options
    const listing = await listAllShards(kinesis, stream, options)
    return listing.flatMap(({ ShardId, ParentShardId, AdjacentParentShardId, HashKeyRange }) => {
      const ParentShards = [ParentShardId, AdjacentParentShardId].filter((id) => id !== undefined)
      return ParentShards.includes(shardId) ? [{ ShardId, ParentShards, HashKeyRange }] : []
    })
  }

  /** All shards, when the open ones cover the whole hash space. */
  async #shards(options: CallOptions): Promise<readonly Shard[]> {
    const { kinesis, stream, clock } = this.#options
    for (let attempt = 1; ; attempt++) {
      const listing = await listAllShards(kinesis, stream, options)
      const map = ShardMap.from(listing)
      if (map.holes.length === 0) return [...new Set(listing.flatMap(({ ShardId }) => map.get(ShardId ?? '') ?? []))]
      if (attempt === LISTINGS) {
        const [hole] = map.holes
        throw new IncompleteShardListError(
          `ListShards gave ${map.open.length} open shards of ${stream.StreamName ?? stream.StreamARN}, and none for the hash keys ` +
            `${hole?.start} to ${hole?.end}, ${LISTINGS} times in a row. No lease was created. If the stream is being created or deleted, ` +
            'wait until it is ACTIVE',
        )
      }
      await sleep(clock, BETWEEN_LISTINGS_MS, { signal: options.signal })
    }
  }

  async #startingPoint(known: readonly number[], options: CallOptions): Promise<StartingPoint> {
    const { kinesis, stream, initialPosition } = this.#options
    if (initialPosition === 'trim-horizon') return { kind: 'trim-horizon' }
    const startAt = initialPosition === 'latest' ? await this.#startOfApplication(known, options) : initialPosition.at.getTime()
    const filter = { Type: 'AT_TIMESTAMP', Timestamp: new Date(startAt) } as const
    const openThen = await listAllShards(kinesis, stream, { ...options, filter })
    return {
      kind: initialPosition === 'latest' ? 'latest' : 'at-timestamp',
      startAt,
      openThen: new Set(openThen.flatMap(({ ShardId }) => ShardId ?? [])),
    }
  }

  /** The earliest in the table, else the service's present time. Both in whole seconds rounded down: early by a second, never late. */
  async #startOfApplication(known: readonly number[], options: CallOptions): Promise<number> {
    if (known.length > 0) return Math.min(...known)
    const { kinesis, stream, clock } = this.#options
    const { serviceTime = clock.wallTime() } = await kinesis.describeStreamSummary(stream, options)
    return Math.floor(serviceTime / 1_000) * 1_000
  }
}
