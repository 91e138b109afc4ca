import type { KinesisRecord } from '@shardwise/core/kinesis-port'
import type { ServiceFailure } from '@shardwise/core/service-error'
import { compareSequenceNumbers, type Position } from '../checkpoints/position.js'
import type { SourceEvent } from './record-source.js'
import { type IteratorStart, iteratorStart, type Place } from './shard-iterator.js'

export interface ReadingPlaceOptions {
  readonly shardId: string
  /** The last completed record, or a sentinel. */
  readonly resumeFrom: Position
  /** Epoch milliseconds, see HeldLease. */
  readonly startAt: number | undefined
  readonly emit: (event: SourceEvent) => void
}

type ExpiryReason = Extract<SourceEvent, { readonly type: 'records-expired' }>['reason']

/**
 * Signed requests are refused when our clock is five minutes off, so a moment of our clock less five minutes is certainly not after the
 * service's own time at that moment.
 */
const CLOCK_DOUBT_MS = 300_000
/** What LocalStack says where nothing was written yet, and then does not accept as a place to begin after. */
const NOWHERE = '0'

/** How far a shard has been read in one tenure of its lease, whoever reads it, and where that has expired. */
export class ReadingPlace {
  readonly #options: ReadingPlaceOptions
  #place: Place
  /** Of the next batch: see FetchedBatch. */
  #fromOldest = false
  /** Sequence number. */
  #lastRecord: string | undefined

  constructor(options: ReadingPlaceOptions) {
    this.#options = options
    this.#place = { kind: 'start', position: options.resumeFrom, startAt: options.startAt }
  }

  /** How to ask the service for what comes next. */
  get start(): IteratorStart {
    return iteratorStart(this.#place)
  }

  /** Of the next batch: see FetchedBatch. True once. */
  takeFromOldest(): boolean {
    const fromOldest = this.#fromOldest
    this.#fromOldest = false
    return fromOldest
  }

  /** The service has accepted `start`, which it was given at `askedAt`, epoch milliseconds. Its tip moves on: asking for LATEST again would skip. */
  accepted(askedAt: number): void {
    if (this.start.ShardIteratorType !== 'LATEST' || this.#place.kind !== 'start') return
    this.#place = { ...this.#place, startAt: askedAt - CLOCK_DOUBT_MS }
  }

  /**
   * Moves on behind these records. `ended`: nothing comes after them. `continuation`: how far the service has come, where it says so, which is
   * further than the records when none were written.
   */
  read(records: readonly KinesisRecord[], ended: boolean, continuation?: string): void {
    if (records.length > 0 || ended) this.#noticeTrimming(records[0])
    const last = records.at(-1)?.SequenceNumber
    this.#lastRecord = last ?? this.#lastRecord
    // Before the first record it is not known whether the checkpointed one is there still.
    const waits = last === undefined && this.#place.kind === 'start' && this.#place.position.kind === 'sequence'
    const furthest = last ?? (this.#place.kind === 'after' ? this.#place.sequenceNumber : NOWHERE)
    const further = continuation !== undefined && compareSequenceNumbers(continuation, furthest) > 0
    const sequenceNumber = further && !waits ? continuation : last
    if (sequenceNumber !== undefined) this.#place = { kind: 'after', sequenceNumber }
  }

  /** Those of these records that were not read before: a shard's sequence numbers only grow. */
  unread(records: readonly KinesisRecord[]): readonly KinesisRecord[] {
    const last = this.#lastRecord
    if (last === undefined) return records
    const isNew = ({ SequenceNumber }: KinesisRecord): boolean =>
      SequenceNumber === undefined || compareSequenceNumbers(SequenceNumber, last) > 0
    return records.every(isNew) ? records : records.filter(isNew)
  }

  /** The service does not accept the sequence number that we stand at: it is not in the shard any more, or never was. */
  refused(failure: ServiceFailure): void {
    const after = this.start.StartingSequenceNumber
    // A place that we have read ourselves is of this shard: what lies before it is completed, or in memory.
    this.#fromOldest ||= this.#place.kind === 'start'
    this.#place = { kind: 'oldest' }
    this.#lastRecord = undefined
    this.#expired(
      'checkpoint-refused',
      after,
      `Kinesis does not accept the sequence number (${failure.message}), going on at the oldest record`,
    )
  }

  /** The shard is not in the stream any more. */
  gone(): void {
    const after = this.start.StartingSequenceNumber
    this.#expired('shard-trimmed', after, 'the shard has left the stream, going on with its children')
  }

  /** AT_SEQUENCE_NUMBER must begin with the checkpointed record itself, for it was read once. If it does not, retention took it. */
  #noticeTrimming(first: KinesisRecord | undefined): void {
    if (this.#place.kind !== 'start' || this.#place.position.kind !== 'sequence') return
    const after = this.#place.position.sequenceNumber
    if (first?.SequenceNumber === after) return
    this.#expired('checkpoint-trimmed', after, `the oldest record left is ${first?.SequenceNumber ?? 'none: all have expired'}`)
  }

  #expired(reason: ExpiryReason, after: string | undefined, detail: string): void {
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
}
