import { type Clock, sleep } from '@shardwise/core/clock'
import type { CallOptions, ChildShard, KinesisPort, ShardListing, StreamReference } from '@shardwise/core/kinesis-port'
import { classifyFailure } from '@shardwise/core/service-error'
import { listAllShards, type Shard, ShardListingError, ShardMap } from '@shardwise/core/shard-map'
import { hasBegun, type Lease, type NewLease } from '../leases/lease.js'
import { inTurns } from '../leases/lease-calls.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import type { LeaseStore } from '../leases/lease-store.js'
import { elapsedMs, momentOf } from '../leases/trust-window.js'
import { formerLeases, latestCreation } from './former-leases.js'
import { coverAllHashKeys, firstHole, HashRangeWatch, missingRanges } from './hash-range-watch.js'
import { LeaseGarbage } from './lease-garbage.js'
import { inStream } from './leased-shards.js'
import { missingLeases, type StartingPoint } from './shard-lineage.js'
import { Succession } from './succession.js'

/** Where to start on shards without history. `latest`: at the moment when the application first started. */
export type InitialPosition = 'latest' | 'trim-horizon' | { readonly at: Date }

export interface ShardDiscoveryOptions {
  readonly kinesis: KinesisPort
  readonly stream: StreamReference
  readonly store: LeaseStore
  readonly initialPosition: InitialPosition
  /** In the leases' keys, where the table holds several streams. */
  readonly streamId?: string | undefined
  /** Epoch milliseconds, whole seconds. Undefined where the service does not say. */
  readonly createdAt?: number | undefined
  /** The application has read a stream of this name before: of this one nothing is skipped, wherever it would begin otherwise. */
  readonly succeeds?: boolean
  readonly clock: Clock
  /** Milliseconds, see LISTING_VALID_MS and LeaseGarbage: less only where time runs otherwise, in the simulation. */
  readonly listingValidMs?: number | undefined
  readonly finishedLeaseKeptMs?: number | undefined
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

/**
 * How old a listing may be when a create that was decided from it is sent: docs/lease-protocol.md, "Resurrection". Longer than any listing takes,
 * and so much shorter than FINISHED_LEASE_KEPT_MS that the create has landed, or never will, when that is over.
 */
const LISTING_VALID_MS = 60_000

export interface CreateMissingOptions extends CallOptions {
  /** What a scan has shown a moment ago: where nothing is missing by that, the table is not read again. */
  readonly seen?: readonly Lease[] | undefined
  /**
   * When the shards cannot be listed, a table whose leases cover all hash keys will do: whatever comes after them is named by the ends of
   * their shards. So reading begins in an outage of Kinesis' control plane too, and without the permission for ListShards.
   */
  readonly atStart?: boolean | undefined
}

/** Keeps the lease table complete: compares the shards of the stream with the leases. Any worker may do it at any time. */
export class ShardDiscovery {
  readonly #options: ShardDiscoveryOptions
  readonly #garbage: LeaseGarbage
  readonly #watch = new HashRangeWatch()
  /** As last listed without a hole. */
  #listed: ReadonlyMap<string, Shard> = new Map()
  /** Scans have shown a hole, and no consistent read has told yet whether it is one. */
  #suspicious = false

  constructor(options: ShardDiscoveryOptions) {
    this.#options = options
    this.#garbage = new LeaseGarbage(options)
  }

