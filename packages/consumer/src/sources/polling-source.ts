import type { Clock } from '@shardwise/core/clock'
import { sleep } from '@shardwise/core/clock'
import type {
  ChildShard,
  GetRecordsOutput,
  KinesisPort,
  KinesisRecord,
  ShardListing,
  StreamReference,
} from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import { classifyFailure, type FailureKind, type ServiceFailure, withAdvice } from '@shardwise/core/service-error'
import { listAllShards } from '@shardwise/core/shard-map'
import type { Position } from '../checkpoints/position.js'
import type { ShardRoom } from './byte-budget.js'
import { type FailurePace, PollingPace } from './polling-pace.js'
import { ReadSize } from './read-size.js'
import type { FetchedBatch, RecordSource, SourceEvent } from './record-source.js'
import { iteratorStart, type Place } from './shard-iterator.js'

export interface PollingSourceOptions {
  readonly port: KinesisPort
  readonly stream: StreamReference
  readonly shardId: string
  readonly resumeFrom: Position
  readonly startAt: number | undefined
  readonly idleTimeBetweenReadsMs: number
  readonly maxRecordsPerRead: number
  /** What is read is held there; whoever has it completed frees it. */
  readonly room: Pick<ShardRoom, 'enter' | 'settle'>
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: SourceEvent) => void
}

/** As KCL's kinesisRequestTimeout: a connection that died without a word must not keep a shard. */
const REQUEST_TIMEOUT_MS = 30_000
/** How often in a row the service must say that a shard is gone. A listing may lag behind, and giving up a shard loses what is in it. */
const CONFIRMATIONS = 3
/** Failures that pass by themselves. The others wait for a person and are retried slowly. */
const PASSING: ReadonlySet<FailureKind> = new Set([
  'internal',
  'connection',
  'timeout',
  'in-use',
  'limit-exceeded',
  'expired-iterator',
])

/** Reads a shard by GetRecords. */
export class PollingSource implements RecordSource {
  readonly #options: PollingSourceOptions
  readonly #pace: PollingPace
  readonly #size: ReadSize
  #place: Place
  #iterator: string | undefined
  /** The service gave no next iterator: the shard is closed and fetched to its end, and its children are to be found. */
  #closed = false
  /** GetShardIterator is under way. */
  #opening = false
  /** Of the next batch: see FetchedBatch. */
  #fromOldest = false
  /** Times in a row that the service said the shard does not exist. */
  #gone = 0

  constructor(options: PollingSourceOptions) {
    this.#options = options
    this.#pace = new PollingPace(options.idleTimeBetweenReadsMs)
    this.#size = new ReadSize(options.maxRecordsPerRead)
    this.#place = { kind: 'start', position: options.resumeFrom, startAt: options.startAt }
  }

  async next(signal: AbortSignal): Promise<FetchedBatch> {
    const { clock } = this.#options
    for (;;) {
      const wait = this.#pace.readAt - clock.now()
      if (wait > 0) await sleep(clock, wait, { signal })
      signal.throwIfAborted()
      try {
        const batch = this.#closed ? await this.#findChildren(signal) : await this.#read(signal)
        if (batch !== undefined) return batch
      } catch (error) {
        signal.throwIfAborted()
        const batch = await this.#recover(error, signal)
        if (batch !== undefined) return batch
      }
    }
  }

