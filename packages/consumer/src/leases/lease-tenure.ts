import type { HashKeyRange } from '@shardwise/core/hash-key'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import type { ServiceFailure } from '@shardwise/core/service-error'
import type { PendingCheckpoint } from '../checkpoints/pending-checkpoint.js'
import { formatPosition, type Position } from '../checkpoints/position.js'
import type { ReadWatch } from '../shards/read-watch.js'
import { Alarm } from './alarm.js'
import { createChildrenPatiently } from './children-creation.js'
import type { Departure } from './departure.js'
import type { EventLoopWatch } from './event-loop-watch.js'
import { HandoffLimit } from './handoff-limit.js'
import type { HeldLease } from './held-lease.js'
import { hasEnded, isHeldBy, type Lease, pendingHandoff } from './lease.js'
import type { LeaseEvent, LeaseOperation } from './lease-event.js'
import { LeaseLostError } from './lease-lost-error.js'
import type { LeaseProgress } from './lease-progress.js'
import type { LeaseStore } from './lease-store.js'
import { OwnedRow, type OwnedRowOptions, type WriteOutcome } from './owned-row.js'
import { TenureWaiters } from './tenure-waiters.js'
import type { Moment } from './trust-window.js'
import { WantedProgress } from './wanted-progress.js'
import { WriteSchedule } from './write-schedule.js'

export interface LeaseTenureOptions extends OwnedRowOptions {
  readonly store: LeaseStore
  readonly startAt: number | undefined
  readonly random: Random
  readonly departure: Pick<Departure, 'isLeaving' | 'successorOf'>
  readonly loopWatch: EventLoopWatch
  /** Milliseconds that the worker has for finishing when another one asks for the lease. Then it is cut off, and a second later the lease goes. */
  readonly handoffTimeoutMs: number
  /** Creates the leases of the children. May be called again after a failure. */
  readonly createChildren: (
    lease: Lease,
    children: readonly ChildShard[],
    signal: AbortSignal,
    isOurs: () => boolean,
  ) => Promise<readonly string[] | undefined>
  readonly emit: (event: LeaseEvent) => void
}

type TenureState =
  | { readonly is: 'held' }
  /** Handed over, or ended, by ourselves. */
  | { readonly is: 'given-up' }
  | { readonly is: 'lost'; readonly error: LeaseLostError }

interface Ending {
  readonly childShardIds: readonly string[]
  readonly resolve: (recorded: boolean) => void
  readonly reject: (error: unknown) => void
}

/** Below every version of what is wanted. */
const NOTHING = -1

/**
 * One acquisition of one lease. One loop does all of its writes, one after the other, so that a checkpoint can never meet a renewal of the
 * same process (decision 13), and a write is known to have landed, or not, before the next one differs from it (decision 14).
 */
export class LeaseTenure implements HeldLease {
  readonly leaseKey: string
  readonly shardId: string
  readonly streamId: string | undefined
  readonly resumeFrom: Position
  readonly pendingCheckpoint: PendingCheckpoint | undefined
  readonly startAt: number | undefined
  readonly range: HashKeyRange | undefined
  readonly generation: number
  readonly streamCreatedAt: number | undefined
  readonly #options: LeaseTenureOptions
  readonly #schedule: WriteSchedule
  readonly #lost = new AbortController()
  readonly #drain = new AbortController()
  readonly #vacated = new AbortController()
  #state: TenureState = { is: 'held' }
  readonly #owned: OwnedRow
  readonly #wanted: WantedProgress
  #inDoubt = false
  readonly #alarm: Alarm
  readonly #waiters = new TenureWaiters()
  readonly #limit: HandoffLimit
  #reading: Pick<ReadWatch, 'stalledMs'> | undefined
  #ending: Ending | undefined
  /** Given up before it was known whether it has landed. */
  #maybeEnded: Ending | undefined
  #successor: string | undefined
  /** The counter with which a release was sent that may have landed. */
  #maybeReleasedAt: number | undefined

  constructor(options: LeaseTenureOptions) {
    const { lease, startAt, sent, failoverTimeMs, clock, loopWatch, handoffTimeoutMs } = options
    this.#options = options
    this.leaseKey = lease.leaseKey
    this.shardId = lease.shardId
    this.streamId = lease.streamId
    this.resumeFrom = lease.checkpoint
    this.pendingCheckpoint = lease.pendingCheckpoint
    this.startAt = startAt
    this.range = lease.range
    this.generation = lease.leaseCounter
    this.streamCreatedAt = lease.streamCreatedAt
    this.#owned = new OwnedRow(options)
    this.#wanted = new WantedProgress(lease)
    this.#alarm = new Alarm(clock, loopWatch)
    this.#limit = new HandoffLimit(handoffTimeoutMs)
    this.#schedule = new WriteSchedule(failoverTimeMs, sent.now)
  }

