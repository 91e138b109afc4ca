import { DynamoDBClient, PutItemCommand, type PutItemCommandInput, ScanCommand } from '@aws-sdk/client-dynamodb'
import { DescribeStreamSummaryCommand, KinesisClient } from '@aws-sdk/client-kinesis'
import { type Consumer, LeaseTableError } from '@shardwise/consumer'
import { ManualClock } from '@shardwise/core/clock'
import { expect, it } from 'vitest'
import { CREDENTIALS, Deliveries, type Delivery, eventually, REGION, recorded, StreamHarness } from './consumer-harness.js'

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']

/** Puts numbers of one key after the other, round by round, until told to stop. */
class Load {
  readonly counts = new Map<string, number>()
  readonly #harness: StreamHarness
  #on = true
  readonly #done: Promise<unknown>

  constructor(harness: StreamHarness, streams: readonly string[]) {
    this.#harness = harness
    this.#done = Promise.all(streams.map((stream) => this.#put(stream)))
  }

  async #put(stream: string): Promise<void> {
    for (let round = 0; this.#on; round++) {
      for (const key of KEYS) await this.#harness.put(key, `${round}`, stream)
      this.counts.set(stream, round + 1)
    }
  }

  async stop(): Promise<void> {
    this.#on = false
    await this.#done
  }
}

/** What came of a key of a stream, in order. */
function of(deliveries: readonly Delivery[], stream: string, key: string): string[] {
  return deliveries.flatMap(({ record, text }) => (record.stream === stream && record.partitionKey === key ? text : []))
}

function dynamodbOf(harness: StreamHarness): DynamoDBClient {
  return new DynamoDBClient({ endpoint: harness.local.dynamodbEndpoint, region: REGION, credentials: CREDENTIALS })
}

async function rowsOf(harness: StreamHarness): Promise<NonNullable<PutItemCommandInput['Item']>[]> {
  const dynamodb = dynamodbOf(harness)
  const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'delays', ConsistentRead: true }))
  dynamodb.destroy()
  return Items
}

async function putRows(harness: StreamHarness, rows: readonly NonNullable<PutItemCommandInput['Item']>[]): Promise<void> {
  const dynamodb = dynamodbOf(harness)
  for (const Item of rows) await dynamodb.send(new PutItemCommand({ TableName: 'delays', Item }))
  dynamodb.destroy()
}

async function described(harness: StreamHarness): Promise<{ readonly account: string; readonly createdAt: number }> {
  const kinesis = new KinesisClient({ endpoint: harness.local.kinesisEndpoint, region: REGION, credentials: CREDENTIALS })
  const { StreamDescriptionSummary } = await kinesis.send(new DescribeStreamSummaryCommand({ StreamName: 'flights' }))
  kinesis.destroy()
  const { StreamARN, StreamCreationTimestamp } = StreamDescriptionSummary!
  return { account: StreamARN!.split(':')[4]!, createdAt: StreamCreationTimestamp!.getTime() }
}

function reading(consumer: Consumer): string[] {
  const { shards } = consumer.snapshot()
  return shards.flatMap(({ stream, worker }) => (worker?.state === 'running' ? stream : []))
}

it('two streams under load, of which one is added, moved from worker to worker and removed: each record once, each key in order', async () => {
  await using harness = await StreamHarness.start(3)
  await harness.create('weather', 2)
  const deliveries = new Deliveries()
  const [one, two] = [harness.consumer({ streams: ['flights'] }), harness.consumer({ streams: ['flights'] })]
  const events = [one, two].map(recorded)
  const runs = [one.run(deliveries.by('one')), two.run(deliveries.by('two'))]
  const load = new Load(harness, ['flights', 'weather'])
  await deliveries.until((all) => all.length > 50)
  await Promise.all([one.addStream('weather'), two.addStream('weather')])
  await eventually([one, two], () => [...reading(one), ...reading(two)].filter((stream) => stream === 'weather').length === 2)
  const soFar = deliveries.all.length
  await deliveries.until((all) => all.length > soFar + 50)
  await one.removeStream('weather')
  expect(reading(one)).not.toContain('weather')
  await eventually([two], () => reading(two).filter((stream) => stream === 'weather').length === 2)
  await load.stop()
  const counts = load.counts
  await deliveries.until((all) =>
    ['flights', 'weather'].every((stream) => KEYS.every((key) => of(all, stream, key).length >= counts.get(stream)!)),
  )
  await two.removeStream('weather')
  await Promise.all([one.stop(), two.stop(), ...runs])
  for (const stream of ['flights', 'weather']) {
    const all = Array.from({ length: counts.get(stream)! }, (_, i) => `${i}`)
    for (const key of KEYS) expect(of(deliveries.all, stream, key)).toEqual(all)
  }
  for (const event of events.flat()) if ('shardId' in event) expect(event.stream).toMatch(/^(flights|weather)$/)
  const rows = await rowsOf(harness)
  expect(rows).toHaveLength(5)
  for (const { leaseKey, streamName, shardId, leaseOwner } of rows) {
    expect(leaseKey!.S).toBe(`${streamName!.S}:${shardId!.S}`)
    expect(leaseOwner).toBe(undefined)
  }
})

