import type { HashKeyRange } from '@shardwise/core/hash-key'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import type { PendingCheckpoint } from '../checkpoints/pending-checkpoint.js'
import type { Position } from '../checkpoints/position.js'
import type { ReadWatch } from '../shards/read-watch.js'
import type { Moment } from './trust-window.js'

/**
 * What a shard worker sees of the lease that it works under: one acquisition. When the lease is lost and won again that is another object.
 *
 * The worker ends every lease by exactly one call of `endShard` or `release`, also after a loss (release is then only the word that the
 * worker has finished). Until then this process does not take the shard again, so that two workers never run on one shard here.
 */
export interface HeldLease {
  readonly leaseKey: string
  readonly shardId: string
  /** Which stream, where the table holds several. */
  readonly streamId?: string | undefined
  /** Epoch milliseconds, whole seconds: when that stream was created. Undefined where the row does not say. */
  readonly streamCreatedAt?: number | undefined
  /** The last completed record (resume after it), or a sentinel. Where this acquisition begins; it does not change. */
  readonly resumeFrom: Position
  /** What an owner before us has prepared and nobody has decided on. As `resumeFrom` it does not change. */
  readonly pendingCheckpoint: PendingCheckpoint | undefined
  /** Epoch milliseconds for `latest` and `at-timestamp`. Undefined with these: a row made by KCL, which keeps no time in it. */
  readonly startAt: number | undefined
  readonly range: HashKeyRange | undefined
  /** Grows with every acquisition of this lease by anyone: a fencing token. */
  readonly generation: number
  /**
   * Aborts with LeaseLostError as soon as the lease is known to be lost, or a second before it is handed over without the worker's doing,
   * which has had its time for that (`drain`), or because its reading has stalled.
   */
  readonly signal: AbortSignal
  /**
   * Aborts when the worker should finish what is in hand, checkpoint and call `release`: the coordinator is stopping, or another worker
   * shall go on with this shard (release then transfers to it). Until then the lease stays ours; for another worker no longer than the
   * time limit of a handoff.
   */
  readonly drain: AbortSignal
  /**
   * Whether work may be done under this lease at this moment. Ask synchronously before each handler call, delivery and checkpoint.
   * False may also mean "not sure": renewals have not succeeded for too long, or the machine was suspended. Then `revalidate` finds out.
   * `at`: this moment, where the caller has just looked at the clock.
   */
  isOurs(at?: Moment): boolean
  /**
   * Renews at once when not sure. True: ours, and nobody else had it meanwhile, go on. False: lost. Pending while the table cannot be
   * reached.
   */
  revalidate(): Promise<boolean>
  /** As `revalidate`, but renews in any case: something hints at another owner. */
  confirm(): Promise<boolean>
  /** Renewals ask `reading` from now on, and give the lease up when it has stalled: nobody keeps a shard that is not read. */
  renewWhile(reading: Pick<ReadWatch, 'stalledMs'>): void
  /** Remembers a completed position; the next renewal carries it. Only forward: a position at or before the known one does nothing. */
  checkpoint(position: Position): void
  /**
   * As `checkpoint`, written at once, and afterwards `pending` stands in the row: null, nothing. A position at or before the known one leaves
   * the checkpoint. Calls take effect in their order; this one, or what a later one has put in its place, has landed when it resolves.
   * Rejects with LeaseLostError, also when the lease is to be given up and the table has not been reached for the failover time.
   */
  checkpointNow(position: Position, pending?: PendingCheckpoint | null): Promise<void>
  /**
   * All of the shard is completed: creates its children's leases, then marks this one SHARD_END; the lease is then no longer held.
   * An empty list makes the coordinator look the children up. Rejects with LeaseLostError.
   *
   * Failures are repeated until `drain` has aborted. Then it resolves to false: the end is not recorded, release instead, and the next
   * owner comes to this end again.
   */
  endShard(children: readonly ChildShard[]): Promise<boolean>
  /**
   * Writes the pending checkpoint and gives up ownership, to the next owner when a handoff is pending. Never rejects: a lease that is
   * lost has nothing to give up, and one that cannot be given up within the failover time expires.
   */
  release(): Promise<void>
}
