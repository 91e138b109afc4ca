import type { HashKeyRange } from '@shardwise/core/hash-key'
import { type Position, SHARD_END } from '../checkpoints/position.js'
import type { Lease } from './lease.js'
import type { LeaseProgress } from './lease-progress.js'
import type { LeaseHandOver, LeaseRenewal } from './lease-store.js'

/**
 * One conditional write as data. What each protects is written in docs/lease-protocol.md; the stores only carry them out.
 */
export interface LeaseChange {
  readonly leaseKey: string
  readonly where: LeaseCondition
  /** Attributes to write. One that is present and undefined is removed. */
  readonly set: Partial<Pick<Lease, ChangeableAttribute>>
}

export type ChangeableAttribute =
  | 'leaseOwner'
  | 'checkpointOwner'
  | 'leaseCounter'
  | 'ownerSwitchesSinceCheckpoint'
  | 'checkpoint'
  | 'pendingCheckpoint'
  | 'childShardIds'
  | 'shardwiseOwner'
  | 'nextOwner'
  | 'leaver'
  | 'range'

/** All of these hold. An owner that is present and undefined must be absent from the row. */
export interface LeaseCondition {
  readonly leaseCounter?: number
  readonly leaseOwner?: string | undefined
  readonly checkpointOwner?: string | undefined
  readonly shardwiseOwner?: string | undefined
  readonly actualOwner?: string
  readonly ended?: false
  /** Without the sub-sequence number: whoever moves that, moves the counter. */
  readonly checkpoint?: Position
  /** Present: the row has none. */
  readonly range?: undefined
}

export function takeChange(lease: Lease, workerId: string): LeaseChange {
  // KCL's count (DynamoDBLeaseSerializer.java): another owner than before, or the end of a handoff.
  const switches = (lease.leaseOwner !== undefined && lease.leaseOwner !== workerId) || lease.checkpointOwner === workerId
  return {
    leaseKey: lease.leaseKey,
    where: { leaseCounter: lease.leaseCounter, leaseOwner: lease.leaseOwner, checkpointOwner: lease.checkpointOwner },
    set: {
      leaseOwner: workerId,
      shardwiseOwner: workerId,
      checkpointOwner: undefined,
      nextOwner: undefined,
      leaver: undefined,
      leaseCounter: lease.leaseCounter + 1,
      ...(switches && { ownerSwitchesSinceCheckpoint: lease.ownerSwitchesSinceCheckpoint + 1 }),
    },
  }
}

export function renewChange(lease: Lease, workerId: string, progress: LeaseRenewal): LeaseChange {
  return {
    leaseKey: lease.leaseKey,
    where: { leaseCounter: lease.leaseCounter, actualOwner: workerId },
    set: {
      leaseCounter: lease.leaseCounter + 1,
      ...(progress.checkpoint && { ownerSwitchesSinceCheckpoint: 0 }),
      ...written(progress),
      ...(progress.leaving === true && { leaver: workerId }),
    },
  }
}

export function handOverChange(lease: Lease, workerId: string, last: LeaseHandOver): LeaseChange {
  const { to, checkpoint, offer = false, leaving = false } = last
  const unasked = offer || to === undefined
  const owners = unasked ? { leaseOwner: workerId, checkpointOwner: undefined } : { leaseOwner: to, checkpointOwner: workerId }
  const switches = (checkpoint === undefined ? lease.ownerSwitchesSinceCheckpoint : 0) + (to === undefined ? 0 : 1)
  return {
    leaseKey: lease.leaseKey,
    where: { leaseCounter: lease.leaseCounter, ...owners },
    set: {
      leaseOwner: to,
      checkpointOwner: undefined,
      leaseCounter: lease.leaseCounter + 1,
      ownerSwitchesSinceCheckpoint: switches,
      ...written(last),
      // Who has asked has named itself already, if it is one of ours.
      ...(unasked && { nextOwner: to }),
      ...(leaving && { leaver: workerId }),
    },
  }
}

export function endChange(lease: Lease, workerId: string, childShardIds: readonly string[]): LeaseChange {
  return {
    leaseKey: lease.leaseKey,
    where: { leaseCounter: lease.leaseCounter, actualOwner: workerId },
    set: {
      leaseOwner: undefined,
      checkpointOwner: undefined,
      leaseCounter: lease.leaseCounter + 1,
      ownerSwitchesSinceCheckpoint: 0,
      checkpoint: SHARD_END,
      pendingCheckpoint: undefined,
      childShardIds,
      nextOwner: undefined,
      leaver: undefined,
    },
  }
}

function written({ checkpoint, pending = checkpoint && null }: LeaseProgress): LeaseChange['set'] {
  return { ...(checkpoint && { checkpoint }), ...(pending !== undefined && { pendingCheckpoint: pending ?? undefined }) }
}

export function requestHandoffChange(lease: Lease, to: string): LeaseChange {
  const owner = lease.leaseOwner
  return {
    leaseKey: lease.leaseKey,
    where: { leaseOwner: owner, checkpointOwner: undefined, shardwiseOwner: owner, ended: false },
    set: { leaseOwner: to, checkpointOwner: owner, nextOwner: to },
  }
}

export function withdrawHandoffChange(lease: Lease, to: string): LeaseChange {
  const owner = lease.checkpointOwner
  return {
    leaseKey: lease.leaseKey,
    where: { leaseOwner: to, checkpointOwner: owner },
    set: { leaseOwner: owner, checkpointOwner: undefined, nextOwner: undefined },
  }
}

/** Only where there is none. A range of one hash key must not be written: KCL cannot read it. */
export function fillRangeChange(lease: Lease, range: HashKeyRange): LeaseChange {
  return { leaseKey: lease.leaseKey, where: { range: undefined }, set: { range } }
}

/** What must still be so for the row to be deleted or replaced: nobody has written since it was seen. */
export function untouchedCondition({ leaseCounter, leaseOwner, checkpointOwner, checkpoint }: Lease): LeaseCondition {
  return { leaseCounter, leaseOwner, checkpointOwner, checkpoint }
}
