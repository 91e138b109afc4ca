import { hasEnded, type Lease } from './lease.js'
import { inTurns, type LeaseCalls } from './lease-calls.js'
import type { LeaseStore } from './lease-store.js'

export interface DepartureOptions {
  readonly store: LeaseStore
  readonly workerId: string
}

/** What a worker that leaves does for those that stay. */
export class Departure {
  readonly #options: DepartureOptions
  readonly #calls: LeaseCalls

  constructor(options: DepartureOptions, calls: LeaseCalls) {
    this.#options = options
    this.#calls = calls
  }

  /**
   * Last of all, when nothing is held any more: what was handed to us, or asked for by us, and not taken up, shall not be waited for.
   * `of`: only these leases.
   */
  async cleanUp(of: (lease: Lease) => boolean = () => true): Promise<void> {
    const { store, workerId } = this.#options
    try {
      const { leases } = await this.#calls.send('clean-up', undefined, (signal) => store.list({ signal, consistent: true }))
      const ours = leases.filter((lease) => lease.leaseOwner === workerId && !hasEnded(lease) && of(lease))
      await inTurns(ours, (lease) => this.#giveBack(lease))
    } catch {
      // Reported by the calls. They expire.
    }
  }

  async #giveBack(lease: Lease): Promise<void> {
    const { store, workerId } = this.#options
    await this.#calls.send('clean-up', lease.leaseKey, (signal) =>
      lease.checkpointOwner === undefined
        ? store.handOver(lease, workerId, { to: undefined }, { signal })
        : store.withdrawHandoff(lease, workerId, { signal }),
    )
  }
}
