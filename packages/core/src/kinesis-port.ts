/**
 * The narrow port through which producer and consumer reach Kinesis. Field names and shapes are the service's own
 * (https://docs.aws.amazon.com/kinesis/latest/APIReference/), reduced to what we read. `@shardwise/core/transport` implements it over an AWS
 * SDK client; the simulation implements it over the model of `@shardwise/local`. A call rejects with the service's error as the SDK
 * raises it (its `name` is the error code). A port makes one attempt for data-plane calls (putRecords, getRecords, getShardIterator)
 * and may retry control-plane calls (listShards, describeStreamSummary).
 */
export interface KinesisPort {
  putRecords(input: PutRecordsInput, options?: CallOptions): Promise<PutRecordsOutput>
  getShardIterator(input: GetShardIteratorInput, options?: CallOptions): Promise<GetShardIteratorOutput>
  getRecords(input: GetRecordsInput, options?: CallOptions): Promise<GetRecordsOutput>
  listShards(input: ListShardsInput, options?: CallOptions): Promise<ListShardsOutput>
  describeStreamSummary(input: StreamReference, options?: CallOptions): Promise<DescribeStreamSummaryOutput>
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds until the answer must be complete, for each attempt. Default: that of the port. */
  readonly timeoutMs?: number | undefined
  /**
   * Milliseconds until the answer must have begun (its HTTP headers), for each attempt: what says nothing at all is given up sooner than what comes
   * slowly. Default: `timeoutMs`. A port that does not see an answer begin takes it for the limit of the whole answer, or goes by `timeoutMs` alone.
   */
  readonly firstByteTimeoutMs?: number | undefined
}

/** Exactly one of the two. */
export interface StreamReference {
  readonly StreamName?: string
  readonly StreamARN?: string
}

/** A stream option as users write it, name or ARN, as the API takes it. */
export function streamReference(stream: string): StreamReference {
  return stream.startsWith('arn:') ? { StreamARN: stream } : { StreamName: stream }
}

export interface PutRecordsEntry {
  readonly Data: Uint8Array
  readonly PartitionKey: string
  readonly ExplicitHashKey?: string
}

export interface PutRecordsInput extends StreamReference {
  readonly Records: readonly PutRecordsEntry[]
}

export interface PutRecordsResult {
  readonly SequenceNumber?: string | undefined
  readonly ShardId?: string | undefined
  readonly ErrorCode?: string | undefined
  readonly ErrorMessage?: string | undefined
}

export interface PutRecordsOutput {
  readonly FailedRecordCount?: number | undefined
  readonly Records?: readonly PutRecordsResult[] | undefined
}

export interface GetShardIteratorInput extends StreamReference {
  readonly ShardId: string
  readonly ShardIteratorType: 'AT_SEQUENCE_NUMBER' | 'AFTER_SEQUENCE_NUMBER' | 'TRIM_HORIZON' | 'LATEST' | 'AT_TIMESTAMP'
  readonly StartingSequenceNumber?: string
  readonly Timestamp?: Date
}

export interface GetShardIteratorOutput {
  readonly ShardIterator?: string | undefined
}

export interface GetRecordsInput {
  readonly ShardIterator: string
  readonly Limit?: number
  readonly StreamARN?: string
}

export interface KinesisRecord {
  readonly SequenceNumber?: string | undefined
  readonly ApproximateArrivalTimestamp?: Date | undefined
  readonly Data?: Uint8Array | undefined
  readonly PartitionKey?: string | undefined
}

export interface GetRecordsOutput {
  readonly Records?: readonly KinesisRecord[] | undefined
  /** Absent at the end of a closed shard. */
  readonly NextShardIterator?: string | undefined
  readonly MillisBehindLatest?: number | undefined
  readonly ChildShards?: readonly ChildShard[] | undefined
}

export interface HashKeyRangeText {
  readonly StartingHashKey?: string | undefined
  readonly EndingHashKey?: string | undefined
}

export interface ChildShard {
  readonly ShardId?: string | undefined
  readonly ParentShards?: readonly string[] | undefined
  readonly HashKeyRange?: HashKeyRangeText | undefined
}

export interface ShardFilter {
  readonly Type: 'AFTER_SHARD_ID' | 'AT_TRIM_HORIZON' | 'FROM_TRIM_HORIZON' | 'AT_LATEST' | 'AT_TIMESTAMP' | 'FROM_TIMESTAMP'
  readonly ShardId?: string
  readonly Timestamp?: Date
}

/** With NextToken, neither the stream's name nor a filter may be given. */
export interface ListShardsInput extends StreamReference {
  readonly NextToken?: string
  readonly MaxResults?: number
  readonly ShardFilter?: ShardFilter
}

export interface ShardListing {
  readonly ShardId?: string | undefined
  readonly ParentShardId?: string | undefined
  readonly AdjacentParentShardId?: string | undefined
  readonly HashKeyRange?: HashKeyRangeText | undefined
  readonly SequenceNumberRange?:
    | { readonly StartingSequenceNumber?: string | undefined; readonly EndingSequenceNumber?: string | undefined }
    | undefined
}

export interface ListShardsOutput {
  readonly Shards?: readonly ShardListing[] | undefined
  readonly NextToken?: string | undefined
}

export interface StreamSummary {
  readonly StreamName?: string | undefined
  readonly StreamARN?: string | undefined
  readonly StreamStatus?: string | undefined
  readonly StreamModeDetails?: { readonly StreamMode?: string | undefined } | undefined
  readonly StreamCreationTimestamp?: Date | undefined
  readonly RetentionPeriodHours?: number | undefined
  readonly OpenShardCount?: number | undefined
  readonly MaxRecordSizeInKiB?: number | undefined
  readonly RecordDistributionStrategy?: string | undefined
  readonly EncryptionType?: string | undefined
}

export interface DescribeStreamSummaryOutput {
  readonly StreamDescriptionSummary?: StreamSummary | undefined
  /** The service's own time of this answer (its HTTP `Date` header), epoch milliseconds, whole seconds. */
  readonly serviceTime?: number | undefined
}
