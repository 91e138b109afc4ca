import type { EventSource } from '@shardwise/core/events'
import type { KinesisPort, StreamReference } from '@shardwise/core/kinesis-port'
import { Account, type AccountHolder } from './account.js'
import { Alarm } from './alarm.js'
import { BurstClock } from './burst-clock.js'
import { spoilt } from './delivery-failure.js'
import { Dispatcher } from './dispatcher.js'
import type { Entry } from './entry.js'
import { Halting } from './halting.js'
import type { Ledger } from './ledger.js'
import { Meter } from './meter.js'
import { Packer } from './packer.js'
import { RecordRejectedError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import type { Settings } from './producer-options.js'
import { ProducerCounters, type ProducerStats } from './producer-stats.js'
import { type Request, type RequestOutcome, RequestSender } from './request-sender.js'
import { Settler } from './settler.js'
import { ShortWay } from './short-way.js'
import { StreamGate } from './stream-gate.js'
import { streamRefusal } from './stream-rules.js'
import { StreamView } from './stream-view.js'
import type { Undelivered } from './undelivered.js'
import type { PutOutcome, UserRecord } from './user-record.js'

/**
 * Wires the stages, owns the one timer, and decides nothing that a stage can decide.
 *
 *   ledger: admission -> gate -> packer: aggregator -> dispatcher: lane -> limiter -> batcher -> sender -> settler: settlement -> delivered
 *                         ^              ^                              ^                                        |
 *                         +-- no map ----+----------- repack -----------+---------------- retry -----------------+
 *
 * Everything happens in a call of the producer, in the timer, or when a call to Kinesis ends; all of them end in `turn`, which does what is
 * due and sets the timer. Event listeners may call the producer in the middle of that: every stage is consistent whenever something is
 * emitted, and a turn inside a turn only makes the outer one go round again.
 */
export class Pipeline implements AccountHolder {
  /** When it was last put to, in uses of all pipelines. */
  lastUse = 0
  readonly #settings: Settings
  readonly #burstClock: BurstClock
  readonly #events: EventSource<ProducerEvent>
  readonly #counters = new ProducerCounters()
  readonly #meter: Meter
  readonly #ledger: Ledger
  readonly #account: Account
  readonly #packer: Packer
  readonly #dispatcher: Dispatcher
  readonly #sender: RequestSender
  readonly #settler: Settler
  readonly #view: StreamView
  readonly #halting: Halting
  readonly #gate: StreamGate
  readonly #shortWay: ShortWay
  readonly #alarm: Alarm
  #completed: Entry[] = []
  #turning: 'no' | 'once' | 'again' = 'no'
  #isSettling = false
  /** A record that a flush waits for was admitted late. */
  #hurriesLate = false
  #stopped = false

  constructor(
    settings: Settings,
    port: KinesisPort,
    stream: StreamReference,
    events: EventSource<ProducerEvent>,
    ledger: Ledger,
    undelivered: Undelivered | undefined,
  ) {
    const { retry, random, ordering, shardRatePercent, streamRate } = settings
    const { shardMapRefreshMs: refreshMs, requestTimeoutMs: timeoutMs } = settings
    const known = { name: settings.stream, ordered: ordering !== 'none', retry, random, refreshMs, timeoutMs }
    this.#settings = settings
    this.#burstClock = new BurstClock(settings.clock, settings.recordTtlMs)
    this.#events = events
    this.#ledger = ledger
    this.#meter = new Meter(settings)
    this.#account = new Account(settings.stream, ledger, this)
    this.#view = new StreamView(port, stream, known, () => this.#gate)
    this.#packer = new Packer(settings, this.#view)
    this.#dispatcher = new Dispatcher({
      ...{ ordering, meter: this.#meter, shardRatePercent, streamRate, random },
      request: { maxRecords: settings.requestMaxRecords, targetBytes: settings.requestMaxBytes },
    })
    const ended = (request: Request, outcome: RequestOutcome): void => this.#complete(request, outcome)
    this.#sender = new RequestSender(port, stream, timeoutMs, ended)
    const shared = {
      ...{ settings, events, counters: this.#counters, account: this.#account, packer: this.#packer },
      ...{ dispatcher: this.#dispatcher, view: this.#view, meter: this.#meter },
    }
    this.#halting = new Halting(shared)
    this.#settler = new Settler({
      ...shared,
      halting: this.#halting,
      undelivered,
      park: (records, now) => this.#gate.park(records, now),
      mayPack: () => this.#gate.mayPack,
      misplaced: (misplacement, now) => this.#gate.misplaced(misplacement, now),
    })
    this.#gate = new StreamGate({
      ...shared,
      ...{ ledger, settler: this.#settler },
      route: (record, now) => this.#route(record, now),
      hurry: (now) => this.#hurry(now),
      wakeBy: (at) => this.#alarm.wakeBy(at),
      turn: (now) => this.turn(now),
    })
    this.#shortWay = new ShortWay({ ...shared, gate: this.#gate, burstClock: this.#burstClock })
    this.#alarm = new Alarm(settings.clock, () => this.turn(this.now()))
  }

  get stream(): string {
    return this.#settings.stream
  }

  get account(): Account {
    return this.#account
  }

  /** Another one in its place would know all that it needs to: nothing is buffered or waited for, and no halt is to be resumed from. */
  get isIdle(): boolean {
    return this.#account.isEmpty && !this.#gate.isAwaited && !this.#halting.isHalted && this.#turning === 'no'
  }

  /** Takes the record in at once, or lets it wait for room: `admitted` tells. Throws for a record that can never go. */
  put(record: UserRecord, admitted?: () => void): boolean {
    this.#check(record)
    const isIn = this.#account.takeOrWait(record, admitted)
    if (isIn) {
      this.#burstClock.forget()
      this.#admit(record, this.now())
    }
    this.#rearm()
    // A listener of `backpressure-on` may have made the room: then `admitted` has been called, or there was no need to.
    return isIn || record.expiresAt > 0
  }

  /** Takes the record in, or returns false. Throws for a record that can never go. */
  offer(record: UserRecord): boolean {
    this.#check(record)
    if (!this.#account.take(record)) return false
    this.#admit(record, this.#burstClock.moment.now)
    this.#rearm()
    return true
  }

  /** See `ShortWay.take`. */
  join(partitionKey: string, data: Uint8Array, outcome: PutOutcome<never> | undefined, subject: unknown): number {
    return this.#turning === 'no' ? this.#shortWay.take(partitionKey, data, outcome, subject) : 0
  }

  /** Resolves when the stream is known; rejects with StreamUnusableError. */
  load(): Promise<void> {
    const loaded = this.#gate.load()
    this.#arm()
    return loaded
  }

  /** Whether something is under way, stands in a lane, or is being settled with an answer: it will make room. */
  get isMoving(): boolean {
    return this.#isSettling || this.#sender.underWay > 0 || this.#dispatcher.isHeldBack
  }

  /** Whether it has anything that `hurry` would send. */
  get lingers(): boolean {
    return !this.#stopped && (this.#packer.openAggregates > 0 || this.#dispatcher.queued > 0)
  }

  /** Nothing that is packed lingers any longer. */
  hurry(): void {
    const now = this.now()
    this.#hurry(now)
    this.turn(now)
  }

  resume(): void {
    this.#halting.resume([...this.#gate.waiting, ...this.#account.line])
  }

  /** For after the last flush: nothing is sent, awaited or timed any more. */
  stop(): void {
    this.#stopped = true
    this.#view.stop()
    this.#gate.stop()
    this.#alarm.cancel()
    this.#meter.close()
  }

  stats(): ProducerStats {
    return this.#counters.snapshot({
      bufferedRecords: this.#account.records,
      bufferedBytes: this.#account.bytes,
      oldestRecordAgeMs: this.#oldestRecordAgeMs,
      waitingForRoom: this.#account.waiting,
      openAggregates: this.#packer.openAggregates,
      queuedKinesisRecords: this.#dispatcher.queued,
      heldKinesisRecords: this.#settler.held,
      requestsInFlight: this.#sender.underWay,
      openShards: this.#view.map?.open.length ?? 0,
      limited: this.#dispatcher.limited,
      ...this.#meter.report(this.#dispatcher, this.now()),
    })
  }

  get #oldestRecordAgeMs(): number {
    const now = this.now()
    return now - (this.#account.oldestSince ?? now)
  }

  now(): number {
    return this.#settings.clock.now()
  }

  // ---- in ----

  #check(record: UserRecord): void {
    const { maxBufferedBytes } = this.#settings
    if (record.bytes > maxBufferedBytes) {
      throw new RecordRejectedError(
        'data',
        `with its key has ${record.bytes} bytes, more than maxBufferedBytes (${maxBufferedBytes})`,
      )
    }
    const refusal = this.#refusal(record)
    if (refusal !== undefined) throw refusal
  }

  /** Why the record cannot go, as far as is known now: asked again when it has waited. */
  #refusal(record: UserRecord): Error | undefined {
    const refusal = streamRefusal(record, this.#settings.stream, this.#view.traits?.maxRecordBytes, this.#packer.auto)
    return refusal ?? this.#halting.refusalOf(record)
  }

  #admit(record: UserRecord, now: number, hasWaited = false): void {
    record.expiresAt = now + this.#settings.recordTtlMs
    record.rank = this.#counters.accepted++
    this.#account.admitted(record, now)
    this.#meter.accepted(record.partitionKey, now)
    if (!this.#gate.opensFor(now)) this.#gate.wait(record, now)
    else if (hasWaited) this.#route(record, now)
    else this.#pack(record, now)
  }

  /** After a wait, in which the stream or the record's data may have become others. */
  #route(record: UserRecord, now: number): void {
    const refusal = record.data.byteLength === record.dataBytes ? this.#refusal(record) : spoilt(record)
    if (refusal !== undefined) {
      this.#settler.fail(record, refusal)
      return
    }
    this.#pack(record, now)
  }

  #pack(record: UserRecord, now: number): void {
    const completed = this.#completed
    this.#packer.add(record, now, completed)
    this.#alarm.wakeBy(now + this.#settings.lingerMs)
    if (completed.length === 0) return
    this.#completed = []
    for (const entry of completed) this.#enqueue(entry, now)
  }

  /** Queues an entry and sends what that makes due. Within a turn the turn will do so. */
  #enqueue(entry: Entry, now: number): void {
    const lane = this.#dispatcher.enqueue(entry)
    if (this.#turning !== 'no') return
    this.#dispatcher.release(lane, now)
    this.#alarm.wakeBy(this.#dispatcher.wakeAt)
    if (this.#dispatcher.dueAt <= now || this.#dispatcher.hasExpired) this.turn(now)
    else this.#wakeForRequest()
  }

  admitLate(record: UserRecord, now: number): void {
    const turning = this.#turning
    // As within a turn: nothing may be sent, and no other record come in, before this one is in its place.
    if (turning === 'no') this.#turning = 'once'
    this.#admit(record, now, true)
    this.#hurriesLate ||= this.#ledger.isFlushing(record)
    if (turning === 'no') this.#turning = 'no'
  }

  /** Nothing lingers any longer. */
  #hurry(now: number): void {
    const completed: Entry[] = []
    this.#packer.closeAll(completed)
    for (const entry of completed) this.#dispatcher.enqueue(entry)
    this.#dispatcher.hurry(now)
  }

  // ---- out and back ----

  #sendDue(now: number): boolean {
    if (this.#sender.underWay >= this.#settings.maxRequestsInFlight || this.#stopped) return false
    const entries = this.#dispatcher.takeDue(now)
    if (entries === undefined) return false
    let bytes = 0
    let userRecords = 0
    for (const entry of entries) {
      entry.attempts++
      bytes += entry.bytes
      userRecords += entry.count
    }
    this.#counters.requests++
    this.#counters.kinesisRecords += entries.length
    this.#meter.sent(entries, now)
    const { id: requestId } = this.#sender.send(entries, now)
    if (this.#events.hasListeners('request-sent')) {
      this.#events.emit({
        type: 'request-sent',
        stream: this.#settings.stream,
        requestId,
        kinesisRecords: entries.length,
        userRecords,
        bytes,
      })
    }
    return true
  }

  #complete(request: Request, outcome: RequestOutcome): void {
    const now = this.now()
    // An outcome may flush, and end another request in the middle of this one.
    const wasSettling = this.#isSettling
    this.#isSettling = true
    try {
      this.#settler.complete(request, outcome, now)
    } finally {
      this.#isSettling = wasSettling
    }
    if (outcome.kind === 'failed') {
      if (outcome.failure.kind === 'not-found') this.#gate.startOver(now)
      // A size that the stream no longer takes, perhaps: ask, so that the next such record is refused when it is put.
      else if (outcome.failure.kind === 'invalid') this.#view.probe(now)
    }
    this.turn(now)
  }

  // ---- time ----

  /** Does everything that is due, and sets the timer for what comes next. */
  turn(now: number): void {
    if (this.#turning !== 'no') {
      this.#turning = 'again'
      return
    }
    do {
      this.#turning = 'once'
      this.#burstClock.forget()
      this.#alarm.reset()
      try {
        this.#step(now)
      } catch (error) {
        // No stage throws. If one does, nothing else may stop for it.
        this.#turning = 'no'
        throw error
      }
    } while ((this.#turning as 'once' | 'again') === 'again')
    this.#turning = 'no'
    this.#arm()
  }

  #step(now: number): void {
    // What went on of them must be in its place before anything that comes back goes ahead of it.
    this.#settleExpired(now)
    this.#sender.giveUp(now)
    this.#gate.advance(now)
    this.#view.tick(now)
    const heldUntil = this.#settler.nextExpiry
    if (heldUntil !== undefined && heldUntil <= now) this.#settler.judgeHeld(now)
    this.#hurryLate(now)
    const completed: Entry[] = []
    this.#packer.closeDue(now, completed)
    for (const entry of completed) this.#dispatcher.enqueue(entry)
    do {
      do {
        this.#releaseAll(now)
      } while (this.#sendDue(now))
    } while (this.#admitWaiting(now))
    this.#alarm.wakeBy(this.#dispatcher.wakeAt)
    this.#alarm.wakeBy(this.#packer.nextDue)
    this.#alarm.wakeBy(this.#settler.nextExpiry)
    this.#alarm.wakeBy(this.#view.nextAt)
    this.#wakeForRequest()
    this.#alarm.wakeBy(this.#sender.nextTimeout)
    this.#meter.look(this.#account.records, now)
    this.#ledger.wake()
  }

  #releaseAll(now: number): void {
    this.#dispatcher.releaseAll(now)
    while (this.#dispatcher.hasExpired) {
      this.#settleExpired(now)
      this.#dispatcher.releaseAll(now)
    }
  }

  #settleExpired(now: number): void {
    for (const entry of this.#dispatcher.takeExpired()) this.#settler.repack(entry, now, now)
  }

  /** Takes in those for whom there is room now. */
  #admitWaiting(now: number): boolean {
    const admitted = this.#account.admitWaiting(now)
    this.#hurryLate(now)
    return admitted
  }

  #hurryLate(now: number): void {
    if (!this.#hurriesLate) return
    this.#hurriesLate = false
    this.#hurry(now)
  }

  /** With all slots taken there is no need for a timer: the next answer frees one. */
  #wakeForRequest(): void {
    if (this.#sender.underWay < this.#settings.maxRequestsInFlight) this.#alarm.wakeBy(this.#dispatcher.dueAt)
  }

  /** After a put. One by a listener may come when the turn that it is in has done its sending. */
  #rearm(): void {
    if (this.#turning === 'no') this.#arm()
    else this.#turning = 'again'
  }

  /** While nothing is buffered, the timer does not keep the process alive. */
  #arm(): void {
    if (this.#turning !== 'no' || this.#stopped) return
    this.#alarm.set(this.#account.isEmpty && !this.#gate.isAwaited)
  }
}
