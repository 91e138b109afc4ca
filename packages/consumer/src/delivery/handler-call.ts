import type { Clock } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import { AbortFlag } from '../abort-flag.js'
import type { Backoff } from '../backoff.js'
import type { ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { HeldLease } from '../leases/held-lease.js'
import type { Moment } from '../leases/trust-window.js'
import { CompletedPrefix, type RecordPosition } from './completed-prefix.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { DeliveryEvent } from './delivery-event.js'
import type { FailurePolicy } from './failure-policy.js'
import type { HandlerContext, Handlers } from './handler.js'
import { LoopTurns } from './loop-turns.js'
import type { RecordIdWindow } from './record-id-window.js'

export interface HandlerCallsOptions {
  /** `passUp`: is told when it was ours, and no call begins after all or for now. */
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

/** Records in shard order, known to the completed prefix. */
export interface Batch {
  readonly records: readonly ConsumedRecord[]
  /** Number of the first in the completed prefix. */
  readonly first: number
  readonly millisBehindLatest: number | undefined
  /** Completed without a call, as copies of what was completed before. */
  duplicates: number
}

/** Makes the calls of one shard's handler, one by one, and keeps account of what they complete. When the next may come is for others to say. */
export class HandlerCall {
  readonly options: HandlerCallsOptions
  readonly loop: LoopTurns
  /** The record at which `stop-shard` has come to pass. */
  blockedAt: RecordPosition | undefined
  /** When the last call of a handler returned: not when what it has returned resolved. */
  returnedAt = 0
  readonly #prefix = new CompletedPrefix()
  readonly #halted: AbortFlag
  readonly #lost: AbortFlag

  constructor(options: HandlerCallsOptions) {
    this.options = options
    this.loop = LoopTurns.of(options.clock)
    this.#halted = new AbortFlag(options.halt)
    this.#lost = new AbortFlag(options.lease.signal)
  }

  /** Records taken and not completed. */
  get outstanding(): number {
    return this.#prefix.outstanding
  }

  take(records: readonly ConsumedRecord[], millisBehindLatest: number | undefined): Batch {
    return { records, first: this.#prefix.append(records), millisBehindLatest, duplicates: 0 }
  }

  /** A call may begin at this moment, with nothing to be done before. */
  mayBegin(at: Moment): boolean {
    return !this.loop.isDue && this.goesOn() && this.options.lease.isOurs(at) && !this.options.checkpoints.isAhead
  }

  goesOn(): boolean {
    return !this.#halted.isSet && this.blockedAt === undefined
  }

  /** Indices of records that need not be handed over. */
  duplicatesIn({ records }: Batch, from: number, to: number): ReadonlySet<number> | undefined {
    const { recordIds } = this.options
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
  call(
    batch: Batch,
    from: number,
    to: number,
    attempt: number,
    duplicates: ReadonlySet<number> | undefined,
    since: number,
  ): unknown {
    const { eachRecord, eachBatch } = this.options.handlers
    const { records } = batch
    this.returnedAt = since
    if (duplicates?.size === to - from) return this.options.lease.passUp?.()
    const last = records[to - 1]!
    this.options.checkpoints.inHand(last)
    const context = this.context(batch, last, attempt)
    try {
      if (eachBatch === undefined) return eachRecord(last, context)
      // A copy: what a handler does to its array must not change which records are completed.
      const given = records.slice(from, to)
      return eachBatch(duplicates?.size ? given.filter((_, i) => !duplicates.has(from + i)) : given, context)
    } finally {
      this.returnedAt = this.options.clock.now()
      this.loop.kept(this.returnedAt - since)
    }
  }

  context({ millisBehindLatest }: Batch, last: ConsumedRecord, attempt: number): HandlerContext {
    const { lease, checkpoints } = this.options
    return {
      shardId: lease.shardId,
      signal: lease.signal,
      millisBehindLatest,
      attempt,
      generation: checkpoints.generation,
      pendingCheckpoint: checkpoints.found,
      checkpoint: (record) => checkpoints.checkpoint(record, last),
      prepareCheckpoint: (record, state) => checkpoints.prepareCheckpoint(record, state, last),
    }
  }

  /** Told to give up what it was called with, the handler may have done so by returning. */
  hasGivenUp(): boolean {
    if (!this.#lost.isSet) return false
    this.options.checkpoints.inHand(undefined)
    return true
  }

  /** The handler has succeeded with these. */
  succeeded(batch: Batch, from: number, to: number, duplicates: ReadonlySet<number> | undefined): void {
    this.remember(batch, from, to, duplicates)
    this.complete(batch, from, to)
  }

  /** So that copies of them are known. */
  remember(batch: Batch, from: number, to: number, duplicates: ReadonlySet<number> | undefined): void {
    const { recordIds } = this.options
    if (recordIds === undefined) return
    for (let i = from; i < to; i++) {
      if (duplicates?.has(i)) batch.duplicates++
      else recordIds.completed(batch.records[i]!)
    }
  }

  complete({ first }: Batch, from: number, to: number): void {
    if (to === from) return
    const before = this.#prefix.outstanding
    this.#prefix.complete(first + from, to - from)
    const records = before - this.#prefix.outstanding
    if (records > 0) this.options.checkpoints.completed(this.#prefix.position!, records)
  }
}
