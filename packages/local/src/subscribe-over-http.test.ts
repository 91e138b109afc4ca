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
import { decodeCbor, encodeCbor } from '@shardwise/core/cbor'
import { ManualClock } from '@shardwise/core/clock'
import { EventStreamCodec } from '@smithy/core/event-streams'
import { NodeHttp2Handler, NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { ObservedCall } from './faults.js'
import type { Interruption } from './interrupted-subscription.js'
import { type LocalOptions, type LocalServices, startLocal } from './start-local.js'

const SHARD = 'shardId-000000000000'
const cleanUp: (() => void | Promise<void>)[] = []

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function start(config: KinesisClientConfig = {}, options: LocalOptions = {}) {
  const clock = new ManualClock()
  const local = await startLocal({ clock, transitionMs: { create: 0, delete: 0, update: 0, consumer: 0 }, ...options })
  cleanUp.push(async () => {
    await local.stop()
    expect(clock.pendingTimers).toBe(0)
  })
  const client = new KinesisClient({
    endpoint: local.kinesisEndpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
    ...(local.certificate === undefined
      ? {}
      : { requestHandler: new NodeHttp2Handler({ nodeHttp2ConnectOptions: { ca: local.certificate } }) }),
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

describe('in CBOR', () => {
  it('events are CBOR when the request is', async () => {
    const { local, put, consumerArn } = await start()
    await put('one')
    const answer = await fetch(local.kinesisEndpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-cbor-1.1', 'x-amz-target': 'Kinesis_20131202.SubscribeToShard' },
      body: encodeCbor({
        ConsumerARN: consumerArn,
        ShardId: SHARD,
        StartingPosition: { Type: 'AT_TIMESTAMP', Timestamp: new Date(1_767_225_600_000) },
      }),
    })
    expect(answer.headers.get('content-type')).toBe('application/vnd.amazon.eventstream')
    local.model.call('DeregisterStreamConsumer', { ConsumerARN: consumerArn })
    const messages = messagesIn(Buffer.from(await answer.arrayBuffer()))
    expect(messages).toMatchObject([
      { headers: { ':event-type': 'initial-response', ':content-type': 'application/x-amz-cbor-1.1' }, content: {} },
      {
        headers: { ':event-type': 'SubscribeToShardEvent', ':message-type': 'event' },
        content: {
          Records: [{ Data: Buffer.from('one'), ApproximateArrivalTimestamp: new Date(1_767_225_600_000) }],
        },
      },
      {
        headers: { ':exception-type': 'ResourceNotFoundException', ':message-type': 'exception' },
        content: { message: `Consumer ${consumerArn} not found.` },
      },
    ])
  })
})

interface Message {
  readonly headers: object
  readonly content: unknown
}

function messagesIn(body: Buffer): Message[] {
  const codec = new EventStreamCodec(
    (bytes) => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString()),
    (text) => Buffer.from(text),
  )
  const messages: Message[] = []
  for (let at = 0; at < body.length; at += body.readUInt32BE(at)) {
    const { headers, body: payload } = codec.decode(body.subarray(at, at + body.readUInt32BE(at)))
    const texts = Object.fromEntries(Object.entries(headers).map(([name, { value }]) => [name, value]))
    messages.push({ headers: texts, content: decodeCbor(payload) })
  }
  return messages
}

describe('over TLS', () => {
  it('is pushed too', async () => {
    const { subscribe, put } = await start({}, { tls: 'self-signed' })
    const stream = await subscribe()
    await put('one')
    expect(texts((await stream.next()).value)).toEqual(['one'])
  })
})

function makeGate(): { readonly promise: Promise<void>; open(): void } {
  let open = (): void => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, open }
}

describe('faults', () => {
  const code = { code: 'KMSThrottlingException', message: 'too many' }

  it('meet the call: refused, lost, delayed', async () => {
    const { local, clock, subscribe, put } = await start()
    local.faults.on('SubscribeToShard', { fail: { code: 'LimitExceededException' } })
    await expect(subscribe()).rejects.toMatchObject({ name: 'LimitExceededException' })
    local.faults.on('SubscribeToShard', { drop: 'before-work' })
    await expect(subscribe()).rejects.toThrow()
    local.faults.on('SubscribeToShard', { delayMs: 700 })
    const seen: ObservedCall[] = []
    local.faults.on('SubscribeToShard', { observe: (call) => void seen.push(call) })
    const late = subscribe()
    await vi.waitFor(() => expect(clock.pendingTimers).toBe(1))
    clock.advance(700)
    const stream = await late
    expect(seen).toMatchObject([{ input: { ShardId: SHARD }, outcome: { kind: 'answered' } }])
    await put('one')
    expect(texts((await stream.next()).value)).toEqual(['one'])
  })

  it('an accepted subscription whose answer was lost has the shard all the same', async () => {
    const { local, clock, subscribe } = await start()
    local.faults.on('SubscribeToShard', { drop: 'after-work' })
    await expect(subscribe()).rejects.toThrow()
    clock.advance(1000)
    await expect(subscribe()).rejects.toMatchObject({ name: 'ResourceInUseException' })
    expect(clock.pendingTimers).toBe(0)
  })

  it.each<[string, Interruption['by'], object | undefined]>([
    ['ends it early', 'end', undefined],
    ['fails it', code, { name: 'KMSThrottlingException', message: 'too many' }],
    ['fails it by a name that the SDK does not know', { code: 'Oops' }, { name: 'Oops' }],
    ['resets it', 'reset', expect.any(Error)],
    ['breaks its connection', 'break', expect.any(Error)],
  ])('%s', async (_, by, error) => {
    // Over HTTP/2 the SDK's handler takes a broken connection for the end in good order.
    const { local, clock, subscribe, put } = await start(by === 'break' ? { requestHandler: new NodeHttpHandler() } : {})
    const first = makeGate()
    const interrupted = local.faults.on('SubscribeToShard', { interrupt: { by, afterEvents: 1, hold: first.promise } })
    const stream = await subscribe()
    expect(interrupted.hits).toBe(1)
    await put('one')
    expect(texts((await stream.next()).value)).toEqual(['one'])
    const rest = stream.next()
    const told =
      error === undefined
        ? expect(rest).resolves.toEqual({ done: true, value: undefined })
        : expect(rest).rejects.toMatchObject(error)
    first.open()
    await told
    // And nothing waits for it any more.
    expect(clock.pendingTimers).toBe(0)
  })

  it('interrupts when the test says so, in the midst of a wait', async () => {
    const { local, subscribe, put } = await start()
    const gate = makeGate()
    local.faults.on('SubscribeToShard', { interrupt: { by: 'end', hold: gate.promise } })
    const stream = await subscribe()
    for (const text of ['one', 'two']) {
      await put(text)
      expect(texts((await stream.next()).value)).toEqual([text])
    }
    const rest = stream.next()
    gate.open()
    expect(await rest).toEqual({ done: true, value: undefined })
  })

  it('stalls: nothing comes any more, not even its end, and the connection stays until the client leaves', async () => {
    const { local, clock, subscribe, put } = await start()
    local.faults.on('SubscribeToShard', { interrupt: { by: 'stall', afterEvents: 1 } })
    const stream = await subscribe()
    await put('one')
    expect(texts((await stream.next()).value)).toEqual(['one'])
    let settled = false
    const rest = stream.next().then(
      () => {
        settled = true
      },
      () => {
        settled = true
      },
    )
    await put('two')
    await clock.advanceAsync(301_000)
    expect(settled).toBe(false)
    await local.stop()
    await rest
  })
})
