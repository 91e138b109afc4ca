import { setTimeout as delay } from 'node:timers/promises'
import { GetRecordsCommand, GetShardIteratorCommand, KinesisClient, ListShardsCommand } from '@aws-sdk/client-kinesis'
import { Consumer, type ConsumerOptions, type RunHandlers } from '@shardwise/consumer'
import { clockFaster } from '../test/support/fast-clock.js'
import { deaggregateSdkRecords } from './aggregate-codec.js'
import type { Connection } from './elsewhere.js'
import type { MarkedData } from './marked-records.js'
import { peer } from './peers.js'

/** What is to be read, and where leases are. */
export interface ReadPlace {
  readonly connection: Connection
  readonly dynamodbEndpoint: string
  readonly stream: string
  /** A shard's limits hold: five reads and 2 MiB a second. */
  readonly limited: boolean
  /** Of the turn: an application, a consumer group. */
  readonly name: string
}

/** Takes what a consumer found. */
export interface Taker {
  /** Called for each user record once. */
  take(partitionKey: string, data: MarkedData): void
  /** Resolves when all have come. */
  readonly all: Promise<void>
}

/** One way to read a stream from its beginning. Resolves when `taker.all` has, and everything is closed. `options`: of our consumers. */
export type HttpConsumer = (place: ReadPlace, taker: Taker, options: Partial<ConsumerOptions>) => Promise<void>

/**
 * How many times as fast as the machine's clock that of the consumer runs: what is measured is the work for a record, and not the five
 * reads and 2 MiB a second that a shard gives. What must go by real time, leases and answers, is given as much longer.
 */
const FASTER = 10
/** Between two reads of a shard by those who do not keep its limits by themselves. */
const READ_PAUSE_MS = 250
const CLOCK = clockFaster(FASTER)

export function ours(handlers: (taker: Taker) => RunHandlers): HttpConsumer {
  return async ({ connection, dynamodbEndpoint, stream, limited, name: applicationName }, taker, options) => {
    const consumer = new Consumer({
      ...{ ...connection, dynamodbEndpoint, stream, applicationName, initialPosition: 'trim-horizon' },
      ...(!limited && { clock: CLOCK, failoverTimeMs: 10_000 * FASTER, idleTimeBetweenReadsMs: 500 * FASTER }),
      ...options,
    })
    const running = consumer.run(handlers(taker))
    try {
      await Promise.race([taker.all, running])
    } finally {
      await consumer.stop()
      await running
    }
  }
}

/** The loop that the SDK's users write: an iterator for each shard, and GetRecords after GetRecords. All shards at a time. */
export const sdkLoop: HttpConsumer = async ({ connection, stream, limited }, taker) => {
  const client = new KinesisClient(connection)
  const { Shards: shards = [] } = await client.send(new ListShardsCommand({ StreamName: stream }))
  const readShard = async (ShardId: string): Promise<void> => {
    const from = { StreamName: stream, ShardId, ShardIteratorType: 'TRIM_HORIZON' } as const
    let { ShardIterator: iterator } = await client.send(new GetShardIteratorCommand(from))
    for (let behind = true; behind && iterator !== undefined; ) {
      const {
        Records = [],
        NextShardIterator,
        MillisBehindLatest,
      } = await client.send(new GetRecordsCommand({ ShardIterator: iterator }))
      deaggregateSdkRecords(Records as readonly { readonly Data: Uint8Array }[], (key, data) => taker.take(key, data))
      iterator = NextShardIterator
      behind = MillisBehindLatest !== 0
      if (limited) await delay(READ_PAUSE_MS)
    }
  }
  try {
    await Promise.all(shards.map(({ ShardId }) => readShard(ShardId!)))
    await taker.all
  } finally {
    client.destroy()
  }
}

interface LifionBatch {
  readonly records: readonly { readonly partitionKey: string; readonly data: { readonly fill: string } }[]
}

interface LifionKinesis {
  startConsumer(): Promise<void>
  stopConsumer(): void
  on(event: 'data', listener: (batch: LifionBatch) => void): this
  on(event: 'error', listener: (error: Error) => void): this
}

/** As its README says, state in DynamoDB; with no pause between reads, and at once the leases of all shards. It parses data that look like JSON. */
export const lifionKinesis: HttpConsumer = async (
  { connection, dynamodbEndpoint, stream, limited, name: consumerGroup },
  taker,
) => {
  const Kinesis = peer<new (options: object) => LifionKinesis>('lifion-kinesis')
  const consumer = new Kinesis({
    ...{ ...connection, streamName: stream, consumerGroup, createStreamIfNeeded: false },
    ...{ initialPositionInStream: 'TRIM_HORIZON', shouldDeaggregate: true, pollDelay: limited ? READ_PAUSE_MS : 0 },
    dynamoDb: { ...connection, endpoint: dynamodbEndpoint, tableName: `state-${consumerGroup}` },
  })
  const failed = new Promise<never>((_, reject) => consumer.on('error', reject))
  consumer.on('data', ({ records }) => {
    for (const { partitionKey, data } of records) taker.take(partitionKey, data)
  })
  try {
    await Promise.race([consumer.startConsumer(), failed])
    await Promise.race([taker.all, failed])
  } finally {
    consumer.stopConsumer()
    // It has no way to wait for its last reads.
    await delay(100)
  }
}
