import type { Clock } from '@shardwise/core/clock'
import { sleep } from '@shardwise/core/clock'
import type { GetRecordsOutput, KinesisPort, KinesisRecord, StreamReference } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import { classifyFailure, type ServiceFailure, withAdvice } from '@shardwise/core/service-error'
import { answeredRecords } from './answered-records.js'
import type { ShardRoom } from './byte-budget.js'
import { failurePace } from './failure-pace.js'
import { payloadBytes } from './payload-bytes.js'
import { PollingPace } from './polling-pace.js'
import { ReadPatience } from './read-patience.js'
import { ReadSize } from './read-size.js'
import type { ReadingPlace } from './reading-place.js'
import type { FetchedBatch, RecordSource, SourceEvent } from './record-source.js'
import { type Fate, ShardFate } from './shard-fate.js'

export interface PollingSourceOptions {
  readonly port: KinesisPort
  readonly stream: StreamReference
  readonly shardId: string
  /** Where it begins. It is moved along. */
  readonly place: ReadingPlace
  readonly idleTimeBetweenReadsMs: number
  readonly maxRecordsPerRead: number
  /** What is read is held there; whoever has it completed frees it. */
  readonly room: Pick<ShardRoom, 'enter' | 'settle'>
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: SourceEvent) => void
  /** Resolves when it is certain that the stream is still the one whose lease we have. */
  readonly certain: (signal: AbortSignal) => Promise<void>
}

/** Reads a shard by GetRecords. */
export class PollingSource implements RecordSource {
  readonly retrieval = 'polling'
  readonly #options: PollingSourceOptions
  readonly #pace: PollingPace
  readonly #size: ReadSize
  readonly #patience = new ReadPatience()
  readonly #fate: ShardFate
  #iterator: string | undefined
  /** The service gave no next iterator: the shard is closed and fetched to its end, and its children are to be found. */
  #closed = false
  /** GetShardIterator is under way. */
  #opening = false

  constructor(options: PollingSourceOptions) {
    this.#options = options
    this.#pace = new PollingPace(options.idleTimeBetweenReadsMs)
    this.#size = new ReadSize(options.maxRecordsPerRead)
    this.#fate = new ShardFate(options)
  }

  async next(signal: AbortSignal): Promise<FetchedBatch> {
    const { clock } = this.#options
    for (;;) {
      const wait = this.#pace.readAt - clock.now()
      if (wait > 0) await sleep(clock, wait, { signal })
      signal.throwIfAborted()
      try {
        const batch = this.#closed ? this.#heed(await this.#fate.afterEnd(signal)) : await this.#read(signal)
        if (batch !== undefined) return batch
      } catch (error) {
        signal.throwIfAborted()
        const batch = await this.#recover(error, signal)
        if (batch !== undefined) return batch
      }
    }
  }

  async #read(signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { place, clock } = this.#options
    this.#iterator ??= await this.#openIterator(signal)
    const { answer, records, bytes, sentAt } = await this.#getRecords(this.#iterator, signal)
    this.#fate.alive()
    const millisBehindLatest = answer.MillisBehindLatest
    this.#pace.succeeded({ sentAt, receivedAt: clock.now(), records: records.length, bytes, millisBehindLatest })
    this.#iterator = answer.NextShardIterator || undefined
    this.#closed = this.#iterator === undefined
    place.read(records, this.#closed)
    const children = this.#closed && answer.ChildShards?.length ? answer.ChildShards : undefined
    // An end without children is not told before they are known. Its records are.
    if (children === undefined && this.#closed && records.length === 0) return undefined
    return { records, bytes, millisBehindLatest, children, fromOldest: place.takeFromOldest() }
  }

  /** Within the room that there is for it. */
  async #getRecords(ShardIterator: string, signal: AbortSignal): Promise<Answer> {
    const { port, stream, shardId, room, clock } = this.#options
    const most = this.#size.most(clock.now())
    const allowed = await room.enter(most, signal)
    const Limit = this.#size.limit(allowed < most ? allowed : undefined)
    const { ms: timeoutMs, firstByteMs: firstByteTimeoutMs } = this.#patience
    let bytes = 0
    try {
      const sentAt = clock.now()
      const request = { ShardIterator, Limit, ...(stream.StreamARN && { StreamARN: stream.StreamARN }) }
      const answer = await port.getRecords(request, { signal, timeoutMs, firstByteTimeoutMs })
      const tookMs = clock.now() - sentAt
      this.#patience.answered(tookMs)
      const records = answeredRecords(answer, 'GetRecords', shardId)
      bytes = payloadBytes(records)
      this.#size.brought({ sentAt, tookMs, records: records.length, bytes, millisBehindLatest: answer.MillisBehindLatest })
      return { answer, records, bytes, sentAt }
    } catch (error) {
      if (!signal.aborted && classifyFailure(error).kind === 'timeout') this.#readLess(Limit, timeoutMs)
      throw error
    } finally {
      room.settle(bytes)
    }
  }

