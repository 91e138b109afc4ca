import { parseHashKey } from '@shardwise/core/hash-key'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import type { Shard } from '@shardwise/core/shard-map'
import { AT_TIMESTAMP, compareSequenceNumbers, LATEST, TRIM_HORIZON } from '../checkpoints/position.js'
import { hasEnded, type Lease, leaseKeyOf, type NewLease } from '../leases/lease.js'

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
  /** Every lease of the table. */
  readonly leases: readonly Pick<Lease, 'leaseKey' | 'checkpoint'>[]
  readonly start: StartingPoint
}

/**
 * The leases that the table lacks, oldest shard first. A shard whose ancestor still has work to do gets none: the end of its parents
 * creates it. What KCL does in HierarchicalShardSyncer.java, and two things that it does not: LATEST goes by what was open at the
 * starting time, and a shard whose parents have all ended without leaving it a lease gets one.
 */
export function missingLeases(input: LineageInput): NewLease[] {
  const lineage = new Lineage(input)
  for (const shard of input.shards) if (lineage.isOpen(shard)) lineage.require(shard)
  return lineage.created()
}

class Lineage {
  readonly #shards: ReadonlyMap<string, Shard>
  readonly #leases: ReadonlyMap<string, Pick<Lease, 'leaseKey' | 'checkpoint'>>
  readonly #start: StartingPoint
  readonly #children = new Map<string, Shard[]>()
  readonly #descends = new Map<string, boolean>()
  readonly #created = new Map<string, { readonly shard: Shard; readonly lease: NewLease }>()

  constructor({ shards, leases, start }: LineageInput) {
    this.#shards = new Map(shards.map((shard) => [shard.shardId, shard]))
    this.#leases = new Map(leases.map((lease) => [lease.leaseKey, lease]))
    this.#start = start
    for (const shard of shards) {
      for (const parent of parentIds(shard)) this.#children.set(parent, [...(this.#children.get(parent) ?? []), shard])
    }
  }

  isOpen(shard: Shard): boolean {
    return shard.endingSequenceNumber === undefined && !this.#children.has(shard.shardId)
  }

  created(): NewLease[] {
    return [...this.#created.values()]
      .sort((a, b) => compareSequenceNumbers(a.shard.startingSequenceNumber, b.shard.startingSequenceNumber))
      .map(({ lease }) => lease)
  }

  /** Sees to it that this shard has a lease, or will get one when its ancestors end. */
  require(shard: Shard): void {
    if (this.#leases.has(shard.shardId) || this.#created.has(shard.shardId)) return
    if (!this.#descendsFromLease(shard)) {
      this.#begin(shard)
      return
    }
    let allEnded = true
    for (const parentId of parentIds(shard)) {
      const lease = this.#leases.get(parentId)
      const parent = this.#shards.get(parentId)
      if (lease !== undefined) allEnded &&= lease.checkpoint.kind === 'shard-end'
      else if (parent !== undefined) {
        allEnded = false
        this.require(parent)
      }
    }
    if (allEnded) this.#create(shard, TRIM_HORIZON, undefined)
  }

  #descendsFromLease(shard: Shard): boolean {
    const known = this.#descends.get(shard.shardId)
    if (known !== undefined) return known
    const descends = parentIds(shard).some((id) => {
      const parent = this.#shards.get(id)
      return this.#leases.has(id) || (parent !== undefined && this.#descendsFromLease(parent))
    })
    this.#descends.set(shard.shardId, descends)
    return descends
  }

  /** Of this shard and its ancestors, none leased: creates those that have to be read first. */
  #begin(shard: Shard): void {
    const parents = this.#listedParents(shard)
    if (parents.length === 0 || this.#beginsHere(shard)) this.#createAtStart(shard)
    else for (const parent of parents) this.#begin(parent)
  }

  #beginsHere(shard: Shard): boolean {
    if (this.#start.kind === 'trim-horizon') return false
    const { openThen } = this.#start
    if (this.#anyAncestor(shard, openThen)) return false
    // Open at that time, or closed before it: the records that we want are here or later. Else the shard is younger than the starting
    // time, and so may its parents be.
    return openThen.has(shard.shardId) || this.#anyDescendant(shard, openThen)
  }

  #createAtStart(shard: Shard): void {
    const start = this.#start
    if (start.kind === 'trim-horizon') this.#create(shard, TRIM_HORIZON, undefined)
    else this.#create(shard, start.kind === 'latest' ? LATEST : AT_TIMESTAMP, start.startAt)
  }

  #create(shard: Shard, checkpoint: NewLease['checkpoint'], startAt: number | undefined): void {
    const lease = { leaseKey: shard.shardId, checkpoint, parentShardIds: parentIds(shard), range: shard.range, startAt }
    this.#created.set(shard.shardId, { shard, lease })
  }

  #listedParents(shard: Shard): Shard[] {
    return parentIds(shard).flatMap((id) => this.#shards.get(id) ?? [])
  }

  #anyAncestor(shard: Shard, among: ReadonlySet<string>): boolean {
    return reaches(shard, (each) => this.#listedParents(each), among)
  }

  #anyDescendant(shard: Shard, among: ReadonlySet<string>): boolean {
    return reaches(shard, (each) => this.#children.get(each.shardId) ?? [], among)
  }
}

function reaches(from: Shard, next: (shard: Shard) => readonly Shard[], among: ReadonlySet<string>): boolean {
  const seen = new Set<string>()
  const ahead = [...next(from)]
  for (let shard = ahead.pop(); shard !== undefined; shard = ahead.pop()) {
    if (among.has(shard.shardId)) return true
    if (seen.has(shard.shardId)) continue
    seen.add(shard.shardId)
    ahead.push(...next(shard))
  }
  return false
}

export function parentIds(shard: Pick<Shard, 'parentShardId' | 'adjacentParentShardId'>): string[] {
  return [shard.parentShardId, shard.adjacentParentShardId].filter((id) => id !== undefined)
}

/** A shard may be read when each of its parents has been read to the end; a parent without a lease is gone (BlockOnParentShardTask.java). */
export function parentsHaveEnded(lease: Pick<Lease, 'parentShardIds' | 'streamId'>, leases: ReadonlyMap<string, Lease>): boolean {
  return lease.parentShardIds.every((id) => {
    const parent = leases.get(leaseKeyOf(lease.streamId, id))
    return parent === undefined || hasEnded(parent)
  })
}

/** The lease of a child, as GetRecords and SubscribeToShard name children at the end of a shard. Throws when the service's answer is incomplete. */
export function childLease(child: ChildShard): NewLease {
  const start = parseHashKey(child.HashKeyRange?.StartingHashKey ?? '')
  const end = parseHashKey(child.HashKeyRange?.EndingHashKey ?? '')
  if (!child.ShardId || !child.ParentShards?.length || start === undefined || end === undefined || start > end) {
    throw new Error(`A child shard must have ShardId, ParentShards and HashKeyRange, the service gave ${JSON.stringify(child)}`)
  }
  return {
    leaseKey: child.ShardId,
    checkpoint: TRIM_HORIZON,
    parentShardIds: [...child.ParentShards],
    range: { start, end },
    startAt: undefined,
  }
}
