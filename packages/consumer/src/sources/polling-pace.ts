import type { Random } from '@shardwise/core/random'
import { SHARD_READ_BYTES_PER_SECOND, SHARD_READS_PER_SECOND } from '@shardwise/core/service-limits'
import { type Backoff, backoffDelay } from '../backoff.js'
import { nearestMoment } from '../shared-moments.js'

/** What a read brought, as far as the next one's time depends on it. Times are the clock's `now`. */
export interface ReadOutcome {
  readonly sentAt: number
  readonly receivedAt: number
  readonly records: number
  readonly bytes: number
  readonly millisBehindLatest: number | undefined
}

/**
 * Failures that may pass by themselves in moments, those that somebody has to repair (permissions, keys, a missing stream), and calls without
 * an answer, which have been waited for already.
 */
export type FailurePace = 'passing' | 'lasting' | 'waited'

const LEAST_READS_PER_SECOND = 0.1
/** By how many reads a second the rate grows in each second without refusal. */
const GROWTH = 0.2
const BACKOFF: Readonly<Record<FailurePace, Backoff>> = {
  passing: { baseMs: 200, maxMs: 10_000 },
  lasting: { baseMs: 2_000, maxMs: 60_000 },
  waited: { baseMs: 200, maxMs: 1_000 },
}

/**
 * When a shard may be read next. Knows no clock: it is told what happened and answers with a time.
 *
 * While behind there is no pause but what the shard's quota asks for: 5 reads a second, and 2 MiB a second, so that an answer of 10 MiB is
 * followed by five quiet seconds. Otherwise reads are `idleMs` apart, give or take 1/64 so that all shards' reads fall on the same moments. The quota is shared with applications that we cannot see: a refusal
 * halves our rate, and time without one adds to it by a constant, since adding evenly and taking in proportion is what makes
 * several applications meet at an even share (as TCP does).
 */
export class PollingPace {
  readonly #idleMs: number
  /** Reads a second that we allow ourselves while behind. */
  #rate = SHARD_READS_PER_SECOND
  #readAt = Number.NEGATIVE_INFINITY
  #failures = 0

  constructor(idleMs: number) {
    this.#idleMs = idleMs
  }

  get readAt(): number {
    return this.#readAt
  }

  /** Failures since the last successful read, throttled ones not counted. */
  get failures(): number {
    return this.#failures
  }

  succeeded(read: ReadOutcome): void {
    this.#failures = 0
    this.#rate = Math.min(SHARD_READS_PER_SECOND, this.#rate + GROWTH / this.#rate)
    const spacing = 1000 / this.#rate
    // Counted from the answer: the service charged these bytes at some moment between request and answer.
    const paidOff = read.receivedAt + (read.bytes / SHARD_READ_BYTES_PER_SECOND) * 1000
    const allowedAt = Math.max(read.sentAt + spacing, paidOff)
    const idleUntil = isBehind(read, this.#idleMs) ? allowedAt : nearestMoment(read.sentAt + this.#idleMs, this.#idleMs)
    this.#readAt = Math.max(allowedAt, idleUntil)
  }

  throttled(now: number, random: Random): void {
    this.#rate = Math.max(LEAST_READS_PER_SECOND, this.#rate / 2)
    this.#readAt = now + (1000 / this.#rate) * (0.5 + random())
  }

  failed(pace: FailurePace, now: number, random: Random): void {
    this.#failures++
    this.#readAt = now + backoffDelay(this.#failures, BACKOFF[pace], random)
  }
}

/**
 * A lag shorter than the idle pause counts as caught up: on a busy shard every answer is some milliseconds old, and reading on at once
 * would take the whole quota of the shard for nothing.
 */
function isBehind(read: ReadOutcome, idleMs: number): boolean {
  return read.millisBehindLatest === undefined ? read.records > 0 : read.millisBehindLatest > idleMs
}
