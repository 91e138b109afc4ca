import type { ChildShard, GetRecordsInput, KinesisRecord } from '@shardwise/core/kinesis-port'
import { MAX_GET_BYTES, MAX_GET_RECORDS } from '@shardwise/core/service-limits'
import type { Account } from './account.js'
import { refuseDryRun } from './dry-run.js'
import { PAGE_SIZE, STREAM_ARN } from './field-rules.js'
import { invalidArgument, throughputExceeded } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { rangeText, type Shard, type StoredRecord } from './shard.js'
import { openIterator, sealIterator } from './shard-iterator.js'
import type { Stream } from './stream.js'

/**
 * The end of a closed shard comes as an answer of its own: no records, no NextShardIterator, and the ChildShards. The service may also
 * join it to the last records; a reader must cope with both.
 */
export const getRecords: Operation = operation<GetRecordsInput & { readonly DryRun?: boolean }>(
  {
    ShardIterator: { type: 'string', min: 1, max: 512, required: true },
    Limit: PAGE_SIZE,
    StreamARN: STREAM_ARN,
    DryRun: { type: 'boolean' },
  },
  (account, input) => {
    const { stream, shard, position } = openIterator(account, input.ShardIterator)
    if (input.StreamARN !== undefined && input.StreamARN !== stream.arn) {
      throw invalidArgument(`StreamARN ${input.StreamARN} is not the stream that the ShardIterator was given for.`)
    }
    refuseDryRun(input.DryRun)
    if (stream.quotas && !shard.readQuota.take(account.now)) {
      throw throughputExceeded(
        `Rate exceeded for shard ${shard.shardId} in stream ${stream.name} under account ${account.accountId}.`,
      )
    }
    const start = Math.max(position, shard.firstPosition)
    const records = read(shard, start, input.Limit ?? MAX_GET_RECORDS, stream.quotas ? account.now : undefined)
    const next = start + records.length
    const answer = { Records: records.map(wireRecord), MillisBehindLatest: behind(shard, next, account.wallTime) }
    const ended = !shard.isOpen && records.length === 0
    return ended
      ? { ...answer, ChildShards: childShards(account, stream, shard) }
      : { ...answer, NextShardIterator: sealIterator(account, stream, shard, next) }
  },
)

/** Charges what it reads to the shard's quota, if `now` is given. At least one record, however large. */
function read(shard: Shard, start: number, limit: number, now: number | undefined): StoredRecord[] {
  const records: StoredRecord[] = []
  let bytes = 0
  while (records.length < limit) {
    const record = shard.recordAt(start + records.length)
    if (record === undefined || (records.length > 0 && bytes + record.size > MAX_GET_BYTES)) break
    records.push(record)
    bytes += record.size
  }
  if (now !== undefined) shard.readQuota.charge(bytes, now)
  return records
}

/**
 * Zero means caught up and nothing else, so a record that arrived in this very millisecond and was not read counts as one. The tip of a
 * closed shard is the time at which it closed.
 */
function behind(shard: Shard, next: number, wallTime: number): number {
  const unread = shard.recordAt(next)
  if (unread !== undefined) return Math.max(1, wallTime - unread.arrivedAt)
  return shard.closedAt === undefined ? 0 : Math.max(0, wallTime - shard.closedAt)
}

function childShards(account: Account, stream: Stream, parent: Shard): ChildShard[] {
  const children: ChildShard[] = []
  for (const { shardId, range, origin } of stream.listShards(account.wallTime)) {
    const parents = [origin.parentShardId, origin.adjacentParentShardId].filter((id) => id !== undefined)
    if (parents.includes(parent.shardId))
      children.push({ ShardId: shardId, ParentShards: parents, HashKeyRange: rangeText(range) })
  }
  return children
}

function wireRecord(record: StoredRecord): KinesisRecord {
  return {
    SequenceNumber: record.sequenceNumber,
    ApproximateArrivalTimestamp: new Date(record.arrivedAt),
    Data: record.data,
    ...(record.partitionKey === undefined ? {} : { PartitionKey: record.partitionKey }),
    ...(record.encrypted ? { EncryptionType: 'KMS' } : {}),
  }
}
