import { type Clock, sleep } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import type { Backoff } from '../backoff.js'
import type { HeldLease } from '../leases/held-lease.js'
import { CompletedPrefix, type RecordPosition } from './completed-prefix.js'
import type { ConsumedRecord } from './consumed-record.js'
import { afterFailure } from './failure-policy.js'
import type { HandlerContext, Handlers } from './handler.js'

export interface InOrderDeliveryOptions {
  readonly lease: Pick<HeldLease, 'shardId' | 'signal' | 'isOurs' | 'revalidate'>
  readonly handlers: Handlers
  readonly backoff: Backoff
  readonly clock: Clock
  readonly random: Random
  /** No further handler call begins once this aborts. */
  readonly halt: AbortSignal
  /** Called with the end of the completed prefix each time it has moved. */
  readonly completed: (position: RecordPosition) => void
  readonly emit: (event: DeliveryEvent) => void
}

export type DeliveryEvent =
  /** The handler threw or rejected. The same records are handed to it again. The position is that of the first. */
  {
    readonly type: 'handler-failed'
    readonly shardId: string
    readonly sequenceNumber: string
    readonly subSequenceNumber: number
    readonly records: number
    readonly error: unknown
    readonly attempt: number
    readonly retryInMs: number
  }

/** Calls the handler for one shard, one call at a time, in order, until each has succeeded. */
export class InOrderDelivery {
  readonly #options: InOrderDeliveryOptions
  readonly #prefix = new CompletedPrefix()

  constructor(options: InOrderDeliveryOptions) {
    this.#options = options
  }

  /** Records handed in and not completed. */
  get outstanding(): number {
    return this.#prefix.outstanding
  }

  /** True when all records are completed, false when halted before. Never rejects. */
  async deliver(records: readonly ConsumedRecord[], millisBehindLatest: number | undefined): Promise<boolean> {
    const { handlers, lease } = this.#options
    const first = this.#prefix.append(records)
    const context: HandlerContext = { shardId: lease.shardId, signal: lease.signal, millisBehindLatest, attempt: 1 }
    if (handlers.eachBatch !== undefined) {
      const { eachBatch } = handlers
      return this.#untilDone((attempted) => eachBatch(records, attempted), records, first, context)
    }
    const { eachRecord } = handlers
    for (let i = 0; i < records.length; i++) {
      const record = records[i]!
      if (!(await this.#untilDone((attempted) => eachRecord(record, attempted), [record], first + i, context))) return false
    }
    return true
  }

  async #untilDone(
    call: (context: HandlerContext) => unknown,
    records: readonly ConsumedRecord[],
    index: number,
    context: HandlerContext,
  ): Promise<boolean> {
    const { lease, halt, completed } = this.#options
    for (let attempt = 1; ; attempt++) {
      while (!halt.aborted && !lease.isOurs()) if (!(await this.#regain())) return false
      if (halt.aborted) return false
      // Nothing is awaited between the question and the call: after a pause of the process the lease may belong to someone else.
      try {
        await call(attempt === 1 ? context : { ...context, attempt })
      } catch (error) {
        // Told to give up, it did: that is no failure.
        if (lease.signal.aborted) return false
        if (!(await this.#pauseAfter(error, attempt, records))) return false
        continue
      }
      this.#prefix.complete(index, records.length)
      completed(this.#prefix.position!)
      return true
    }
  }

  /** The lease is in doubt. True when it is ours after all, false when lost, or halted before it was known. */
  async #regain(): Promise<boolean> {
    const { lease, halt } = this.#options
    const known = new AbortController()
    const halted = new Promise<false>((resolve) => {
      halt.addEventListener('abort', () => resolve(false), { once: true, signal: known.signal })
    })
    return Promise.race([lease.revalidate(), halted]).finally(() => known.abort())
  }

  /** False when halted before the pause was over. */
  async #pauseAfter(error: unknown, attempt: number, records: readonly ConsumedRecord[]): Promise<boolean> {
    const { lease, backoff, clock, random, halt, emit } = this.#options
    const { delayMs } = afterFailure(attempt, backoff, random)
    const { sequenceNumber, subSequenceNumber } = records[0]!
    emit({
      type: 'handler-failed',
      shardId: lease.shardId,
      sequenceNumber,
      subSequenceNumber,
      records: records.length,
      error,
      attempt,
      retryInMs: delayMs,
    })
    return sleep(clock, delayMs, { signal: halt }).then(
      () => true,
      () => false,
    )
  }
}
