import type { HashKeyRange } from '@shardwise/core/hash-key'
import type { PendingCheckpoint } from '../checkpoints/pending-checkpoint.js'
import type { Position } from '../checkpoints/position.js'

/**
 * One row of the lease table: which worker reads a shard, and how far it is. The attributes are KCL's
 * (DynamoDBLeaseSerializer.java); those of our own start with `sw`, and KCL's updates preserve them.
 */
export interface Lease {
  /** See leaseKeyOf. */
  readonly leaseKey: string
  readonly shardId: string
  /** KCL's serialised StreamIdentifier. Undefined: the table is of one stream, and its rows do not say of which. */
  readonly streamId: string | undefined
  /** `swStreamCreated`: when the stream was created whose shard this is, epoch milliseconds, whole seconds. KCL's rows do not say. */
  readonly streamCreatedAt: number | undefined
  /** The owner; while a handoff is pending, the *next* owner. */
  readonly leaseOwner: string | undefined
  /** Only while a handoff is pending: the current owner. */
  readonly checkpointOwner: string | undefined
  /** Moves by one with each write of an owner. A counter that stands still is how a dead owner is seen. */
  readonly leaseCounter: number
  readonly ownerSwitchesSinceCheckpoint: number
  readonly checkpoint: Position
  /** Prepared by an owner and not decided yet. */
  readonly pendingCheckpoint: PendingCheckpoint | undefined
  readonly parentShardIds: readonly string[]
  readonly childShardIds: readonly string[]
  readonly range: HashKeyRange | undefined
  /** `swStartAt`: epoch milliseconds that a `latest` or `at-timestamp` checkpoint means (decision 18). */
  readonly startAt: number | undefined
  /** `swOwner`: who took this lease as a Shardwise worker. The owner is a Shardwise worker exactly when this equals `leaseOwner`. */
  readonly shardwiseOwner: string | undefined
  /** `swNext`: the Shardwise worker that this lease shall go to. Stays until that worker, or another, takes it. */
  readonly nextOwner: string | undefined
  /** `swLeaver`: who gives this lease away, or gave it away, because it stops. Stays until somebody takes it. */
  readonly leaver: string | undefined
}

/** What a lease is created with: no owner, counter 0. */
export interface NewLease {
  readonly leaseKey: string
  /** Undefined: the lease key is the shard id. */
  readonly streamId?: string | undefined
  readonly streamCreatedAt?: number | undefined
  readonly checkpoint: Position
  readonly parentShardIds: readonly string[]
  readonly range: HashKeyRange | undefined
  readonly startAt: number | undefined
}

/** KCL's key: the shard id, and before it the stream's identifier where a table holds several streams (MultiStreamLease.java, getLeaseKey). */
export function leaseKeyOf(streamId: string | undefined, shardId: string): string {
  return streamId === undefined ? shardId : `${streamId}:${shardId}`
}

/** The reverse of leaseKeyOf. */
export function shardIdOf({ leaseKey, streamId }: Pick<NewLease, 'leaseKey' | 'streamId'>): string {
  return streamId === undefined ? leaseKey : leaseKey.slice(streamId.length + 1)
}

/**
 * Who may read the shard and write its checkpoint. KCL 2.x takes by the counter alone and leaves `checkpointOwner` where it is: of one of ours
 * that attribute counts only while the next owner is the one whom somebody asked for (docs/lease-protocol.md, "Its take in the middle of a handoff").
 */
export function actualOwner({ checkpointOwner, leaseOwner, nextOwner, shardwiseOwner }: Lease): string | undefined {
  const wasOurs = checkpointOwner !== undefined && checkpointOwner === shardwiseOwner
  if (wasOurs && nextOwner !== undefined && nextOwner !== leaseOwner) return leaseOwner
  return checkpointOwner ?? leaseOwner
}

/** Whether the row says that `workerId`, a Shardwise worker, has this lease, by the same rule. */
export function isHeldBy(lease: Lease, workerId: string): boolean {
  const { checkpointOwner, nextOwner, leaseOwner } = lease
  if (checkpointOwner === undefined) return leaseOwner === workerId
  // A leader of KCL's names nobody in `swNext`. A row of which nothing is asked, edited by hand, could never be handed over.
  return pendingHandoff(lease)?.from === workerId && (nextOwner === undefined || nextOwner === leaseOwner)
}

/** The worker that should give this lease away and to whom, or undefined when no handoff is pending. */
export function pendingHandoff(lease: Lease): { readonly from: string; readonly to: string } | undefined {
  const from = actualOwner(lease)
  const to = lease.leaseOwner
  return from === undefined || to === undefined || from === to ? undefined : { from, to }
}

/**
 * Given to a Shardwise worker that has not taken it yet: nobody reads under it. The one named takes it first, others when it does not
 * (docs/lease-protocol.md, "Offers").
 */
export function isOffered(lease: Lease): boolean {
  return lease.leaseOwner !== undefined && lease.leaseOwner === lease.nextOwner && lease.checkpointOwner === undefined
}

/** The shard has been read to its end: nobody needs to own this lease. */
export function hasEnded(lease: Pick<Lease, 'checkpoint'>): boolean {
  return lease.checkpoint.kind === 'shard-end'
}

/** Something of the shard has been completed, and so all of its parents. */
export function hasBegun({ checkpoint }: Pick<Lease, 'checkpoint'>): boolean {
  return checkpoint.kind === 'sequence' || checkpoint.kind === 'shard-end'
}
