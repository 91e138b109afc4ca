import type { ChildShard } from '@shardwise/core/kinesis-port'
import { type Lease, leaseKeyOf } from '../leases/lease.js'
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
  /** False: a child was left out, because the lease of its other parent does not exist, or no child was found. The audit looks after it. */
  readonly complete: boolean
}

/**
 * Creates the leases of a finished shard's children. The child of a merge only when the leases of both parents exist: the later of the two
 * ends creates it (docs/lease-protocol.md, "end"). Harmless when repeated.
 */
export async function createChildLeases(
  { store, discovery, emit }: ChildLeasesOptions,
  parent: Lease,
  named: readonly ChildShard[],
  signal: AbortSignal,
): Promise<ChildLeases> {
  const children = (named.length > 0 ? named : await discovery.childrenOf(parent, { signal })).map(childLease)
  let complete = children.length > 0
  for (const child of children) {
    const others = child.parentShardIds.filter((id) => id !== parent.shardId)
    const rows = await Promise.all(others.map((id) => store.read(leaseKeyOf(parent.streamId, id), { signal })))
    if (rows.includes(undefined)) complete = false
    else {
      const lease = inStream(child, parent)
      if (await store.create(lease, { signal }))
        emit({ type: 'lease-created', leaseKey: lease.leaseKey, checkpoint: lease.checkpoint })
    }
  }
  return { childShardIds: children.map(({ leaseKey }) => leaseKey), complete }
}
