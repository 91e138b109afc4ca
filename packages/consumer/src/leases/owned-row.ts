import type { Clock } from '@shardwise/core/clock'
import { classifyFailure, type ServiceFailure } from '@shardwise/core/service-error'
import { isHeldBy, type Lease } from './lease.js'
import type { LeaseWrite } from './lease-store.js'
import { withinTime } from './time-limit.js'
import { isTrusted, type Moment, momentOf } from './trust-window.js'

export interface OwnedRowOptions {
  /** The row as our take left it. */
  readonly lease: Lease
  /** When that take was sent. */
  readonly sent: Moment
  readonly workerId: string
  readonly failoverTimeMs: number
  readonly clock: Clock
}

export type WriteOutcome =
  /** It has taken effect. */
  | { readonly is: 'landed' }
  /** It has not, nor will it, and the lease is not ours. `uncertain`: unless an earlier attempt of this very write gave it up. */
  | { readonly is: 'refused'; readonly uncertain: boolean; readonly found: Lease | undefined }
  /** The lease is ours and the row has changed under the write: decide again, from the new row. */
  | { readonly is: 'changed' }
  /** It may have taken effect or not: send again. */
  | { readonly is: 'failed'; readonly failure: ServiceFailure }

/**
 * What an owner knows for certain about its lease's row: what stands in it, and since when that has been proven. The writes must be sent one
 * after the other. docs/lease-protocol.md, "Unknown outcomes".
 */
export class OwnedRow {
  readonly #options: OwnedRowOptions
  #row: Lease
  #confirmed: Moment
  /** When a write with the present counter was first sent, if that may have landed: what its landing proves. */
  #firstSent: Moment | undefined

  constructor(options: OwnedRowOptions) {
    this.#options = options
    this.#row = options.lease
    this.#confirmed = options.sent
  }

  get row(): Lease {
    return this.#row
  }

  /** Monotonic time at which the last write known to have landed was sent. */
  get confirmedAt(): number {
    return this.#confirmed.now
  }

  isTrusted(at: Moment = momentOf(this.#options.clock)): boolean {
    return isTrusted(this.#confirmed, at, this.#options.failoverTimeMs)
  }

  async attempt(limitMs: number, send: (row: Lease, signal: AbortSignal) => Promise<LeaseWrite>): Promise<WriteOutcome> {
    const { clock, workerId } = this.#options
    const row = this.#row
    const sent = momentOf(clock)
    const firstSent = this.#firstSent
    let write: LeaseWrite
    try {
      write = await withinTime(clock, limitMs, (signal) => send(row, signal))
    } catch (error) {
      const failure = classifyFailure(error)
      if (failure.written === 'unknown') this.#firstSent ??= sent
      return { is: 'failed', failure }
    }
    if (write.done) {
      this.#confirm(write.lease, firstSent ?? sent)
      return { is: 'landed' }
    }
    const found = write.lease
    const steps = found === undefined || !isHeldBy(found, workerId) ? undefined : found.leaseCounter - row.leaseCounter
    // A handoff was requested or withdrawn: that leaves the counter.
    if (found !== undefined && steps === 0) this.#row = found
    // While the lease is held nobody else moves the counter. One step: an attempt of ours has landed after all. More: it was lost in between.
    else if (found !== undefined && steps === 1 && firstSent !== undefined) this.#confirm(found, firstSent)
    else return { is: 'refused', uncertain: firstSent !== undefined, found }
    return { is: 'changed' }
  }

  #confirm(row: Lease, sent: Moment): void {
    this.#row = row
    this.#confirmed = sent
    this.#firstSent = undefined
  }
}
