import { type Clock, sleep } from '@shardwise/core/clock'
import type { FanOutPort, ShardSubscription, SubscribeToShardEvent } from '@shardwise/core/fan-out-port'
import type { KinesisPort, KinesisRecord, StreamReference } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import { classifyFailure, type ServiceFailure, withAdvice } from '@shardwise/core/service-error'
import type { HeldLease } from '../leases/held-lease.js'
import { withinTime } from '../leases/time-limit.js'
import { answeredRecords } from './answered-records.js'
import type { ShardRoom } from './byte-budget.js'
import { EventSize } from './event-size.js'
import { FanOutCourse, type Setback } from './fan-out-course.js'
import { isLeaseOurs } from './lease-question.js'
import { PatientWait } from './patient-wait.js'
import { payloadBytes } from './payload-bytes.js'
import type { ReadingPlace } from './reading-place.js'
import type { FetchedBatch, RecordSource, Retrieval, SourceEvent, SubscriptionEnd } from './record-source.js'
import { type Fate, ShardFate } from './shard-fate.js'
import { refusesPosition, startingPosition } from './starting-position.js'
import type { StreamRegistration } from './stream-registration.js'
import { readFor } from './timed-reading.js'

export interface FanOutSourceOptions {
  readonly port: Pick<FanOutPort, 'subscribeToShard'>
  readonly registration: Pick<StreamRegistration, 'arn' | 'hindrance' | 'confirm'>
  /** For what a subscription does not tell: whether a shard that is not found is gone, and its children. */
  readonly control: Pick<KinesisPort, 'listShards'>
  readonly stream: StreamReference
  readonly shardId: string
  /** Where it begins. It is moved along. */
  readonly place: ReadingPlace
  /** Whoever subscribes takes the shard's events from the one who has them, which only the lease's owner may do. */
  readonly lease: Pick<HeldLease, 'revalidate' | 'confirm'>
  /** What reads the shard, from the same place, while it cannot be subscribed to. Undefined: nothing. */
  readonly polling: (() => RecordSource) | undefined
  readonly room: Pick<ShardRoom, 'enter' | 'settle'>
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: SourceEvent) => void
  /** Resolves when it is certain that the stream is still the one whose lease we have. */
  readonly certain: (signal: AbortSignal) => Promise<void>
  /** It waits for the lease, which is not its own doing. */
  readonly waits: () => void
}

/** The service sends an event every few seconds, also when nothing was written. KCL's subscriptions end after 30 s without one. */
const SILENCE_MS = 35_000
/** While polling does the work it stands still for an attempt: no longer than two of the service's events would take. */
const PROBE_SILENCE_MS = 10_000
const SUBSCRIBE_TIMEOUT_MS = 10_000
/** Then the wait for the stream consumer is told of, and begins again. */
const REGISTRATION_PATIENCE_MS = 30_000

interface Live {
  readonly subscription: ShardSubscription
  readonly consumerArn: string
  readonly since: number
  /** For its next event. */
  readonly wait: PatientWait
}

/**
 * Reads a shard by SubscribeToShard. An event is asked for when there is room for it and the reader wants it; until then it waits in the
 * connection's flow control, and then at the service. So no event of a former subscription can come late: there is one, and it is pulled.
 */
export class FanOutSource implements RecordSource {
  readonly #options: FanOutSourceOptions
  readonly #course: FanOutCourse
  readonly #size = new EventSize()
  readonly #fate: ShardFate
  #live: Live | undefined
  #polling: RecordSource | undefined

  constructor(options: FanOutSourceOptions) {
    this.#options = options
    this.#course = new FanOutCourse({ fallbackToPolling: options.polling !== undefined })
    this.#fate = new ShardFate({ port: options.control, stream: options.stream, shardId: options.shardId })
  }

  get retrieval(): Retrieval {
    return this.#course.isAway ? 'polling' : 'fan-out'
  }

  async next(signal: AbortSignal): Promise<FetchedBatch> {
    try {
      for (;;) {
        signal.throwIfAborted()
        const batch = await this.#act(signal)
        if (batch !== undefined) return batch
      }
    } catch (error) {
      this.#close()
      this.#course.interrupted(this.#options.clock.now())
      throw error
    }
  }

