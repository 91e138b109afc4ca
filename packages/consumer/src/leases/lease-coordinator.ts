import type { Clock } from '@shardwise/core/clock'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import { classifyFailure } from '@shardwise/core/service-error'
import { backoffDelay } from '../backoff.js'
import { createChildLeases } from '../shards/child-leases.js'
import { ShardAudit } from '../shards/shard-audit.js'
import type { ShardDiscovery } from '../shards/shard-discovery.js'
import type { HeldLease } from './held-lease.js'
import { actualOwner, hasEnded, type Lease } from './lease.js'
import type { LeaseEvent, LeaseOperation } from './lease-event.js'
import { LeaseObserver } from './lease-observer.js'
import { planLeases } from './lease-planner.js'
import type { LeaseStore, LeaseWrite } from './lease-store.js'
import { LeaseTenure } from './lease-tenure.js'
import { withinTime } from './time-limit.js'
import { momentOf } from './trust-window.js'

export interface LeaseCoordinatorOptions {
  readonly store: LeaseStore
  readonly discovery: Pick<ShardDiscovery, 'createMissing' | 'childrenOf'>
  /** Of this process alone: see uniqueWorkerId. */
  readonly workerId: string
  /** Milliseconds. The same for all workers on a table. */
  readonly failoverTimeMs: number
  readonly clock: Clock
  readonly random: Random
  /** A lease is ours: start working on its shard. Must not throw. */
  readonly onHeld: (lease: HeldLease) => void
  readonly emit: (event: LeaseEvent) => void
}

type CoordinatorState =
  | { readonly is: 'new' }
  | { readonly is: 'running' }
  | { readonly is: 'stopping'; readonly stopped: Promise<void> }

/** About 256 KB, hence 32 read units a second: what a worker's scans may cost, however large the table. */
const LEASES_SCANNED_PER_SECOND = 500
const SCAN_SMALL_TABLE_MS = 1_000
const WRITES_AT_ONCE = 16
/** A call that hangs must not hold up the others for longer. */
const SCAN_LIMIT_MS = 10_000
const LEAST_WRITE_LIMIT_MS = 1_000

/** How far apart scans are: docs/lease-protocol.md, "Expiry". */
export function scanIntervalMs(leases: number, failoverTimeMs: number): number {
  return Math.max(Math.min(SCAN_SMALL_TABLE_MS, failoverTimeMs / 5), (leases / LEASES_SCANNED_PER_SECOND) * 1_000)
}

/** Gets this worker its share of the leases and keeps them. What it decides is decided in the planner and the observer; here it is done. */
export class LeaseCoordinator {
  readonly #options: LeaseCoordinatorOptions
  readonly #observer: LeaseObserver
  readonly #tenures = new Map<string, LeaseTenure>()
  readonly #running = new Set<Promise<void>>()
  readonly #malformed = new Set<string>()
  /** Leases whose children may not all have a lease yet. */
  readonly #incomplete = new Set<string>()
  readonly #audit: ShardAudit
  readonly #halt = new AbortController()
  #state: CoordinatorState = { is: 'new' }
  /** The table as last scanned, with what our own writes have shown since. */
  #leases = new Map<string, Lease>()
  #listed: readonly Lease[] = []
  /**
   * Leases with a write of ours of unknown outcome: to be left alone until the next scan. Their rows stay in `#leases`, since a parent
   * without a row counts as gone, and its children could be taken before it has been read.
   */
  readonly #unsure = new Set<string>()
  #late = false
  /** Scan at once, with a consistent read. */
  #poked = false
  #wake: (() => void) | undefined
  #scans = 0
  #scanFailures = 0

  constructor(options: LeaseCoordinatorOptions) {
    this.#options = options
    const { failoverTimeMs } = options
    this.#audit = new ShardAudit(options)
    this.#observer = new LeaseObserver({ failoverTimeMs, scanIntervalMs: scanIntervalMs(0, failoverTimeMs) })
  }

  /** The rows of the last scan that succeeded. */
  get leases(): readonly Lease[] {
    return this.#listed
  }

