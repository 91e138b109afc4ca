import {
  deregisterStreamConsumer,
  describeStreamConsumer,
  listStreamConsumers,
  registerStreamConsumer,
} from './consumer-operations.js'
import { createStream } from './create-stream.js'
import { deleteStream } from './delete-stream.js'
import { describeLimits, describeStream, describeStreamSummary } from './describe-stream.js'
import { getRecords } from './get-records.js'
import { listShards } from './list-shards.js'
import { listStreams } from './list-streams.js'
import type { Operation } from './operation.js'
import { putRecord, putRecords } from './put-records.js'
import { mergeShards, splitShard, updateShardCount } from './reshard-stream.js'
import { getShardIterator } from './shard-iterator.js'
import { subscribeToShard } from './subscribe-to-shard.js'
import {
  addTagsToStream,
  listTagsForResource,
  listTagsForStream,
  removeTagsFromStream,
  tagResource,
  untagResource,
} from './tags.js'
import {
  decreaseStreamRetentionPeriod,
  increaseStreamRetentionPeriod,
  startStreamEncryption,
  stopStreamEncryption,
  updateMaxRecordSize,
  updateStreamMode,
  updateStreamRecordDistributionStrategy,
} from './update-stream.js'

/** Every operation that the model knows, by its name in the API. */
export const operations: ReadonlyMap<string, Operation> = new Map(
  Object.entries({
    AddTagsToStream: addTagsToStream,
    CreateStream: createStream,
    DecreaseStreamRetentionPeriod: decreaseStreamRetentionPeriod,
    DeleteStream: deleteStream,
    DeregisterStreamConsumer: deregisterStreamConsumer,
    DescribeLimits: describeLimits,
    DescribeStream: describeStream,
    DescribeStreamConsumer: describeStreamConsumer,
    DescribeStreamSummary: describeStreamSummary,
    GetRecords: getRecords,
    GetShardIterator: getShardIterator,
    IncreaseStreamRetentionPeriod: increaseStreamRetentionPeriod,
    ListShards: listShards,
    ListStreamConsumers: listStreamConsumers,
    ListStreams: listStreams,
    ListTagsForResource: listTagsForResource,
    ListTagsForStream: listTagsForStream,
    MergeShards: mergeShards,
    PutRecord: putRecord,
    PutRecords: putRecords,
    RegisterStreamConsumer: registerStreamConsumer,
    RemoveTagsFromStream: removeTagsFromStream,
    SplitShard: splitShard,
    StartStreamEncryption: startStreamEncryption,
    StopStreamEncryption: stopStreamEncryption,
    SubscribeToShard: subscribeToShard,
    TagResource: tagResource,
    UntagResource: untagResource,
    UpdateMaxRecordSize: updateMaxRecordSize,
    UpdateShardCount: updateShardCount,
    UpdateStreamMode: updateStreamMode,
    UpdateStreamRecordDistributionStrategy: updateStreamRecordDistributionStrategy,
  }),
)
