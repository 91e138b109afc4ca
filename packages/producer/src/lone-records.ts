import { AggregateBuilder, type Tag } from '@shardwise/aggregation'
import type { Shard } from '@shardwise/core/shard-map'
import { Entry } from './entry.js'
import { MemberRecords } from './members.js'
import type { UserRecord } from './user-record.js'

/** Larger ones are built in a buffer of their own. */
const SCRATCH_BYTES = 16_384
const LEAST_BYTES = 64

/**
 * Makes Kinesis records of user records that travel alone: plain, as every reader knows them, or with tags in an envelope of one, an
 * aggregate with a single member, because a plain record has no place for them.
 */
export class LoneRecords {
  readonly #scratch: AggregateBuilder = new AggregateBuilder({ maxBytes: SCRATCH_BYTES })

  /** What the record with these tags counts at Kinesis, in bytes: its envelope and, outside of it, its key once more. */
  envelopeBytes(partitionKey: string, explicitHashKey: string | undefined, data: Uint8Array, tags: readonly Tag[]): number {
    return this.#scratch.sizeWith(partitionKey, data, explicitHashKey, tags) + Buffer.byteLength(partitionKey)
  }

  entry(record: UserRecord, shard: Shard, deadline: number): Entry {
    const { partitionKey, explicitHashKey, data, tags } = record
    if (tags === undefined) return Entry.plain(record, shard, deadline)
    const scratch = this.#scratch
    if (scratch.tryAdd(partitionKey, data, explicitHashKey, tags)) {
      const sealed = scratch.seal()
      sealed.shrink()
      return Entry.aggregate(new MemberRecords([record]), shard, sealed, deadline)
    }
    const size = scratch.sizeWith(partitionKey, data, explicitHashKey, tags)
    const own = new AggregateBuilder({ maxBytes: Math.max(LEAST_BYTES, size) })
    own.tryAdd(partitionKey, data, explicitHashKey, tags)
    return Entry.aggregate(new MemberRecords([record]), shard, own.seal(), deadline)
  }
}
