import { DISTRIBUTION, MAX_RECORD_KIB, required, STREAM_MODE, STREAM_NAME, TAGS } from './field-rules.js'
import { constraintsFailed, missing } from './input-validation.js'
import { inUse, invalidArgument, limitExceeded } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { Stream, type StreamSettings } from './stream.js'
import { addTags } from './tags.js'

interface CreateStreamInput {
  readonly StreamName: string
  readonly ShardCount?: number
  readonly StreamModeDetails?: { readonly StreamMode: StreamSettings['mode'] }
  readonly RecordDistributionStrategy?: StreamSettings['distribution']
  readonly MaxRecordSizeInKiB?: number
  readonly Tags?: Readonly<Record<string, string>>
}

/** https://docs.aws.amazon.com/streams/latest/dev/how-do-i-size-a-stream.html */
const ON_DEMAND_SHARDS = 4
export const ON_DEMAND_STREAM_LIMIT = 50

export const createStream: Operation = operation<CreateStreamInput>(
  {
    StreamName: required(STREAM_NAME),
    ShardCount: { type: 'integer', min: 1 },
    StreamModeDetails: STREAM_MODE,
    RecordDistributionStrategy: DISTRIBUTION,
    MaxRecordSizeInKiB: MAX_RECORD_KIB,
    Tags: TAGS,
  },
  (account, input) => {
    const name = input.StreamName
    const mode = input.StreamModeDetails?.StreamMode ?? 'PROVISIONED'
    const distribution = input.RecordDistributionStrategy ?? 'USER_PARTITION_KEY'
    if (mode === 'ON_DEMAND' && input.ShardCount !== undefined) {
      throw invalidArgument('ShardCount can not be specified for a stream in ON_DEMAND mode: the service chooses it.')
    }
    if (mode === 'PROVISIONED' && input.ShardCount === undefined) throw constraintsFailed([missing('shardCount')])
    if (mode === 'PROVISIONED' && distribution === 'AUTO') throw distributionNeedsOnDemand(name)
    if (account.streams.has(name)) throw inUse(`Stream ${name} under account ${account.accountId} already exists.`)

    const shardCount = input.ShardCount ?? ON_DEMAND_SHARDS
    account.requireShards(shardCount)
    if (mode === 'ON_DEMAND' && onDemandStreams(account.streams.values()) >= ON_DEMAND_STREAM_LIMIT) {
      throw limitExceeded(
        `Account ${account.accountId} can not have more than ${ON_DEMAND_STREAM_LIMIT} streams in ON_DEMAND mode in ${account.options.region}.`,
      )
    }

    const stream = new Stream(
      {
        ...account.nextIncarnation(name),
        name,
        arn: account.arnOf(name),
        createdAt: account.wallTime,
        settings: { mode, retentionHours: 24, maxRecordKiB: input.MaxRecordSizeInKiB ?? 1024, distribution, keyId: undefined },
        quotas: account.options.quotas,
      },
      { status: 'CREATING', until: account.now + account.options.transitionMs.create, shardCount },
    )
    if (input.Tags !== undefined) addTags(account, stream, input.Tags)
    account.streams.set(name, stream)
    return {}
  },
)

export function onDemandStreams(streams: Iterable<Stream>): number {
  return [...streams].filter((stream) => stream.settings.mode === 'ON_DEMAND').length
}

export function distributionNeedsOnDemand(name: string): Error {
  return invalidArgument(`Stream ${name} is in PROVISIONED mode: record distribution strategy AUTO needs ON_DEMAND mode.`)
}
