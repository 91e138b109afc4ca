import { type Random, systemRandom } from '@shardwise/core/random'
import type { Entry } from './entry.js'
import { ShardRateLimiter } from './shard-rate-limiter.js'
import { type SendRate, TokenBucket } from './token-bucket.js'

export interface RateOptions {
  /** Default 100. */
  readonly shardRatePercent?: number
  /** Default: no limit. */
  readonly streamRate?: SendRate
  readonly random?: Random
}

const UNLIMITED: SendRate = { recordsPerSecond: Number.POSITIVE_INFINITY, bytesPerSecond: Number.POSITIVE_INFINITY }

/** The limits that an entry must pass to be sent: its shard's, and one for the whole stream. It takes from both or from neither. */
export class RateLimits {
  readonly #shards: ShardRateLimiter
  readonly #streamRate: SendRate
  #stream: TokenBucket | undefined
  #streamOpensAt = Number.NEGATIVE_INFINITY

  constructor({ shardRatePercent = 100, streamRate = UNLIMITED, random = systemRandom }: RateOptions) {
    this.#shards = new ShardRateLimiter(shardRatePercent, random)
    this.#streamRate = streamRate
  }

  /** When the stream's limit is asked again. */
  get streamOpensAt(): number {
    return this.#streamOpensAt
  }

  /** Lets the entry through and returns 0, or takes nothing and returns after how many milliseconds to ask again. */
  take(shardId: string | undefined, bytes: number, now: number): number {
    if (now < this.#streamOpensAt) return this.#streamOpensAt - now
    const wait = this.#shards.take(shardId, bytes, now)
    if (wait > 0 || !this.#hasStreamLimit) return wait
    this.#stream ??= new TokenBucket(this.#streamRate, 1, now)
    const streamWait = this.#stream.take(bytes, now)
    if (streamWait === 0) return 0
    this.#shards.giveBack(shardId, bytes)
    this.#streamOpensAt = this.#shards.tickAfter(now + streamWait)
    return this.#streamOpensAt - now
  }

  /** Entries that were let through and are not sent after all: else they would pay again when their turn comes anew. */
  giveBack(entries: readonly Entry[]): void {
    for (const { shardId, bytes } of entries) {
      this.#shards.giveBack(shardId, bytes)
      this.#stream?.giveBack(bytes)
    }
    if (entries.length > 0) this.#streamOpensAt = Number.NEGATIVE_INFINITY
  }

  /** The service refused an entry for the quota of its shard. Returns from when on the shard may be sent to again. */
  throttled({ shardId, bytes }: Entry, sentAt: number, now: number): number {
    return this.#shards.throttled(shardId, bytes, sentAt, now)
  }

  /** The shard took an entry that was sent at `sentAt`: its refusals before are in doubt. */
  accepted({ shardId, bytes }: Entry, sentAt: number): void {
    this.#shards.accepted(shardId, bytes, sentAt)
  }

  /** What may be sent to the shard now, as a multiple of its quota. */
  allowance(shardId: string, now: number): number {
    return this.#shards.allowance(shardId, now)
  }

  /** Forgets shards that are no longer open. `open` is undefined where the service places records itself. */
  keepOnly(open: ReadonlySet<string> | undefined, openShards: number): void {
    this.#shards.keepOnly(open, openShards)
  }

  get #hasStreamLimit(): boolean {
    const { recordsPerSecond, bytesPerSecond } = this.#streamRate
    return Math.min(recordsPerSecond, bytesPerSecond) < Number.POSITIVE_INFINITY
  }
}
