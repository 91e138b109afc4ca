import type { ShardFilter } from '@shardwise/core/kinesis-port'
import type { Shard } from './shard.js'

export const SHARD_FILTER_TYPES: readonly ShardFilter['Type'][] = [
  'AFTER_SHARD_ID',
  'AT_TRIM_HORIZON',
  'FROM_TRIM_HORIZON',
  'AT_LATEST',
  'AT_TIMESTAMP',
  'FROM_TIMESTAMP',
]

export interface ShardSelection {
  readonly filter: ShardFilter['Type']
  /** Only shards whose id is greater. */
  readonly after: string | undefined
  /** Epoch milliseconds, for the two filters that take a time. */
  readonly timestamp: number | undefined
}

/**
 * Which of the present shards (open, or closed and not expired) a filter selects, by the definitions of
 * https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ShardFilter.html. "Present" is the trim horizon: a shard that was open
 * at the horizon is one whose parents have expired or never were. A time before every present shard means the trim horizon.
 */
export function selectShards(present: readonly Shard[], selection: ShardSelection): Shard[] {
  const { filter, after } = selection
  const ids = new Set(present.map((shard) => shard.shardId))
  // Both parents of a merged shard expire together.
  const isRoot = ({ origin }: Shard): boolean => origin.parentShardId === undefined || !ids.has(origin.parentShardId)
  const earliest = Math.min(...present.map((shard) => shard.origin.beganAt))
  const at = Math.max(selection.timestamp ?? 0, earliest)

  const selects = (shard: Shard): boolean => {
    switch (filter) {
      case 'AFTER_SHARD_ID':
      case 'FROM_TRIM_HORIZON':
        return true
      case 'AT_TRIM_HORIZON':
        return isRoot(shard)
      case 'AT_LATEST':
        return shard.isOpen
      case 'AT_TIMESTAMP':
        return shard.origin.beganAt <= at && (shard.closedAt === undefined || shard.closedAt >= at)
      case 'FROM_TIMESTAMP':
        return shard.closedAt === undefined || shard.closedAt >= at
    }
  }
  return present.filter((shard) => (after === undefined || shard.shardId > after) && selects(shard))
}
