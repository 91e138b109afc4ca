import type { GetShardIteratorInput } from '@shardwise/core/kinesis-port'
import type { Position } from '../checkpoints/position.js'

/** Where a source stands in its shard. */
export type Place =
  /** Nothing fetched yet. `startAt`: epoch milliseconds, see HeldLease. */
  | { readonly kind: 'start'; readonly position: Position; readonly startAt: number | undefined }
  /** The record with this sequence number is the last one fetched. */
  | { readonly kind: 'after'; readonly sequenceNumber: string }
  /** The place we stood at has expired. */
  | { readonly kind: 'oldest' }

export type IteratorStart = Pick<GetShardIteratorInput, 'ShardIteratorType' | 'StartingSequenceNumber' | 'Timestamp'>

/**
 * How to ask for an iterator at a place.
 *
 * A checkpoint is asked for with AT, not AFTER: it may lie in the middle of an aggregate, whose later members share its sequence number.
 * The members up to the checkpoint are dropped after de-aggregation. A fetched record is asked for with AFTER: all of it is in memory.
 *
 * Without `startAt` (a lease that KCL made, and for `at-timestamp` no time in our options either) `latest` is the service's own LATEST, as in
 * KCL, and `at-timestamp` is the oldest record: which time was meant is not known, and nothing may be skipped.
 */
export function iteratorStart(place: Place): IteratorStart {
  if (place.kind === 'oldest') return { ShardIteratorType: 'TRIM_HORIZON' }
  if (place.kind === 'after') return { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: place.sequenceNumber }
  const { position, startAt } = place
  switch (position.kind) {
    case 'sequence':
      return { ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber: position.sequenceNumber }
    case 'trim-horizon':
      return { ShardIteratorType: 'TRIM_HORIZON' }
    case 'latest':
      if (startAt === undefined) return { ShardIteratorType: 'LATEST' }
      return { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(startAt) }
    case 'at-timestamp':
      if (startAt === undefined) return { ShardIteratorType: 'TRIM_HORIZON' }
      return { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(startAt) }
    case 'shard-end':
      throw new TypeError('A shard that has ended has nothing to read')
  }
}
