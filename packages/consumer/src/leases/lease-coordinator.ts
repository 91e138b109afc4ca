import type { Clock } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import type { LeasedShards } from '../shards/leased-shards.js'
import { ShardAudit } from '../shards/shard-audit.js'
import { parentsHaveEnded } from '../shards/shard-lineage.js'
import { sharedAbort } from '../shared-abort.js'
import { Alarm } from './alarm.js'
import { assignedLeases } from './assigned-leases.js'
import { ChangedRows } from './changed-rows.js'
import { Departure } from './departure.js'
import { EndingShards } from './ending-shards.js'
import { EventLoopWatch } from './event-loop-watch.js'
import type { HeldLease } from './held-lease.js'
import type { KclFleet } from './kcl-fleet.js'
import { actualOwner, hasBegun, type Lease } from './lease.js'
import { inTurns, LeaseCalls } from './lease-calls.js'
import type { LeaseEvent } from './lease-event.js'
import { planLeases } from './lease-planner.js'
import type { LeaseStore } from './lease-store.js'
import { LeaseTenure } from './lease-tenure.js'
import { LeaseView } from './lease-view.js'
import { parentsEnd } from './parents-awaited.js'
import { scanIntervalMs, TableScan } from './table-scan.js'
import { momentOf } from './trust-window.js'

export interface LeaseCoordinatorOptions {
  readonly store: LeaseStore
  readonly discovery: LeasedShards
  /** Of this process alone: see uniqueWorkerId. */
  readonly workerId: string
  /** Milliseconds. The same for all workers on a table. */
  readonly failoverTimeMs: number
  /** Milliseconds. See LeaseTenureOptions. */
  readonly handoffTimeoutMs: number
  readonly clock: Clock
  readonly random: Random
  /** Java's KCL on the same table. Undefined: it is not looked for. */
  readonly kcl?: KclFleet | undefined
  /** A lease is ours: start working on its shard. Must not throw. */
  readonly onHeld: (lease: HeldLease) => void
  readonly emit: (event: LeaseEvent) => void
}

type CoordinatorState =
  | { readonly is: 'new' }
  | { readonly is: 'running' }
  | { readonly is: 'stopping'; readonly stopped: Promise<void> }

/** Gets this worker its share of the leases and keeps them. What it decides is decided in the planner and the observer; here it is done. */
export class LeaseCoordinator {
  readonly #options: LeaseCoordinatorOptions
  readonly #calls: LeaseCalls
  readonly #view: LeaseView
  readonly #changed: ChangedRows
  readonly #audit: ShardAudit
  readonly #departure: Departure
  readonly #loopWatch: EventLoopWatch
  readonly #alarm: Alarm
  readonly #scan: TableScan
  readonly #tenures = new Map<string, LeaseTenure>()
  readonly #running = new Set<Promise<void>>()
  readonly #ending: EndingShards
  /** Nothing is taken any more. */
  readonly #halt = sharedAbort()
  /** Nothing is held any more either. */
  readonly #empty = sharedAbort()
  #state: CoordinatorState = { is: 'new' }
  #acting: Promise<void> = Promise.resolve()
  #late = false
  #tookFromLiveAt = Number.NEGATIVE_INFINITY

  constructor(options: LeaseCoordinatorOptions) {
    this.#options = options
    const { clock, failoverTimeMs } = options
    this.#calls = new LeaseCalls(options)
    this.#view = new LeaseView({ failoverTimeMs, scanIntervalMs: scanIntervalMs(0, failoverTimeMs) })
    this.#changed = new ChangedRows(options, this.#calls, this.#view)
    this.#audit = new ShardAudit(options)
    this.#departure = new Departure(options, this.#view, this.#calls)
    this.#loopWatch = new EventLoopWatch(failoverTimeMs, (blockedMs) => this.#blocked(blockedMs))
    this.#alarm = new Alarm(clock, this.#loopWatch)
    this.#ending = new EndingShards(options)
    const onListing = this.#seen.bind(this)
    this.#scan = new TableScan({ ...options, calls: this.#calls, view: this.#view, held: this.#tenures, onListing })
  }

