import { sleep } from '@shardwise/core/clock'
import { type Backoff, backoffDelay } from '../backoff.js'
import type { LeaseCalls } from './lease-calls.js'
import type { LeaseCoordinatorOptions } from './lease-coordinator.js'
import type { LeaseListing } from './lease-store.js'
import type { LeaseView } from './lease-view.js'

/** About 256 KB, hence 32 read units a second: what a worker's scans may cost, however large the table. */
const LEASES_SCANNED_PER_SECOND = 500
const SCAN_SMALL_TABLE_MS = 1_000
/** How often all of it is read where that is only for the audit. */
const WHOLE_TABLE_MS = 60_000

/** A page that is throttled is asked for again so often, within the time that it has: all pages before it would be paid for again. */
const MOST_THROTTLES = 5
const THROTTLED: Backoff = { baseMs: 250, maxMs: 2_000 }

/** How far apart scans are: docs/lease-protocol.md, "Expiry". */
export function scanIntervalMs(leases: number, failoverTimeMs: number): number {
  return Math.max(Math.min(SCAN_SMALL_TABLE_MS, failoverTimeMs / 5), (leases / LEASES_SCANNED_PER_SECOND) * 1_000)
}

export interface TableScanOptions
  extends Pick<LeaseCoordinatorOptions, 'store' | 'failoverTimeMs' | 'clock' | 'random' | 'kcl' | 'emit'> {
  readonly calls: LeaseCalls
  readonly view: LeaseView
  /** Leases that this worker has. */
  readonly held: { has(leaseKey: string): boolean }
  /** The view shows it already. `whole`: all of the table, not only what a leader of KCL's has assigned to us. */
  readonly onListing: (leases: LeaseListing['leases'], whole: boolean) => void
}

/** Reads the lease table into the view, as often as its size allows. */
export class TableScan {
  readonly #options: TableScanOptions
  #scans = 0
  #failures = 0
  #sawAllAt = Number.NEGATIVE_INFINITY
  #poked = false

  constructor(options: TableScanOptions) {
    this.#options = options
  }

  /** A scan was asked for and has not begun. */
  get isPoked(): boolean {
    return this.#poked
  }

  /** The next scan is due at once, and reads consistently. */
  poke(): void {
    this.#poked = true
  }

  /** Never rejects. Returns when to scan again. */
  async run(signal: AbortSignal): Promise<number> {
    const { store, clock, failoverTimeMs, random, emit, kcl, calls, view, held, onListing } = this.#options
    const began = clock.now()
    // Beside a leader of KCL's, which assigns, there is little to know but what it has assigned to us.
    const isAssigned = kcl?.role === 'worker'
    const isWhole = !isAssigned || began - this.#sawAllAt >= WHOLE_TABLE_MS
    // The first sight must show what the discovery has just found.
    const consistent = this.#scans++ === 0 || this.#poked
    this.#poked = false
    try {
      const list = (limit: AbortSignal, onPage: () => void) =>
        isWhole
          ? store.list({ signal: limit, consistent, onPage, throttled: (error, times) => this.#throttled(error, times, limit) })
          : kcl!.assigned(held, limit, onPage)
      const listing = await calls.send('scan', undefined, list, signal)
      this.#failures = 0
      const interval = Math.max(scanIntervalMs(listing.leases.length, failoverTimeMs), isAssigned ? failoverTimeMs / 5 : 0)
      for (const row of view.scanned(listing, clock.now(), interval)) emit({ type: 'lease-malformed', ...row })
      if (isWhole) this.#sawAllAt = began
      onListing(listing.leases, isWhole)
      return began + interval
    } catch {
      view.scanFailed()
      this.#failures++
      const baseMs = scanIntervalMs(view.size, failoverTimeMs)
      return clock.now() + backoffDelay(this.#failures, { baseMs, maxMs: failoverTimeMs / 3 }, random)
    }
  }

  /** Who sends has announced it. */
  async #throttled(error: unknown, times: number, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options
    if (times > MOST_THROTTLES) throw error
    await sleep(clock, backoffDelay(times, THROTTLED, random), { signal })
  }
}
