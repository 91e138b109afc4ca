import { type Clock, sleep } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import { classifyFailure } from '@shardwise/core/service-error'
import type { KclEvidence } from './kcl-evidence.js'
import { KclObserver } from './kcl-observer.js'
import { type KclConduct, type KclRole, kclConduct } from './kcl-role.js'
import type { KclTables } from './kcl-tables.js'
import { WORKER_ROW_INTERVAL_MS } from './kcl-worker-row.js'
import type { Lease } from './lease.js'
import { inTurns } from './lease-calls.js'
import type { LeaseEvent, LeaseOperation } from './lease-event.js'
import type { LeaseListing, LeaseStore } from './lease-store.js'
import { parentKeys } from './parents-awaited.js'
import { withinTime } from './time-limit.js'

export interface KclFleetOptions {
  readonly tables: KclTables
  readonly store: Pick<LeaseStore, 'list' | 'read'>
  readonly workerId: string
  readonly failoverTimeMs: number
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: LeaseEvent) => void
}

/** While there is no sign of KCL 3.x: as it watches its own version (ClientVersionChangeMonitor.java). */
const QUIET_INTERVAL_MS = 60_000
const RETRY_MS = 5_000
/** A call that hangs must not hold up the start or the stop for longer. */
const LEAST_LIMIT_MS = 1_000

/**
 * Java's KCL on our table, as far as it can be seen, and our own row among its workers. What it means is decided in kcl-role.ts and
 * kcl-observer.ts; here it is read and written. docs/lease-protocol.md, "With Java's KCL on the same table".
 */
export class KclFleet {
  readonly #options: KclFleetOptions
  readonly #observer: KclObserver
  /** Undefined: never read. */
  #evidence: KclEvidence | undefined
  #leaderLives = false
  #workers: readonly string[] = []
  #conduct: KclConduct = { role: 'alone', reports: false, takesFromLive: false }
  #announced = 'alone leases-only undefined'
  #readFailed = false
  readonly #denied = new Set<LeaseOperation>()
  /** `lut` of our row: as last written for certain, and as perhaps written since. */
  #written: number[] = []

  constructor(options: KclFleetOptions) {
    this.#options = options
    this.#observer = new KclObserver(options)
  }

  get role(): KclRole {
    return this.#conduct.role
  }

  /** Whether this lease may be taken from its live owner: one of KCL 2.x, that does so itself. */
  mayTakeFrom(lease: Lease): boolean {
    return this.#conduct.takesFromLive && this.#observer.ownerLives(lease, this.#options.clock.now())
  }

  /** Rows that a scan has shown. */
  observe(leases: readonly Lease[]): void {
    this.#observer.sawLeases(leases, this.#options.clock.now())
    this.#decide()
  }

