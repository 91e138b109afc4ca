import type { GetRecordsInput } from '@shardwise/core/kinesis-port'
import { MAX_GET_BYTES, MAX_GET_RECORDS } from '@shardwise/core/service-limits'
import { refuseDryRun } from './dry-run.js'
import { PAGE_SIZE, STREAM_ARN } from './field-rules.js'
import { invalidArgument, throughputExceeded } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { openIterator, sealIterator } from './shard-iterator.js'
import { childShards, millisBehindLatest, readRecords, wireRecord } from './shard-reading.js'

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
    const { records, bytes } = readRecords(shard, start, { records: input.Limit ?? MAX_GET_RECORDS, bytes: MAX_GET_BYTES })
    if (stream.quotas) shard.readQuota.charge(bytes, account.now)
    const next = start + records.length
    const answer = { Records: records.map(wireRecord), MillisBehindLatest: millisBehindLatest(shard, next, account.wallTime) }
    const ended = !shard.isOpen && records.length === 0
    return ended
      ? { ...answer, ChildShards: childShards(stream, shard, account.wallTime) }
      : { ...answer, NextShardIterator: sealIterator(account, stream, shard, next) }
  },
)
