import type { Scheduled } from '@shardwise/core/clock'
import type { EventSource } from '@shardwise/core/events'
import { effectiveHashKey, type HashKeyRange, hashKeyWords, toWords } from '@shardwise/core/hash-key'
import type { KinesisPort, PutRecordsResult, StreamReference } from '@shardwise/core/kinesis-port'
import { classifyFailure } from '@shardwise/core/service-error'
import type { ShardMap } from '@shardwise/core/shard-map'
import { Aggregator } from './aggregator.js'
import { expired, misunderstood, refused } from './delivery-failure.js'
import { Entry } from './entry.js'
import { Ledger } from './ledger.js'
import { LaneHaltedError, ProducerClosedError, RecordRejectedError, type StreamUnusableError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import type { Settings } from './producer-options.js'
import { ProducerCounters, type ProducerStats } from './producer-stats.js'
import { RequestBatcher } from './request-batcher.js'
import { type RequestOutcome, RequestSender } from './request-sender.js'
import { decideRetry } from './retry-policy.js'
import { type Placement, settle } from './settlement.js'
import { type Lane, LaneHalts, ShardLanes } from './shard-lanes.js'
import { ShardRateLimiter } from './shard-rate-limiter.js'
import { StreamView, type StreamViewListener } from './stream-view.js'
import { tooLarge, type UserRecord } from './user-record.js'

interface Request {
  readonly id: number
  readonly entries: readonly Entry[]
  readonly sentAt: number
  readonly abort: AbortController
}

interface HeldSettlement {
  readonly entry: Entry
  readonly result: PutRecordsResult
}

interface StartWaiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** A key has at most 256 characters of at most four bytes. An aggregate must leave room for it in the stream's record size. */
const LONGEST_KEY_BYTES = 1024
/** `start` gives up after this many failed attempts to load the map; records that wait keep trying for as long as they live. */
const START_ATTEMPTS = 3

/**
 * Wires the stages and owns the one timer. It is the only place that knows them all, and it decides nothing that a stage can decide.
 *
 *   admission -> aggregator -> lane -> limiter -> batcher -> sender -> settlement -> delivered
 *                    ^           ^                                         |
 *                    +-- repack -+------------------ retry ----------------+
 *
 * Everything happens in `put`, in the timer, or when a call ends. Event listeners and they alone may call back into the pipeline in
 * the middle of that: stages are consistent at each emit, and `#turn` does not nest.
 */
export class Pipeline implements StreamViewListener {
  readonly #settings: Settings
  readonly #events: EventSource<ProducerEvent>
  readonly #ledger: Ledger
  readonly #lanes: ShardLanes
  readonly #limiter = new ShardRateLimiter()
  readonly #batcher = new RequestBatcher()
  readonly #sender: RequestSender
  readonly #view: StreamView
  readonly #halts = new LaneHalts()
  readonly #counters = new ProducerCounters()
  readonly #requests = new Set<Request>()
  #aggregator: Aggregator | undefined
  #aggregateMaxBytes = 0
  /** The service ignores keys: neither predict nor aggregate. */
  #auto = false
  /** Records in, in order, until there is a map. */
  #unrouted: UserRecord[] = []
  #held: HeldSettlement[] = []
  #startWaiters: StartWaiter[] = []
  #loadFailures = 0
  #lastLoadError: StreamUnusableError | undefined
  #nextRequestId = 1
  #completed: Entry[] = []
  readonly #words = new Uint32Array(4)
  #timer: Scheduled | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #timerIsBackground = false
  #wakeAt = Number.POSITIVE_INFINITY
  #turning = false
  #turnAgain = false
  #stopped = false

  constructor(settings: Settings, port: KinesisPort, stream: StreamReference, events: EventSource<ProducerEvent>) {
    const { retry, random, ordering, maxBufferedBytes, maxBufferedRecords } = settings
    this.#settings = settings
    this.#events = events
    this.#ledger = new Ledger({ maxBytes: maxBufferedBytes, maxRecords: maxBufferedRecords }, events)
    this.#lanes = new ShardLanes({ serial: ordering === 'perShard' })
    this.#sender = new RequestSender(port, stream)
    this.#view = new StreamView(port, stream, { name: settings.stream, ordered: ordering === 'perShard', retry, random }, this)
  }

  // ---- in ----

  /** Takes the record in at once, or lets it wait for room. Throws for a record that can never go. */
  put(record: UserRecord): void {
    this.#check(record)
    if (this.#ledger.takeOrWait(record)) this.#admit(record, this.now())
    this.#arm()
  }

  /** Takes the record in, or returns false. Throws for a record that can never go. */
  offer(record: UserRecord): boolean {
    this.#check(record)
    if (!this.#ledger.take(record)) return false
    this.#admit(record, this.now())
    this.#arm()
    return true
  }

  ready(): Promise<void> {
    return this.#ledger.ready()
  }

  /** Resolves when the stream is known; rejects with StreamUnusableError. */
  load(): Promise<void> {
    if (this.#view.isReady) return Promise.resolve()
    const { promise, resolve, reject } = deferred()
    this.#startWaiters.push({ resolve, reject })
    this.#view.load(this.now())
    this.#arm()
    return promise
  }

  flush(): Promise<void> {
    const now = this.now()
    const flushed = this.#ledger.flush()
    this.#closeAggregates()
    this.#lanes.hurry(now)
    this.#batcher.hurry()
    this.#turn(now)
    return flushed
  }

  resume(): void {
    this.#halts.resume()
  }

  /** For after the last flush. Nothing is sent, awaited or timed from here on. */
  stop(): void {
    this.#stopped = true
    this.#view.stop()
    this.#ledger.close(this.#settings.stream)
    for (const { reject } of this.#startWaiters.splice(0)) reject(new ProducerClosedError(this.#settings.stream))
    this.#timer?.cancel()
    this.#timer = undefined
  }

  stats(): ProducerStats {
    return this.#counters.snapshot({
      bufferedRecords: this.#ledger.records,
      bufferedBytes: this.#ledger.bytes,
      waitingForRoom: this.#ledger.waiting,
      openAggregates: this.#aggregator?.openAggregates ?? 0,
      queuedKinesisRecords: this.#lanes.queuedEntries + this.#batcher.count,
      heldKinesisRecords: this.#held.length,
      requestsInFlight: this.#requests.size,
      openShards: this.#view.map?.open.length ?? 0,
    })
  }

  now(): number {
    return this.#settings.clock.now()
  }

  #check(record: UserRecord): void {
    const { maxBufferedBytes, stream } = this.#settings
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
    const cause = this.#halts.any
      ? this.#halts.causeFor(effectiveHashKey(record.partitionKey, record.explicitHashKey))
      : undefined
    return cause && new LaneHaltedError(record.partitionKey, 'no', cause)
  }

  #admit(record: UserRecord, now: number): void {
    record.expiresAt = now + this.#settings.recordTtlMs
    this.#counters.accepted++
    if (this.#view.isReady && this.#unrouted.length === 0) {
      const refusal = this.#refusal(record)
      if (refusal === undefined) this.#route(record, now)
      else this.#fail(record, refusal)
      return
    }
    this.#unrouted.push(record)
    this.#wakeBy(record.expiresAt)
    this.#view.load(now)
  }

  // ---- packing ----

  #route(record: UserRecord, now: number): void {
    const deadline = now + this.#settings.lingerMs
    if (this.#auto) {
      this.#enqueue(Entry.plain(record, undefined, deadline), now)
      return
    }
    const index = this.#predict(record)
    const { shardId } = this.#view.map!.open[index]!
    if (this.#settings.aggregation === 'off') {
      this.#enqueue(Entry.plain(record, shardId, deadline), now)
      return
    }
    const completed = this.#completed
    this.#aggregator!.add(record, index, shardId, now, completed)
    this.#wakeBy(deadline)
    if (completed.length === 0) return
    this.#completed = []
    for (const entry of completed) this.#enqueue(entry, now)
  }

  #predict(record: UserRecord): number {
    if (record.explicitHashKey === undefined) hashKeyWords(record.partitionKey, this.#words)
    else toWords(BigInt(record.explicitHashKey), this.#words)
    return this.#view.map!.indexOf(this.#words)
  }

  /** Records of former entries, in order, as entries by the present map. */
  #pack(records: readonly UserRecord[], now: number): Entry[] {
    if (this.#auto) return records.map((record) => Entry.plain(record, undefined, now))
    const shardIdAt = (index: number): string => this.#view.map!.open[index]!.shardId
    if (this.#settings.aggregation === 'off') {
      return records.map((record) => Entry.plain(record, shardIdAt(this.#predict(record)), now))
    }
    return this.#aggregator!.repack(records, (record) => this.#predict(record), shardIdAt, now)
  }

  #routeWaiting(now: number): void {
    // By index and not by shift: what a listener puts in the middle of this goes to the end and keeps its place.
    const flushing = this.#unrouted.some((record) => this.#ledger.isFlushing(record))
    for (let i = 0; i < this.#unrouted.length; i++) {
      const record = this.#unrouted[i]!
      if (record.expiresAt <= now) {
        this.#giveUp([record], [expired(this.#explained(record), this.#settings.recordTtlMs)], now)
        continue
      }
      const refusal = this.#refusal(record)
      if (refusal !== undefined) this.#fail(record, refusal)
      else this.#route(record, now)
    }
    this.#unrouted.length = 0
    if (flushing) this.#closeAggregates()
  }

  /** Completes every open aggregate and queues it, without sending. */
  #closeAggregates(): void {
    const completed: Entry[] = []
    this.#aggregator?.closeAll(completed)
    for (const entry of completed) this.#lanes.enqueue(entry, this.#rangeOf(entry))
  }

  // ---- sending ----

  #enqueue(entry: Entry, now: number): void {
    const lane = this.#lanes.enqueue(entry, this.#rangeOf(entry))
    if (this.#turning) return
    this.#release(lane, now)
    if (this.#sendDue(now)) this.#turn(now)
    else this.#wakeForBatch()
  }

  /** Moves what may leave the lane into the batcher. True when the batcher takes no more. */
  #release(lane: Lane, now: number): boolean {
    for (let entry = this.#lanes.head(lane); entry !== undefined; entry = this.#lanes.head(lane)) {
      if (entry.expiresAt <= now) {
        this.#lanes.drop(lane)
        this.#repack(entry.dissolve(), now, now)
        continue
      }
      this.#wakeBy(entry.expiresAt)
      const opensAt = this.#lanes.opensAt(lane)
      if (opensAt > now) {
        this.#wakeBy(opensAt)
        break
      }
      if (!this.#batcher.accepts(entry.bytes)) return true
      const wait = lane.shardId === undefined ? 0 : this.#limiter.take(lane.shardId, entry.bytes, now)
      if (wait > 0) {
        this.#counters.limited++
        this.#wakeBy(now + wait)
        break
      }
      this.#batcher.add(this.#lanes.take(lane))
    }
    if (this.#settings.ordering === 'perShard' && this.#lanes.isCrowded(lane)) {
      // Lingering fills requests; here it would only hold up what waits behind in this lane.
      this.#batcher.hurry()
    }
    return false
  }

  /** A full house needs no timer: the next answer makes room. */
  #wakeForBatch(): void {
    if (this.#requests.size < this.#settings.maxRequestsInFlight) this.#wakeBy(this.#batcher.dueAt)
  }

  #releaseAll(now: number): void {
    for (const lane of this.#lanes.active) {
      if (!this.#release(lane, now)) continue
      this.#lanes.yieldTurn(lane)
      return
    }
  }

  /** Sends one request if one is due and a slot is free. */
  #sendDue(now: number): boolean {
    if (this.#batcher.dueAt > now || this.#requests.size >= this.#settings.maxRequestsInFlight || this.#stopped) return false
    const entries = this.#batcher.take()
    const request: Request = { id: this.#nextRequestId++, entries, sentAt: now, abort: new AbortController() }
    this.#requests.add(request)
    let bytes = 0
    let userRecords = 0
    for (const entry of entries) {
      entry.attempts++
      bytes += entry.bytes
      userRecords += entry.records.length
    }
    this.#counters.requests++
    this.#counters.kinesisRecords += entries.length
    this.#wakeBy(now + this.#settings.requestTimeoutMs)
    void this.#sender.send(entries, request.abort.signal).then((outcome) => {
      if (this.#requests.has(request)) this.#complete(request, outcome)
    })
    if (this.#events.hasListeners('request-sent')) {
      this.#events.emit({ type: 'request-sent', requestId: request.id, kinesisRecords: entries.length, userRecords, bytes })
    }
    return true
  }

  // ---- settling ----

  #complete(request: Request, outcome: RequestOutcome): void {
    const now = this.now()
    this.#requests.delete(request)
    const { id: requestId, entries, sentAt } = request
    const tookMs = now - sentAt
    if (outcome.kind === 'answered') {
      const refusedKinesisRecords = outcome.results.reduce((count, result) => count + (result.SequenceNumber ? 0 : 1), 0)
      this.#events.emit({ type: 'request-succeeded', requestId, tookMs, refusedKinesisRecords })
      entries.forEach((entry, i) => {
        this.#settle(entry, outcome.results[i]!, now)
      })
      this.#turn(now)
      return
    }
    this.#counters.requestsFailed++
    const told =
      outcome.kind === 'failed'
        ? { ...outcome.failure, message: `${outcome.failure.message}. ${outcome.failure.advice}`, cause: outcome.cause }
        : {
            code: 'ResultCountMismatch',
            message: `the answer to PutRecords has ${outcome.results} results for ${entries.length} records, so none can be told apart`,
            retryable: false,
            written: 'unknown' as const,
            cause: undefined,
          }
    const { code, message, retryable, written, cause } = told
    const kinesisRecords = entries.length
    this.#events.emit({ type: 'request-failed', requestId, tookMs, kinesisRecords, code, message, retryable, written })
    for (const entry of entries) {
      entry.mayBeWritten ||= written === 'unknown'
      entry.lastFailure = { code, message, cause }
      if (retryable) this.#retry(entry, now)
      else {
        this.#lanes.settled(entry)
        const records = entry.dissolve()
        this.#giveUp(records, records.map(outcome.kind === 'miscounted' ? misunderstood : refused), now, entry)
      }
    }
    if (outcome.kind === 'failed') {
      if (outcome.failure.kind === 'not-found') this.#view.forget()
      // A size that the stream no longer takes, perhaps: ask, so that the next such record is refused when it is put.
      else if (outcome.failure.kind === 'invalid') this.#view.probe(now)
    }
    this.#turn(now)
  }

  #settle(entry: Entry, result: PutRecordsResult, now: number): void {
    const verdict = settle(entry, result, this.#view.rangeOf)
    switch (verdict.kind) {
      case 'delivered':
        this.#lanes.settled(entry)
        this.#deliver(entry, verdict.shardId, verdict.sequenceNumber)
        if (verdict.placement !== 'predicted') this.#misplaced(entry, verdict.shardId, verdict.placement, 'delivered', now)
        return
      case 'hold':
        // Its shard is newer than the map, or closed before the map was listed: the second time, ask for closed ones too.
        this.#held.push({ entry, result })
        this.#wakeBy(entry.lastExpiresAt)
        this.#misplaced(entry, verdict.shardId, 'elsewhere', 'undecided', now)
        return
      case 'wrong-shard':
        // Readers without the KCL's rule see what lies there, so the next attempt may duplicate.
        entry.mayBeWritten = true
        entry.lastFailure = {
          code: 'WrongShard',
          message: `it was written to ${verdict.shardId} outside of that shard's hash range, where readers drop it`,
          cause: undefined,
        }
        this.#counters.wrongShard++
        this.#misplaced(entry, verdict.shardId, verdict.placement, 'resent', now)
        this.#retry(entry, now, entry.totalAttempts > 1)
        return
      case 'unclear':
        entry.mayBeWritten = true
        entry.lastFailure = {
          code: 'EmptyResult',
          message: 'the service gave neither a sequence number nor an error',
          cause: undefined,
        }
        this.#retry(entry, now)
        return
      case 'refused': {
        const { code, message } = verdict
        const failure = classifyFailure(Object.assign(new Error(message), { name: code }))
        const throttled = failure.kind === 'throttled'
        if (throttled) this.#counters.throttled++
        entry.mayBeWritten ||= failure.written === 'unknown'
        entry.lastFailure = { code, message: `${message}. ${failure.advice}`, cause: undefined }
        // An entry's error that we do not know is the service's affair: PutRecords documents only two, and both pass.
        if (failure.retryable || failure.kind === 'unknown') {
          this.#retry(entry, now, true, throttled)
          return
        }
        this.#lanes.settled(entry)
        const records = entry.dissolve()
        this.#giveUp(records, records.map(refused), now, entry)
      }
    }
  }

  #deliver(entry: Entry, shardId: string, sequenceNumber: string): void {
    const { records } = entry
    for (let i = 0; i < records.length; i++) {
      const record = records[i]!
      this.#counters.delivered++
      if (entry.mayBeWritten || record.mayBeWritten) this.#counters.possibleDuplicates++
      this.#ledger.leave(record)
      record.resolve?.({ shardId, sequenceNumber, subSequenceNumber: i, attempts: record.attempts + entry.attempts })
    }
    entry.dissolve()
  }

  #misplaced(
    entry: Entry,
    shardId: string,
    placement: Placement,
    outcome: 'delivered' | 'resent' | 'undecided',
    now: number,
  ): void {
    const predictedShardId = entry.shardId!
    if (placement === 'keys-ignored') this.#turnAuto(now)
    // A newer map may have come while the request was under way.
    else if (outcome === 'undecided' || this.#view.isOpen(predictedShardId)) this.#view.refresh(now)
    this.#events.emit({ type: 'wrong-shard', predictedShardId, shardId, userRecords: entry.records.length, outcome })
  }

  /** Sends a taken entry again, or gives up those of its records whose time is over. */
  #retry(entry: Entry, now: number, backOff = true, throttled = false): void {
    this.#lanes.settled(entry)
    const life = { attempts: entry.totalAttempts, expiresAt: entry.lastExpiresAt }
    const decision = decideRetry(life, true, now, this.#settings.retry, this.#settings.random)
    const at = decision.kind === 'retry' && backOff ? decision.at : now
    if (decision.kind === 'retry') {
      this.#counters.retries++
      const { shardId, lastFailure, records } = entry
      const [code, userRecords, attempts] = [lastFailure?.code ?? '', records.length, entry.totalAttempts]
      this.#events.emit({ type: 'record-retried', shardId, code, throttled, userRecords, attempts, delayMs: at - now })
    }
    const samePlace = entry.shardId === undefined ? this.#auto : !this.#auto && this.#view.isOpen(entry.shardId)
    // The prediction for all members still holds: packing them again would give the same bytes.
    const sameBytes = samePlace && this.#view.isReady && entry.lastFailure?.code !== 'WrongShard'
    if (entry.expiresAt > now && sameBytes) this.#lanes.requeue(entry, this.#rangeOf(entry), at)
    else this.#repack(entry.dissolve(), at, now)
  }

  /** Predicts and packs records again, all of them, ahead of what is queued; those whose time is over fail. */
  #repack(records: readonly UserRecord[], at: number, now: number): void {
    const late = records.filter((record) => record.expiresAt <= now)
    if (late.length > 0) {
      const errors = late.map((record) => expired(this.#explained(record), this.#settings.recordTtlMs))
      // In order of putting the late ones are the first; with order kept, the others go down with them.
      const others = records.filter((record) => record.expiresAt > now)
      if (this.#settings.ordering === 'perShard') {
        this.#giveUp([...late, ...others], errors, now)
        return
      }
      this.#giveUp(late, errors, now)
      if (others.length > 0) this.#repack(others, at, now)
      return
    }
    if (!this.#view.isReady) {
      this.#unrouted.unshift(...records)
      for (const record of records) this.#wakeBy(record.expiresAt)
      this.#view.load(now)
      return
    }
    for (const entry of this.#pack(records, now)) this.#lanes.requeue(entry, this.#rangeOf(entry), at)
  }

  /** Predicts and packs everything that is not in flight again: the map or the way of distribution is another one. */
  #relane(now: number): void {
    const aggregator = this.#aggregator
    if (aggregator !== undefined) {
      const completed: Entry[] = []
      aggregator.changeMap(completed)
      for (const entry of completed) this.#lanes.enqueue(entry, this.#rangeOf(entry))
    }
    this.#lanes.putBack(this.#batcher.take())
    const moved = this.#lanes.changeMap(this.#auto ? undefined : this.#view.map)
    const room = this.#view.traits!.maxRecordBytes - LONGEST_KEY_BYTES
    const maxBytes = Math.max(64, Math.min(this.#settings.aggregateMaxBytes, room))
    if (aggregator === undefined || maxBytes !== this.#aggregateMaxBytes) {
      this.#aggregateMaxBytes = maxBytes
      this.#aggregator = new Aggregator({
        lingerMs: this.#settings.lingerMs,
        maxBytes,
        maxRecords: this.#settings.aggregateMaxRecords,
      })
    }
    const records = moved.flatMap((entry) => entry.dissolve())
    for (const entry of this.#pack(records, now)) this.#lanes.enqueue(entry, this.#rangeOf(entry))
    this.#limiter.keepOnly((shardId) => this.#view.isOpen(shardId))
  }

  // ---- giving up ----

  /** Fails the records: the first ones with `errors`, the rest because these go before them. With order kept, halts what comes after. */
  #giveUp(records: readonly UserRecord[], errors: readonly Error[], now: number, entry?: Entry): void {
    const first = records[0]!
    const failures: [UserRecord, Error][] = records.map((record, i) => [
      record,
      errors[i] ?? new LaneHaltedError(record.partitionKey, record.mayBeWritten ? 'unknown' : 'no', errors[0]!),
    ])
    const range = this.#settings.ordering === 'perShard' ? this.#laneRange(first, entry) : undefined
    if (range !== undefined) {
      this.#halts.halt(range, errors[0]!)
      this.#closeAggregates()
      for (const behind of this.#lanes.clear(range)) {
        for (const record of behind.dissolve()) {
          failures.push([record, new LaneHaltedError(record.partitionKey, record.mayBeWritten ? 'unknown' : 'no', errors[0]!)])
        }
      }
    }
    for (const [record, error] of failures) this.#fail(record, error)
    if (range !== undefined) {
      const shardId = entry?.shardId ?? this.#view.map?.at(range.start)?.shardId ?? ''
      const [startingHashKey, endingHashKey] = [range.start, range.end]
      this.#events.emit({ type: 'lane-halted', shardId, startingHashKey, endingHashKey, cause: errors[0]! })
    }
    this.#turn(now)
  }

  /** The hash keys whose order the record's failure breaks: those of its lane. */
  #laneRange(record: UserRecord, entry: Entry | undefined): HashKeyRange | undefined {
    const hashKey = effectiveHashKey(record.partitionKey, record.explicitHashKey)
    return (entry && this.#rangeOf(entry)) ?? this.#view.map?.at(hashKey)?.range ?? { start: hashKey, end: hashKey }
  }

  #fail(record: UserRecord, error: Error): void {
    this.#counters.failed++
    this.#ledger.leave(record)
    record.reject?.(error)
    if (!this.#events.hasListeners('record-failed')) return
    const { partitionKey, explicitHashKey, data } = record
    this.#events.emit({ type: 'record-failed', partitionKey, explicitHashKey, data, error })
  }

  /** A record that was never sent because there is no map fails with the reason for that. */
  #explained(record: UserRecord): UserRecord {
    if (record.lastFailure === undefined && !this.#view.isReady && this.#lastLoadError !== undefined) {
      const { serviceCode, message, cause } = this.#lastLoadError
      record.lastFailure = { code: serviceCode, message, cause }
    }
    return record
  }

  #rangeOf(entry: Entry): HashKeyRange | undefined {
    return entry.shardId === undefined ? undefined : this.#view.rangeOf(entry.shardId)
  }

  // ---- what the stream's view tells ----

  mapChanged(map: ShardMap, before: ShardMap | undefined): void {
    const now = this.now()
    this.#relane(now)
    this.#judgeHeld(now)
    const was = new Set(before?.open.map((shard) => shard.shardId))
    const opened = map.open.map((shard) => shard.shardId).filter((shardId) => !was.delete(shardId))
    this.#counters.mapRefreshes++
    this.#events.emit({ type: 'map-refreshed', openShards: map.open.length, opened, closed: [...was] })
  }

  mapConfirmed(): void {
    this.#judgeHeld(this.now())
  }

  traitsKnown({ distribution }: { readonly distribution: 'partition-key' | 'auto' }): void {
    const auto = distribution === 'auto'
    const changed = auto !== this.#auto
    this.#auto = auto
    if (this.#view.map !== undefined) this.#relane(this.now())
    if (changed) this.#events.emit({ type: 'distribution-changed', distribution })
  }

  probeDenied(message: string): void {
    this.#events.emit({ type: 'probe-denied', message })
  }

  failed(error: StreamUnusableError, fatal: boolean): void {
    this.#lastLoadError = error
    this.#events.emit({ type: 'shard-map-failed', code: error.serviceCode, message: error.message, retryable: !fatal })
    if (this.#view.isReady) {
      // A running stream that lost its right to order; anything else leaves the map that we have in use.
      if (error.serviceCode === 'AutoDistribution') this.#refuseAll(error)
      return
    }
    this.#loadFailures++
    if (fatal) this.#refuseAll(error)
    else if (this.#loadFailures >= START_ATTEMPTS) for (const { reject } of this.#startWaiters.splice(0)) reject(error)
  }

  idle(): void {
    if (this.#view.isReady) {
      this.#loadFailures = 0
      for (const { resolve } of this.#startWaiters.splice(0)) resolve()
    }
    this.#turn(this.now())
  }

  #judgeHeld(now: number): void {
    const held = this.#held
    this.#held = []
    for (const { entry, result } of held) {
      if (entry.lastExpiresAt > now) this.#settle(entry, result, now)
      else this.#expireHeld(entry, now)
    }
    if (this.#held.length > 0) this.#view.refresh(now, true)
  }

  #expireHeld(entry: Entry, now: number): void {
    this.#lanes.settled(entry)
    entry.mayBeWritten = true
    entry.lastFailure = {
      code: 'UnknownShard',
      message: 'it was written to a shard that ListShards does not show, so whether readers accept it there is not known',
      cause: this.#lastLoadError,
    }
    const records = entry.dissolve()
    const errors = records.map((record) => expired(record, this.#settings.recordTtlMs))
    this.#giveUp(records, errors, now, entry)
  }

  /** Caught in the act of ignoring keys: nothing may be aggregated from this moment, whatever a probe says later (decision 5). */
  #turnAuto(now: number): void {
    if (this.#auto) return
    if (this.#settings.ordering === 'none') {
      this.#auto = true
      this.#relane(now)
      this.#events.emit({ type: 'distribution-changed', distribution: 'auto' })
    }
    this.#view.probe(now)
  }

  /** Rejects all that is not in flight, and forgets the stream: the next put tries afresh. */
  #refuseAll(error: StreamUnusableError): void {
    this.#loadFailures = 0
    this.#view.forget()
    this.#closeAggregates()
    this.#lanes.putBack(this.#batcher.take())
    const queued = this.#lanes.clearAll().flatMap((entry) => entry.dissolve())
    const records = [...queued, ...this.#unrouted.splice(0)]
    for (const { reject } of this.#startWaiters.splice(0)) reject(error)
    for (const record of records) this.#fail(record, error)
    this.#events.emit({ type: 'stream-unusable', error })
  }

  // ---- time ----

  /** Does everything that is due, and sets the timer for what comes next. */
  #turn(now: number): void {
    if (this.#turning) {
      this.#turnAgain = true
      return
    }
    this.#turning = true
    do {
      this.#turnAgain = false
      this.#wakeAt = Number.POSITIVE_INFINITY
      this.#step(now)
    } while (this.#turnAgain)
    this.#turning = false
    this.#arm()
  }

  #step(now: number): void {
    this.#timeOutRequests(now)
    if (this.#unrouted.length > 0) this.#advanceUnrouted(now)
    if (this.#view.nextAt !== undefined) {
      this.#view.tick(now)
      this.#wakeBy(this.#view.nextAt)
    }
    if (this.#held.some(({ entry }) => entry.lastExpiresAt <= now)) this.#judgeHeld(now)
    for (const { entry } of this.#held) this.#wakeBy(entry.lastExpiresAt)
    if (this.#aggregator !== undefined) {
      const completed: Entry[] = []
      this.#aggregator.closeDue(now, completed)
      for (const entry of completed) this.#lanes.enqueue(entry, this.#rangeOf(entry))
    }
    do {
      do this.#releaseAll(now)
      while (this.#sendDue(now))
    } while (this.#admitWaiting(now))
    this.#wakeBy(this.#aggregator?.nextDue)
    this.#wakeForBatch()
    for (const { sentAt } of this.#requests) this.#wakeBy(sentAt + this.#settings.requestTimeoutMs)
    this.#ledger.wake()
  }

  #advanceUnrouted(now: number): void {
    if (this.#view.isReady) {
      this.#routeWaiting(now)
      return
    }
    while (this.#unrouted.length > 0 && this.#unrouted[0]!.expiresAt <= now) {
      const record = this.#unrouted.shift()!
      this.#giveUp([record], [expired(this.#explained(record), this.#settings.recordTtlMs)], now)
    }
    if (this.#unrouted.length === 0) return
    this.#wakeBy(this.#unrouted[0]!.expiresAt)
    this.#view.load(now)
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
    if (flushing) {
      this.#closeAggregates()
      this.#lanes.hurry(now)
    }
    return admitted
  }

  #timeOutRequests(now: number): void {
    for (const request of [...this.#requests]) {
      if (request.sentAt + this.#settings.requestTimeoutMs > now) continue
      // Whoever has the request may go on reading its bytes.
      for (const entry of request.entries) entry.keepBytes()
      const cause = new Error(`PutRecords was not answered within requestTimeoutMs (${this.#settings.requestTimeoutMs})`)
      cause.name = 'TimeoutError'
      request.abort.abort(cause)
      this.#complete(request, { kind: 'failed', failure: classifyFailure(cause), cause })
    }
  }

  #wakeBy(at: number | undefined): void {
    if (at !== undefined && at < this.#wakeAt) this.#wakeAt = at
  }

  /** Makes the timer agree with what is known. Nothing buffered: it must not keep the process alive. */
  #arm(): void {
    if (this.#turning || this.#stopped) return
    const background = this.#ledger.isEmpty && this.#startWaiters.length === 0
    if (this.#wakeAt === this.#timerAt && (background || !this.#timerIsBackground)) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerAt = this.#wakeAt
    if (this.#wakeAt === Number.POSITIVE_INFINITY) return
    this.#timerIsBackground = background
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

function deferred(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve!: () => void
  let reject!: (error: Error) => void
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