  /** True when a scan of the leases shows, for the third time in a row, hash keys that nobody will read. Then audit: it finds out, and tells. */
  watch(leases: readonly Lease[]): boolean {
    if (this.#watch.observe(leases, this.#listed) === undefined) return false
    this.#suspicious = true
    return true
  }

  /**
   * Creates what is missing, fills in hash ranges that rows lack, and deletes the leases that nothing depends on. `leases`: as last scanned.
   * Rejects as createMissing; then repeat it.
   */
  async audit(leases: readonly Lease[], options: CallOptions = {}): Promise<void> {
    const { store } = this.#options
    const seen = this.#suspicious ? await this.#verified(options) : leases
    await this.createMissing({ ...options, seen })
    const ranges = missingRanges(leases, this.#listed)
    await inTurns([...ranges.keys()], async (lease) => {
      await store.fillRange(lease, ranges.get(lease)!, options)
    })
    await this.#garbage.collect(leases, [...this.#listed.values()], options)
  }

  /** What is in the table. Tells of a hole there. */
  async #verified(options: CallOptions): Promise<readonly Lease[]> {
    const { store, emit } = this.#options
    const leases = this.#own((await store.list({ ...options, consistent: true })).leases)
    const hole = firstHole(leases, this.#listed)
    this.#suspicious = false
    if (hole !== undefined) emit({ type: 'hash-range-hole', startingHashKey: `${hole.start}`, endingHashKey: `${hole.end}` })
    return leases
  }

  /**
   * Creates the leases that the table lacks. Resolves to their keys. Rejects as Kinesis and the store do, or with
   * IncompleteShardListError; then call again: it goes on where it was.
   */
  async createMissing({ seen, atStart = false, ...options }: CreateMissingOptions = {}): Promise<readonly string[]> {
    if (seen !== undefined) {
      const shards = await this.#list(options).catch((error: unknown) => {
        if (!atStart) throw error
      })
      if (shards !== undefined && this.#isComplete(seen, shards)) return []
    }
    const created: string[] = []
    const succession = new Succession(this.#options)
    while (!(await this.#create(created, succession, atStart, options))) {}
    return created
  }

  /** False when that took so long that what was listed has become old. */
  async #create(created: string[], succession: Succession, atStart: boolean, options: CallOptions): Promise<boolean> {
    const { store, clock, listingValidMs = LISTING_VALID_MS, emit } = this.#options
    const listedAt = momentOf(clock)
    // Leases before shards: a child that is created in between has, in our listing, a parent that has not ended, and is left alone.
    const leases = this.#own((await store.list({ ...options, consistent: true })).leases)
    const stream = this.#stream(leases)
    const shards = await this.#list(options).catch((error: unknown) => {
      const former = formerLeases(leases, [], stream.streamCreatedAt).leases.length > 0
      if (!atStart || options.signal?.aborted === true || former || !coverAllHashKeys(leases)) throw error
      emit({ type: 'shard-audit-failed', failure: classifyFailure(error) })
      return undefined
    })
    if (shards === undefined || this.#isComplete(leases, shards)) return true
    const former = formerLeases(leases, shards, stream.streamCreatedAt)
    const fresh = (): boolean => elapsedMs(listedAt, momentOf(clock)) <= listingValidMs
    if (former.leases.length > 0) {
      created.push(...(await succession.advance({ leases, shards, former, stream, fresh }, options)))
      return false
    }
    const start = await this.#startingPoint(leases, options)
    const missing = missingLeases({ shards, leases, start }).map((lease) => inStream(lease, stream))
    const create = async (lease: NewLease): Promise<void> => {
      if (!(await store.create(lease, options))) return
      created.push(lease.leaseKey)
      emit({ type: 'lease-created', leaseKey: lease.leaseKey, checkpoint: lease.checkpoint })
    }
    for (let i = 0; i < missing.length; i += CREATES_AT_ONCE) {
      if (!fresh()) return false
      const outcomes = await Promise.allSettled(missing.slice(i, i + CREATES_AT_ONCE).map(create))
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    }
    return true
  }

  /** Whatever the starting point, the same shards lack a lease, or an ancestor of theirs does. */
  #isComplete(leases: readonly Lease[], shards: readonly Shard[]): boolean {
    const { streamCreatedAt } = this.#stream(leases)
    if (formerLeases(leases, shards, streamCreatedAt).leases.length > 0) return false
    return missingLeases({ shards, leases, start: { kind: 'trim-horizon' } }).length === 0
  }

  #own(leases: readonly Lease[]): readonly Lease[] {
    return leases.filter(({ streamId }) => streamId === this.#options.streamId)
  }

  #stream(leases: readonly Lease[]): Pick<Lease, 'streamId' | 'streamCreatedAt'> {
    const { streamId, createdAt } = this.#options
    return { streamId, streamCreatedAt: latestCreation(leases, createdAt) }
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
  async #list(options: CallOptions): Promise<readonly Shard[]> {
    const { kinesis, stream, clock } = this.#options
    for (let attempt = 1; ; attempt++) {
      const shards = this.#complete(await listAllShards(kinesis, stream, options), attempt === LISTINGS)
      if (shards !== undefined) {
        this.#listed = new Map(shards.map((shard) => [shard.shardId, shard]))
        return shards
      }
      await sleep(clock, BETWEEN_LISTINGS_MS, { signal: options.signal })
    }
  }

  /** Undefined when the listing shows a reshard under way: holes, or shards that overlap. Throws when it is the `last` try. */
  #complete(listing: readonly ShardListing[], last: boolean): readonly Shard[] | undefined {
    const { stream } = this.#options
    try {
      const map = ShardMap.from(listing)
      const [hole] = map.holes
      if (hole === undefined) return [...new Set(listing.flatMap(({ ShardId }) => map.get(ShardId ?? '') ?? []))]
      if (last) {
        throw new IncompleteShardListError(
          `ListShards gave ${map.open.length} open shards of ${stream.StreamName ?? stream.StreamARN}, and none for the hash keys ` +
            `${hole.start} to ${hole.end}, ${LISTINGS} times in a row. No lease was created. If the stream is being created or deleted, ` +
            'wait until it is ACTIVE',
        )
      }
    } catch (error) {
      if (last || !(error instanceof ShardListingError)) throw error
    }
    return undefined
  }

  async #startingPoint(leases: readonly Lease[], options: CallOptions): Promise<StartingPoint> {
    const { kinesis, stream, initialPosition } = this.#options
    if (initialPosition === 'trim-horizon' || this.#options.succeeds === true) return { kind: 'trim-horizon' }
    const known = leases.flatMap(({ startAt }) => startAt ?? [])
    // An application with a past, and nobody knows since when (KCL made the rows): a shard without leased ancestors, since those have
    // left the stream or somebody has deleted rows. At the tip it would skip what nobody has read.
    if (initialPosition === 'latest' && known.length === 0 && leases.some(hasBegun)) return { kind: 'trim-horizon' }
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