  get signal(): AbortSignal {
    return this.#lost.signal
  }

  get drain(): AbortSignal {
    return this.#drain.signal
  }

  /** Aborts when the worker has finished: the shard may be taken again by this process. */
  get vacated(): AbortSignal {
    return this.#vacated.signal
  }

  isOurs(at?: Moment): boolean {
    // Once the write that gives the lease away is on its way, another may have it before the answer is here.
    const giving = this.#waiters.releasing || this.#ending !== undefined || this.#limit.isCutOff
    return this.isHeld() && !giving && this.isTrusted(at)
  }

  isHeld(): boolean {
    return this.#state.is === 'held'
  }

  /** Nobody else can have taken it yet. */
  isTrusted(at?: Moment): boolean {
    return this.#owned.isTrusted(at)
  }

  /** No renewal has succeeded for half of the failover time: more than one was missed. */
  isLate(): boolean {
    const { clock, failoverTimeMs } = this.#options
    return this.#state.is === 'held' && clock.now() - this.#owned.confirmedAt > failoverTimeMs / 2
  }

  /** By our `endShard`. */
  hasEnded(): boolean {
    return this.#state.is === 'given-up' && this.#ending !== undefined
  }

  revalidate(): Promise<boolean> {
    return this.isOurs() ? Promise.resolve(true) : this.confirm()
  }

