export {
  bytes,
  type Codec,
  type CodecContext,
  type CompressedOptions,
  compressed,
  type DataKey,
  type DataKeys,
  type Decode,
  type EncryptedOptions,
  type EncryptionContext,
  encrypted,
  json,
  type KeyRefusal,
  type KmsDataKeysOptions,
  type KmsLike,
  kmsDataKeys,
  text,
} from '@shardwise/core/codec'
export type { CheckpointTarget } from './checkpoints/checkpoint-range.js'
export type { PendingCheckpoint } from './checkpoints/pending-checkpoint.js'
export type { Position } from './checkpoints/position.js'
export type { FoundCheckpoint, PreparedCheckpoint } from './checkpoints/shard-checkpoints.js'
export { Consumer } from './consumer.js'
export { ConsumerRanError, ConsumerStartError, ConsumerStoppingError } from './consumer-error.js'
export type { ConsumerEvent } from './consumer-events.js'
export type { ConsumerOptions } from './consumer-options.js'
export type { ConsumerSnapshot, ConsumerState, ShardSnapshot } from './consumer-snapshot.js'
export type { ConsumedRecord } from './delivery/consumed-record.js'
export { FailedAtError } from './delivery/failed-at-error.js'
export type { DeadLetter, FailurePolicy } from './delivery/failure-policy.js'
export type { EachBatch, EachRecord, HandlerContext, Handlers } from './delivery/handler.js'
export type { StreamedRecord } from './delivery/record-turns.js'
export type { BatchesOptions, ShardStream } from './delivery/shard-stream.js'
export type { Lease, NewLease } from './leases/lease.js'
export { LeaseLostError } from './leases/lease-lost-error.js'
export type {
  LeaseDeletion,
  LeaseHandOver,
  LeaseListing,
  LeaseRenewal,
  LeaseStore,
  LeaseWrite,
  MalformedLease,
} from './leases/lease-store.js'
export { leaseTableDefinition } from './leases/lease-table-definition.js'
export { LeaseTableError } from './leases/lease-table-error.js'
export type { LeaseTableOptions } from './leases/lease-table-options.js'
export { MemoryLeaseStore } from './leases/memory-lease-store.js'
export type {
  ExtendedSequenceNumber,
  InitializationInput,
  LeaseLostInput,
  ProcessorChildShard,
  ProcessorShard,
  ProcessRecordsInput,
  RecordProcessorCheckpointer,
  ShardEndedInput,
  ShardRecordProcessor,
  ShardRecordProcessorFactory,
  ShutdownRequestedInput,
} from './processors/shard-record-processor.js'
export type { RecordsOptions } from './record-iterator.js'
export type { FanOutOptions, RetrievalOption } from './retrieval-option.js'
export type { RunHandlers } from './run-handlers.js'
export type { RunOptions } from './run-options.js'
export type { ShardsOptions } from './shard-streams.js'
export type { InitialPosition } from './shards/shard-discovery.js'
export type { WorkerSnapshot } from './shards/shard-worker.js'
export type { ShardWorkerState } from './shards/shard-worker-state.js'
export type { StartStep } from './start-event.js'
export type { AbandonedShard, StopOptions, StopOutcome } from './stop-limit.js'
export { type StopOnSignalsOptions, stopOnSignals } from './stop-on-signals.js'
export type { RemovedStream, RemoveStreamOptions } from './streams/stream-changes.js'
export type { StreamOptions } from './streams/stream-settings.js'
