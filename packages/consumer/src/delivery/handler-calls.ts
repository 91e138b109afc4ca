import { type Clock, sleep } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import { AbortFlag } from '../abort-flag.js'
import { aborted } from '../aborted.js'
import { type Backoff, backoffDelay } from '../backoff.js'
import { comparePositions, type Position, sequencePosition } from '../checkpoints/position.js'
import type { ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { HeldLease } from '../leases/held-lease.js'
import { type Moment, momentOf } from '../leases/trust-window.js'
import { CallContext } from './call-context.js'
import { CompletedPrefix, type RecordPosition } from './completed-prefix.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { DeliveryEvent } from './delivery-event.js'
import { FailedAtError } from './failed-at-error.js'
import { afterFailure, type FailurePolicy, type Span } from './failure-policy.js'
import type { HandlerContext, Handlers } from './handler.js'
import { LoopTurns } from './loop-turns.js'
import type { RecordIdWindow } from './record-id-window.js'

/** So long handlers that return no promise are called one after the other before promises of others go on: of other shards, and of the handlers' own. */
const LONGEST_UNSHARED_MS = 1

export interface HandlerCallsOptions {
  /** `passUp`: is told when it was ours and no call begins after all. */
  readonly lease: Pick<HeldLease, 'shardId' | 'signal' | 'isOurs' | 'revalidate'> & { readonly passUp?: () => void }
  readonly handlers: Handlers
  readonly onFailure: FailurePolicy
  readonly backoff: Backoff
  readonly clock: Clock
  readonly random: Random
  /** Undefined: duplicates are handed over like other records. */
  readonly recordIds?: RecordIdWindow | undefined
  /** Somebody has asked the consumer to stop, or to leave the stream. What is due by that comes before the next call, as `halt` soon does. */
  readonly isStopping?: (() => boolean) | undefined
  /** No further handler call begins once this aborts. */
  readonly halt: AbortSignal
  readonly checkpoints: Pick<
    ShardCheckpoints,
    'generation' | 'found' | 'checkpoint' | 'prepareCheckpoint' | 'inHand' | 'isAhead' | 'last' | 'completed' | 'reportedBy'
  >
  readonly emit: (event: DeliveryEvent) => void
}

type When = 'unless-halted' | 'also-halted'

/** Records in shard order, known to the completed prefix. */
export interface Batch {
  readonly records: readonly ConsumedRecord[]
  /** Number of the first in the completed prefix. */
  readonly first: number
  readonly millisBehindLatest: number | undefined
  /** Completed without a call, as copies of what was completed before. */
  duplicates: number
}

/**
 * Calls the handler of one shard until the records are completed or given up, and keeps the completed prefix. Which records may be handed
 * over at the same time is for the caller to say.
 */
export class HandlerCalls {
  readonly #options: HandlerCallsOptions
  readonly #loop: LoopTurns
  readonly #prefix = new CompletedPrefix()
  readonly #halted: AbortFlag
  readonly #lost: AbortFlag
  #blockedAt: RecordPosition | undefined
  /** When the last call of a handler returned: not when what it has returned resolved. */
  #returnedAt = 0
  /** Handled one after the other, and not yet in the completed prefix. Nobody else has a turn while there is something. */
  #handled: { readonly batch: Batch; readonly from: number; to: number } | undefined

  constructor(options: HandlerCallsOptions) {
    this.#options = options
    this.#halted = new AbortFlag(options.halt)
    this.#lost = new AbortFlag(options.lease.signal)
    this.#loop = LoopTurns.of(options.clock)
    options.checkpoints.reportedBy(() => this.#completeHandled())
  }

  /** Records taken and not completed. */
  get outstanding(): number {
    return this.#prefix.outstanding
  }

  take(records: readonly ConsumedRecord[], millisBehindLatest: number | undefined): Batch {
    return { records, first: this.#prefix.append(records), millisBehindLatest, duplicates: 0 }
  }

  /**
   * Hands records `from` up to `to` of the batch over, `step` in a call, one call after the other. True when all are completed or given up; false when
   * that is not to be: halted, lease lost, or the shard is blocked. `also-halted`: a call is made when halted too, once, if nothing has to be waited for.
   */
  async settle(batch: Batch, from: number, to: number, step: number = to - from, when: When = 'unless-halted'): Promise<boolean> {
    // What is usual comes first, and makes nothing for a call but its context: with `eachRecord` that is most of what a record costs. The clock is looked
    // at once for the lease and for the time that a call takes. Where no promise is returned none is waited for, but once in a while: other shards that
    // compute, and what is due by promises, have their turn then. What was handled meanwhile completes together, before anybody else could ask for it: measured on
    // Node 20 by `consumer-http-cbor`, the tree before and this one in turns, an eighth less processor time.
    let sharedAt: number | undefined
    /** When the last call returned, if nobody else has had a turn since. */
    let returnedAt: number | undefined
    for (let next = from; next < to; next += step) {
      const end = next + step
      const at = this.#momentOf(returnedAt)
      sharedAt ??= at.now
      if (!this.#mayBegin(at) && !(this.#completeHandled() && this.#mayBegin(at))) {
        if (!(await this.#settleSpans(batch, [{ from: next, to: end, handed: 0, failures: 0 }], when))) return false
        returnedAt = undefined
        continue
      }
      const duplicates = this.#duplicatesIn(batch, next, end)
      let returned: unknown
      let failure: { readonly error: unknown } | undefined
      try {
        returned = this.#call(batch, next, end, 1, duplicates, at.now)
      } catch (error) {
        failure = { error }
      }
      returnedAt = this.#returnedAt
      if (failure === undefined && isThenable(returned)) {
        this.#completeHandled()
        returnedAt = undefined
        try {
          await returned
        } catch (error) {
          failure = { error }
        }
      }
      if (failure !== undefined) {
        this.#completeHandled()
        returnedAt = undefined
        const spans: Span[] = []
        const failed = { from: next, to: end, handed: 0, failures: 0 }
        if (!(await this.#afterFailure(batch, failed, failure.error, duplicates, spans))) return false
        if (!(await this.#settleSpans(batch, spans, when))) return false
        continue
      }
      if (this.#hasGivenUp()) {
        this.#completeHandled()
        return false
      }
      this.#remember(batch, next, end, duplicates)
      this.#handled ??= { batch, from: next, to: next }
      this.#handled.to = end
      if (returnedAt === undefined) {
        this.#completeHandled()
        sharedAt = undefined
      } else if (returnedAt - sharedAt >= LONGEST_UNSHARED_MS || this.#options.isStopping?.() === true) {
        this.#completeHandled()
        ;[sharedAt, returnedAt] = [returnedAt, undefined]
        await undefined
      }
    }
    this.#completeHandled()
    return true
  }

  /** `spans`: still to be handed over, the next at the end. */
  async #settleSpans(batch: Batch, spans: Span[], when: When): Promise<boolean> {
    for (let span = spans.pop(); span !== undefined; span = spans.pop()) {
      const turn = this.#loop.turn()
      if (turn !== undefined) await turn
      while (this.#goesOn() && !this.#options.lease.isOurs()) if (!(await this.#regain())) return false
      if (!this.#goesOn() && !(when === 'also-halted' && this.#mayCloseGap())) return false
      if (this.#options.checkpoints.isAhead) {
        span = this.#withoutCheckpointed(batch, span)
        if (span.from === span.to) {
          this.#options.lease.passUp?.()
          continue
        }
      }
      // Nothing is awaited between the question and the call: after a pause of the process the lease may belong to someone else.
      const { from, to, handed } = span
      const duplicates = this.#duplicatesIn(batch, from, to)
      try {
        await this.#call(batch, from, to, handed + 1, duplicates, this.#options.clock.now())
      } catch (error) {
        if (!(await this.#afterFailure(batch, span, error, duplicates, spans))) return false
        continue
      }
      if (this.#hasGivenUp()) return false
      this.#succeeded(batch, from, to, duplicates)
    }
    return true
  }

  /** The record at which `stop-shard` has come to pass. */
  get blockedAt(): RecordPosition | undefined {
    return this.#blockedAt
  }

  /** Resolves when halted where the shard is blocked, else at once: a shard that is blocked is kept. */
  async whileBlocked(): Promise<void> {
    const { halt } = this.#options
    if (this.#blockedAt !== undefined) await aborted(halt)
  }

  /** `now`: if it is known. */
  #momentOf(now: number | undefined): Moment {
    const { clock } = this.#options
    return now === undefined ? momentOf(clock) : { now, wallTime: clock.wallTime() }
  }

  /** A call may begin at this moment, with nothing to be done before. */
  #mayBegin(at: Moment): boolean {
    return !this.#loop.isDue && this.#goesOn() && this.#options.lease.isOurs(at) && !this.#options.checkpoints.isAhead
  }

  #goesOn(): boolean {
    return !this.#halted.isSet && this.#blockedAt === undefined
  }

  #mayCloseGap(): boolean {
    const { lease } = this.#options
    return this.#blockedAt === undefined && !lease.signal.aborted && lease.isOurs()
  }

  /** Indices of records that need not be handed over. */
  #duplicatesIn({ records }: Batch, from: number, to: number): ReadonlySet<number> | undefined {
    const { recordIds } = this.#options
    if (recordIds === undefined) return undefined
    const duplicates = new Set<number>()
    const inCall = new Set<string>()
    for (let i = from; i < to; i++) {
      const { recordId } = records[i]!
      if (recordId === undefined) continue
      // One call succeeds with all of its records or with none, so that the first copy in it stands for the others.
      if (inCall.has(recordId) || recordIds.isDuplicate(records[i]!)) duplicates.add(i)
      inCall.add(recordId)
    }
    return duplicates
  }

  /** What the handler returned. `since`: now. */
  #call(
    batch: Batch,
    from: number,
    to: number,
    attempt: number,
    duplicates: ReadonlySet<number> | undefined,
    since: number,
  ): unknown {
    const { eachRecord, eachBatch } = this.#options.handlers
    const { records } = batch
    this.#returnedAt = since
    if (duplicates?.size === to - from) return this.#options.lease.passUp?.()
    const last = records[to - 1]!
    this.#options.checkpoints.inHand(last)
    const context = this.#context(batch, last, attempt)
    try {
      if (eachBatch === undefined) return eachRecord(last, context)
      // A copy: what a handler does to its array must not change which records are completed.
      const given = records.slice(from, to)
      return eachBatch(duplicates?.size ? given.filter((_, i) => !duplicates.has(from + i)) : given, context)
    } finally {
      this.#returnedAt = this.#options.clock.now()
      this.#loop.kept(this.#returnedAt - since)
    }
  }

  #context({ millisBehindLatest }: Batch, last: ConsumedRecord, attempt: number): HandlerContext {
    const { lease, checkpoints } = this.#options
    return new CallContext(lease, millisBehindLatest, attempt, checkpoints, last)
  }

  /** Told to give up what it was called with, the handler may have done so by returning. */
  #hasGivenUp(): boolean {
    if (!this.#lost.isSet) return false
    this.#options.checkpoints.inHand(undefined)
    return true
  }

  /** The handler has succeeded with these. */
  #succeeded(batch: Batch, from: number, to: number, duplicates: ReadonlySet<number> | undefined): void {
    this.#remember(batch, from, to, duplicates)
    this.#complete(batch, from, to)
  }

  /** So that copies of them are known. */
  #remember(batch: Batch, from: number, to: number, duplicates: ReadonlySet<number> | undefined): void {
    const { recordIds } = this.#options
    if (recordIds === undefined) return
    for (let i = from; i < to; i++) {
      if (duplicates?.has(i)) batch.duplicates++
      else recordIds.completed(batch.records[i]!)
    }
  }

  /** False when there was nothing. */
  #completeHandled(): boolean {
    if (this.#handled === undefined) return false
    const { batch, from, to } = this.#handled
    this.#handled = undefined
    this.#complete(batch, from, to)
    return true
  }

  #complete({ first }: Batch, from: number, to: number): void {
    if (to === from) return
    const before = this.#prefix.outstanding
    this.#prefix.complete(first + from, to - from)
    const records = before - this.#prefix.outstanding
    if (records > 0) this.#options.checkpoints.completed(this.#prefix.position!, records)
  }

  /** Puts on `spans` what is to be handed over now. False when nothing is any more. */
  async #afterFailure(
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
    this.#succeeded(batch, span.from, at, duplicates)
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
    this.#complete(batch, span.from, from)
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
      while (this.#goesOn() && !lease.isOurs()) if (!(await this.#regain())) return false
      if (!this.#goesOn()) return false
      if (onFailure.giveUp === 'stop-shard') {
        this.#blockedAt = { sequenceNumber, subSequenceNumber }
        emit({ type: 'shard-blocked', ...about })
        return false
      }
      if (onFailure.giveUp === 'skip') {
        emit({ type: 'record-skipped', ...about })
        break
      }
      try {
        checkpoints.inHand(record)
        await onFailure.giveUp.deadLetter(record, error, this.#context(batch, record, attempt))
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
    this.#complete(batch, index, index + 1)
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
    const { clock, halt } = this.#options
    return sleep(clock, delayMs, { signal: halt }).then(
      () => true,
      () => false,
    )
  }
}

function positionOf({ sequenceNumber, subSequenceNumber }: RecordPosition): Position {
  return sequencePosition(sequenceNumber, subSequenceNumber)
}

function isThenable(returned: unknown): boolean {
  if (returned === null || (typeof returned !== 'object' && typeof returned !== 'function')) return false
  return typeof (returned as { readonly then?: unknown }).then === 'function'
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
