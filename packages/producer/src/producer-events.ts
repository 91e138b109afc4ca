import type { StreamUnusableError, Written } from './producer-error.js'

/**
 * All that a producer announces, one union for logs, metrics, tracing and tests. Times are milliseconds. `stream` is the name or ARN by which
 * the stream was first put to. The buffer is that of all streams, and so backpressure has none.
 */
export type ProducerEvent =
  | MapRefreshed
  | ShardMapFailed
  | StreamUnusable
  | DistributionChanged
  | ProbeDenied
  | RequestSent
  | RequestSucceeded
  | RequestFailed
  | Throttled
  | RecordRetried
  | WrongShard
  | RecordsExpired
  | RecordFailed
  | LaneHalted
  | UndeliveredHookFailed
  | BackpressureOn
  | BackpressureOff

/** The shard map was loaded or replaced. */
export interface MapRefreshed {
  readonly type: 'map-refreshed'
  readonly stream: string
  readonly openShards: number
  /** Shards open now that were not before, and the reverse. */
  readonly opened: readonly string[]
  readonly closed: readonly string[]
}

/** The shard map or the stream's description could not be had. The old map stays in use. */
export interface ShardMapFailed {
  readonly type: 'shard-map-failed'
  readonly stream: string
  readonly code: string
  readonly message: string
  readonly retryable: boolean
}

/** What waited for the stream was rejected. */
export interface StreamUnusable {
  readonly type: 'stream-unusable'
  readonly stream: string
  readonly error: StreamUnusableError
}

/** The service places records itself (`auto`): nothing is aggregated or predicted; or it goes by partition keys again. */
export interface DistributionChanged {
  readonly type: 'distribution-changed'
  readonly stream: string
  readonly distribution: 'partition-key' | 'auto'
}

/** DescribeStreamSummary is not permitted: records of up to 1 MiB and placement by partition key are assumed. */
export interface ProbeDenied {
  readonly type: 'probe-denied'
  readonly stream: string
  readonly message: string
}

export interface RequestSent {
  readonly type: 'request-sent'
  readonly stream: string
  /** Not that of another request of the stream which is under way. */
  readonly requestId: number
  readonly kinesisRecords: number
  readonly userRecords: number
  readonly bytes: number
}

/** The request was answered; entries of it may have been refused. */
export interface RequestSucceeded {
  readonly type: 'request-succeeded'
  readonly stream: string
  readonly requestId: number
  readonly tookMs: number
  readonly refusedKinesisRecords: number
}

/** The request as a whole failed, or its answer was lost or makes no sense. */
export interface RequestFailed {
  readonly type: 'request-failed'
  readonly stream: string
  readonly requestId: number
  readonly tookMs: number
  readonly kinesisRecords: number
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly written: Written
}

/** A shard refused Kinesis records of a request for its quota: one event for each shard and request. They will be sent again. */
export interface Throttled {
  readonly type: 'throttled'
  readonly stream: string
  readonly requestId: number
  /** Undefined where the service places records itself. */
  readonly shardId: string | undefined
  readonly kinesisRecords: number
}

/** A Kinesis record was refused and will be sent again; `throttled` when the shard's quota was the reason. */
export interface RecordRetried {
  readonly type: 'record-retried'
  readonly stream: string
  readonly shardId: string | undefined
  readonly code: string
  readonly throttled: boolean
  readonly userRecords: number
  readonly attempts: number
  readonly delayMs: number
}

/** A Kinesis record landed outside the predicted shard. `resent` when that made its readers drop it, so that all of it goes again. */
export interface WrongShard {
  readonly type: 'wrong-shard'
  readonly stream: string
  readonly predictedShardId: string
  readonly shardId: string
  readonly userRecords: number
  readonly outcome: 'delivered' | 'resent' | 'undecided'
}

/** The time to live of user records was over: one event for all that end at once. Each has a `record-failed`, too. */
export interface RecordsExpired {
  readonly type: 'records-expired'
  readonly stream: string
  readonly userRecords: number
  /** Those of them that no request had carried: limits, order, the requests in flight or the want of a shard map held them back. */
  readonly neverSent: number
}

/** A user record finally failed; the error is what its put rejects with. */
export interface RecordFailed {
  readonly type: 'record-failed'
  readonly stream: string
  readonly partitionKey: string
  readonly explicitHashKey: string | undefined
  readonly data: Uint8Array
  readonly error: Error
}

/** `onUndelivered` threw or rejected. The records that it was given fail as they would without it. */
export interface UndeliveredHookFailed {
  readonly type: 'undelivered-hook-failed'
  readonly userRecords: number
  readonly error: Error
}

/** With order kept: the hash keys from `startingHashKey` to `endingHashKey`, or one key, take no records until `resume()`. */
export interface LaneHalted {
  readonly type: 'lane-halted'
  readonly stream: string
  /** Undefined when the range is not that of one open shard: after a reshard, or before there is a shard map. */
  readonly shardId: string | undefined
  /** The key that halted, with its explicit hash key if it has one. Undefined when all keys of the range halted. */
  readonly partitionKey: string | undefined
  readonly explicitHashKey: string | undefined
  readonly startingHashKey: bigint
  readonly endingHashKey: bigint
  readonly cause: Error
}

/** A record found no room in the buffer. */
export interface BackpressureOn {
  readonly type: 'backpressure-on'
  readonly bufferedRecords: number
  readonly bufferedBytes: number
}

/** There is room again for everything that found none. */
export interface BackpressureOff {
  readonly type: 'backpressure-off'
  readonly bufferedRecords: number
  readonly bufferedBytes: number
}
