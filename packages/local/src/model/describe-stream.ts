import type { StreamReference } from '@shardwise/core/kinesis-port'
import { ON_DEMAND_STREAM_LIMIT, onDemandStreams } from './create-stream.js'
import { PAGE_SIZE, SHARD_ID, STREAM } from './field-rules.js'
import { type Operation, operation } from './operation.js'
import type { Stream } from './stream.js'

/** DescribeStream gives at most this many shards a page, however many are asked for. */
const SHARDS_PER_PAGE = 100

function description(stream: Stream): object {
  const { settings } = stream
  return {
    StreamName: stream.name,
    StreamARN: stream.arn,
    StreamStatus: stream.state.status,
    StreamModeDetails: { StreamMode: settings.mode },
    StreamCreationTimestamp: new Date(stream.createdAt),
    RetentionPeriodHours: settings.retentionHours,
    EnhancedMonitoring: [{ ShardLevelMetrics: [] }],
    EncryptionType: settings.keyId === undefined ? 'NONE' : 'KMS',
    ...(settings.keyId === undefined ? {} : { KeyId: settings.keyId }),
  }
}

export const describeStream: Operation = operation<
  StreamReference & { readonly Limit?: number; readonly ExclusiveStartShardId?: string }
>({ ...STREAM, Limit: PAGE_SIZE, ExclusiveStartShardId: SHARD_ID }, (account, input) => {
  const stream = account.stream(input)
  const after = input.ExclusiveStartShardId
  const shards = stream.listShards(account.wallTime).filter((shard) => after === undefined || shard.shardId > after)
  const page = shards.slice(0, Math.min(input.Limit ?? SHARDS_PER_PAGE, SHARDS_PER_PAGE))
  return {
    StreamDescription: {
      ...description(stream),
      Shards: page.map((shard) => shard.listing()),
      HasMoreShards: page.length < shards.length,
    },
  }
})

export const describeStreamSummary: Operation = operation<StreamReference>(STREAM, (account, input) => {
  const stream = account.stream(input)
  const { settings } = stream
  return {
    StreamDescriptionSummary: {
      ...description(stream),
      OpenShardCount: stream.openShards.length,
      ConsumerCount: stream.consumers.size,
      MaxRecordSizeInKiB: settings.maxRecordKiB,
      ...(settings.mode === 'ON_DEMAND' ? { RecordDistributionStrategy: settings.distribution } : {}),
    },
  }
})

export const describeLimits: Operation = operation<object>({}, (account) => ({
  ShardLimit: account.options.shardLimit,
  OpenShardCount: account.openShardCount,
  OnDemandStreamCount: onDemandStreams(account.streams.values()),
  OnDemandStreamCountLimit: ON_DEMAND_STREAM_LIMIT,
}))
