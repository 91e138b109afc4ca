import type { Scheduled } from '@shardwise/core/clock'
import type { EventSource } from '@shardwise/core/events'
import { effectiveHashKey } from '@shardwise/core/hash-key'
import type { KinesisPort, StreamReference } from '@shardwise/core/kinesis-port'
import type { ShardMap } from '@shardwise/core/shard-map'
import { spoilt } from './delivery-failure.js'
import { Dispatcher } from './dispatcher.js'
import type { Entry } from './entry.js'
import { Ledger } from './ledger.js'
import { Packer } from './packer.js'
import { LaneHaltedError, ProducerClosedError, RecordRejectedError, type StreamUnusableError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import type { Settings } from './producer-options.js'
import { ProducerCounters, type ProducerStats } from './producer-stats.js'
import { type Request, type RequestOutcome, RequestSender } from './request-sender.js'
import { Settler } from './settler.js'
import { LaneHalts } from './shard-lanes.js'
import { type StreamTraits, StreamView, type StreamViewListener } from './stream-view.js'
import { tooLarge, type UserRecord } from './user-record.js'

interface LoadWaiter {
  readonly since: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** `load` gives up at the first failure after this time; records that wait go on trying for as long as they live. */
const LOAD_PATIENCE_MS = 3000

/**
 * Wires the stages, owns the one timer, and decides nothing that a stage can decide.
 *
 *   ledger: admission -> packer: aggregator -> dispatcher: lane -> limiter -> batcher -> sender -> settler: settlement -> delivered
 *                             ^                              ^                                        |
 *                             +----------- repack -----------+---------------- retry -----------------+
 *
 * Everything happens in a call of the producer, in the timer, or when a call to Kinesis ends; all of them end in `#turn`, which does what is
 * due and sets the timer. Event listeners may call the producer in the middle of that: every stage is consistent whenever something is
 * emitted, and a turn inside a turn only makes the outer one go round again.
 */
export class Pipeline implements StreamViewListener {
  readonly #settings: Settings
  readonly #events: EventSource<ProducerEvent>
  readonly #counters = new ProducerCounters()
  readonly #ledger: Ledger
  readonly #packer: Packer
  readonly #dispatcher: Dispatcher
  readonly #sender: RequestSender
  readonly #settler: Settler
  readonly #view: StreamView
  readonly #halts = new LaneHalts()
  /** Accepted, in order, until there is a map. */
  #unrouted: UserRecord[] = []
  readonly #loadWaiters: LoadWaiter[] = []
  #completed: Entry[] = []
  #timer: Scheduled | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #timerIsBackground = false
  #wakeAt = Number.POSITIVE_INFINITY
  #turning: 'no' | 'once' | 'again' = 'no'
  #stopped = false

  constructor(settings: Settings, port: KinesisPort, stream: StreamReference, events: EventSource<ProducerEvent>) {
    const { retry, random, ordering, maxBufferedBytes, maxBufferedRecords, shardRatePercent, streamRate } = settings
    const serial = ordering === 'perShard'
    this.#settings = settings
    this.#events = events
    this.#ledger = new Ledger({ maxBytes: maxBufferedBytes, maxRecords: maxBufferedRecords }, events)
    this.#view = new StreamView(port, stream, { name: settings.stream, ordered: serial, retry, random }, this)
    this.#packer = new Packer(settings, this.#view)
    this.#dispatcher = new Dispatcher({
      ...{ serial, shardRatePercent, streamRate, random },
      request: { maxRecords: settings.requestMaxRecords, targetBytes: settings.requestMaxBytes },
    })
    const ended = (request: Request, outcome: RequestOutcome): void => this.#complete(request, outcome)
    this.#sender = new RequestSender(port, stream, settings.requestTimeoutMs, ended)
    this.#settler = new Settler({
      ...{ settings, events, counters: this.#counters, ledger: this.#ledger, packer: this.#packer },
      ...{ dispatcher: this.#dispatcher, halts: this.#halts, view: this.#view },
      park: (records, now) => this.#park(records, now),
      keysIgnored: (now) => this.#turnAuto(now),
    })
  }

  /** Takes the record in at once, or lets it wait for room: `admitted` tells. Throws for a record that can never go. */
  put(record: UserRecord, admitted?: () => void): boolean {
    this.#check(record)
    const isIn = this.#ledger.takeOrWait(record, admitted)
    if (isIn) this.#admit(record, this.now())
    this.#rearm()
    return isIn
  }

  /** Takes the record in, or returns false. Throws for a record that can never go. */
  offer(record: UserRecord): boolean {
    this.#check(record)
    if (!this.#ledger.take(record)) return false
    this.#admit(record, this.now())
    this.#rearm()
    return true
  }

  ready(): Promise<void> {
    return this.#ledger.ready()
  }

  /** Resolves when the stream is known; rejects with StreamUnusableError. */
  load(): Promise<void> {
    if (this.#view.isReady) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const since = this.now()
      this.#loadWaiters.push({ since, resolve, reject })
      this.#loadView(since)
      this.#arm()
    })
  }

  flush(): Promise<void> {
    const now = this.now()
    const flushed = this.#ledger.flush()
    this.#hurry(now)
    this.#turn(now)
    return flushed
  }

  resume(): void {
    this.#halts.resume()
  }

  /** For after the last flush: nothing is sent, awaited or timed any more. */
  stop(): void {
    this.#stopped = true
    this.#view.stop()
    this.#ledger.close(this.#settings.stream)
    for (const { reject } of this.#loadWaiters.splice(0)) reject(new ProducerClosedError(this.#settings.stream))
    this.#timer?.cancel()
    this.#timer = undefined
  }

  stats(): ProducerStats {
    return this.#counters.snapshot({
      bufferedRecords: this.#ledger.records,
      bufferedBytes: this.#ledger.bytes,
      waitingForRoom: this.#ledger.waiting,
      openAggregates: this.#packer.openAggregates,
      queuedKinesisRecords: this.#dispatcher.queued,
      heldKinesisRecords: this.#settler.held,
      requestsInFlight: this.#sender.underWay,
      openShards: this.#view.map?.open.length ?? 0,
      limited: this.#dispatcher.limited,
    })
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
    const limit = this.#view.traits?.maxRecordBytes
    if (limit !== undefined && record.bytes > limit) return tooLarge(record.bytes, limit, `stream ${this.#settings.stream}`)
    if (!this.#halts.any) return undefined
    const cause = this.#halts.causeFor(effectiveHashKey(record.partitionKey, record.explicitHashKey))
    return cause && new LaneHaltedError(record.partitionKey, 'no', cause)
  }

  #admit(record: UserRecord, now: number): void {
    record.expiresAt = now + this.#settings.recordTtlMs
    this.#counters.accepted++
    if (this.#view.isReady && this.#unrouted.length === 0) {
      this.#route(record, now)
      return
    }
    this.#unrouted.push(record)
    this.#wakeBy(record.expiresAt)
    this.#loadView(now)
  }

  #route(record: UserRecord, now: number): void {
    const refusal = record.data.byteLength === record.dataBytes ? this.#refusal(record) : spoilt(record)
    if (refusal !== undefined) {
      this.#settler.fail(record, refusal)
      return
    }
    const completed = this.#completed
    this.#packer.add(record, now, completed)
    this.#wakeBy(now + this.#settings.lingerMs)
    if (completed.length === 0) return
    this.#completed = []
    for (const entry of completed) this.#enqueue(entry, now)
  }

  /** Queues an entry and sends what that makes due. Within a turn the turn will do so. */
  #enqueue(entry: Entry, now: number): void {
    const lane = this.#dispatcher.enqueue(entry)
    if (this.#turning !== 'no') return
    this.#dispatcher.release(lane, now)
    this.#wakeBy(this.#dispatcher.wakeAt)
    if (this.#dispatcher.dueAt <= now || this.#dispatcher.hasExpired) this.#turn(now)
    else this.#wakeForRequest()
  }

  #routeWaiting(now: number): void {
    const flushing = this.#unrouted.some((record) => this.#ledger.isFlushing(record))
    // By index and not by shift: what a listener puts in the middle of this goes to the end and keeps its place.
    for (let i = 0; i < this.#unrouted.length; i++) {
      const record = this.#unrouted[i]!
      if (record.expiresAt <= now) this.#settler.expireUnsent([record])
      else this.#route(record, now)
    }
    this.#unrouted.length = 0
    if (flushing) this.#hurry(now)
  }

  #park(records: readonly UserRecord[], now: number): void {
    // Not as arguments of unshift: there may be more records than a call takes.
    this.#unrouted = records.concat(this.#unrouted)
    this.#loadView(now)
  }

  #loadView(now: number): void {
    this.#view.load(now)
    this.#wakeBy(this.#view.nextAt)
  }

  /** Nothing lingers any longer. */
  #hurry(now: number): void {
    this.#closeAggregates()
    this.#dispatcher.hurry(now)
  }

  #closeAggregates(): void {
    const completed: Entry[] = []
    this.#packer.closeAll(completed)
    for (const entry of completed) this.#dispatcher.enqueue(entry)
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
      userRecords += entry.records.length
    }
    this.#counters.requests++
    this.#counters.kinesisRecords += entries.length
    const { id: requestId } = this.#sender.send(entries, now)
    if (this.#events.hasListeners('request-sent')) {
      this.#events.emit({ type: 'request-sent', requestId, kinesisRecords: entries.length, userRecords, bytes })
    }
    return true
  }

  #complete(request: Request, outcome: RequestOutcome): void {
    const now = this.now()
    this.#settler.complete(request, outcome, now)
    if (outcome.kind === 'failed') {
      if (outcome.failure.kind === 'not-found') this.#startOver(now)
      // A size that the stream no longer takes, perhaps: ask, so that the next such record is refused when it is put.
      else if (outcome.failure.kind === 'invalid') this.#view.probe(now)
    }
    this.#turn(now)
  }

  // ---- what the stream's view tells ----

  mapChanged(map: ShardMap, before: ShardMap | undefined): void {
    const now = this.now()
    this.#relane(now)
    this.#settler.judgeHeld(now)
    const was = new Set(before?.open.map((shard) => shard.shardId))
    const opened = map.open.map((shard) => shard.shardId).filter((shardId) => !was.delete(shardId))
    this.#counters.mapRefreshes++
    this.#events.emit({ type: 'map-refreshed', openShards: map.open.length, opened, closed: [...was] })
  }

  mapConfirmed(): void {
    this.#settler.judgeHeld(this.now())
  }

  traitsKnown({ distribution }: StreamTraits): void {
    const auto = distribution === undefined ? this.#packer.auto : distribution === 'auto'
    const changed = auto !== this.#packer.auto
    this.#packer.auto = auto
    if (this.#view.isReady) this.#relane(this.now())
    if (changed) this.#events.emit({ type: 'distribution-changed', distribution: auto ? 'auto' : 'partition-key' })
  }

  probeDenied(message: string): void {
    this.#events.emit({ type: 'probe-denied', message })
  }

  failed(error: StreamUnusableError, fatal: boolean): void {
    this.#settler.loadError = error
    this.#events.emit({ type: 'shard-map-failed', code: error.serviceCode, message: error.message, retryable: !fatal })
    if (this.#view.isReady) {
      // A stream that lost the means to keep order. Anything else leaves the map that we have in use.
      if (error.serviceCode === 'AutoDistribution') this.#refuseAll(error)
      // What was refused may be permitted again before the records that wait for it expire.
      else if (this.#settler.held > 0) this.#view.refresh(this.now(), true)
      return
    }
    if (fatal) {
      this.#refuseAll(error)
      return
    }
    // A stream in creation is worth waiting for: it is on its way.
    const patienceMs = error.serviceCode === 'StreamCreating' ? this.#settings.recordTtlMs : LOAD_PATIENCE_MS
    const now = this.now()
    for (const waiter of this.#loadWaiters.splice(0)) {
      if (now - waiter.since >= patienceMs) waiter.reject(error)
      else this.#loadWaiters.push(waiter)
    }
    // Nobody wants it any more: the next put will ask again.
    if (this.#loadWaiters.length === 0 && this.#ledger.isEmpty) this.#view.forget()
  }

  idle(): void {
    if (this.#view.isReady) {
      for (const { resolve } of this.#loadWaiters.splice(0)) resolve()
    }
    this.#turn(this.now())
  }

  /** Predicts and packs everything that is not in flight again: the map or the way of distribution is another one. */
  #relane(now: number): void {
    const completed: Entry[] = []
    this.#packer.adapt(completed)
    for (const entry of completed) this.#dispatcher.enqueue(entry)
    const moved = this.#dispatcher.changeMap(this.#packer.auto ? undefined : this.#view.map, this.#view.map?.open.length)
    const records = dissolved(moved)
    for (const entry of this.#settler.pack(records, now)) this.#dispatcher.enqueue(entry)
  }

  /**
   * The service was caught ignoring keys: from this moment nothing may be aggregated, whatever a probe says later (decision 5). If order
   * was promised, the probe will say that it cannot be kept.
   */
  #turnAuto(now: number): void {
    if (this.#packer.auto) return
    if (this.#settings.ordering === 'none') {
      this.#packer.auto = true
      this.#relane(now)
      this.#events.emit({ type: 'distribution-changed', distribution: 'auto' })
    }
    // With a listing: the shards may be those of another stream of the same name, and the keys not ignored at all.
    this.#view.probe(now, true)
  }

  /**
   * The stream is gone. Another one of its name may come, with other shards of the same ids: nothing that was predicted is right any more.
   * What is queued waits for a map again, ahead of what is put from now on and behind what is in flight, should that come back.
   */
  #startOver(now: number): void {
    this.#view.forget()
    this.#closeAggregates()
    // Lane by lane in order; by expiry the order of each lane stays, for what was put earlier expires no later.
    const records = dissolved(this.#dispatcher.clearAll()).sort((a, b) => a.expiresAt - b.expiresAt)
    if (records.length > 0) this.#park(records, now)
  }

  /** Rejects all that is not in flight, and forgets the stream: the next put tries afresh. */
  #refuseAll(error: StreamUnusableError): void {
    this.#startOver(this.now())
    const records = this.#unrouted
    this.#unrouted = []
    for (const { reject } of this.#loadWaiters.splice(0)) reject(error)
    this.#settler.refuse(records, error)
    this.#events.emit({ type: 'stream-unusable', error })
  }

  // ---- time ----

  /** Does everything that is due, and sets the timer for what comes next. */
  #turn(now: number): void {
    if (this.#turning !== 'no') {
      this.#turning = 'again'
      return
    }
    do {
      this.#turning = 'once'
      this.#wakeAt = Number.POSITIVE_INFINITY
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
    this.#sender.giveUp(now)
    if (this.#unrouted.length > 0) this.#advanceUnrouted(now)
    this.#view.tick(now)
    const heldUntil = this.#settler.nextExpiry
    if (heldUntil !== undefined && heldUntil <= now) this.#settler.judgeHeld(now)
    const completed: Entry[] = []
    this.#packer.closeDue(now, completed)
    for (const entry of completed) this.#dispatcher.enqueue(entry)
    this.#dispatcher.resetWake()
    do {
      do {
        this.#releaseAll(now)
      } while (this.#sendDue(now))
    } while (this.#admitWaiting(now))
    this.#wakeBy(this.#dispatcher.wakeAt)
    this.#wakeBy(this.#packer.nextDue)
    this.#wakeBy(this.#settler.nextExpiry)
    this.#wakeBy(this.#view.nextAt)
    this.#wakeForRequest()
    this.#wakeBy(this.#sender.nextTimeout)
    this.#ledger.wake()
  }

  #releaseAll(now: number): void {
    this.#dispatcher.releaseAll(now)
    while (this.#dispatcher.hasExpired) {
      for (const entry of this.#dispatcher.takeExpired()) this.#settler.repack(entry.dissolve(), now, now)
      this.#dispatcher.releaseAll(now)
    }
  }

  #advanceUnrouted(now: number): void {
    if (this.#view.isReady) {
      this.#routeWaiting(now)
      return
    }
    let late = 0
    while (late < this.#unrouted.length && this.#unrouted[late]!.expiresAt <= now) late++
    if (late > 0) this.#settler.expireUnsent(this.#unrouted.splice(0, late))
    if (this.#unrouted.length === 0) return
    this.#wakeBy(this.#unrouted[0]!.expiresAt)
    this.#loadView(now)
  }

  /** Takes in those for whom there is room now. */
  #admitWaiting(now: number): boolean {
    let admitted = false
    let flushing = false
    for (let record = this.#ledger.admitNext(); record !== undefined; record = this.#ledger.admitNext()) {
      admitted = true
      flushing ||= this.#ledger.isFlushing(record)
      this.#admit(record, now)
    }
    if (flushing) this.#hurry(now)
    return admitted
  }

  #wakeBy(at: number | undefined): void {
    if (at !== undefined && at < this.#wakeAt) this.#wakeAt = at
  }

  /** With all slots taken there is no need for a timer: the next answer frees one. */
  #wakeForRequest(): void {
    if (this.#sender.underWay < this.#settings.maxRequestsInFlight) this.#wakeBy(this.#dispatcher.dueAt)
  }

  /** After a put. One by a listener may come when the turn that it is in has done its sending. */
  #rearm(): void {
    if (this.#turning === 'no') this.#arm()
    else this.#turning = 'again'
  }

  /** Makes the timer agree with what is known. While nothing is buffered it does not keep the process alive. */
  #arm(): void {
    if (this.#turning !== 'no' || this.#stopped) return
    const background = this.#ledger.isEmpty && this.#loadWaiters.length === 0
    if (this.#wakeAt === this.#timerAt && background === this.#timerIsBackground) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerAt = this.#wakeAt
    this.#timerIsBackground = background
    if (this.#wakeAt === Number.POSITIVE_INFINITY) return
    this.#timer = this.#settings.clock.schedule(
      // Whole milliseconds: a remainder too small to move the clock would have the timer fire before its time, for ever.
      Math.ceil(this.#wakeAt - this.now()),
      () => {
        this.#timer = undefined
        this.#timerAt = Number.POSITIVE_INFINITY
        this.#turn(this.now())
      },
      { background },
    )
  }
}

function dissolved(entries: readonly Entry[]): UserRecord[] {
  return entries.flatMap((entry) => entry.dissolve())
}
