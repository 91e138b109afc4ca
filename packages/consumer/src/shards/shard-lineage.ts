import { parseHashKey } from '@shardwise/core/hash-key'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import type { Shard } from '@shardwise/core/shard-map'
import { AT_TIMESTAMP, compareSequenceNumbers, LATEST, TRIM_HORIZON } from '../checkpoints/position.js'
import { hasBegun, hasEnded, type Lease, leaseKeyOf, type NewLease } from '../leases/lease.js'
import { isFormerCreation } from './creation-time.js'
import { parentIds, ShardFamily } from './shard-family.js'

/**
 * Where an application begins on shards that it has no history with. `openThen` are the shards that were open at `startAt` (ListShards with
 * the filter AT_TIMESTAMP); `latest` is the moment at which the application first started (decision 18).
 */
export type StartingPoint =
  | { readonly kind: 'trim-horizon' }
  | { readonly kind: 'latest' | 'at-timestamp'; readonly startAt: number; readonly openThen: ReadonlySet<string> }

export interface LineageInput {
  /** Every shard that the stream lists, closed ones too. */
  readonly shards: readonly Shard[]
  /** Every lease of the stream. */
  readonly leases: readonly Pick<Lease, 'shardId' | 'checkpoint'>[]
  readonly start: StartingPoint
}

/**
 * The leases that the table lacks, oldest shard first. A shard whose ancestor still has work to do gets none: the end of its parents
 * creates it. A shard one of whose descendants has begun was read, whether its lease is still there or not: finished leases get deleted.
 *
 * What KCL does in HierarchicalShardSyncer.java, and three things that it does not: LATEST goes by what was open at the starting time, a shard
 * whose parents have all ended without leaving it a lease gets one, and a sibling that has begun tells that the parent was read.
 */
export function missingLeases(input: LineageInput): NewLease[] {
  return new Lineage(input).missing()
}

class Lineage {
  readonly #family: ShardFamily
  readonly #leases: ReadonlyMap<string, Pick<Lease, 'checkpoint'>>
  readonly #start: StartingPoint
  readonly #descendsFromLease: ReadonlySet<string>
  readonly #wasRead: ReadonlySet<string>
  /** What is younger, and what is older, than the shards that were open at the starting time. */
  readonly #younger: ReadonlySet<string>
  readonly #older: ReadonlySet<string>
  readonly #looked = new Set<string>()
  readonly #created: { readonly shard: Shard; readonly lease: NewLease }[] = []

  constructor({ shards, leases, start }: LineageInput) {
    const family = new ShardFamily(shards)
    const openThen = start.kind === 'trim-horizon' ? new Set<string>() : start.openThen
    this.#family = family
    this.#start = start
    this.#leases = new Map(leases.map((lease) => [lease.shardId, lease]))
    this.#descendsFromLease = family.below(this.#leases)
    this.#wasRead = family.above(new Set(leases.filter(hasBegun).map(({ shardId }) => shardId)))
    this.#younger = family.below(openThen)
    this.#older = family.above(openThen)
  }

  missing(): NewLease[] {
    const family = this.#family
    const ahead = family.oldestFirst.filter((shard) => family.isOpen(shard))
    for (let shard = ahead.pop(); shard !== undefined; shard = ahead.pop()) {
      if (this.#looked.has(shard.shardId) || this.#leases.has(shard.shardId)) continue
      this.#looked.add(shard.shardId)
      ahead.push(...this.#look(shard))
    }
    return this.#created
      .sort((a, b) => compareSequenceNumbers(a.shard.startingSequenceNumber, b.shard.startingSequenceNumber))
      .map(({ lease }) => lease)
  }

  /** Creates the lease of a shard that has none, or tells which of its parents have to be seen to instead. */
  #look(shard: Shard): readonly Shard[] {
    const unread = this.#family.parents(shard).filter(({ shardId }) => !this.#leases.has(shardId) && !this.#wasRead.has(shardId))
    if (this.#descendsFromLease.has(shard.shardId)) {
      const atWork = parentIds(shard).some((id) => this.#leases.get(id) !== undefined && !hasEnded(this.#leases.get(id)!))
      if (!atWork && unread.length === 0) this.#create(shard, TRIM_HORIZON, undefined)
      return unread
    }
    if (unread.length > 0 && !this.#beginsHere(shard)) return unread
    this.#createAtStart(shard)
    return []
  }

  /**
   * Open at the starting time, or closed before it: the records that we want are here or later. Else the shard is younger than the starting
   * time, and so may its parents be.
   */
  #beginsHere({ shardId }: Shard): boolean {
    const start = this.#start
    if (start.kind === 'trim-horizon' || this.#younger.has(shardId)) return false
    return start.openThen.has(shardId) || this.#older.has(shardId)
  }

  #createAtStart(shard: Shard): void {
    const start = this.#start
    if (start.kind === 'trim-horizon') this.#create(shard, TRIM_HORIZON, undefined)
    else this.#create(shard, start.kind === 'latest' ? LATEST : AT_TIMESTAMP, start.startAt)
  }

  #create(shard: Shard, checkpoint: NewLease['checkpoint'], startAt: number | undefined): void {
    const lease = { leaseKey: shard.shardId, checkpoint, parentShardIds: parentIds(shard), range: shard.range, startAt }
    this.#created.push({ shard, lease })
  }
}

/** A shard may be read when each of its parents has been read to the end; a parent without a lease is gone (BlockOnParentShardTask.java). */
export function parentsHaveEnded(
  lease: Pick<Lease, 'parentShardIds' | 'streamId' | 'streamCreatedAt'>,
  leases: { get(leaseKey: string): Lease | undefined },
): boolean {
  return lease.parentShardIds.every((id) => {
    const parent = leases.get(leaseKeyOf(lease.streamId, id))
    return parent === undefined || parentHasEnded(lease, parent)
  })
}

/** `parent`: the row of its parent's name. That of a former stream speaks of another shard: it is about to begin anew, or to be deleted. */
export function parentHasEnded({ streamCreatedAt }: Pick<Lease, 'streamCreatedAt'>, parent: Lease): boolean {
  return hasEnded(parent) && !isFormerCreation(parent.streamCreatedAt, streamCreatedAt)
}

/** The lease of a child of `parent`, as GetRecords and SubscribeToShard name children at the end of a shard. Throws when that makes no sense. */
export function childLease(child: ChildShard, parent: string): NewLease {
  const start = parseHashKey(child.HashKeyRange?.StartingHashKey ?? '')
  const end = parseHashKey(child.HashKeyRange?.EndingHashKey ?? '')
  if (!child.ShardId || !child.ParentShards?.includes(parent) || start === undefined || end === undefined || start > end) {
    throw new Error(
      `A child of shard ${parent} must have ShardId, ParentShards and HashKeyRange, the service gave ${JSON.stringify(child)}`,
    )
  }
  return {
    leaseKey: child.ShardId,
    checkpoint: TRIM_HORIZON,
    parentShardIds: [...child.ParentShards],
    range: { start, end },
    startAt: undefined,
  }
}
