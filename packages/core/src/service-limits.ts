/**
 * What the service allows, as numbers. Each links to the page that states it; `MiB` means 1,048,576 bytes, as the service counts.
 * Quotas of an account (how many streams, how many shards) are not here: they differ and can be raised.
 */

const KIB = 1024
const MIB: number = 1024 * KIB

/** Records in one PutRecords request. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html */
export const MAX_RECORDS_PER_PUT: number = 500

/**
 * Bytes of one PutRecords request, data and partition keys together. It was 5 MiB until records could grow beyond 1 MiB.
 * https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
 */
export const MAX_PUT_REQUEST_BYTES: number = 10 * MIB

/** What a shard takes each second, data and partition keys. https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html */
export const SHARD_WRITE_BYTES_PER_SECOND: number = MIB

/** Kinesis records a shard takes each second. https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html */
export const SHARD_WRITE_RECORDS_PER_SECOND: number = 1000

/**
 * What GetRecords reads from a shard each second, all consumers without enhanced fan-out together.
 * https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
 */
export const SHARD_READ_BYTES_PER_SECOND: number = 2 * MIB

/**
 * GetRecords calls a shard takes each second, all consumers without enhanced fan-out together.
 * https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
 */
export const SHARD_READS_PER_SECOND: number = 5

/** Records in one GetRecords answer, and the greatest `Limit`. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html */
export const MAX_GET_RECORDS: number = 10_000

/**
 * Bytes in one GetRecords answer. An answer of this size uses up five seconds of the shard's read rate: calls within them are throttled.
 * https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
 */
export const MAX_GET_BYTES: number = 10 * MIB

/** How long an iterator may be used after it was returned. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html */
export const ITERATOR_LIFETIME_MS: number = 300_000

/** GetShardIterator calls a shard takes each second. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html */
export const SHARD_ITERATORS_PER_SECOND: number = 5

/** How long the NextToken of ListShards may be used. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html */
export const LIST_SHARDS_TOKEN_LIFETIME_MS: number = 300_000

/** Shards in one page of ListShards, the greatest and the default `MaxResults`. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html */
export const MAX_LIST_SHARDS_RESULTS: number = 1000

/** Unicode characters of a partition key; at least one. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html */
export const MAX_PARTITION_KEY_CHARACTERS: number = 256

/**
 * The largest Kinesis record, data and partition key, on a stream that does not say otherwise.
 * https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateMaxRecordSize.html
 */
export const DEFAULT_MAX_RECORD_BYTES: number = MIB

/** The largest record size a stream can be set to. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateMaxRecordSize.html */
export const MAX_RECORD_BYTES_CEILING: number = 10 * MIB

/** https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DecreaseStreamRetentionPeriod.html */
export const MIN_RETENTION_HOURS: number = 24

/** https://docs.aws.amazon.com/kinesis/latest/APIReference/API_IncreaseStreamRetentionPeriod.html */
export const MAX_RETENTION_HOURS: number = 8760

/** Calls an account may make each second. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamSummary.html */
export const DESCRIBE_STREAM_SUMMARY_PER_SECOND: number = 20

/** Consumers with enhanced fan-out a stream may have. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html */
export const MAX_STREAM_CONSUMERS: number = 20

/** Consumers that may be CREATING at the same time. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html */
export const MAX_CONSUMERS_CREATING: number = 5

/** After this the service ends a subscription. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html */
export const SUBSCRIPTION_LIFETIME_MS: number = 300_000

/**
 * For so long after a successful SubscribeToShard another one of the same consumer and shard is refused (ResourceInUseException); afterwards it
 * takes the subscription over. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html
 */
export const SUBSCRIPTION_EXCLUSIVE_MS: number = 5000

/** Calls of SubscribeToShard for one consumer and shard are at least this far apart. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html */
export const SUBSCRIBE_INTERVAL_MS: number = 1000

/**
 * What each consumer with enhanced fan-out is sent of each shard every second.
 * https://docs.aws.amazon.com/streams/latest/dev/enhanced-consumers.html
 */
export const SUBSCRIPTION_BYTES_PER_SECOND: number = 2 * MIB
