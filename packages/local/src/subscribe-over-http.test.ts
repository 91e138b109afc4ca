import {
  DeregisterStreamConsumerCommand,
  DescribeStreamConsumerCommand,
  KinesisClient,
  type KinesisClientConfig,
  PutRecordCommand,
  RegisterStreamConsumerCommand,
  SplitShardCommand,
  SubscribeToShardCommand,
  type SubscribeToShardCommandInput,
  type SubscribeToShardEvent,
  type SubscribeToShardEventStream,
} from '@aws-sdk/client-kinesis'
import { ManualClock } from '@shardwise/core/clock'
import { NodeHttp2Handler, NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, describe, expect, it } from 'vitest'
import { type LocalOptions, type LocalServices, startLocal } from './start-local.js'

const SHARD = 'shardId-000000000000'
const cleanUp: (() => void | Promise<void>)[] = []

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function start(config: KinesisClientConfig = {}, options: LocalOptions = {}) {
  const clock = new ManualClock()
  const local = await startLocal({ clock, transitionMs: { create: 0, delete: 0, update: 0, consumer: 0 }, ...options })
  cleanUp.push(() => local.stop())
  const client = new KinesisClient({
    endpoint: local.kinesisEndpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
    ...config,
  })
  cleanUp.push(() => client.destroy())
  local.model.call('CreateStream', { StreamName: 's', ShardCount: 1 })
  const { Consumer } = await client.send(new RegisterStreamConsumerCommand({ StreamARN: arnOf(local), ConsumerName: 'c' }))
  const subscribe = async (input: Partial<SubscribeToShardCommandInput> = {}) => {
    const { EventStream } = await client.send(
      new SubscribeToShardCommand({
        ConsumerARN: Consumer?.ConsumerARN,
        ShardId: SHARD,
        StartingPosition: { Type: 'TRIM_HORIZON' },
        ...input,
      }),
    )
    return events(EventStream!)
  }
  const put = (text: string) => client.send(new PutRecordCommand({ StreamName: 's', PartitionKey: 'k', Data: Buffer.from(text) }))
  return { clock, local, client, subscribe, put, consumerArn: Consumer!.ConsumerARN! }
}

function arnOf(local: LocalServices): string {
  const { StreamDescriptionSummary } = local.model.call('DescribeStreamSummary', { StreamName: 's' }) as {
    StreamDescriptionSummary: { StreamARN: string }
  }
  return StreamDescriptionSummary.StreamARN
}

async function* events(stream: AsyncIterable<SubscribeToShardEventStream>): AsyncGenerator<SubscribeToShardEvent> {
  for await (const { SubscribeToShardEvent } of stream) if (SubscribeToShardEvent !== undefined) yield SubscribeToShardEvent
}

async function collect(stream: AsyncIterable<SubscribeToShardEvent>): Promise<SubscribeToShardEvent[]> {
  const all: SubscribeToShardEvent[] = []
  for await (const event of stream) all.push(event)
  return all
}

const texts = (event: SubscribeToShardEvent): string[] => event.Records!.map(({ Data }) => Buffer.from(Data!).toString())

describe.each([
  ['an unmodified client, HTTP/2', (): KinesisClientConfig => ({})],
  ['HTTP/2 with one shared session', () => ({ requestHandler: new NodeHttp2Handler({ disableConcurrentStreams: false }) })],
  ['HTTP/1.1', () => ({ requestHandler: new NodeHttpHandler() })],
])('%s', (_, config) => {
  it('is sent what is there, and what comes as it comes', async () => {
    const { subscribe, put } = await start(config())
    const { SequenceNumber } = await put('before')
    const stream = await subscribe()
    const { value: first } = await stream.next()
    expect(texts(first)).toEqual(['before'])
    expect(first).toMatchObject({ ContinuationSequenceNumber: SequenceNumber, MillisBehindLatest: 0 })
    expect(first.Records[0].ApproximateArrivalTimestamp).toBeInstanceOf(Date)
    for (const text of ['one', 'two']) {
      await put(text)
      expect(texts((await stream.next()).value)).toEqual([text])
    }
  })

  it('hears the end of the shard, and then the stream ends', async () => {
    const { subscribe, put, client } = await start(config())
    await put('last')
    const stream = await subscribe()
    expect(texts((await stream.next()).value)).toEqual(['last'])
    await client.send(new SplitShardCommand({ StreamName: 's', ShardToSplit: SHARD, NewStartingHashKey: String(2n ** 127n) }))
    const { value } = await stream.next()
    expect(value.Records).toEqual([])
    expect(value.ContinuationSequenceNumber).toBeUndefined()
    expect(value.ChildShards).toMatchObject([
      { ShardId: 'shardId-000000000001', ParentShards: [SHARD] },
      { ShardId: 'shardId-000000000002', ParentShards: [SHARD] },
    ])
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })

  it('is ended after five minutes', async () => {
    const { subscribe, clock } = await start(config())
    const stream = await subscribe({ StartingPosition: { Type: 'LATEST' } })
    const first = stream.next()
    await clock.advanceAsync(5000)
    expect((await first).value).toMatchObject({ Records: [], ContinuationSequenceNumber: expect.stringMatching(/^\d{56}$/) })
    const rest = collect(stream)
    await clock.advanceAsync(295_000)
    // Every five seconds, and none at the very end.
    expect((await rest).map(texts)).toEqual(new Array(58).fill([]))
  })

  it('loses the shard to whoever subscribes five seconds later', async () => {
    const { subscribe, put, clock } = await start(config())
    const first = await subscribe()
    const lost = expect(collect(first)).rejects.toMatchObject({ name: 'ResourceInUseException' })
    await expect(subscribe()).rejects.toMatchObject({ name: 'LimitExceededException' })
    for (const ms of [1000, 3999]) {
      clock.advance(ms)
      await expect(subscribe()).rejects.toMatchObject({ name: 'ResourceInUseException' })
    }
    clock.advance(1000)
    const second = await subscribe()
    await lost
    await put('for the second')
    expect(texts((await second.next()).value)).toEqual(['for the second'])
  })

  it('is told when the consumer is gone', async () => {
    const { subscribe, client, consumerArn } = await start(config())
    const stream = await subscribe()
    const told = expect(stream.next()).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
    await client.send(new DeregisterStreamConsumerCommand({ ConsumerARN: consumerArn }))
    await told
    await expect(client.send(new DescribeStreamConsumerCommand({ ConsumerARN: consumerArn }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    })
  })
})
