import type { CallOptions, ChildShard } from '@shardwise/core/kinesis-port'
import { type Lease, leaseKeyOf, type NewLease } from '../leases/lease.js'

/** The shards that one worker has to do with, of one stream or of several: what the lease coordinator must know of streams. */
export interface LeasedShards {
  /** Creates the leases that the table lacks. Rejects when that may not be complete; then call again. `atStart`: see ShardDiscovery. */
  createMissing(options?: CallOptions & { readonly atStart?: boolean }): Promise<unknown>
  /** As createMissing, and whatever else the table needs from time to time. `leases`: as last scanned. Without it: createMissing. */
  audit?(leases: readonly Lease[], options?: CallOptions): Promise<void>
  /** Looks at what a scan has shown. True: an audit should not wait. */
  watch?(leases: readonly Lease[]): boolean
  /** Of a shard that ended without the service naming its children. */
  childrenOf(parent: Pick<Lease, 'shardId' | 'streamId'>, options?: CallOptions): Promise<readonly ChildShard[]>
  /** Whether this worker reads the stream of this lease, at this moment. Without it: all of them. */
  reads?(lease: Lease): boolean
}

/** A lease whose key is the bare shard id, as one of that stream. */
export function inStream(
  lease: NewLease,
  { streamId, streamCreatedAt }: Pick<NewLease, 'streamId' | 'streamCreatedAt'>,
): NewLease {
  return { ...lease, leaseKey: leaseKeyOf(streamId, lease.leaseKey), streamId, streamCreatedAt }
}
