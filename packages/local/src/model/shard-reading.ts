import type { ChildShard, KinesisRecord } from '@shardwise/core/kinesis-port'
import { rangeText, type Shard, type StoredRecord } from './shard.js'
import type { Stream } from './stream.js'

/** Records from a position on, within both limits, but at least one, however large, if there is one. `bytes` includes partition keys. */
export function readRecords(
  shard: Shard,
  start: number,
  most: { readonly records: number; readonly bytes: number },
): { readonly records: StoredRecord[]; readonly bytes: number } {
  const records: StoredRecord[] = []
  let bytes = 0
  while (records.length < most.records) {
    const record = shard.recordAt(start + records.length)
    if (record === undefined || (records.length > 0 && bytes + record.size > most.bytes)) break
    records.push(record)
    bytes += record.size
  }
  return { records, bytes }
}

/**
 * Zero means caught up and nothing else, so a record that arrived in this very millisecond and was not read counts as one. The tip of a
 * closed shard is the time at which it closed.
 */
export function millisBehindLatest(shard: Shard, next: number, wallTime: number): number {
  const unread = shard.recordAt(next)
  if (unread !== undefined) return Math.max(1, wallTime - unread.arrivedAt)
  return shard.closedAt === undefined ? 0 : Math.max(0, wallTime - shard.closedAt)
}

export function childShards(stream: Stream, parent: Shard, wallTime: number): ChildShard[] {
  const children: ChildShard[] = []
  for (const { shardId, range, origin } of stream.listShards(wallTime)) {
    const parents = [origin.parentShardId, origin.adjacentParentShardId].filter((id) => id !== undefined)
    if (parents.includes(parent.shardId))
      children.push({ ShardId: shardId, ParentShards: parents, HashKeyRange: rangeText(range) })
  }
  return children
}

export function wireRecord(record: StoredRecord): KinesisRecord {
  return {
    SequenceNumber: record.sequenceNumber,
    ApproximateArrivalTimestamp: new Date(record.arrivedAt),
    Data: record.data,
    ...(record.partitionKey === undefined ? {} : { PartitionKey: record.partitionKey }),
    ...(record.encrypted ? { EncryptionType: 'KMS' } : {}),
  }
}
