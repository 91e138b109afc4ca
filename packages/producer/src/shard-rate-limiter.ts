import type { Random } from '@shardwise/core/random'
import { SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND } from '@shardwise/core/service-limits'
import { AdaptiveRate } from './adaptive-rate.js'
import { type SendRate, TokenBucket } from './token-bucket.js'

/** What a shard takes: https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html */
export const SHARD_QUOTA: SendRate = {
  recordsPerSecond: SHARD_WRITE_RECORDS_PER_SECOND,
  bytesPerSecond: SHARD_WRITE_BYTES_PER_SECOND,
}

/**
 * Of each shard, how many seconds' worth may be saved up and go at once. What the service saves up for a shard is a second's worth. The rest
 * is for requests that travel faster than those before, and for the linger: tokens are taken when an entry joins a request, which may wait
 * for company at first and go at once later. Else a shard would be found empty now and then although no more was sent than it takes.
 */
const BURST_SECONDS = 0.8

/**
 * What has to wait for its limit waits in its lane, and the lanes' waits end together at most this much late: so that they share requests,
 * and a shard at its limit does not get a thousand requests of one record a second. The KPL asks its limiter every 25 ms. Of random
 * length, since producers in step would meet a full shard in the same order every time.
 */
const TICK_MS = 20

/** The rate may rise while a large entry is being saved up for: what was worked out from the present rate is not waited for to the end. */
const LONGEST_WAIT_MS = 500

interface Gate {
  readonly bucket: TokenBucket
  readonly adaptive: AdaptiveRate
  /** Not asked before this time. */
  opensAt: number
}

/**
 * The rate of each shard: a bucket of tokens that fills at an adaptive rate. An entry that the service refused has had its tokens all the
 * same: the rate is that of sending, else what is refused could be sent again as often as one likes.
 *
 * Where the service places records itself (AUTO), the stream is one gate with the quota of all its open shards: the service uses whichever
 * has room. (The KPL limits only aggregated records, lets 10 MiB bursts through and never adapts: aws/kinesis/core/limiter.h.)
 */
export class ShardRateLimiter {
  readonly #most: number
  readonly #random: Random
  readonly #gates = new Map<string | undefined, Gate>()
  #openShards = 1
  #tickAt = Number.NEGATIVE_INFINITY

  /** `percent` of the quota is the most that is sent to a shard. */
  constructor(percent: number, random: Random) {
    this.#most = percent / 100
    this.#random = random
  }

  /** Takes the tokens and returns 0, or takes nothing and returns after how many milliseconds to ask again. */
  take(shardId: string | undefined, bytes: number, now: number): number {
    const gate = this.#gates.get(shardId) ?? this.#open(shardId, now)
    if (gate.adaptive.probes()) {
      gate.bucket.take(bytes, now, gate.adaptive.at(now), true)
      return 0
    }
    const opensAt = Math.max(gate.opensAt, gate.adaptive.opensAt)
    if (now < opensAt) return opensAt - now
    const wait = gate.bucket.take(bytes, now, gate.adaptive.at(now))
    if (wait > 0) gate.opensAt = this.tickAfter(now + Math.min(wait, LONGEST_WAIT_MS))
    return wait > 0 ? gate.opensAt - now : 0
  }

  /** An entry that was let through is not sent after all. */
  giveBack(shardId: string | undefined, bytes: number): void {
    const gate = this.#gates.get(shardId)
    if (gate === undefined) return
    gate.bucket.giveBack(bytes)
    gate.opensAt = Number.NEGATIVE_INFINITY
  }

  /** The shard took an entry that was sent at `sentAt`. */
  accepted(shardId: string | undefined, bytes: number, sentAt: number): void {
    const gate = this.#gates.get(shardId)
    gate?.adaptive.accepted(sentAt, costOf(bytes, gate.bucket.rate))
  }

  /**
   * The service refused an entry for the quota of its shard. Returns from when on the shard may be sent to again: at once while it is doubted.
   */
  throttled(shardId: string | undefined, bytes: number, sentAt: number, now: number): number {
    const gate = this.#gates.get(shardId)
    if (gate === undefined) return now
    const cost = costOf(bytes, gate.bucket.rate)
    if (gate.adaptive.throttled(sentAt, now, cost, this.#random)) gate.bucket.emptyUntil(gate.adaptive.opensAt)
    return Math.max(now, gate.adaptive.opensAt)
  }

  /** What may be sent to the shard now, as a multiple of its quota. */
  allowance(shardId: string, now: number): number {
    return this.#gates.get(shardId)?.adaptive.at(now) ?? this.#most
  }

  /** When those that may go at `at` are asked: the same time for all that are within a tick of it. */
  tickAfter(at: number): number {
    if (at > this.#tickAt || at <= this.#tickAt - TICK_MS) this.#tickAt = at + Math.ceil(this.#random() * TICK_MS)
    return this.#tickAt
  }

  /** Forgets shards that are no longer open. `open` is undefined where the service places records itself. */
  keepOnly(open: ReadonlySet<string> | undefined, openShards: number): void {
    this.#openShards = openShards
    for (const [shardId, gate] of this.#gates) {
      if (shardId === undefined ? open !== undefined : open?.has(shardId) !== true) this.#gates.delete(shardId)
      else gate.bucket.rate = this.#quota(shardId)
    }
  }

  #open(shardId: string | undefined, now: number): Gate {
    const adaptive = new AdaptiveRate(this.#most)
    const bucket = new TokenBucket(this.#quota(shardId), BURST_SECONDS, now, this.#most)
    const gate = { bucket, adaptive, opensAt: Number.NEGATIVE_INFINITY }
    this.#gates.set(shardId, gate)
    return gate
  }

  #quota(shardId: string | undefined): SendRate {
    if (shardId !== undefined) return SHARD_QUOTA
    const { recordsPerSecond, bytesPerSecond } = SHARD_QUOTA
    return { recordsPerSecond: recordsPerSecond * this.#openShards, bytesPerSecond: bytesPerSecond * this.#openShards }
  }
}

/** Seconds of the rate that an entry uses up. */
function costOf(bytes: number, { recordsPerSecond, bytesPerSecond }: SendRate): number {
  return Math.max(1 / recordsPerSecond, bytes / bytesPerSecond)
}