  /**
   * Opens the store, creates missing leases, and begins to take. Rejects as the store and the discovery do when that fails; then nothing
   * is running. Resolves without effect when `stop` was called before or meanwhile.
   */
  async start(): Promise<void> {
    if (this.#state.is === 'running') throw new Error('The lease coordinator was started before')
    if (this.#state.is === 'stopping') return
    this.#state = { is: 'running' }
    const opening = this.#open()
    this.#track(opening.catch(() => {}))
    await opening
  }

  async #open(): Promise<void> {
    const { store, discovery } = this.#options
    const { signal } = this.#halt
    try {
      await store.open({ signal })
      await discovery.createMissing({ signal })
    } catch (error) {
      if (signal.aborted) return
      this.#state = { is: 'new' }
      throw error
    }
    if (signal.aborted) return
    this.#track(this.#scanning())
    this.#track(this.#audit.run(signal))
  }

  /**
   * Takes nothing more and asks every worker to drain. Renewals go on until the last has called `release` or `endShard`; resolves then, when
   * nothing of this coordinator runs and no row names this worker. May be called at any time, and again.
   */
  stop(): Promise<void> {
    if (this.#state.is !== 'stopping') this.#state = { is: 'stopping', stopped: this.#finish() }
    return this.#state.stopped
  }

  async #finish(): Promise<void> {
    this.#halt.abort()
    this.#wake?.()
    for (const tenure of this.#tenures.values()) tenure.requestDrain()
    if (this.#running.size === 0) return
    while (this.#running.size > 0) await Promise.all(this.#running)
    await this.#cleanUp()
  }

  #track(run: Promise<void>): void {
    this.#running.add(run)
    void run.then(() => this.#running.delete(run))
  }

  async #scanning(): Promise<void> {
    const { signal } = this.#halt
    while (!signal.aborted) {
      const scanAt = await this.#scan()
      do {
        await this.#act()
        await this.#pause(Math.min(scanAt, this.#nextExpiry()))
      } while (!signal.aborted && this.#options.clock.now() < scanAt && !this.#poked)
    }
  }

  /** Reads the table. Returns when to read it again. */
  async #scan(): Promise<number> {
    const { store, clock, failoverTimeMs, random } = this.#options
    const began = clock.now()
    // The first sight must show what the discovery has just found, and one after the end of a shard its children.
    const consistent = this.#scans++ === 0 || this.#poked
    this.#poked = false
    try {
      const { leases, malformed } = await this.#call('scan', undefined, (signal) => store.list({ signal, consistent }))
      this.#scanFailures = 0
      this.#listed = leases
      this.#leases = new Map(leases.map((lease) => [lease.leaseKey, lease]))
      this.#unsure.clear()
      const interval = scanIntervalMs(leases.length, failoverTimeMs)
      this.#observer.observe(leases, clock.now(), interval)
      for (const lease of leases) this.#tenures.get(lease.leaseKey)?.observe(lease)
      for (const { leaseKey, reason } of malformed) this.#report(leaseKey, reason)
      return began + interval
    } catch {
      const interval = scanIntervalMs(this.#leases.size, failoverTimeMs)
      this.#leases.clear()
      this.#scanFailures++
      return clock.now() + backoffDelay(this.#scanFailures, { baseMs: interval, maxMs: failoverTimeMs / 3 }, random)
    }
  }

  /** Takes and asks for what the plan says. */
  async #act(): Promise<void> {
    const { clock, workerId, random } = this.#options
    if (this.#halt.signal.aborted || this.#cannotRenew()) return
    const now = clock.now()
    const plan = planLeases({
      leases: [...this.#leases.values()],
      workerId,
      hasExpired: (lease) => this.#observer.hasExpired(lease, now),
      isOverdue: (lease) => this.#observer.isOverdue(lease, now),
      busy: new Set([...this.#tenures.keys(), ...this.#unsure]),
      random,
    })
    const startAts = [...this.#leases.values()].flatMap(({ startAt }) => startAt ?? [])
    const earliest = startAts.length > 0 ? Math.min(...startAts) : undefined
    await this.#inTurns(plan.take, (lease) => this.#take(lease, earliest))
    await this.#inTurns(plan.request, (lease) => this.#request(lease))
  }

  /**
   * While we cannot renew our own leases, others may not be able to renew theirs either: their counters prove nothing then, nor for the
   * failover time after it.
   */
  #cannotRenew(): boolean {
    const late = [...this.#tenures.values()].some((tenure) => tenure.isLate())
    if (late || this.#late) this.#observer.reset()
    this.#late = late
    return late
  }

  async #take(seen: Lease, earliest: number | undefined): Promise<void> {
    const { store, workerId, clock, onHeld, emit } = this.#options
    const { leaseKey } = seen
    if (this.#halt.signal.aborted || this.#tenures.has(leaseKey)) return
    const sent = momentOf(clock)
    const write = await this.#call('take', leaseKey, (signal) => store.take(seen, workerId, { signal })).catch(() => undefined)
    this.#remember(leaseKey, write)
    // Stopped meanwhile: the clean-up gives it back.
    if (write?.done !== true || this.#halt.signal.aborted) return
    const { lease } = write
    const timed = lease.checkpoint.kind === 'latest' || lease.checkpoint.kind === 'at-timestamp'
    const startAt = lease.checkpoint.kind === 'latest' && lease.startAt !== undefined ? earliest : lease.startAt
    const createChildren = this.#createChildren.bind(this)
    const tenure = new LeaseTenure({ ...this.#options, lease, sent, startAt: timed ? startAt : undefined, createChildren })
    this.#tenures.set(leaseKey, tenure)
    tenure.vacated.addEventListener('abort', () => this.#vacated(tenure), { once: true })
    this.#track(this.#serve(tenure))
    emit({ type: 'lease-taken', leaseKey, from: actualOwner(seen), resumeFrom: lease.checkpoint })
    if (lease.checkpoint.kind === 'latest' && startAt === undefined) emit({ type: 'lease-starts-at-tip', leaseKey })
    onHeld(tenure)
  }

  async #serve(tenure: LeaseTenure): Promise<void> {
    await tenure.run()
    if (tenure.vacated.aborted) return
    await new Promise((resolve) => tenure.vacated.addEventListener('abort', resolve, { once: true }))
  }

  #vacated(tenure: LeaseTenure): void {
    this.#tenures.delete(tenure.leaseKey)
    if (!tenure.hasEnded()) return
    // The children are free now, and nobody is nearer to them.
    this.#poked = true
    this.#wake?.()
    if (this.#incomplete.delete(tenure.leaseKey)) this.#audit.soon()
  }

  async #request(lease: Lease): Promise<void> {
    const { store, workerId, emit } = this.#options
    const { leaseKey } = lease
    if (this.#halt.signal.aborted) return
    const send = (signal: AbortSignal) => store.requestHandoff(lease, workerId, { signal })
    const write = await this.#call('request-handoff', leaseKey, send).catch(() => undefined)
    this.#remember(leaseKey, write)
    if (write?.done === true) emit({ type: 'lease-requested', leaseKey, from: lease.leaseOwner })
  }

  async #createChildren(lease: Lease, named: readonly ChildShard[], signal: AbortSignal): Promise<readonly string[]> {
    const { childShardIds, complete } = await createChildLeases(this.#options, lease, named, signal)
    if (!complete) this.#incomplete.add(lease.leaseKey)
    return childShardIds
  }

  /** What was handed to us, or asked for by us, and not taken up: peers shall not wait for it. */
  async #cleanUp(): Promise<void> {
    const { store, workerId } = this.#options
    try {
      const { leases } = await this.#call('clean-up', undefined, (signal) => store.list({ signal, consistent: true }))
      this.#listed = leases
      await this.#inTurns(
        leases.filter((lease) => lease.leaseOwner === workerId && !hasEnded(lease)),
        async (lease) => {
          const giveBack = (signal: AbortSignal) =>
            lease.checkpointOwner === undefined
              ? store.handOver(lease, workerId, { to: undefined }, { signal })
              : store.withdrawHandoff(lease, workerId, { signal })
          await this.#call('clean-up', lease.leaseKey, giveBack)
        },
      )
    } catch {
      // Reported by #call. They expire.
    }
  }

  async #call<T>(operation: LeaseOperation, leaseKey: string | undefined, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, emit, failoverTimeMs } = this.#options
    const limitMs = leaseKey === undefined ? SCAN_LIMIT_MS : Math.max(failoverTimeMs / 3, LEAST_WRITE_LIMIT_MS)
    try {
      return await withinTime(clock, limitMs, send)
    } catch (error) {
      emit({ type: 'lease-store-failed', operation, leaseKey, failure: classifyFailure(error) })
      throw error
    }
  }

  async #inTurns(leases: readonly Lease[], act: (lease: Lease) => Promise<void>): Promise<void> {
    for (let i = 0; i < leases.length; i += WRITES_AT_ONCE) await Promise.all(leases.slice(i, i + WRITES_AT_ONCE).map(act))
  }

  #remember(leaseKey: string, write: LeaseWrite | undefined): void {
    if (write === undefined) this.#unsure.add(leaseKey)
    else if (write.lease === undefined) this.#leases.delete(leaseKey)
    else this.#leases.set(leaseKey, write.lease)
  }

  #report(leaseKey: string, reason: string): void {
    if (this.#malformed.has(leaseKey)) return
    this.#malformed.add(leaseKey)
    this.#options.emit({ type: 'lease-malformed', leaseKey, reason })
  }

  /** When the next lease of somebody else expires if its counter stays. */
  #nextExpiry(): number {
    const now = this.#options.clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const lease of this.#leases.values()) {
      const at = hasEnded(lease) || this.#tenures.has(lease.leaseKey) ? undefined : this.#observer.expiresAt(lease)
      if (at !== undefined && at >= now) next = Math.min(next, at + 1)
    }
    return next
  }

  #pause(until: number): Promise<void> {
    const { clock } = this.#options
    if (this.#poked || this.#halt.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = clock.schedule(until - clock.now(), () => this.#wake?.())
      this.#wake = () => {
        timer.cancel()
        this.#wake = undefined
        resolve()
      }
    })
  }
}