  async #act(signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { clock } = this.#options
    const step = this.#course.step(clock.now())
    switch (step.do) {
      case 'wait':
        await sleep(clock, step.ms, { signal })
        return undefined
      case 'verify-lease':
        if (await isLeaseOurs(this.#options, 'confirm', signal)) this.#course.verified()
        return undefined
      case 'subscribe':
        return this.#subscribe(signal)
      case 'pull':
        return this.#pull(this.#live!, signal)
      case 'poll':
        return this.#poll(step.forMs, signal)
      case 'find-children':
        return this.#findChildren(signal)
    }
  }

  async #subscribe(signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { registration, clock, certain } = this.#options
    let consumerArn: string
    await certain(signal)
    try {
      consumerArn = await withinTime(clock, REGISTRATION_PATIENCE_MS, (limited) => registration.arn(limited), signal)
    } catch (error) {
      signal.throwIfAborted()
      const failure = classifyFailure(error)
      const hindrance = failure.kind === 'timeout' ? registration.hindrance : undefined
      return this.#unavailable(hindrance ?? failure, signal)
    }
    // Last: the stream consumer may have been waited for.
    if (!(await isLeaseOurs(this.#options, 'revalidate', signal))) return undefined
    try {
      await this.#open(consumerArn, signal)
      return undefined
    } catch (error) {
      signal.throwIfAborted()
      return this.#refused(classifyFailure(error), consumerArn, signal)
    }
  }

  async #open(ConsumerARN: string, signal: AbortSignal): Promise<void> {
    const { port, shardId, place, clock, emit } = this.#options
    const { start } = place
    const askedAt = clock.wallTime()
    const subscription = await port.subscribeToShard(
      { ConsumerARN, ShardId: shardId, StartingPosition: startingPosition(start) },
      // It ends the subscription, too, when nobody asks for its events any more.
      { signal, timeoutMs: SUBSCRIBE_TIMEOUT_MS },
    )
    place.accepted(askedAt)
    const since = clock.now()
    this.#live = { subscription, consumerArn: ConsumerARN, since, wait: new PatientWait(clock) }
    this.#course.accepted(since)
    emit({ type: 'subscription-started', shardId, after: start.StartingSequenceNumber })
  }

  /** There is no consumer to subscribe with. */
  async #unavailable(failure: ServiceFailure, signal: AbortSignal): Promise<FetchedBatch | undefined> {
    if (failure.kind !== 'not-found') return this.#retry(failure, 'unavailable')
    // It may be the stream that is missing, or even the shard.
    const fate = await this.#fate.afterNotFound(failure, signal)
    return this.#heed(fate.is === 'unknown' ? { is: 'unknown', failure } : fate, 'unavailable')
  }

  /** An attempt to subscribe was refused, or the subscription by its first word. */
  async #refused(failure: ServiceFailure, consumerArn: string, signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { registration, place, clock } = this.#options
    if (refusesPosition(failure) && place.start.StartingSequenceNumber !== undefined) {
      place.refused(failure)
      this.#course.refused(clock.now())
      return undefined
    }
    if (failure.kind !== 'not-found') return this.#retry(failure)
    const known = await registration.confirm(consumerArn, signal).catch(() => true)
    signal.throwIfAborted()
    return known ? this.#heed(await this.#fate.afterNotFound(failure, signal)) : this.#retry(failure)
  }

  async #pull(live: Live, signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { shardId, room, place, clock } = this.#options
    await room.enter(this.#size.most, signal)
    const since = clock.now()
    const patienceMs = this.#course.isAway ? PROBE_SILENCE_MS : SILENCE_MS
    let event: SubscribeToShardEvent | undefined
    let records: readonly KinesisRecord[] = []
    let bytes = 0
    try {
      event = await live.wait.for(patienceMs, () => live.subscription.next(), signal)
      records = event === undefined ? [] : place.unread(answeredRecords(event, 'SubscribeToShard', shardId))
      bytes = payloadBytes(records)
    } catch (error) {
      signal.throwIfAborted()
      this.#close()
      return await this.#broken(live, classifyFailure(error), clock.now() - since >= patienceMs, signal)
    } finally {
      room.settle(bytes)
    }
    if (event !== undefined) return this.#brought(event, records, bytes)
    this.#close()
    this.#completed(live)
    return undefined
  }

