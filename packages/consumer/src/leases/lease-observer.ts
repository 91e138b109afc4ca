import { isOffered, type Lease } from './lease.js'

/** A third of the failover time, as the tick of renewals: shorter pauses between our own scans prove nothing about the others. */
const LONGEST_GAP = 1 / 3
/** Scans that the worker for which a lease is meant, or which has room for it, has for taking it before the others do. */
const PREFERENCE_SCANS = 2
/**
 * A counter must have been seen standing still for this part of its time. One sight proves nothing: where scans are far apart, the owner has
 * renewed since, and every lease of the table would be tried in vain.
 */
const CONFIRMED = 1 / 2

interface Seen {
  readonly counter: number
  readonly at: number
  /** It had another value before. */
  readonly moved: boolean
}

/**
 * When did *this worker* last see the counter of each lease move? A lease has expired when that is longer ago than the failover time. No
 * time is stored in the table, and no two machines' clocks are compared (KCL does the same; docs/lease-protocol.md "Expiry").
 *
 * Pure: `now` is monotonic and never goes back.
 */
export class LeaseObserver {
  readonly #failoverTimeMs: number
  #scanIntervalMs: number
  readonly #seen = new Map<string, Seen>()
  #lastScanAt: number | undefined

  /** `scanIntervalMs`: how far apart the scans are meant to be. */
  constructor(options: { readonly failoverTimeMs: number; readonly scanIntervalMs: number }) {
    this.#failoverTimeMs = options.failoverTimeMs
    this.#scanIntervalMs = options.scanIntervalMs
  }

  /**
   * All leases, as a scan has shown them. `now`: when the scan *ended*. Taking an earlier time would date a change before it happened, and
   * an owner's trust would outlast our patience. `nextScanInMs`: how far off the next one is meant to be, from now on.
   */
  observe(leases: readonly Lease[], now: number, nextScanInMs: number = this.#scanIntervalMs): void {
    const longestGapMs = Math.max(this.#failoverTimeMs * LONGEST_GAP, this.#scanIntervalMs * 2)
    if (this.#lastScanAt !== undefined && now - this.#lastScanAt > longestGapMs) this.reset()
    this.#lastScanAt = now
    this.#scanIntervalMs = nextScanInMs
    const before = new Map(this.#seen)
    this.#seen.clear()
    for (const { leaseKey, leaseCounter } of leases) {
      const known = before.get(leaseKey)
      const same = known?.counter === leaseCounter
      this.#seen.set(leaseKey, same ? known : { counter: leaseCounter, at: now, moved: known !== undefined })
    }
  }

  /** Forgets everything: whatever stood still may have done so because nobody could write. */
  reset(): void {
    this.#seen.clear()
  }

  /** Whether this lease, with this counter, has stood still for the failover time, or has been offered to one that does not take it. */
  hasExpired(lease: Lease, now: number): boolean {
    const known = this.#confirmed(lease)
    return known !== undefined && known.counter === lease.leaseCounter && now - known.at > this.#patienceMs(lease)
  }

  /** Whether the counter was seen to move so lately that its owner missed no more than one renewal. The first sight is no move. */
  isAlive(lease: Lease, now: number): boolean {
    const known = this.#seen.get(lease.leaseKey)
    return known?.moved === true && now - known.at <= Math.max(this.#failoverTimeMs / 2, PREFERENCE_SCANS * this.#scanIntervalMs)
  }

  /**
   * Whether this lease has been free to take for two scans and more and nobody took it: an owner that is leaving still counts as a member, but
   * takes no share.
   */
  isOverdue(lease: Lease, now: number): boolean {
    const known = this.#seen.get(lease.leaseKey)
    if (known === undefined) return false
    return now - known.at > PREFERENCE_SCANS * this.#scanIntervalMs + this.#patienceMs(lease)
  }

  /** When this lease expires if its counter stays; undefined when no scan has confirmed yet that it stands still. */
  expiresAt(lease: Lease): number | undefined {
    const known = this.#confirmed(lease)
    return known === undefined ? undefined : known.at + this.#patienceMs(lease)
  }

  /** Nobody reads under a lease that has no owner, or whose owner has not taken it: no trust has to run out. */
  #patienceMs(lease: Lease): number {
    if (lease.leaseOwner === undefined) return 0
    return isOffered(lease) ? PREFERENCE_SCANS * this.#scanIntervalMs : this.#failoverTimeMs
  }

  #confirmed(lease: Lease): Seen | undefined {
    const known = this.#seen.get(lease.leaseKey)
    return known !== undefined && this.#lastScanAt! - known.at >= this.#patienceMs(lease) * CONFIRMED ? known : undefined
  }
}
