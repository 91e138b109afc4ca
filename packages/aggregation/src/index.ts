export { AggregateBuilder, type AggregateBuilderOptions } from './aggregate-builder.js'
export { type DecodedAggregate, decodeAggregate, decodeAggregates, type UserRecordView } from './aggregate-decoder.js'
export { AggregationError } from './aggregation-error.js'
export { BufferPool, type BufferPoolOptions } from './buffer-pool.js'
export {
  type DeaggregatedRecord,
  deaggregate,
  type KinesisRecord,
  type LambdaKinesisRecord,
  type SdkKinesisRecord,
} from './deaggregate.js'
export { finishAggregates, type SealedAggregate } from './sealed-aggregate.js'
export type { Tag, UserRecordInput } from './user-record.js'
export { isAggregate } from './wire-format.js'
