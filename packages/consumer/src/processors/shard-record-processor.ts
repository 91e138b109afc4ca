import type { CheckpointTarget } from '../checkpoints/checkpoint-range.js'
import type { PreparedCheckpoint } from '../checkpoints/shard-checkpoints.js'
import type { ConsumedRecord } from '../delivery/consumed-record.js'

/**
 * The KCL's record processor (software.amazon.kinesis.processor.ShardRecordProcessor), one for each acquisition of a shard. Callbacks come one
 * after the other, never two at a time; each may return a promise. Checkpoints are the processor's own.
 *
 * Different from the KCL: a callback that throws is repeated. In `processRecords` nothing is skipped (`onFailure` may ask for it).
 */
export interface ShardRecordProcessor<T = Uint8Array> {
  /** Before any record. Repeated until it succeeds; the shard waits. */
  initialize(input: InitializationInput): unknown
  /** 1 to 10,000 records of one read. What it has checkpointed itself is not repeated when it fails. */
  processRecords(input: ProcessRecordsInput<T>): unknown
  /**
   * The last callback, unless the shard has ended: the shard is another worker's, or is given back now (after `shutdownRequested`). Nothing can
   * be checkpointed. Only after `initialize` was called, whether or not that succeeded, and once, whether or not it throws.
   */
  leaseLost(input: LeaseLostInput): unknown
  /**
   * All records have been processed. It must checkpoint (`checkpointer.checkpoint()`): until then it is called again and again, the shard is not
   * ended, and its children do not start (events `checkpoint-awaited`, `processor-failed`).
   */
  shardEnded(input: ShardEndedInput): unknown
  /**
   * The shard is about to be given back or handed over: the last opportunity to checkpoint. Only after `initialize` has succeeded. Tried three
   * times when it throws; then the shard goes on elsewhere at the last checkpoint.
   */
  shutdownRequested(input: ShutdownRequestedInput): unknown
}

/**
 * Makes the processor for one acquisition of a shard, and returns it: what takes time belongs into `initialize`. When it throws, or returns something
 * else, it is called again (event `processor-failed`).
 */
export type ShardRecordProcessorFactory<T = Uint8Array> = (shard: ProcessorShard) => ShardRecordProcessor<T>

export interface ProcessorShard {
  /** As given in the consumer's options. */
  readonly stream: string
  readonly shardId: string
  /** Grows with every acquisition of the shard by anyone: a fencing token. */
  readonly generation: number
}

/** Aborts when the shard is lost (LeaseLostError), or when a stop does not wait any longer (ConsumerStoppingError). */
interface Abortable {
  readonly signal: AbortSignal
}

/** KCL's ExtendedSequenceNumber. */
export interface ExtendedSequenceNumber {
  /** Or `TRIM_HORIZON`, `LATEST`, `AT_TIMESTAMP`, `SHARD_END`. */
  readonly sequenceNumber: string
  readonly subSequenceNumber: number
}

export interface InitializationInput extends Abortable {
  readonly shardId: string
  /** Records after this one follow. */
  readonly extendedSequenceNumber: ExtendedSequenceNumber
  /** What an owner before has prepared and not committed: `prepareCheckpoint`. */
  readonly pendingCheckpointSequenceNumber: ExtendedSequenceNumber | undefined
  readonly pendingCheckpointState: Uint8Array | undefined
}

export interface ProcessRecordsInput<T = Uint8Array> extends Abortable {
  readonly records: readonly ConsumedRecord<T>[]
  readonly checkpointer: RecordProcessorCheckpointer
  /** Undefined when Kinesis did not say. */
  readonly millisBehindLatest: number | undefined
  /** These are the last records of the shard. */
  readonly isAtShardEnd: boolean
  /** Empty before the shard's end. */
  readonly childShards: readonly ProcessorChildShard[]
  /** When the records were read. */
  readonly cacheEntryTime: Date
}

export interface ProcessorChildShard {
  readonly shardId: string
  readonly parentShards: readonly string[]
  /** Decimal, both ends included. */
  readonly hashKeyRange: { readonly startingHashKey: string; readonly endingHashKey: string }
}

export interface LeaseLostInput extends Abortable {}

export interface ShardEndedInput extends Abortable {
  readonly checkpointer: RecordProcessorCheckpointer
}

export interface ShutdownRequestedInput extends Abortable {
  readonly checkpointer: RecordProcessorCheckpointer
}

/** `checkpoint` and `prepareCheckpoint` of HandlerContext, usable from any callback while the shard is held. */
export interface RecordProcessorCheckpointer {
  /** Without a record: at the last one that was handed over. */
  checkpoint(record?: CheckpointTarget): Promise<void>
  prepareCheckpoint(record?: CheckpointTarget, state?: Uint8Array): Promise<PreparedCheckpoint>
}