  /** The lease table as last seen here, for display: no I/O. */
  get leases(): readonly Lease[] {
    return this.#view.leases
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
    const { store, discovery, kcl } = this.#options
    const { signal } = this.#halt
    try {
      await store.open({ signal })
      await discovery.createMissing({ signal, atStart: true })
      await kcl?.probe()
    } catch (error) {
      if (signal.aborted) return
      this.#state = { is: 'new' }
      throw error
    }
    if (signal.aborted) return
    if (kcl !== undefined) this.#track(kcl.run(signal))
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
    this.#departure.begin()
    this.#halt.abort()
    this.#alarm.ring()
    if (this.#tenures.size === 0) this.#empty.abort()
    for (const tenure of this.#tenures.values()) tenure.requestDrain()
    if (this.#running.size === 0) return
    while (this.#running.size > 0) await Promise.all(this.#running)
    await this.#departure.cleanUp()
  }

  /** Scans at once: the table has more to take, or less. */
  poke(): void {
    this.#scan.poke()
    this.#alarm.ring()
  }

  /**
   * Gives these leases up: asks their workers to drain and waits for them. Resolves when nothing of this coordinator works on them and none
   * of their rows names this worker. `discovery.reads` must not include them any more, until it has resolved: else what is taken anew meanwhile
   * would be cleaned up under its worker. (The simulation found this one.)
   */
  async giveUp(leases: (lease: Pick<Lease, 'streamId'>) => boolean): Promise<void> {
    await this.#acting
    const tenures = [...this.#tenures.values()].filter(leases)
    for (const tenure of tenures) tenure.requestDrain()
    await Promise.all(tenures.map((tenure) => this.#vacancy(tenure)))
    if (!this.#halt.signal.aborted) await this.#departure.cleanUp(leases)
  }

  /** Takes no more leases of this stream, or none at all. */
  #isLeaving(lease: Lease): boolean {
    return this.#halt.signal.aborted || this.#options.discovery.reads?.(lease) === false
  }

  #track(run: Promise<void>): void {
    this.#running.add(run)
    void run.then(() => this.#running.delete(run))
  }

  /** Goes on while a stop waits for workers, so that their leases go to somebody who is there. */
  async #scanning(): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#empty
    while (!signal.aborted) {
      const scanAt = await this.#scan.run(signal)
      do {
        if (this.#changed.any) await this.#changed.read(signal)
        await this.#actOnce()
        if (!this.#scan.isPoked && !this.#changed.any && !signal.aborted) {
          await this.#alarm.wait(Math.min(scanAt, this.#view.nextExpiry(clock.now(), this.#tenures)))
        }
      } while (!signal.aborted && clock.now() < scanAt && !this.#scan.isPoked)
    }
  }

  #seen(leases: readonly Lease[], isWhole: boolean): void {
    for (const lease of leases) {
      this.#tenures.get(lease.leaseKey)?.observe(lease)
      this.#ending.seen(lease)
    }
    if (!isWhole) return
    this.#audit.scanned(leases)
    this.#options.kcl?.observe(leases)
  }

  /** Waits until nothing is being taken or asked for by an older plan. */
  #actOnce(): Promise<void> {
    this.#acting = this.#act()
    return this.#acting
  }

  /** Takes and asks for what the plan says. */
  async #act(): Promise<void> {
    const { clock, workerId, random, discovery, kcl } = this.#options
    if (this.#halt.signal.aborted || this.#cannotRenew() || !this.#view.isCurrent) return
    const now = clock.now()
    const { leases, observer, unsure, leavers, earliestStarts } = this.#view
    const busy = new Set([...this.#tenures.keys(), ...unsure])
    const take = (lease: Lease): Promise<void> => this.#take(lease, earliestStarts.get(lease.streamId))
    if (discovery.reads !== undefined)
      await this.#departure.forsake(leases.filter((lease) => !busy.has(lease.leaseKey) && !discovery.reads!(lease)))
    if (kcl?.role === 'worker') return inTurns(assignedLeases(leases, workerId, busy), take)
    const plan = planLeases({
      leases,
      workerId,
      reads: (lease) => discovery.reads?.(lease) ?? true,
      hasExpired: (lease) => observer.hasExpired(lease, now),
      isOverdue: (lease) => observer.isOverdue(lease, now),
      busy,
      mayTakeFrom: (lease) => kcl?.mayTakeFrom(lease) === true,
      leavers,
      successors: this.#ending.untaken,
      random,
    })
    await inTurns(plan.take, take)
    await inTurns(plan.request, (lease) => this.#request(lease))
    await this.#takeFromLive(plan.takeFromLive, take)
  }

  /** One at a time: what its owner has in hand is delivered again. */
  async #takeFromLive(leases: readonly Lease[], take: (lease: Lease) => Promise<void>): Promise<void> {
    const { clock, failoverTimeMs } = this.#options
    const [lease] = leases
    if (lease === undefined || clock.now() - this.#tookFromLiveAt < failoverTimeMs / 3) return
    this.#tookFromLiveAt = clock.now()
    await take(lease)
  }

  /**
   * While we cannot renew our own leases, others may not be able to renew theirs either: their counters prove nothing then, nor for the
   * failover time after it.
   */
  #cannotRenew(): boolean {
    const late = [...this.#tenures.values()].some((tenure) => tenure.isLate())
    if (late || this.#late) this.#view.observer.reset()
    this.#late = late
    return late
  }

  async #take(seen: Lease, earliest: number | undefined): Promise<void> {
    const { store, workerId, clock, emit } = this.#options
    const { leaseKey } = seen
    if (!(await this.#changed.isFree(seen, this.#halt.signal))) return
    if (this.#isLeaving(seen) || this.#tenures.has(leaseKey)) return
    const sent = momentOf(clock)
    const write = await this.#calls
      .send('take', leaseKey, (signal) => store.take(seen, workerId, { signal }))
      .catch(() => undefined)
    this.#view.remember(leaseKey, write)
    // Stopped meanwhile: the clean-up gives it back.
    if (write?.done !== true || this.#isLeaving(seen)) return
    const { lease } = write
    const timed = lease.checkpoint.kind === 'latest' || lease.checkpoint.kind === 'at-timestamp'
    const startAt = lease.checkpoint.kind === 'latest' && lease.startAt !== undefined ? earliest : lease.startAt
    const createChildren = this.#ending.createChildren.bind(this.#ending)
    const parts = { departure: this.#departure, loopWatch: this.#loopWatch, createChildren }
    const tenure = new LeaseTenure({ ...this.#options, ...parts, lease, sent, startAt: timed ? startAt : undefined })
    this.#tenures.set(leaseKey, tenure)
    tenure.vacated.addEventListener('abort', () => this.#vacated(tenure), { once: true })
    this.#track(this.#serve(tenure))
    emit({ type: 'lease-taken', leaseKey, from: actualOwner(seen), resumeFrom: lease.checkpoint })
    if (lease.checkpoint.kind === 'latest' && startAt === undefined) emit({ type: 'lease-starts-at-tip', leaseKey })
    this.#track(this.#begin(tenure, lease))
  }

  /** Its turn may be yet to come: a leader of KCL's assigns without regard to parents, and who was given such a lease may hand it on. */
  async #begin(tenure: LeaseTenure, lease: Lease): Promise<void> {
    const mayBegin = hasBegun(lease) || parentsHaveEnded(lease, this.#view)
    if (!mayBegin && !(await parentsEnd(this.#options, this.#calls, lease, tenure))) return tenure.release()
    this.#options.onHeld(tenure)
  }

  async #serve(tenure: LeaseTenure): Promise<void> {
    await tenure.run()
    await this.#vacancy(tenure)
  }

  async #vacancy({ vacated }: LeaseTenure): Promise<void> {
    if (!vacated.aborted) await new Promise((resolve) => vacated.addEventListener('abort', resolve, { once: true }))
  }

  #vacated(tenure: LeaseTenure): void {
    this.#tenures.delete(tenure.leaseKey)
    if (this.#halt.signal.aborted && this.#tenures.size === 0) {
      this.#empty.abort()
      this.#alarm.ring()
    }
    const ended = this.#ending.vacated(tenure.leaseKey, tenure.hasEnded())
    if (ended === undefined) return
    // The children are free now, and nobody is nearer to them.
    this.#changed.add(tenure.leaseKey, ...ended.children)
    this.#alarm.ring()
    if (!ended.complete) this.#audit.soon()
  }

  #blocked(blockedMs: number): void {
    const held = [...this.#tenures.values()].filter((tenure) => tenure.isHeld())
    const leasesInDoubt = held.filter((tenure) => !tenure.isTrusted()).length
    this.#options.emit({ type: 'event-loop-blocked', blockedMs, leasesHeld: held.length, leasesInDoubt })
  }

  async #request(lease: Lease): Promise<void> {
    const { store, workerId, emit } = this.#options
    const { leaseKey } = lease
    if (this.#isLeaving(lease)) return
    const send = (signal: AbortSignal) => store.requestHandoff(lease, workerId, { signal })
    const write = await this.#calls.send('request-handoff', leaseKey, send).catch(() => undefined)
    this.#view.remember(leaseKey, write)
    if (write?.done === true) emit({ type: 'lease-requested', leaseKey, from: lease.leaseOwner })
  }
}
