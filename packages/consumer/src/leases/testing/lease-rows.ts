import { TRIM_HORIZON } from '../../checkpoints/position.js'
import type { Lease } from '../lease.js'

/** A row as `create` leaves it, for tests. */
export function aLease(leaseKey: string, changes: Partial<Lease> = {}): Lease {
  return {
    leaseKey,
    shardId: leaseKey,
    streamId: undefined,
    streamCreatedAt: undefined,
    leaseOwner: undefined,
    checkpointOwner: undefined,
    leaseCounter: 0,
    ownerSwitchesSinceCheckpoint: 0,
    checkpoint: TRIM_HORIZON,
    pendingCheckpoint: undefined,
    parentShardIds: [],
    childShardIds: [],
    range: { start: 0n, end: 9n },
    startAt: undefined,
    shardwiseOwner: undefined,
    nextOwner: undefined,
    leaver: undefined,
    ...changes,
  }
}