  #brought(event: SubscribeToShardEvent, records: readonly KinesisRecord[], bytes: number): FetchedBatch | undefined {
    const { shardId, place, clock, emit } = this.#options
    const { MillisBehindLatest: millisBehindLatest, ContinuationSequenceNumber: continuation } = event
    const now = clock.now()
    const repeated = (event.Records?.length ?? 0) - records.length
    if (repeated > 0)
      emit({ type: 'records-repeated', shardId, records: repeated, upTo: place.start.StartingSequenceNumber ?? '' })
    this.#fate.alive()
    this.#size.brought(bytes)
    const afterMs = this.#course.brought(now)
    if (afterMs !== undefined) {
      this.#polling = undefined
      emit({ type: 'fan-out-resumed', shardId, afterMs })
    }
    // Children beside a place to go on from make no sense (KCL refuses such an event): to go on is what loses nothing.
    const ended = !continuation
    place.read(records, ended, continuation || undefined)
    const children = ended && event.ChildShards?.length ? event.ChildShards : undefined
    if (ended) {
      this.#close()
      this.#course.closed(now)
      // An end without children is not told before they are known. Its records are.
      if (children === undefined && records.length === 0) return undefined
    }
    return { records, bytes, millisBehindLatest, children, fromOldest: place.takeFromOldest() }
  }

  #completed(live: Live): void {
    const { shardId, clock, random, emit } = this.#options
    const now = clock.now()
    const lastedMs = now - live.since
    const completed = this.#course.completed(now)
    if (completed !== undefined) {
      emit({ type: 'subscription-ended', shardId, reason: 'completed', lastedMs, ...completed, failure: undefined })
      return
    }
    const failure = classifyFailure({
      name: 'InternalFailureException',
      message: `The subscription to ${shardId} ended without an event`,
    })
    this.#ended(live, 'failed', failure, this.#course.failed(failure, now, random))
  }

  /** A subscription has ended by an error. */
  async #broken(live: Live, failure: ServiceFailure, stalled: boolean, signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { shardId, clock, random, emit } = this.#options
    if (failure.kind === 'not-found' || refusesPosition(failure)) {
      const lastedMs = clock.now() - live.since
      emit({ type: 'subscription-ended', shardId, reason: 'failed', lastedMs, retryInMs: 0, failure })
      return this.#refused(failure, live.consumerArn, signal)
    }
    const reason = stalled ? 'stalled' : failure.kind === 'in-use' ? 'taken-over' : 'failed'
    this.#ended(live, reason, failure, this.#course.failed(failure, clock.now(), random))
    return undefined
  }

  #ended(live: Live, reason: SubscriptionEnd, failure: ServiceFailure, setback: Setback): void {
    const { shardId, clock, emit } = this.#options
    const { retryInMs } = setback
    emit({ type: 'subscription-ended', shardId, reason, lastedMs: clock.now() - live.since, retryInMs, failure })
    if (this.#course.isAway) emit({ type: 'fan-out-suspended', shardId, failure, retryInMs })
  }

  /** Reads by polling until the next attempt to subscribe is due. */
  async #poll(forMs: number, signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { polling, clock } = this.#options
    this.#polling ??= polling!()
    return readFor(this.#polling, forMs, clock, signal)
  }

  async #findChildren(signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { shardId, clock, random, emit } = this.#options
    let fate: Fate
    try {
      fate = await this.#fate.afterEnd(signal)
    } catch (error) {
      signal.throwIfAborted()
      const failure = classifyFailure(error)
      fate = failure.kind === 'not-found' ? await this.#fate.afterNotFound(failure, signal) : { is: 'unknown', failure }
    }
    if (fate.is === 'ended') return this.#heed(fate)
    const { attempt, retryInMs } = this.#course.notEnded(fate.is === 'open', clock.now(), random)
    const { failure } = fate
    if (fate.is === 'stream-missing') emit({ type: 'stream-not-found', shardId, message: withAdvice(failure), retryInMs })
    else emit({ type: 'read-failed', shardId, failure, attempt, retryInMs })
    return undefined
  }

  #heed(fate: Fate, because?: 'unavailable'): FetchedBatch | undefined {
    const { shardId, place, clock, random, emit } = this.#options
    if (fate.is === 'ended') {
      if (fate.gone) place.gone()
      return { records: [], bytes: 0, millisBehindLatest: 0, children: fate.children }
    }
    if (fate.is !== 'stream-missing') return this.#retry(fate.failure, because)
    const { retryInMs } = this.#course.failed(fate.failure, clock.now(), random, because === 'unavailable')
    emit({ type: 'stream-not-found', shardId, message: withAdvice(fate.failure), retryInMs })
    return undefined
  }

  #retry(failure: ServiceFailure, because?: 'unavailable'): undefined {
    const { shardId, clock, random, emit } = this.#options
    const { attempt, retryInMs } = this.#course.failed(failure, clock.now(), random, because === 'unavailable')
    const throttled = failure.kind === 'throttled' || failure.kind === 'kms-throttled'
    if (this.#course.isAway) emit({ type: 'fan-out-suspended', shardId, failure, retryInMs })
    else if (throttled) emit({ type: 'read-throttled', shardId, code: failure.code, retryInMs })
    else emit({ type: 'read-failed', shardId, failure, attempt, retryInMs })
  }

  #close(): void {
    this.#live?.wait.end()
    this.#live?.subscription.close()
    this.#live = undefined
  }
}
