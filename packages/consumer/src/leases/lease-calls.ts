import type { Clock } from '@shardwise/core/clock'
import { classifyFailure } from '@shardwise/core/service-error'
import type { LeaseEvent, LeaseOperation } from './lease-event.js'
import { withinTime } from './time-limit.js'

const CALLS_AT_ONCE = 16
/** For each page of a scan. One that hangs must not hold up the others for longer; of a large table there are many. */
const PAGE_LIMIT_MS = 10_000
const LEAST_WRITE_LIMIT_MS = 1_000

/** Calls to the lease table for leases that are not held here: each with a time limit, and a failure is announced. */
export class LeaseCalls {
  readonly #clock: Clock
  readonly #writeLimitMs: number
  readonly #emit: (event: LeaseEvent) => void

  constructor(options: {
    readonly clock: Clock
    readonly failoverTimeMs: number
    readonly emit: (event: LeaseEvent) => void
  }) {
    this.#clock = options.clock
    this.#writeLimitMs = Math.max(options.failoverTimeMs / 3, LEAST_WRITE_LIMIT_MS)
    this.#emit = options.emit
  }

  /** `leaseKey`: undefined for a scan, which says when it has a page. Rejects as the call does, when its time is over, or, without a word, when `signal` aborts. */
  async send<T>(
    operation: LeaseOperation,
    leaseKey: string | undefined,
    call: (signal: AbortSignal, onPage: () => void) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    try {
      return await withinTime(this.#clock, leaseKey === undefined ? PAGE_LIMIT_MS : this.#writeLimitMs, call, signal)
    } catch (error) {
      if (signal?.aborted !== true)
        this.#emit({ type: 'lease-store-failed', operation, leaseKey, failure: classifyFailure(error) })
      throw error
    }
  }
}

/** Some at a time. Rejects with the first failure. */
export async function inTurns<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < items.length; i += CALLS_AT_ONCE) await Promise.all(items.slice(i, i + CALLS_AT_ONCE).map(act))
}
