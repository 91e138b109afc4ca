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
export type { FailedRecord } from './failed-record.js'
export { fromKplProperties, type KplProperties, type KplRemark } from './from-kpl-properties.js'
export type { HotKey } from './hottest-keys.js'
export { type Instrument, type InstrumentName, producerInstruments } from './instruments.js'
export type { KplProducerOptions } from './kpl-option.js'
export { Producer } from './producer.js'
export {
  DeliveryFailedError,
  LaneHaltedError,
  ProducerClosedError,
  RecordRejectedError,
  StreamUnusableError,
  type Written,
} from './producer-error.js'
export type {
  BackpressureOff,
  BackpressureOn,
  DistributionChanged,
  LaneHalted,
  MapRefreshed,
  ProbeDenied,
  ProducerEvent,
  RecordFailed,
  RecordRetried,
  RecordsExpired,
  RequestFailed,
  RequestSent,
  RequestSucceeded,
  ShardMapFailed,
  StreamUnusable,
  Throttled,
  UndeliveredHookFailed,
  WrongShard,
} from './producer-events.js'
export type { ProducerMetrics } from './producer-metrics.js'
export type { ProducerOptions } from './producer-options.js'
export type { ProducerStats } from './producer-stats.js'
export type { PutAllResult } from './put-all.js'
export type { HotShard } from './shard-heat.js'
export type { StatisticSet } from './statistic-set.js'
export type { OnUndelivered, UndeliveredRecord } from './undelivered.js'
export type { PutInput, PutOutcome, PutResult } from './user-record.js'
export type { WaitOptions } from './wait.js'
export { type WrapOptions, type WrappedKinesisClient, type WrappedPuts, wrapKinesisClient } from './wrap-kinesis-client.js'
