import { hasEnded, type Lease } from './lease.js'
import { LeaseObserver } from './lease-observer.js'
import type { LeaseListing, LeaseWrite, MalformedLease } from './lease-store.js'

/** The lease table as this worker knows it: its last scan, and what its own writes have shown since. */
export class LeaseView {
  readonly observer: LeaseObserver
  readonly #malformed = new Set<string>()
  /**
   * Leases with a write of ours of unknown outcome: to be left alone until the next scan. Their rows stay in the view, since a parent
   * without a row counts as gone, and its children could be taken before it has been read.
   */
  readonly #unsure = new Set<string>()
  #leases = new Map<string, Lease>()
  #leavers: ReadonlySet<string> = new Set()
  #current = false

  constructor(options: { readonly failoverTimeMs: number; readonly scanIntervalMs: number }) {
    this.observer = new LeaseObserver(options)
  }

  /** What was seen last, however long ago that is. */
  get leases(): readonly Lease[] {
    return [...this.#leases.values()]
  }

  get(leaseKey: string): Lease | undefined {
    return this.#leases.get(leaseKey)
  }

  get size(): number {
    return this.#leases.size
  }

  /** The last scan has succeeded: what is seen may be acted upon. */
  get isCurrent(): boolean {
    return this.#current
  }

  get unsure(): ReadonlySet<string> {
    return this.#unsure
  }

  /** Workers that are stopping, as their rows say or have said. */
  get leavers(): ReadonlySet<string> {
    return this.#leavers
  }

  /** `now`: when the scan ended. `nextScanInMs`: how far off the next one is meant to be. Returns the rows that cannot be used and were not seen before. */
  scanned({ leases, malformed }: LeaseListing, now: number, nextScanInMs: number): readonly MalformedLease[] {
    this.#current = true
    this.#leases = new Map(leases.map((lease) => [lease.leaseKey, lease]))
    this.#unsure.clear()
    this.#leavers = leaversIn(leases, this.#leavers)
    this.observer.observe(leases, now, nextScanInMs)
    const found = malformed.filter(({ leaseKey }) => !this.#malformed.has(leaseKey))
    for (const { leaseKey } of found) this.#malformed.add(leaseKey)
    return found
  }

  scanFailed(): void {
    this.#current = false
  }

  /** What a write of ours has shown of a row. Undefined: its outcome is unknown. */
  remember(leaseKey: string, write: LeaseWrite | undefined): void {
    if (write === undefined) this.#unsure.add(leaseKey)
    else if (write.lease === undefined) this.#leases.delete(leaseKey)
    else this.#leases.set(leaseKey, write.lease)
  }

  /** The time that LATEST means for each stream: the earliest there is in its leases (decision 18). */
  get earliestStarts(): ReadonlyMap<string | undefined, number> {
    const earliest = new Map<string | undefined, number>()
    for (const { streamId, startAt } of this.#leases.values()) {
      if (startAt !== undefined && startAt < (earliest.get(streamId) ?? Number.POSITIVE_INFINITY)) earliest.set(streamId, startAt)
    }
    return earliest
  }

  /** When the next lease, of those that are not held here, expires if its counter stays. */
  nextExpiry(now: number, held: { has(leaseKey: string): boolean }): number {
    let next = Number.POSITIVE_INFINITY
    if (!this.#current) return next
    for (const lease of this.#leases.values()) {
      const at = hasEnded(lease) || held.has(lease.leaseKey) ? undefined : this.observer.expiresAt(lease)
      if (at !== undefined && at >= now) next = Math.min(next, at + 1)
    }
    return next
  }
}

/**
 * Who leaves, by the marks in the rows. A mark is gone as soon as somebody has taken the lease, so what was known is kept while a row still
 * names the worker: with a slow handler in hand it may own a lease for long, and have the fewest of all.
 */
export function leaversIn(leases: readonly Lease[], known: ReadonlySet<string> = new Set()): ReadonlySet<string> {
  const leavers = new Set<string>()
  for (const { leaver, leaseOwner, checkpointOwner } of leases) {
    if (leaver !== undefined) leavers.add(leaver)
    for (const id of [leaseOwner, checkpointOwner]) if (id !== undefined && known.has(id)) leavers.add(id)
  }
  return leavers
}
