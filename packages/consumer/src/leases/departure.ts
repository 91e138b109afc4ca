import type { Clock } from '@shardwise/core/clock'
import { hasEnded, isOffered, type Lease } from './lease.js'
import { inTurns, type LeaseCalls } from './lease-calls.js'
import type { LeaseStore, LeaseWrite } from './lease-store.js'
import { chooseSuccessor } from './lease-successor.js'
import { type LeaseView, leaversIn } from './lease-view.js'

export interface DepartureOptions {
  readonly store: LeaseStore
  readonly workerId: string
  readonly clock: Clock
}

/** What a worker that leaves does for those that stay. docs/lease-protocol.md, "Offers" and "Stopping". */
export class Departure {
  readonly #options: DepartureOptions
  readonly #view: LeaseView
  readonly #calls: LeaseCalls
  /** Whom we have named, by lease key. */
  readonly #named = new Map<string, string>()
  #leaving = false

  constructor(options: DepartureOptions, view: LeaseView, calls: LeaseCalls) {
    this.#options = options
    this.#view = view
    this.#calls = calls
  }

  get isLeaving(): boolean {
    return this.#leaving
  }

  begin(): void {
    this.#leaving = true
  }

  /** Who shall go on with this lease, undefined: whoever is the first to take it. */
  successorOf(lease: Lease): string | undefined {
    const { workerId, clock } = this.#options
    const { leases, leavers, observer, isCurrent } = this.#view
    if (!isCurrent) return undefined
    const now = clock.now()
    const isAlive = (each: Lease): boolean => each.streamId === lease.streamId && observer.isAlive(each, now)
    const successor = chooseSuccessor({ leases, workerId, isAlive, leavers, named: this.#named })
    if (successor !== undefined) this.#named.set(lease.leaseKey, successor)
    return successor
  }

  /**
   * Last of all, when nothing is held any more. What was handed to us, or asked for by us, and not taken up, shall not be waited for; nor
   * what was given to others that leave as well: of several, the last to look sees what all of them have written. `of`: only these leases.
   */
  async cleanUp(of: (lease: Lease) => boolean = () => true): Promise<void> {
    const { store, workerId } = this.#options
    let leases: readonly Lease[]
    try {
      leases = (
        await this.#calls.send('clean-up', undefined, (signal, onPage) => store.list({ signal, consistent: true, onPage }))
      ).leases
    } catch {
      return
    }
    const gone = new Set([workerId, ...leaversIn(leases, this.#view.leavers)])
    const left = leases.filter((lease) => {
      if (lease.leaseOwner === undefined || hasEnded(lease) || !of(lease)) return false
      return lease.leaseOwner === workerId || (isOffered(lease) && gone.has(lease.leaseOwner))
    })
    // A failure is reported by the calls, and costs some seconds only: others take what is not taken up.
    await inTurns(left, async (lease) => {
      await this.#giveBack(lease).catch(() => {})
    })
  }

  /**
   * Gives back what still names us of streams that are not read here: the table was away when we left, a take landed late, or a peer gave us what
   * we had asked for, and has left as well. Nobody renews that, and whose lease has expired counts for dead, with all else that it has, in the plans
   * of the others. `leases`: as seen, and not held.
   */
  async forsake(leases: readonly Lease[]): Promise<void> {
    const { workerId } = this.#options
    const left = leases.filter(
      (lease) =>
        // What a leader of KCL's names us for is its to see to, and it may name us again and again.
        lease.leaseOwner === workerId &&
        (lease.shardwiseOwner === workerId || isOffered(lease)) &&
        lease.checkpointOwner === undefined &&
        !hasEnded(lease),
    )
    await inTurns(left, async (lease) => {
      this.#view.remember(lease.leaseKey, await this.#giveBack(lease).catch(() => undefined))
    })
  }

  #giveBack(lease: Lease): Promise<LeaseWrite> {
    const { store, workerId } = this.#options
    return this.#calls.send('clean-up', lease.leaseKey, (signal) =>
      lease.checkpointOwner === undefined
        ? store.handOver(lease, lease.leaseOwner!, { to: undefined }, { signal })
        : store.withdrawHandoff(lease, workerId, { signal }),
    )
  }
}