  confirm(): Promise<boolean> {
    if (!this.isHeld() || this.#limit.isCutOff) return Promise.resolve(false)
    this.#writeSoon()
    return this.#waiters.trusted()
  }

  renewWhile(reading: Pick<ReadWatch, 'stalledMs'>): void {
    this.#reading = reading
  }

  checkpoint(position: Position): void {
    if (position.kind !== 'sequence') {
      throw new RangeError(
        `A checkpoint must be a sequence number, got ${formatPosition(position).checkpoint}; endShard ends a shard`,
      )
    }
    if (this.#state.is === 'held') this.#wanted.advance(position)
  }

  checkpointNow(position: Position, pending: PendingCheckpoint | null = null): Promise<void> {
    if (this.#state.is === 'lost') return Promise.reject(this.#state.error)
    if (this.#state.is === 'given-up') return Promise.reject(this.#lossBecause('it was given up before this checkpoint'))
    if (this.#limit.isCutOff) return Promise.reject(this.signal.reason ?? this.#lossBecause('it is being given up'))
    const changed = this.#wanted.set(position, pending)
    const isThere = !changed && !this.#waiters.landing && this.#wanted.missingIn(this.#owned.row) === undefined
    if (isThere) return Promise.resolve()
    this.#writeSoon()
    return this.#waiters.landed(this.#wanted.version)
  }

  async endShard(children: readonly ChildShard[]): Promise<boolean> {
    try {
      const childShardIds = await this.#withChildren(children)
      if (childShardIds === undefined) return false
      const recorded = await new Promise<boolean>((resolve, reject) => {
        // The write that gives it away may be under way.
        if (!this.isHeld() || this.#limit.isCutOff) throw this.#lossBecause('it was given up before its end')
        this.#ending = { childShardIds, resolve, reject }
        this.#writeSoon()
      })
      if (recorded) this.#vacated.abort()
      return recorded
    } catch (error) {
      if (this.isHeld() && !this.signal.aborted) throw error
      await this.release()
      throw this.signal.aborted ? this.signal.reason : error
    }
  }

  async release(): Promise<void> {
    if (this.#state.is === 'held') {
      this.#writeSoon()
      await this.#waiters.released()
    }
    this.#vacated.abort()
  }

  /** Asks the worker to finish and release. */
  requestDrain(): void {
    this.#drain.abort()
  }

  /** What a scan has shown of our row. It may be stale: a hint, never a proof. */
  observe(row: Lease): void {
    const ahead = row.leaseCounter - this.#owned.row.leaseCounter
    // From before our last write, or from before our take: that request was answered.
    if (ahead < 0) return
    this.#heedRequest(row)
    // Somebody else has written: find out at once, instead of at the next tick.
    if (ahead > 1 || (ahead === 1 && !isHeldBy(row, this.#options.workerId))) this.#writeSoon()
  }

  /** Renews until the lease is given up or lost. Resolves when nothing of it runs. */
  async run(): Promise<void> {
    while (this.#state.is === 'held') {
      const now = this.#options.clock.now()
      const { nextAt } = this.#limit
      if (now >= nextAt) this.#passLimit(now)
      else if (now < this.#schedule.dueAt) await this.#alarm.wait(Math.min(this.#schedule.dueAt, nextAt))
      else if (this.#ending !== undefined) await this.#end(this.#ending)
      else if (this.#waiters.releasing || this.#limit.isForced) await this.#handOver()
      else if (!this.#isStalled(now)) await this.#renew()
    }
  }

  async #renew(): Promise<void> {
    const { store, workerId, departure } = this.#options
    const progress = { ...this.#unwritten(), leaving: departure.isLeaving }
    const outcome = await this.#attempt('renew', (row, signal) => store.renew(row, workerId, progress, { signal }))
    if (outcome.is === 'refused') this.#refused(outcome)
  }

  async #handOver(): Promise<void> {
    const { store, workerId, clock, failoverTimeMs, departure, emit } = this.#options
    const { isLeaving } = departure
    const asked = pendingHandoff(this.#owned.row)?.to
    // Named once: an attempt of unknown outcome may have told so.
    if (asked === undefined && (isLeaving || this.#limit.isForced)) this.#successor ??= departure.successorOf(this.#owned.row)
    const to = asked ?? this.#successor
    const last = { to, offer: asked === undefined && to !== undefined, leaving: isLeaving, ...this.#unwritten() }
    const { leaseCounter } = this.#owned.row
    const outcome = await this.#attempt('release', (row, signal) => store.handOver(row, workerId, last, { signal }))
    // The attempt in doubt may have been a renewal: then somebody has taken it from us.
    if (outcome.is === 'refused' && !(outcome.uncertain && this.#maybeReleasedAt === leaseCounter)) this.#refused(outcome)
    else if (outcome.is === 'refused' || outcome.is === 'landed') {
      emit({ type: 'lease-released', leaseKey: this.leaseKey, to })
      this.#giveUp()
    } else if (outcome.is === 'failed') {
      if (outcome.failure.written === 'unknown') this.#maybeReleasedAt = leaseCounter
      if (clock.now() - this.#owned.confirmedAt > failoverTimeMs) this.#giveUp()
    }
  }

  async #end(ending: Ending): Promise<void> {
    const { store, workerId } = this.#options
    const outcome = await this.#attempt('end', (row, signal) => store.end(row, workerId, ending.childShardIds, { signal }))
    if (outcome.is === 'landed') this.#ended(ending)
    else if (outcome.is === 'refused') this.#refused(outcome, ending)
    else if (outcome.is === 'failed' && this.#drain.signal.aborted) {
      // A stop must not wait for the table. Should this write land all the same, then what it says is true.
      this.#maybeEnded = ending
      this.#ending = undefined
      ending.resolve(false)
    }
  }

  #refused({ uncertain, found }: Extract<WriteOutcome, { is: 'refused' }>, ending: Ending | undefined = this.#maybeEnded): void {
    const { leaseCounter } = this.#owned.row
    // One step on: an attempt of ours has landed without our knowing, and it was the end.
    const isEnd = uncertain && found !== undefined && hasEnded(found) && found.leaseCounter === leaseCounter + 1
    if (isEnd && ending !== undefined) this.#ended(ending)
    else this.#lose(found)
  }

  #ended(ending: Ending): void {
    const { childShardIds } = ending
    this.#ending = ending
    this.#options.emit({ type: 'lease-ended', leaseKey: this.leaseKey, childShardIds })
    this.#giveUp()
    ending.resolve(true)
  }

  async #attempt(operation: LeaseOperation, send: Parameters<OwnedRow['attempt']>[1]): Promise<WriteOutcome> {
    const { clock } = this.#options
    this.#schedule.sent(clock.now())
    const { version } = this.#wanted
    const { leaseCounter } = this.#owned.row
    const outcome = await this.#owned.attempt(this.#schedule.tickMs, send)
    if (outcome.is === 'failed') {
      this.#failed(operation, outcome.failure)
      return outcome
    }
    this.#schedule.answered()
    if (outcome.is === 'refused') return outcome
    // What an old attempt proves may be too old to be trusted.
    if (!this.isTrusted()) this.#schedule.soon(clock.now())
    else if (this.#inDoubt) this.#beyondDoubt()
    // An earlier renewal that turns out to have landed is as good as this one, unless there is more to write.
    const incomplete = this.#wanted.missingIn(this.#owned.row) !== undefined
    if (outcome.is === 'changed' && (operation !== 'renew' || incomplete)) this.#schedule.soon(clock.now())
    if (pendingHandoff(this.#owned.row) === undefined) this.#limit.withdrawn()
    else this.#heedRequest(this.#owned.row)
    // While the counter stands, an attempt of before may still land, with what was wanted then.
    const covered = incomplete ? (outcome.is === 'landed' ? version : NOTHING) : this.#wanted.version
    const proven = this.#owned.row.leaseCounter > leaseCounter
    if (this.#waiters.settle(proven ? covered : NOTHING, this.isOurs())) this.#schedule.soon(clock.now())
    return outcome
  }

  #failed(operation: LeaseOperation, failure: ServiceFailure): void {
    const { clock, random, emit } = this.#options
    const isTrusted = this.#owned.isTrusted()
    this.#schedule.failed(clock.now(), random, isTrusted)
    emit({ type: 'lease-store-failed', operation, leaseKey: this.leaseKey, failure })
    // Who waits for a checkpoint holds up the release, and that is not to wait for the table: the lease has expired by now.
    if (this.#drain.signal.aborted && clock.now() - this.#owned.confirmedAt > this.#options.failoverTimeMs)
      this.#waiters.giveUpLanding(this.#lossBecause('it has expired, and could not be renewed before it was to be given up'))
    if (this.#inDoubt || isTrusted) return
    this.#inDoubt = true
    emit({ type: 'lease-in-doubt', leaseKey: this.leaseKey })
  }

  #beyondDoubt(): void {
    this.#inDoubt = false
    this.#options.emit({ type: 'lease-confirmed', leaseKey: this.leaseKey })
  }

  #heedRequest(row: Lease): void {
    if (pendingHandoff(row)?.from !== this.#options.workerId) return
    this.requestDrain()
    this.#limit.requested(this.#options.clock.now())
    this.#alarm.ring()
  }

  #passLimit(now: number): void {
    const waitedMs = this.#limit.pass(now)
    if (this.#limit.isForced) this.#schedule.atOnce(now)
    // The worker has finished by itself.
    if (waitedMs === undefined || this.#waiters.releasing || this.#ending !== undefined) return
    const to = pendingHandoff(this.#owned.row)?.to
    this.#options.emit({ type: 'lease-handoff-forced', leaseKey: this.leaseKey, to, waitedMs })
    this.#lost.abort(
      this.#lossBecause(`another worker waits for it, and this one has not finished in ${Math.round(waitedMs)} ms`, to),
    )
  }

  #isStalled(now: number): boolean {
    const stalledMs = this.#reading?.stalledMs(now)
    if (stalledMs === undefined) return false
    this.#options.emit({ type: 'lease-reader-stalled', leaseKey: this.leaseKey, stalledMs })
    this.#limit.force()
    this.#lost.abort(this.#lossBecause(`its reading has stood still for ${Math.round(stalledMs)} ms`))
    return true
  }

  #unwritten(): LeaseProgress {
    return this.#wanted.missingIn(this.#owned.row) ?? {}
  }

  #giveUp(): void {
    this.#state = { is: 'given-up' }
    this.#waiters.end(this.#lossBecause('it was given up'))
  }

  #lose(found: Lease | undefined): void {
    const why = found === undefined ? 'its row is gone' : 'another worker has taken it'
    const error = this.#lossBecause(why, found?.leaseOwner)
    this.#state = { is: 'lost', error }
    this.#options.emit({ type: 'lease-lost', leaseKey: this.leaseKey, error })
    this.#lost.abort(error)
    this.#ending?.reject(error)
    this.#waiters.end(error)
  }

  #lossBecause(why: string, owner?: string): LeaseLostError {
    return new LeaseLostError(this.leaseKey, this.#options.workerId, why, { owner })
  }

  /** The renewals go on meanwhile. */
  #withChildren(children: readonly ChildShard[]): Promise<readonly string[] | undefined> {
    const { createChildren, clock, random, emit } = this.#options
    return createChildrenPatiently({
      leaseKey: this.leaseKey,
      create: (signal) => {
        const either = AbortSignal.any([signal, this.signal])
        return createChildren(this.#owned.row, children, either, () => this.isOurs())
      },
      isHeld: () => this.#state.is === 'held',
      renew: () => this.#writeSoon(),
      lost: this.signal,
      drain: this.drain,
      longestPauseMs: this.#schedule.tickMs,
      clock,
      random,
      emit,
    })
  }

  #writeSoon(): void {
    this.#schedule.soon(this.#options.clock.now())
    this.#alarm.ring()
  }
}
