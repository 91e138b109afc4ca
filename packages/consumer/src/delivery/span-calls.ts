import { sleep } from '@shardwise/core/clock'
import { backoffDelay } from '../backoff.js'
import { comparePositions, type Position, sequencePosition } from '../checkpoints/position.js'
import type { RecordPosition } from './completed-prefix.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { DeliveryEvent } from './delivery-event.js'
import { FailedAtError } from './failed-at-error.js'
import { afterFailure, type Span } from './failure-policy.js'
import type { Batch, HandlerCall, HandlerCallsOptions } from './handler-call.js'

export type When = 'unless-halted' | 'also-halted'

/** Hands spans of records over until they are completed or given up, whatever has to be waited for: a turn of the event loop, the lease, the pause after a failure. */
export class SpanCalls {
  readonly #one: HandlerCall
  readonly #options: HandlerCallsOptions

  constructor(one: HandlerCall) {
    this.#one = one
    this.#options = one.options
  }

  /** `spans`: still to be handed over, the next at the end. */
  async settle(batch: Batch, spans: Span[], when: When): Promise<boolean> {
    for (let span = spans.pop(); span !== undefined; span = spans.pop()) {
      const turn = this.#one.loop.turn()
      if (turn !== undefined) {
        this.#options.lease.passUp?.()
        await turn
      }
      while (this.#one.goesOn() && !this.#options.lease.isOurs()) if (!(await this.#regain())) return false
      if (!this.#one.goesOn() && !(when === 'also-halted' && this.#mayCloseGap())) return false
      if (this.#options.checkpoints.isAhead) {
        span = this.#withoutCheckpointed(batch, span)
        if (span.from === span.to) {
          this.#options.lease.passUp?.()
          continue
        }
      }
      // Nothing is awaited between the question and the call: after a pause of the process the lease may belong to someone else.
      const { from, to, handed } = span
      const duplicates = this.#one.duplicatesIn(batch, from, to)
      try {
        await this.#one.call(batch, from, to, handed + 1, duplicates, this.#options.clock.now())
      } catch (error) {
        if (!(await this.afterFailure(batch, span, error, duplicates, spans))) return false
        continue
      }
      if (this.#one.hasGivenUp()) return false
      this.#one.succeeded(batch, from, to, duplicates)
    }
    return true
  }

  #mayCloseGap(): boolean {
    const { lease } = this.#options
    return this.#one.blockedAt === undefined && !lease.signal.aborted && lease.isOurs()
  }

  /** Puts on `spans` what is to be handed over now. False when nothing is any more. */
  async afterFailure(
    batch: Batch,
    failed: Span,
    error: unknown,
    duplicates: ReadonlySet<number> | undefined,
    spans: Span[],
  ): Promise<boolean> {
    const { lease, checkpoints, onFailure, backoff, random, emit } = this.#options
    checkpoints.inHand(undefined)
    const span = this.#withoutCheckpointed(batch, failed)
    if (span.from === span.to) {
      if (!lease.signal.aborted) emit(this.#failure(batch, span, span.from - 1, error, undefined))
      return !lease.signal.aborted
    }
    const failedAt = namedRecord(error, batch.records, span)
    const verdict = afterFailure(onFailure, span, failedAt, backoff, random)
    const at = failedAt ?? span.from
    this.#one.succeeded(batch, span.from, at, duplicates)
    // Told to give up, it did: that is no failure.
    if (lease.signal.aborted) return false
    emit(this.#failure(batch, span, at, error, verdict.givenUp === undefined ? verdict.delayMs : undefined))
    spans.push(...verdict.spans.toReversed())
    return verdict.givenUp === undefined ? this.#pause(verdict.delayMs) : this.#giveUp(batch, verdict.givenUp.from, error)
  }

  /**
   * What the handler has checkpointed itself is completed, by its own word, and to hand it over again would make it checkpoint backwards. After a
   * crash it would not come again either.
   */
  #withoutCheckpointed(batch: Batch, span: Span): Span {
    const { isAhead, last } = this.#options.checkpoints
    if (!isAhead) return span
    let from = span.from
    while (from < span.to && comparePositions(positionOf(batch.records[from]!), last) <= 0) from++
    this.#one.complete(batch, span.from, from)
    return from === span.from ? span : { ...span, from, failures: 0 }
  }

  #failure(batch: Batch, span: Span, at: number, error: unknown, retryInMs: number | undefined): DeliveryEvent {
    const { sequenceNumber, subSequenceNumber } = batch.records[at]!
    return {
      type: 'handler-failed',
      shardId: this.#options.lease.shardId,
      sequenceNumber,
      subSequenceNumber,
      records: span.to - Math.max(at, span.from),
      error,
      attempt: span.handed + 1,
      retryInMs,
    }
  }

  /** False when the record was not given up after all. */
  async #giveUp(batch: Batch, index: number, error: unknown): Promise<boolean> {
    const { lease, checkpoints, onFailure, backoff, random, emit } = this.#options
    if (onFailure === 'retry') throw new Error('A record cannot be given up where failures are retried')
    const record = batch.records[index]!
    const { sequenceNumber, subSequenceNumber, partitionKey } = record
    const about = { shardId: lease.shardId, sequenceNumber, subSequenceNumber, partitionKey, error }
    for (let attempt = 1; ; attempt++) {
      // As before a handler call: by now the record may be another worker's to handle.
      while (this.#one.goesOn() && !lease.isOurs()) if (!(await this.#regain())) return false
      if (!this.#one.goesOn()) return false
      if (onFailure.giveUp === 'stop-shard') {
        this.#one.blockedAt = { sequenceNumber, subSequenceNumber }
        emit({ type: 'shard-blocked', ...about })
        return false
      }
      if (onFailure.giveUp === 'skip') {
        emit({ type: 'record-skipped', ...about })
        break
      }
      try {
        checkpoints.inHand(record)
        await onFailure.giveUp.deadLetter(record, error, this.#one.context(batch, record, attempt))
      } catch (thrown) {
        checkpoints.inHand(undefined)
        if (lease.signal.aborted) return false
        const retryInMs = backoffDelay(attempt, backoff, random)
        emit({ type: 'dead-letter-failed', ...about, error: thrown, attempt, retryInMs })
        if (!(await this.#pause(retryInMs))) return false
        continue
      }
      if (lease.signal.aborted) return false
      emit({ type: 'record-dead-lettered', ...about })
      break
    }
    this.#one.complete(batch, index, index + 1)
    return true
  }

  /** The lease is in doubt. True when it is ours after all, false when lost, or halted before it was known. */
  async #regain(): Promise<boolean> {
    const { lease, halt } = this.#options
    return new Promise((resolve, reject) => {
      const halted = (): void => resolve(false)
      halt.addEventListener('abort', halted, { once: true })
      lease
        .revalidate()
        .then(resolve, reject)
        .finally(() => halt.removeEventListener('abort', halted))
    })
  }

  /** False when halted before the pause was over. */
  #pause(delayMs: number): Promise<boolean> {
    const { clock, halt, lease } = this.#options
    lease.passUp?.()
    return sleep(clock, delayMs, { signal: halt }).then(
      () => true,
      () => false,
    )
  }
}

function positionOf({ sequenceNumber, subSequenceNumber }: RecordPosition): Position {
  return sequencePosition(sequenceNumber, subSequenceNumber)
}

/** The index of the record that the error names, where it is one of the span. */
function namedRecord(error: unknown, records: readonly ConsumedRecord[], { from, to }: Span): number | undefined {
  if (!(error instanceof FailedAtError)) return undefined
  for (let i = from; i < to; i++) {
    const { sequenceNumber, subSequenceNumber } = records[i]!
    if (sequenceNumber === error.sequenceNumber && subSequenceNumber === error.subSequenceNumber) return i
  }
  return undefined
}
