import { inRange } from '@shardwise/core/hash-key'
import type { PutRecordsResult } from '@shardwise/core/kinesis-port'
import type { Shard } from '@shardwise/core/shard-map'
import type { Entry } from './entry.js'
import { isSameShard } from './shard-directory.js'

/**
 * Where an entry landed, against the map. `elsewhere`: not where it predicts, so it is behind. `keys-ignored`: in a shard whose range does
 * not hold the hash key that the entry was sent with. No reshard does that: the stream was switched to service-managed distribution, or
 * deleted and created anew with other shards of the same ids.
 */
export type Placement = 'predicted' | 'elsewhere' | 'keys-ignored'

/** What the service's answer for one entry means. */
export type Settlement =
  /** Every reader sees all members. */
  | { readonly kind: 'delivered'; readonly shardId: string; readonly sequenceNumber: string; readonly placement: Placement }
  /** Written to a shard that the map does not know: the verdict waits for a newer map. */
  | { readonly kind: 'hold'; readonly shardId: string }
  /** Written, but with a member outside the shard's range: readers that follow the KCL drop the whole aggregate. All members again. */
  | { readonly kind: 'wrong-shard'; readonly shardId: string; readonly placement: Placement }
  /** Not written, says the service. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  /** Neither a place nor an error: nothing can be concluded. */
  | { readonly kind: 'unclear' }

/**
 * The rule that no acknowledged record may be lost by resharding (decision 1 in docs/decisions.md).
 *
 * The authority is the returned ShardId with that shard's hash range, which never changes, and not our prediction. KCL's AggregatorUtil
 * drops a whole aggregate as soon as one member lies outside the range of the shard it was read from; hence all members are acknowledged
 * or none. A plain record is delivered once it is written, wherever that is.
 *
 * If the shard is the very one that was predicted nothing needs to be looked up: each member was predicted by that shard's own range.
 */
export function settle(entry: Entry, result: PutRecordsResult, shardOf: (shardId: string) => Shard | undefined): Settlement {
  const { SequenceNumber: sequenceNumber, ShardId: shardId } = result
  if (!sequenceNumber || !shardId) {
    if (!result.ErrorCode) return { kind: 'unclear' }
    return { kind: 'refused', code: result.ErrorCode, message: result.ErrorMessage ?? 'no message' }
  }
  const shard = shardOf(shardId)
  // Without a prediction nothing is aggregated.
  if (entry.shard === undefined || (shard !== undefined && isSameShard(entry.shard, shard))) {
    return { kind: 'delivered', shardId, sequenceNumber, placement: 'predicted' }
  }
  if (shard === undefined) {
    return entry.isAggregate ? { kind: 'hold', shardId } : { kind: 'delivered', shardId, sequenceNumber, placement: 'elsewhere' }
  }
  const placement = inRange(entry.routingHashKey, shard.range) ? 'elsewhere' : 'keys-ignored'
  if (entry.isAggregate && !entry.fits(shard.range)) return { kind: 'wrong-shard', shardId, placement }
  return { kind: 'delivered', shardId, sequenceNumber, placement }
}