  /** Looks once. Never rejects: a failure is announced, and what was known stays. */
  async probe(): Promise<void> {
    const { tables, clock } = this.#options
    try {
      const evidence = await this.#call('kcl-probe', (signal) => tables.probe({ signal }))
      const lockBefore = this.#evidence?.leader?.version
      const isFirst = this.#evidence === undefined
      this.#observer.sawLeader(evidence.leader, clock.now())
      const leaderLives = this.#observer.leaderLives(clock.now())
      // A leader that is seen to live says enough, and without a new one nobody's row can be fresh.
      const look =
        !leaderLives && (isFirst || this.#workers.length > 0 || this.#leaderLives || evidence.leader?.version !== lockBefore)
      if (look) {
        const rows = await this.#call('kcl-probe', (signal) => tables.workers(evidence.layout, { signal }))
        this.#observer.sawWorkers(rows, clock.now())
        this.#workers = this.#observer.liveWorkers(clock.now(), clock.wallTime())
      }
      this.#evidence = evidence
      this.#leaderLives = leaderLives
      this.#readFailed = false
    } catch {
      this.#readFailed = true
    }
    this.#decide()
  }

  /** Looks again and again, and keeps our row, until `halt`; then deletes it. Never rejects. */
  async run(halt: AbortSignal): Promise<void> {
    const { clock, random } = this.#options
    let nextRowAt = clock.now()
    while (!halt.aborted) {
      if (this.#conduct.reports && clock.now() >= nextRowAt) {
        nextRowAt = clock.now() + ((await this.#writeRow()) ? WORKER_ROW_INTERVAL_MS : RETRY_MS)
      }
      const probeAt = clock.now() + this.#interval() * (0.75 + random() / 4)
      const until = this.#conduct.reports ? Math.min(probeAt, nextRowAt) : probeAt
      await sleep(clock, Math.max(0, until - clock.now()), { signal: halt }).catch(() => {})
      if (!halt.aborted && clock.now() >= probeAt) await this.probe()
    }
    await this.#deleteRow()
  }

  /**
   * What the leader has assigned to us and is not held here, by the index, with the rows of parents that may not have ended. The whole
   * table where there is no index.
   */
  async assigned(held: { has(leaseKey: string): boolean }, signal: AbortSignal, onPage?: () => void): Promise<LeaseListing> {
    const { tables, store, workerId } = this.#options
    const keys = await tables.assignedKeys(workerId, { signal })
    if (keys === undefined) return store.list({ signal, onPage })
    const found = new Map<string, Lease>()
    const read = async (leaseKey: string): Promise<void> => {
      const lease = await store.read(leaseKey, { signal })
      if (lease !== undefined) found.set(leaseKey, lease)
    }
    const assigned = keys.filter((key) => !held.has(key))
    await inTurns(assigned, read)
    const parents = new Set([...found.values()].flatMap(parentKeys))
    for (const key of assigned) parents.delete(key)
    await inTurns([...parents], read)
    return { leases: [...found.values()], malformed: [] }
  }

  #interval(): number {
    if (this.#readFailed) return this.#denied.has('kcl-probe') ? QUIET_INTERVAL_MS : RETRY_MS
    return this.#evidence === undefined || this.#evidence.layout !== 'leases-only' ? WORKER_ROW_INTERVAL_MS : QUIET_INTERVAL_MS
  }

  #decide(): void {
    const { clock, emit } = this.#options
    const { layout, clientVersion } = this.#evidence ?? {}
    const owners = this.#observer.liveOwners(clock.now())
    this.#conduct = kclConduct({
      layout,
      clientVersion,
      hasLeader: this.#observer.hasLeader,
      leaderLives: this.#leaderLives,
      workerLives: this.#workers.length > 0,
      ownerLives: owners.length > 0,
    })
    const { role } = this.#conduct
    const announced = `${role} ${layout} ${clientVersion}`
    if (announced === this.#announced) return
    this.#announced = announced
    const javaWorkers = [...new Set([...owners, ...this.#workers])].sort()
    emit({ type: 'kcl-role', role, layout, clientVersion, javaWorkers })
  }

  async #writeRow(): Promise<boolean> {
    const { tables, workerId, clock } = this.#options
    const { layout } = this.#evidence!
    const seconds = Math.floor(clock.wallTime() / 1_000)
    this.#written = [...this.#written.slice(0, 1), seconds]
    try {
      await this.#call('kcl-worker-row', (signal) => tables.writeWorker(layout, workerId, seconds, { signal }))
      this.#written = [seconds]
      return true
    } catch {
      return false
    }
  }

  async #deleteRow(): Promise<void> {
    const { tables, workerId } = this.#options
    const layout = this.#evidence?.layout
    if (layout === undefined) return
    try {
      for (const seconds of this.#written.splice(0)) {
        await this.#call('kcl-worker-row', (signal) => tables.deleteWorker(layout, workerId, seconds, { signal }))
      }
    } catch {
      // Announced. KCL's leader forgets it after a minute, and deletes it after a day.
    }
  }

  async #call<T>(operation: LeaseOperation, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, failoverTimeMs, emit } = this.#options
    try {
      const answer = await withinTime(clock, Math.max(failoverTimeMs / 3, LEAST_LIMIT_MS), send)
      this.#denied.delete(operation)
      return answer
    } catch (error) {
      const failure = classifyFailure(error)
      // Without permission it fails each time: one word is enough.
      if (!this.#denied.has(operation)) emit({ type: 'lease-store-failed', operation, leaseKey: undefined, failure })
      if (failure.kind === 'access-denied') this.#denied.add(operation)
      throw error
    }
  }
}
