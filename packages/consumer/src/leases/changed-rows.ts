import { parentHasEnded } from '../shards/shard-lineage.js'
import { hasBegun, hasEnded, type Lease, leaseKeyOf } from './lease.js'
import { inTurns, type LeaseCalls } from './lease-calls.js'
import type { LeaseStore } from './lease-store.js'
import type { LeaseView } from './lease-view.js'

/**
 * Rows known to have changed since the last scan: read by themselves, so that what follows the end of a shard costs a handful of reads, and not
 * one of the whole table.
 */
export class ChangedRows {
  readonly #store: LeaseStore
  readonly #calls: LeaseCalls
  readonly #view: LeaseView
  readonly #keys = new Set<string>()

  constructor({ store }: { readonly store: LeaseStore }, calls: LeaseCalls, view: LeaseView) {
    this.#store = store
    this.#calls = calls
    this.#view = view
  }

  get any(): boolean {
    return this.#keys.size > 0
  }

  add(...leaseKeys: readonly string[]): void {
    for (const key of leaseKeys) this.#keys.add(key)
  }

  /**
   * Brings the view up to date. Also with the parents of these, known or not: a parent without a row counts as gone, and one that was created
   * since the last scan has none in the view, so its child would be taken before it was read. A failure is announced; then none of these
   * is seen before the next scan.
   */
  async read(signal: AbortSignal): Promise<void> {
    const keys = [...this.#keys]
    this.#keys.clear()
    try {
      const rows = await this.#rows(keys, signal)
      const parents = rows.flatMap((row) => row.parentShardIds.map((id) => leaseKeyOf(row.streamId, id)))
      const unknown = [...new Set(parents)].filter((key) => !keys.includes(key) && !this.#hasEnded(key))
      for (const row of [...(await this.#rows(unknown, signal)), ...rows]) {
        this.#view.remember(row.leaseKey, { done: false, lease: row })
      }
    } catch {
      // Announced.
    }
  }

  /**
   * Whether this lease may be taken for all that its parents say, asked of the table where the view is not enough: a scan is no snapshot. It may
   * show the child of a merge, and not its other parent, though that row was there before the child's. Or, where a stream was made anew, the
   * child's lease and a former one of its parent's name at SHARD_END, which was begun anew before: KCL's rows do not say that they are former.
   */
  async isFree(lease: Lease, signal: AbortSignal): Promise<boolean> {
    if (hasBegun(lease)) return true
    const parents = lease.parentShardIds.map((id) => leaseKeyOf(lease.streamId, id))
    const unseen = parents.filter((key) => {
      const parent = this.#view.get(key)
      if (parent === undefined) return true
      return hasEnded(parent) && parent.streamCreatedAt === undefined && lease.streamCreatedAt !== undefined
    })
    try {
      const found = await this.#rows(unseen, signal)
      for (const row of found) this.#view.remember(row.leaseKey, { done: false, lease: row })
      return found.every((parent) => parentHasEnded(lease, parent))
    } catch {
      return false
    }
  }

  #hasEnded(leaseKey: string): boolean {
    const lease = this.#view.get(leaseKey)
    return lease !== undefined && hasEnded(lease)
  }

  async #rows(leaseKeys: readonly string[], signal: AbortSignal): Promise<Lease[]> {
    const rows: Lease[] = []
    await inTurns(leaseKeys, async (key) => {
      const row = await this.#calls.send('read', key, (limit) => this.#store.read(key, { signal: limit }), signal)
      if (row !== undefined) rows.push(row)
    })
    return rows
  }
}
