import type { Lease } from '../leases/lease.js'
import type { LeaseStore } from '../leases/lease-store.js'

/** The leases of an application as they were last listed. */
export class SeenLeases {
  #leases: readonly Lease[] = []

  get leases(): readonly Lease[] {
    return this.#leases
  }

  /** The same store, whose listings are remembered here. */
  watch(store: LeaseStore): LeaseStore {
    return {
      list: async (options) => {
        const listing = await store.list(options)
        this.#leases = listing.leases
        return listing
      },
      open: (options) => store.open(options),
      read: (leaseKey, options) => store.read(leaseKey, options),
      create: (lease, options) => store.create(lease, options),
      take: (lease, workerId, options) => store.take(lease, workerId, options),
      renew: (lease, workerId, progress, options) => store.renew(lease, workerId, progress, options),
      handOver: (lease, workerId, last, options) => store.handOver(lease, workerId, last, options),
      end: (lease, workerId, childShardIds, options) => store.end(lease, workerId, childShardIds, options),
      requestHandoff: (lease, to, options) => store.requestHandoff(lease, to, options),
      withdrawHandoff: (lease, to, options) => store.withdrawHandoff(lease, to, options),
    }
  }
}
