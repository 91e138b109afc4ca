import type { ChildShard } from '@shardwise/core/kinesis-port'
import { type ChildLeasesOptions, createChildLeases } from '../shards/child-leases.js'
import { type Lease, leaseKeyOf } from './lease.js'

/** Shards that are read to their end here, and their children until somebody has taken them. */
export class EndingShards {
  readonly #options: ChildLeasesOptions
  /** Lease keys of the children, by that of their parent. */
  readonly #children = new Map<string, readonly string[]>()
  /** Parents whose children may not all have a lease yet. */
  readonly #incomplete = new Set<string>()
  readonly #untaken = new Set<string>()

  constructor(options: ChildLeasesOptions) {
    this.#options = options
  }

  /** Children that nobody has been seen to have, yet. Nobody is nearer to them than this worker. */
  get untaken(): ReadonlySet<string> {
    return this.#untaken
  }

  /** Creates the leases of a shard's children: see createChildLeases. Returns their shard ids. */
  async createChildren(
    lease: Lease,
    named: readonly ChildShard[],
    signal: AbortSignal,
    isOurs: () => boolean,
  ): Promise<readonly string[] | undefined> {
    const children = await createChildLeases(this.#options, lease, named, signal, isOurs)
    if (children?.complete === false) this.#incomplete.add(lease.leaseKey)
    const keys = children?.childShardIds.map((id) => leaseKeyOf(lease.streamId, id)) ?? []
    for (const key of keys) this.#untaken.add(key)
    this.#children.set(lease.leaseKey, keys)
    return children?.childShardIds
  }

  seen({ leaseKey, leaseOwner }: Lease): void {
    if (leaseOwner !== undefined) this.#untaken.delete(leaseKey)
  }

  /** This process is done with the shard. Undefined: the shard has not ended. `complete`: all children are known to have a lease. */
  vacated(leaseKey: string, hasEnded: boolean): { readonly children: readonly string[]; readonly complete: boolean } | undefined {
    const children = this.#children.get(leaseKey) ?? []
    this.#children.delete(leaseKey)
    return hasEnded ? { children, complete: !this.#incomplete.delete(leaseKey) } : undefined
  }
}
