import type { CallOptions, ChildShard, KinesisRecord } from './kinesis-port.js'

/**
 * The narrow port through which a consumer uses enhanced fan-out, beside KinesisPort. Field names and shapes are the service's own
 * (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html), reduced to what we read. Rejections are the
 * service's errors as the SDK raises them (`name` is the error code). `subscribeToShard` makes one attempt; the others may retry.
 */
export interface FanOutPort {
  registerStreamConsumer(input: RegisterStreamConsumerInput, options?: CallOptions): Promise<RegisterStreamConsumerOutput>
  describeStreamConsumer(input: StreamConsumerReference, options?: CallOptions): Promise<DescribeStreamConsumerOutput>
  /**
   * Resolves when the service has accepted the subscription; `timeoutMs` bounds that. `signal` ends the call and, later, the
   * subscription.
   */
  subscribeToShard(input: SubscribeToShardInput, options?: CallOptions): Promise<ShardSubscription>
}

/**
 * A live subscription, which the service ends after five minutes. It is pulled: what is not asked for waits in the connection's flow-control
 * window and then at the service.
 */
export interface ShardSubscription {
  /**
   * The next event; undefined when the service has ended the subscription in good order. Rejects with the service's error (`name` is its
   * code), with that of a broken connection, or with the signal's reason; the subscription is over then. Call it again only after it settled.
   */
  next(): Promise<SubscribeToShardEvent | undefined>
  /** Ends the subscription at once. A pending `next` settles. May be called at any time and more than once. */
  close(): void
}

export interface SubscribeToShardEvent {
  readonly Records?: readonly KinesisRecord[] | undefined
  /** Where to go on (AFTER_SEQUENCE_NUMBER), also when `Records` is empty. Absent at the end of a closed shard. */
  readonly ContinuationSequenceNumber?: string | undefined
  readonly MillisBehindLatest?: number | undefined
  /** Only at the end of a closed shard. */
  readonly ChildShards?: readonly ChildShard[] | undefined
}

export interface SubscribeToShardInput {
  readonly ConsumerARN: string
  readonly ShardId: string
  readonly StartingPosition: StartingPosition
}

export interface StartingPosition {
  readonly Type: 'AT_SEQUENCE_NUMBER' | 'AFTER_SEQUENCE_NUMBER' | 'TRIM_HORIZON' | 'LATEST' | 'AT_TIMESTAMP'
  readonly SequenceNumber?: string
  readonly Timestamp?: Date
}

export interface RegisterStreamConsumerInput {
  readonly StreamARN: string
  readonly ConsumerName: string
}

/** Either the ARN of the consumer, or its name and its stream. */
export interface StreamConsumerReference {
  readonly ConsumerARN?: string
  readonly StreamARN?: string
  readonly ConsumerName?: string
}

export interface StreamConsumer {
  readonly ConsumerName?: string | undefined
  readonly ConsumerARN?: string | undefined
  /** CREATING, ACTIVE or DELETING. */
  readonly ConsumerStatus?: string | undefined
  readonly ConsumerCreationTimestamp?: Date | undefined
}

export interface RegisterStreamConsumerOutput {
  readonly Consumer?: StreamConsumer | undefined
}

export interface DescribeStreamConsumerOutput {
  readonly ConsumerDescription?: (StreamConsumer & { readonly StreamARN?: string | undefined }) | undefined
}
