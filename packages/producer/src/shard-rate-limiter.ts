import { SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND } from '@shardwise/core/service-limits'

export interface ShardRate {
  readonly recordsPerSecond: number
  readonly bytesPerSecond: number
}

/** What a shard takes: https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html */
export const SHARD_QUOTA: ShardRate = {
  recordsPerSecond: SHARD_WRITE_RECORDS_PER_SECOND,
  bytesPerSecond: SHARD_WRITE_BYTES_PER_SECOND,
}

interface Bucket {
  records: number
  bytes: number
  filledAt: number
}

/**
 * A token bucket of records and one of bytes for each shard; an entry takes from both or from neither. A bucket holds one second's worth
 * and starts full. An entry larger than the whole bucket passes when the bucket is full and leaves it in debt, so that the rate holds over
 * time. (The KPL limits only aggregated records, and lets 10 MiB bursts through: aws/kinesis/core/limiter.h.)
 */
export class ShardRateLimiter {
  readonly #rate: ShardRate
  readonly #buckets = new Map<string, Bucket>()

  constructor(rate: ShardRate = SHARD_QUOTA) {
    this.#rate = rate
  }

  /** Takes the tokens and returns 0, or takes nothing and returns after how many milliseconds to ask again. */
  take(shardId: string, bytes: number, now: number): number {
    const { recordsPerSecond, bytesPerSecond } = this.#rate
    let bucket = this.#buckets.get(shardId)
    if (bucket === undefined) {
      bucket = { records: recordsPerSecond, bytes: bytesPerSecond, filledAt: now }
      this.#buckets.set(shardId, bucket)
    }
    const seconds = (now - bucket.filledAt) / 1000
    bucket.records = Math.min(recordsPerSecond, bucket.records + seconds * recordsPerSecond)
    bucket.bytes = Math.min(bytesPerSecond, bucket.bytes + seconds * bytesPerSecond)
    bucket.filledAt = now
    const recordsMissing = 1 - bucket.records
    const bytesMissing = Math.min(bytes, bytesPerSecond) - bucket.bytes
    if (recordsMissing > 0 || bytesMissing > 0) {
      // At least one millisecond: a wait that rounds to nothing would have the caller ask again without time having passed.
      return Math.max(1, Math.ceil(Math.max(recordsMissing / recordsPerSecond, bytesMissing / bytesPerSecond) * 1000))
    }
    bucket.records -= 1
    bucket.bytes -= bytes
    return 0
  }

  /** Forgets shards that are no longer open. */
  keepOnly(open: ReadonlySet<string>): void {
    for (const shardId of this.#buckets.keys()) if (!open.has(shardId)) this.#buckets.delete(shardId)
  }
}
