import type { Position } from './checkpoints/position.js'
import { actualOwner, type Lease, pendingHandoff } from './leases/lease.js'
import type { WorkerSnapshot } from './shards/shard-worker.js'

/** A consumer at one moment. Plain data, which JSON can carry; nothing is asked of the services for it. */
export interface ConsumerSnapshot {
  /** By name or ARN, as given in the options. */
  readonly streams: readonly string[]
  readonly applicationName: string
  /** As in lease rows. Undefined before `run`. */
  readonly workerId: string | undefined
  readonly state: ConsumerState
  /** All shards of these streams with a lease, as the last scan of the table has shown it, and those that this consumer works on. By lease key. */
  readonly shards: readonly ShardSnapshot[]
}

/** `starting` until the stream and the lease table are known to be usable. */
export type ConsumerState = 'new' | 'starting' | 'running' | 'stopping' | 'stopped'

export interface ShardSnapshot {
  readonly stream: string
  readonly shardId: string
  readonly leaseKey: string
  /** The worker that reads the shard: this one, or as of the last scan. Undefined: nobody. */
  readonly owner: string | undefined
  /** The worker to which the owner is handing the shard over, as of the last scan. */
  readonly nextOwner: string | undefined
  /** As of the last scan. Undefined for a lease that no scan has shown yet. */
  readonly checkpoint: Position | undefined
  /** By `pause`, of this consumer. */
  readonly paused: boolean
  /** This consumer's work on it. Undefined: none. */
  readonly worker: WorkerSnapshot | undefined
}

/** What this consumer knows of one shard: its row, its own work on it, or both. */
export interface KnownShard {
  readonly stream: string
  readonly shardId: string
  readonly leaseKey: string
  readonly lease: Lease | undefined
  readonly worker: WorkerSnapshot | undefined
}

export function shardSnapshot(
  { stream, shardId, leaseKey, lease, worker }: KnownShard,
  workerId: string | undefined,
  paused: boolean,
): ShardSnapshot {
  const scanned = lease === undefined ? undefined : actualOwner(lease)
  // Of its own leases a consumer knows better than the scan, which is older.
  const owner = worker === undefined ? (scanned === workerId ? undefined : scanned) : worker.state === 'lost' ? scanned : workerId
  return {
    stream,
    shardId,
    leaseKey,
    owner,
    nextOwner: lease && pendingHandoff(lease)?.to,
    checkpoint: lease?.checkpoint,
    paused,
    worker,
  }
}
