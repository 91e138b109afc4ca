import type { Lease } from './lease.js'

/** A third of the failover time, as the tick of renewals: shorter pauses between our own scans prove nothing about the others. */
const LONGEST_GAP = 1 / 3
/**
 * A counter must have been seen standing still for this part of the failover time. One sight proves nothing: where scans are far apart, the
 * owner has renewed since, and every lease of the table would be tried in vain.
 */
const CONFIRMED = 1 / 2

/**
 * When did *this worker* last see the counter of each lease move? A lease has expired when that is longer ago than the failover time. No
 * time is stored in the table, and no two machines' clocks are compared (KCL does the same; docs/lease-protocol.md "Expiry").
 *
 * Pure: `now` is monotonic and never goes back.
 */
export class LeaseObserver {
  readonly #failoverTimeMs: number
  #scanIntervalMs: number
  readonly #seen = new Map<string, { counter: number; at: number }>()
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
      this.#seen.set(leaseKey, known?.counter === leaseCounter ? known : { counter: leaseCounter, at: now })
    }
  }

  /** Forgets everything: whatever stood still may have done so because nobody could write. */
  reset(): void {
    this.#seen.clear()
  }

  /** Whether this lease, with this counter, has stood still for the failover time. */
  hasExpired(lease: Lease, now: number): boolean {
    const known = this.#confirmed(lease)
    return known !== undefined && known.counter === lease.leaseCounter && now - known.at > this.#failoverTimeMs
  }

  /**
   * Whether this lease has been free to take for two scans and more and nobody took it: an owner that is leaving still counts as a member, but
   * takes no share.
   */
  isOverdue(lease: Lease, now: number): boolean {
    const known = this.#seen.get(lease.leaseKey)
    if (known === undefined) return false
    return now - known.at > 2 * this.#scanIntervalMs + (lease.leaseOwner === undefined ? 0 : this.#failoverTimeMs)
  }

  /** When this lease expires if its counter stays; undefined when no scan has confirmed yet that it stands still. */
  expiresAt(lease: Lease): number | undefined {
    const known = this.#confirmed(lease)
    return known === undefined ? undefined : known.at + this.#failoverTimeMs
  }

  #confirmed({ leaseKey }: Lease): { readonly counter: number; readonly at: number } | undefined {
    const known = this.#seen.get(leaseKey)
    return known !== undefined && this.#lastScanAt! - known.at >= this.#failoverTimeMs * CONFIRMED ? known : undefined
  }
}
