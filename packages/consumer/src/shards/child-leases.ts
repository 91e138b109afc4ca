import { rangesCover } from '@shardwise/core/hash-key'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import { type Lease, leaseKeyOf, type NewLease } from '../leases/lease.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import type { LeaseStore } from '../leases/lease-store.js'
import { inStream, type LeasedShards } from './leased-shards.js'
import { childLease } from './shard-lineage.js'

export interface ChildLeasesOptions {
  readonly store: LeaseStore
  readonly discovery: Pick<LeasedShards, 'childrenOf'>
  readonly emit: (event: LeaseEvent) => void
}

export interface ChildLeases {
  readonly childShardIds: readonly string[]
  /**
   * False: a child was left out, because the lease of its other parent does not exist, or children are unknown: none was found, or those found
   * do not cover the hash keys of their parent. The audit looks after it.
   */
  readonly complete: boolean
}

/**
 * Creates the leases of a finished shard's children. The child of a merge only when the leases of both parents exist: the later of the two
 * ends creates it (docs/lease-protocol.md, "end"). Harmless when repeated.
 *
 * `isOurs`: whether the parent's lease is trusted, asked before each create. Undefined when it is not, or not any more: then its owner may be
 * another, the child created, read and its lease deleted, and a create would bring it back. Rejects when the service's word about the
 * children makes no sense and the list of shards knows none.
 */
export async function createChildLeases(
  options: ChildLeasesOptions,
  parent: Lease,
  named: readonly ChildShard[],
  signal: AbortSignal,
  isOurs: () => boolean,
): Promise<ChildLeases | undefined> {
  const { store, emit } = options
  const children = await findChildren(options, parent, named, signal)
  const ranges = children.flatMap(({ range }) => range ?? [])
  let complete = parent.range === undefined ? children.length > 0 : rangesCover(ranges, parent.range)
  for (const child of children) {
    const others = child.parentShardIds.filter((id) => id !== parent.shardId)
    const rows = await Promise.all(others.map((id) => store.read(leaseKeyOf(parent.streamId, id), { signal })))
    if (!isOurs()) return undefined
    if (rows.includes(undefined)) complete = false
    else {
      const lease = inStream(child, parent)
      if (await store.create(lease, { signal }))
        emit({ type: 'lease-created', leaseKey: lease.leaseKey, checkpoint: lease.checkpoint })
    }
  }
  return { childShardIds: children.map(({ leaseKey }) => leaseKey), complete }
}

/** As named at the end of the shard; where that is nothing, or inconsistent, as listed. */
async function findChildren(
  { discovery }: ChildLeasesOptions,
  parent: Lease,
  named: readonly ChildShard[],
  signal: AbortSignal,
): Promise<readonly NewLease[]> {
  let problem: unknown
  try {
    const children = named.map((child) => childLease(child, parent.shardId))
    if (children.length > 0) return children
  } catch (error) {
    problem = error
  }
  const listed = (await discovery.childrenOf(parent, { signal })).map((child) => childLease(child, parent.shardId))
  if (listed.length === 0 && problem !== undefined) throw problem
  return listed
}
