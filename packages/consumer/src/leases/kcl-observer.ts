import type { KclWorker, LeaderLock } from './kcl-evidence.js'
import { hasEnded, type Lease } from './lease.js'

/** WorkerMetricStats.java: active while younger than twice the reporter's period of 30 seconds. */
const FRESH_MS = 60_000
/** KCL's heartbeat is a quarter of the lock's duration: two of them have failed. */
const LOCK_PATIENCE = 1 / 2

/**
 * Who of Java's lives, judged by what this process saw change: the leader's lock, the rows of workers, the counters of leases. Pure: `now` is
 * monotonic and never goes back.
 */
export class KclObserver {
  readonly #workerId: string
  readonly #failoverTimeMs: number
  #counters = new Map<string, { readonly owner: string | undefined; readonly counter: number }>()
  readonly #owners = new Map<string, number>()
  readonly #workers = new Map<string, { readonly lastUpdate: number; readonly at: number; readonly moved: boolean }>()
  #lookedAt = Number.NEGATIVE_INFINITY
  #lock: { readonly leader: LeaderLock; readonly at: number; readonly moved: boolean } | undefined

  constructor(options: { readonly workerId: string; readonly failoverTimeMs: number }) {
    this.#workerId = options.workerId
    this.#failoverTimeMs = options.failoverTimeMs
  }

  sawLeader(leader: LeaderLock | undefined, now: number): void {
    if (leader === undefined) this.#lock = undefined
    else if (this.#lock?.leader.version === leader.version) this.#lock = { ...this.#lock, leader }
    else this.#lock = { leader, at: now, moved: this.#lock !== undefined }
  }

  get hasLeader(): boolean {
    return this.#lock !== undefined
  }

  /** The lock at first sight proves nothing: it may be a dead leader's. */
  leaderLives(now: number): boolean {
    if (this.#lock === undefined || !this.#lock.moved || this.#lock.leader.released) return false
    return now - this.#lock.at <= this.#lock.leader.leaseDurationMs * LOCK_PATIENCE
  }

  /** All rows of workers. What has changed since a look of long ago may have changed long ago. */
  sawWorkers(workers: readonly KclWorker[], now: number): void {
    const before = now - this.#lookedAt > FRESH_MS ? new Map<string, never>() : new Map(this.#workers)
    this.#lookedAt = now
    this.#workers.clear()
    for (const { workerId, lastUpdate, shardwise } of workers) {
      if (shardwise || workerId === this.#workerId) continue
      const known = before.get(workerId)
      const same = known?.lastUpdate === lastUpdate
      this.#workers.set(workerId, same ? known : { lastUpdate, at: now, moved: known !== undefined })
    }
  }

  /**
   * Java workers whose row is fresh. Of one that has not been seen to change, the two machines' clocks decide, as in KCL. Clocks that differ
   * leave the leases to a leader that is gone for a minute at most, or make two assigners until the row is next written.
   */
  liveWorkers(now: number, wallTimeMs: number): readonly string[] {
    return [...this.#workers]
      .filter(([, { lastUpdate, at, moved }]) => now - at <= FRESH_MS && (moved || wallTimeMs - lastUpdate * 1_000 <= FRESH_MS))
      .map(([workerId]) => workerId)
  }

  /** Rows of the lease table as a scan has shown them. */
  sawLeases(leases: readonly Lease[], now: number): void {
    const before = this.#counters
    this.#counters = new Map()
    for (const { leaseKey, leaseOwner: owner, shardwiseOwner, leaseCounter: counter } of leases) {
      const known = before.get(leaseKey)
      const moved = known !== undefined && known.owner === owner && known.counter !== counter
      this.#counters.set(leaseKey, { owner, counter })
      if (moved && owner !== undefined && owner !== shardwiseOwner) this.#owners.set(owner, now)
    }
    for (const [owner, at] of this.#owners) if (now - at > this.#failoverTimeMs) this.#owners.delete(owner)
  }

  liveOwners(now: number): readonly string[] {
    return [...this.#owners].filter(([, at]) => now - at <= this.#failoverTimeMs).map(([owner]) => owner)
  }

  /** The owner is a Java worker that was seen renewing. */
  ownerLives(lease: Lease, now: number): boolean {
    const owner = lease.leaseOwner
    const at = owner === undefined || owner === lease.shardwiseOwner || hasEnded(lease) ? undefined : this.#owners.get(owner)
    return at !== undefined && now - at <= this.#failoverTimeMs
  }
}