it('goes on from the leases of a KCL application that reads several streams, whose epochs are milliseconds', async () => {
  await using harness = await StreamHarness.start(1)
  await harness.create('weather', 1)
  for (const text of ['0', '1', '2', '3']) await harness.put('a', text)
  const first = new Deliveries()
  const reader = harness.consumer({ leaseTable: 'elsewhere' })
  const read = reader.run(first.by('reader'))
  await first.until((all) => all.length === 4)
  await reader.stop()
  await read
  // Makes the table.
  const maker = harness.consumer({ streams: [] })
  const made = maker.run(first.by('maker'))
  await maker.events.next('consumer-started')
  await maker.stop()
  await made
  const { account, createdAt } = await described(harness)
  const id = `${account}:flights:${createdAt}`
  // As DynamoDBMultiStreamLeaseSerializer.java writes it, after a crash.
  const kcl = {
    leaseKey: { S: `${id}:shardId-000000000000` },
    streamName: { S: id },
    shardId: { S: 'shardId-000000000000' },
    leaseOwner: { S: 'java' },
    leaseCounter: { N: '17' },
    ownerSwitchesSinceCheckpoint: { N: '0' },
    checkpoint: { S: first.all[1]!.record.sequenceNumber },
    checkpointSubSequenceNumber: { N: '0' },
    startingHashKey: { S: '0' },
    endingHashKey: { S: `${2n ** 128n - 1n}` },
  }
  await putRows(harness, [kcl])
  const deliveries = new Deliveries()
  const consumer = harness.consumer({ streams: ['flights', 'weather'] })
  const run = consumer.run(deliveries.by('one'))
  await harness.put('a', 'cold', 'weather')
  await deliveries.until((all) => all.length === 3)
  await consumer.stop()
  await run
  expect(of(deliveries.all, 'flights', 'a')).toEqual(['2', '3'])
  expect(of(deliveries.all, 'weather', 'a')).toEqual(['cold'])
  const ours = (await rowsOf(harness)).find(({ leaseKey }) => leaseKey!.S === kcl.leaseKey.S)
  expect(ours).toMatchObject({ streamName: kcl.streamName, shardId: kcl.shardId, startingHashKey: kcl.startingHashKey })
  expect(ours!.checkpoint!.S).toBe(first.all[3]!.record.sequenceNumber)
})

it('an epoch that may be this stream or another is refused, until the user tells', async () => {
  await using harness = await StreamHarness.start(1)
  const deliveries = new Deliveries()
  const first = harness.consumer({ streams: [{ stream: 'flights', creationEpoch: 1 }] })
  const made = first.run(deliveries.by('one'))
  await harness.put('a', '0')
  await deliveries.until((all) => all.length === 1)
  await first.stop()
  await made
  const failed = harness.consumer({ streams: ['flights'] }).run(deliveries.by('two'))
  await expect(failed).rejects.toThrow(/creation epoch 1, .* `creationEpoch: 1` to go on from them/)
  await expect(failed).rejects.toBeInstanceOf(LeaseTableError)
  await harness.put('a', '1')
  const second = harness.consumer({ streams: [{ stream: 'flights', creationEpoch: 1 }] })
  const run = second.run(deliveries.by('three'))
  await deliveries.until((all) => all.length === 2)
  await second.stop()
  await run
  expect(deliveries.texts).toEqual(['0', '1'])
})

it('one stream and several do not go on one table, nor do two streams in the form for one', async () => {
  await using harness = await StreamHarness.start(1)
  await harness.create('weather', 1)
  const start = async (consumer: Consumer): Promise<void> => {
    const run = consumer.run({ eachRecord: () => {} })
    const started = consumer.events.next('consumer-started')
    await Promise.race([started, run])
    await consumer.stop()
    await run
  }
  await start(harness.consumer({ applicationName: 'one-stream' }))
  await start(harness.consumer({ applicationName: 'several-streams', streams: ['weather'] }))
  await expect(start(harness.consumer({ applicationName: 'one-stream', streams: ['flights'] }))).rejects.toThrow(
    /one stream \(arn:\S+stream\/flights\), and cannot hold those of an application that reads several streams/,
  )
  await expect(start(harness.consumer({ applicationName: 'several-streams' }))).rejects.toThrow(
    /an application that reads several streams, and cannot hold those of stream arn:\S+stream\/flights too/,
  )
  await expect(start(harness.consumer({ applicationName: 'one-stream', stream: 'weather' }))).rejects.toThrow(
    /of stream arn:\S+stream\/flights, and cannot hold those of stream arn:\S+stream\/weather too/,
  )
})

it('a stream that was deleted and created anew is read from its oldest record, with other shards and all', async () => {
  const clock = new ManualClock()
  await using harness = await StreamHarness.start(2, { clock })
  const deliveries = new Deliveries()
  const first = harness.consumer({ initialPosition: 'latest' })
  const run = first.run(deliveries.by('first'))
  await first.events.next('consumer-started')
  await harness.put('a', 'of the former stream')
  const [shard] = await harness.openShards()
  await harness.split(shard!)
  await deliveries.until((all) => all.length === 1)
  await eventually([first], () => first.snapshot().shards.some(({ checkpoint }) => checkpoint?.kind === 'shard-end'))
  await first.stop()
  await run
  await harness.delete('flights')
  clock.advance(60_000)
  await harness.create('flights', 3)
  for (const key of KEYS) await harness.put(key, key)
  clock.advance(60_000)
  const second = harness.consumer({ initialPosition: 'latest' })
  const again = second.run(deliveries.by('second'))
  await deliveries.until((all) => all.length === 1 + KEYS.length)
  await second.stop()
  await again
  expect(deliveries.texts.slice(1).sort()).toEqual(KEYS)
  expect((await rowsOf(harness)).map(({ leaseKey }) => leaseKey!.S).sort()).toEqual(
    ['0', '1', '2'].map((number) => `shardId-00000000000${number}`),
  )
})
