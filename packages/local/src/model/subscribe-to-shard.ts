import type { SubscribeToShardInput } from '@shardwise/core/fan-out-port'
import { refuseDryRun } from './dry-run.js'
import { CONSUMER_ARN, required, SEQUENCE_NUMBER, SHARD_ID, TIMESTAMP } from './field-rules.js'
import { inUse } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { ShardSubscription } from './shard-subscription.js'
import { findShard, POSITION_TYPES, startingPosition } from './starting-position.js'

/** The answer of SubscribeToShard: the subscription stands where the API has its stream of events. */
export interface SubscribeToShardAnswer {
  readonly EventStream: ShardSubscription
}

export const subscribeToShard: Operation = operation<SubscribeToShardInput & { readonly DryRun?: boolean }>(
  {
    ConsumerARN: required(CONSUMER_ARN),
    ShardId: required(SHARD_ID),
    StartingPosition: {
      type: 'structure',
      fields: {
        Type: { type: 'string', choices: POSITION_TYPES, required: true },
        SequenceNumber: SEQUENCE_NUMBER,
        Timestamp: TIMESTAMP,
      },
      required: true,
    },
    DryRun: { type: 'boolean' },
  },
  (account, input): SubscribeToShardAnswer => {
    const { stream, consumer } = account.consumer(input.ConsumerARN)
    const { status } = consumer.state
    if (status !== 'ACTIVE') throw inUse(`Consumer ${consumer.arn} is not ACTIVE, instead in state ${status}`)
    const shard = findShard(account, stream, input.ShardId)
    const { Type: type, SequenceNumber: number, Timestamp: timestamp } = input.StartingPosition
    const position = startingPosition(account, stream, shard, { operation: 'SubscribeToShard', type, number, timestamp })
    refuseDryRun(input.DryRun)
    consumer.slot(shard.shardId).admit(`${consumer.arn}:${shard.shardId}`, account.now, stream.quotas)
    return { EventStream: new ShardSubscription(account, { stream, consumer, shard, position }) }
  },
)
