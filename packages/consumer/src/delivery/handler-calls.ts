import { aborted } from '../aborted.js'
import { type Moment, momentOf } from '../leases/trust-window.js'
import type { RecordPosition } from './completed-prefix.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { Span } from './failure-policy.js'
import { type Batch, HandlerCall, type HandlerCallsOptions } from './handler-call.js'
import { SpanCalls, type When } from './span-calls.js'

/** So long handlers that return no promise are called one after the other before promises of others go on: of other shards, and of the handlers' own. */
const LONGEST_UNSHARED_MS = 1

/**
 * Calls the handler of one shard until the records are completed or given up, and keeps the completed prefix. Which records may be handed
 * over at the same time is for the caller to say.
 */
export class HandlerCalls {
  readonly #options: HandlerCallsOptions
  readonly #one: HandlerCall
  readonly #spans: SpanCalls
  /** Handled one after the other, and not yet in the completed prefix. Nobody else has a turn while there is something. */
  #handled: { readonly batch: Batch; readonly from: number; to: number } | undefined

  constructor(options: HandlerCallsOptions) {
    this.#options = options
    this.#one = new HandlerCall(options)
    this.#spans = new SpanCalls(this.#one)
    options.checkpoints.reportedBy(() => this.#completeHandled())
  }

  /** Records taken and not completed. */
  get outstanding(): number {
    return this.#one.outstanding
  }

  /** The record at which `stop-shard` has come to pass. */
  get blockedAt(): RecordPosition | undefined {
    return this.#one.blockedAt
  }

  take(records: readonly ConsumedRecord[], millisBehindLatest: number | undefined): Batch {
    return this.#one.take(records, millisBehindLatest)
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
      if (!this.#one.mayBegin(at) && !(this.#completeHandled() && this.#one.mayBegin(at))) {
        if (!(await this.#spans.settle(batch, [{ from: next, to: end, handed: 0, failures: 0 }], when))) return false
        returnedAt = undefined
        continue
      }
      const duplicates = this.#one.duplicatesIn(batch, next, end)
      let returned: unknown
      let failure: { readonly error: unknown } | undefined
      try {
        returned = this.#one.call(batch, next, end, 1, duplicates, at.now)
      } catch (error) {
        failure = { error }
      }
      returnedAt = this.#one.returnedAt
      if (failure === undefined && isThenable(returned)) {
        this.#completeHandled()
        returnedAt = undefined
        try {
          await returned
        } catch (error) {
          failure = { error }
        }
        // What is due by that comes first also for who has his turn among shards.
        if (this.#options.isStopping?.() === true) this.#options.lease.passUp?.()
      }
      if (failure !== undefined) {
        this.#completeHandled()
        returnedAt = undefined
        const spans: Span[] = []
        const failed = { from: next, to: end, handed: 0, failures: 0 }
        if (!(await this.#spans.afterFailure(batch, failed, failure.error, duplicates, spans))) return false
        if (!(await this.#spans.settle(batch, spans, when))) return false
        continue
      }
      if (this.#one.hasGivenUp()) {
        this.#completeHandled()
        return false
      }
      this.#one.remember(batch, next, end, duplicates)
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

  /** Resolves when halted where the shard is blocked, else at once: a shard that is blocked is kept. */
  async whileBlocked(): Promise<void> {
    if (this.blockedAt !== undefined) await aborted(this.#options.halt)
  }

  /** `now`: if it is known. */
  #momentOf(now: number | undefined): Moment {
    const { clock } = this.#options
    return now === undefined ? momentOf(clock) : { now, wallTime: clock.wallTime() }
  }

  /** False when there was nothing. */
  #completeHandled(): boolean {
    if (this.#handled === undefined) return false
    const { batch, from, to } = this.#handled
    this.#handled = undefined
    this.#one.complete(batch, from, to)
    return true
  }
}

function isThenable(returned: unknown): boolean {
  if (returned === null || (typeof returned !== 'object' && typeof returned !== 'function')) return false
  return typeof (returned as { readonly then?: unknown }).then === 'function'
}