  #readLess(limit: number, timeoutMs: number): void {
    const { shardId, emit } = this.#options
    const maxRecords = this.#size.timedOut(limit)
    if (maxRecords !== undefined) emit({ type: 'read-size-reduced', shardId, timeoutMs, maxRecords })
  }

  async #openIterator(signal: AbortSignal): Promise<string> {
    const { port, stream, shardId, place, clock, certain } = this.#options
    await certain(signal)
    const askedAt = clock.wallTime()
    this.#opening = true
    const { ShardIterator } = await port.getShardIterator(
      { ...stream, ShardId: shardId, ...place.start },
      { signal, timeoutMs: this.#patience.ms, firstByteTimeoutMs: this.#patience.firstByteMs },
    )
    this.#opening = false
    if (!ShardIterator) throw new Error(`GetShardIterator of ${shardId} gave no iterator`)
    place.accepted(askedAt)
    return ShardIterator
  }

  /** Decides what a failed call means. Waiting is left to the pace. */
  async #recover(error: unknown, signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { shardId, place, clock, random, emit } = this.#options
    const failure = classifyFailure(error)
    if (failure.kind === 'timeout') this.#patience.timedOut()
    const opening = this.#opening
    this.#opening = false
    switch (failure.kind) {
      case 'throttled':
      case 'kms-throttled':
        this.#pace.throttled(clock.now(), random)
        emit({ type: 'read-throttled', shardId, code: failure.code, retryInMs: this.#retryIn() })
        return undefined
      case 'expired-iterator':
        this.#iterator = undefined
        emit({ type: 'iterator-expired', shardId })
        // An iterator that expires at once, again and again, is a fault of the service and must not make a busy loop.
        if (this.#pace.failures > 0) return this.#retry(failure)
        this.#pace.failed('passing', clock.now(), random)
        return undefined
      case 'not-found':
        this.#iterator = undefined
        return this.#heed(await this.#fate.afterNotFound(failure, signal))
      case 'invalid':
        if (failure.code.startsWith('InvalidArgument') && opening && place.start.StartingSequenceNumber !== undefined) {
          place.refused(failure)
          return undefined
        }
        this.#iterator = undefined
        return this.#retry(failure)
      default:
        return this.#retry(failure)
    }
  }

  #heed(fate: Fate): FetchedBatch | undefined {
    const { shardId, place, clock, random, emit } = this.#options
    switch (fate.is) {
      case 'ended':
        if (fate.gone) place.gone()
        return { records: [], bytes: 0, millisBehindLatest: 0, children: fate.children }
      case 'open':
        this.#closed = false
        return this.#retry(fate.failure)
      case 'unknown':
        return this.#retry(fate.failure)
      case 'stream-missing':
        this.#pace.failed('lasting', clock.now(), random)
        emit({ type: 'stream-not-found', shardId, message: withAdvice(fate.failure), retryInMs: this.#retryIn() })
        return undefined
    }
  }

  #retry(failure: ServiceFailure): undefined {
    const { shardId, clock, random, emit } = this.#options
    this.#pace.failed(failurePace(failure.kind), clock.now(), random)
    emit({ type: 'read-failed', shardId, failure, attempt: this.#pace.failures, retryInMs: this.#retryIn() })
    return undefined
  }

  #retryIn(): number {
    return Math.max(0, this.#pace.readAt - this.#options.clock.now())
  }
}

interface Answer {
  readonly answer: GetRecordsOutput
  readonly records: readonly KinesisRecord[]
  readonly bytes: number
  readonly sentAt: number
}