  async #read(signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { clock } = this.#options
    this.#iterator ??= await this.#openIterator(signal)
    const { answer, records, bytes, sentAt } = await this.#getRecords(this.#iterator, signal)
    this.#gone = 0
    this.#pace.succeeded({
      sentAt,
      receivedAt: clock.now(),
      records: records.length,
      bytes,
      millisBehindLatest: answer.MillisBehindLatest,
    })
    const children = this.#follow(answer, records)
    // An end without children is not told before they are known. Its records are.
    if (children === undefined && this.#closed && records.length === 0) return undefined
    const fromOldest = this.#fromOldest
    this.#fromOldest = false
    return { records, bytes, millisBehindLatest: answer.MillisBehindLatest, children, fromOldest }
  }

  /** Within the room that there is for it. */
  async #getRecords(ShardIterator: string, signal: AbortSignal): Promise<Answer> {
    const { port, stream, room, clock } = this.#options
    const most = this.#size.most(clock.now())
    const allowed = await room.enter(most, signal)
    const Limit = this.#size.limit(allowed < most ? allowed : undefined)
    let bytes = 0
    try {
      const sentAt = clock.now()
      const request = { ShardIterator, Limit, ...(stream.StreamARN && { StreamARN: stream.StreamARN }) }
      const answer = await port.getRecords(request, { signal, timeoutMs: REQUEST_TIMEOUT_MS })
      const records = answer.Records ?? []
      bytes = payloadBytes(records)
      this.#size.brought({ sentAt, records: records.length, bytes, millisBehindLatest: answer.MillisBehindLatest })
      return { answer, records, bytes, sentAt }
    } finally {
      room.settle(bytes)
    }
  }

  /** Moves on behind an answer. Returns the children at the shard's end. */
  #follow(answer: GetRecordsOutput, records: readonly KinesisRecord[]): readonly ChildShard[] | undefined {
    const ended = !answer.NextShardIterator
    if (records.length > 0 || ended) this.#noticeTrimming(records[0])
    const last = records.at(-1)?.SequenceNumber
    if (last !== undefined) this.#place = { kind: 'after', sequenceNumber: last }
    this.#iterator = answer.NextShardIterator || undefined
    if (!ended) return undefined
    if (answer.ChildShards !== undefined && answer.ChildShards.length > 0) return answer.ChildShards
    this.#closed = true
    return undefined
  }

  async #openIterator(signal: AbortSignal): Promise<string> {
    const { port, stream, shardId, clock } = this.#options
    const start = iteratorStart(this.#place)
    const asked = clock.wallTime()
    this.#opening = true
    const { ShardIterator } = await port.getShardIterator(
      { ...stream, ShardId: shardId, ...start },
      { signal, timeoutMs: REQUEST_TIMEOUT_MS },
    )
    this.#opening = false
    if (!ShardIterator) throw new Error(`GetShardIterator of ${shardId} gave no iterator`)
    // The service's tip moves on: asking for LATEST again would skip what came meanwhile. Signed requests are refused when our clock
    // is five minutes off, so this moment less five minutes is certainly not after the tip that we have just been given.
    if (start.ShardIteratorType === 'LATEST' && this.#place.kind === 'start') {
      this.#place = { ...this.#place, startAt: asked - 300_000 }
    }
    return ShardIterator
  }

  /** Decides what a failed call means. Waiting is left to the pace. */
  async #recover(error: unknown, signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { shardId, clock, random, emit } = this.#options
    const failure = classifyFailure(error)
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
        return this.#confirmGone(failure, signal)
      case 'invalid':
        if (
          failure.code.startsWith('InvalidArgument') &&
          opening &&
          iteratorStart(this.#place).StartingSequenceNumber !== undefined
        ) {
          this.#restart(failure)
          return undefined
        }
        this.#iterator = undefined
        return this.#retry(failure)
      default:
        return this.#retry(failure)
    }
  }

  #retry(failure: ServiceFailure): undefined {
    const { shardId, clock, random, emit } = this.#options
    const pace: FailurePace = PASSING.has(failure.kind) ? 'passing' : 'lasting'
    this.#pace.failed(pace, clock.now(), random)
    emit({ type: 'read-failed', shardId, failure, attempt: this.#pace.failures, retryInMs: this.#retryIn() })
    return undefined
  }

  /** The service does not accept the sequence number that we stand at: it is not in the shard any more, or never was. */
  #restart(failure: ServiceFailure): void {
    const after = iteratorStart(this.#place).StartingSequenceNumber
    // A place that we have read ourselves is of this shard: what lies before it is completed, or in memory.
    this.#fromOldest ||= this.#place.kind === 'start'
    this.#place = { kind: 'oldest' }
    this.#expired(
      'checkpoint-refused',
      after,
      `Kinesis does not accept the sequence number (${failure.message}), going on at the oldest record`,
    )
  }

  /** AT_SEQUENCE_NUMBER must begin with the checkpointed record itself, for it was read once. If it does not, retention took it. */
  #noticeTrimming(first: KinesisRecord | undefined): void {
    if (this.#place.kind !== 'start' || this.#place.position.kind !== 'sequence') return
    const after = this.#place.position.sequenceNumber
    if (first?.SequenceNumber === after) return
    this.#expired('checkpoint-trimmed', after, `the oldest record left is ${first?.SequenceNumber ?? 'none: all have expired'}`)
  }

  /** Finds the children of a shard whose last answer did not name them. */
  async #findChildren(signal: AbortSignal): Promise<FetchedBatch | undefined> {
    const { shardId } = this.#options
    const listing = await this.#listShards(signal)
    const children = childrenIn(listing, shardId)
    if (children.length > 0) return endOfShard(children)
    const self = listing.find((shard) => shard.ShardId === shardId)
    if (self === undefined) return this.#confirmGone(missing(shardId), signal, listing)
    this.#gone = 0
    // Still open: then the answer without an iterator was a slip of the service. Closed: its children are not listed yet.
    if (!self.SequenceNumberRange?.EndingSequenceNumber) this.#closed = false
    return this.#retry({
      ...missing(shardId),
      message: `The end of ${shardId} was reached, but the service does not name its children yet`,
    })
  }

  /** The service says that the stream or the shard does not exist. Which of the two, the list of shards tells. */
  async #confirmGone(failure: ServiceFailure, signal: AbortSignal, listed?: ShardListing[]): Promise<FetchedBatch | undefined> {
    const { shardId, clock, random, emit } = this.#options
    let listing = listed
    try {
      listing ??= await this.#listShards(signal)
    } catch (error) {
      signal.throwIfAborted()
      const cause = classifyFailure(error)
      if (cause.kind !== 'not-found') return this.#retry(cause)
      this.#gone = 0
      this.#pace.failed('lasting', clock.now(), random)
      emit({ type: 'stream-not-found', shardId, message: withAdvice(cause), retryInMs: this.#retryIn() })
      return undefined
    }
    this.#gone = listing.some((shard) => shard.ShardId === shardId) ? 0 : this.#gone + 1
    if (this.#gone < CONFIRMATIONS) return this.#retry(failure)
    const after = iteratorStart(this.#place).StartingSequenceNumber
    this.#expired('shard-trimmed', after, 'the shard has left the stream, going on with its children')
    return endOfShard(childrenIn(listing, shardId))
  }

  #listShards(signal: AbortSignal): Promise<ShardListing[]> {
    const { port, stream } = this.#options
    return listAllShards(port, stream, { signal })
  }

  #expired(
    reason: 'checkpoint-trimmed' | 'checkpoint-refused' | 'shard-trimmed',
    after: string | undefined,
    detail: string,
  ): void {
    const { shardId, emit } = this.#options
    const where = after === undefined ? 'its beginning' : `sequence number ${after}`
    emit({
      type: 'records-expired',
      shardId,
      reason,
      after,
      message: `Records of ${shardId} after ${where} may have left the stream unread, by its retention period: ${detail}`,
    })
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

function endOfShard(children: readonly ChildShard[]): FetchedBatch {
  return { records: [], bytes: 0, millisBehindLatest: 0, children }
}

function childrenIn(listing: readonly ShardListing[], shardId: string): ChildShard[] {
  return listing
    .filter((shard) => shard.ParentShardId === shardId || shard.AdjacentParentShardId === shardId)
    .map(({ ShardId, ParentShardId, AdjacentParentShardId, HashKeyRange }) => ({
      ShardId,
      ParentShards: [ParentShardId, AdjacentParentShardId].filter((parent) => parent !== undefined),
      HashKeyRange,
    }))
}

function payloadBytes(records: readonly KinesisRecord[]): number {
  let bytes = 0
  for (const record of records) bytes += record.Data?.length ?? 0
  return bytes
}

function missing(shardId: string): ServiceFailure {
  return {
    ...classifyFailure({ name: 'ResourceNotFoundException', message: `Shard ${shardId} is not among the shards of the stream` }),
  }
}
