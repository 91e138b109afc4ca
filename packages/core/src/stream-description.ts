import type { CallOptions, KinesisPort, StreamReference } from './kinesis-port.js'
import { DEFAULT_MAX_RECORD_BYTES } from './service-limits.js'

/** What a stream can do, as found by asking it. */
export interface StreamDescription {
  readonly name: string
  /** Undefined where the endpoint does not tell (some local servers). */
  readonly arn: string | undefined
  /** CREATING, ACTIVE, UPDATING or DELETING. */
  readonly status: string
  readonly mode: 'PROVISIONED' | 'ON_DEMAND' | undefined
  /** The largest Kinesis record, data and partition key. 1 MiB where the service does not say. */
  readonly maxRecordBytes: number
  /** `auto`: the service places records as it likes and ignores their keys, so they must not be aggregated by predicted shard. */
  readonly distribution: 'partition-key' | 'auto'
  readonly createdAt: Date | undefined
  readonly openShards: number | undefined
  /** The service's own time of this answer, epoch milliseconds in whole seconds. */
  readonly serviceTime: number | undefined
}

/** The endpoint answered DescribeStreamSummary with something that is not a description of a stream. */
export class StreamDescriptionError extends Error {
  override readonly name = 'StreamDescriptionError'
  readonly code = 'ERR_SHARDWISE_STREAM_DESCRIPTION'
}

/**
 * One DescribeStreamSummary. Rejects as the port does, for instance with ResourceNotFoundException.
 * Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_StreamDescriptionSummary.html
 */
export async function describeStream(
  port: Pick<KinesisPort, 'describeStreamSummary'>,
  stream: StreamReference,
  options: CallOptions = {},
): Promise<StreamDescription> {
  const { StreamDescriptionSummary: summary, serviceTime } = await port.describeStreamSummary(stream, options)
  const name = summary?.StreamName ?? stream.StreamName ?? nameInArn(stream.StreamARN)
  if (summary?.StreamStatus === undefined || name === undefined) {
    throw new StreamDescriptionError(
      `The answer to DescribeStreamSummary of ${stream.StreamName ?? stream.StreamARN} has no ` +
        `${summary?.StreamStatus === undefined ? 'StreamStatus' : 'StreamName'}: check that the endpoint is a Kinesis endpoint`,
    )
  }
  const kib = summary.MaxRecordSizeInKiB
  const mode = summary.StreamModeDetails?.StreamMode
  return {
    name,
    arn: summary.StreamARN ?? stream.StreamARN,
    status: summary.StreamStatus,
    mode: mode === 'PROVISIONED' || mode === 'ON_DEMAND' ? mode : undefined,
    maxRecordBytes: kib !== undefined && kib > 0 ? kib * 1024 : DEFAULT_MAX_RECORD_BYTES,
    distribution: summary.RecordDistributionStrategy === 'AUTO' ? 'auto' : 'partition-key',
    createdAt: summary.StreamCreationTimestamp,
    openShards: summary.OpenShardCount,
    serviceTime,
  }
}

/** arn:aws:kinesis:region:account:stream/name */
function nameInArn(arn: string | undefined): string | undefined {
  return arn === undefined ? undefined : /:stream\/([^/]+)$/.exec(arn)?.[1]
}
