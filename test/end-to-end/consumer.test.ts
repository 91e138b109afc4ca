import { DescribeTableCommand, DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb'
import type { Consumer } from '@shardwise/consumer'
import { describe, expect, it } from 'vitest'
import { CREDENTIALS, Deliveries, eventually, heldShards, REGION, recorded, StreamHarness } from './consumer-harness.js'

const KEYS = Array.from({ length: 16 }, (_, i) => `key-${i}`)

/** Every text once, and those of one key in order: texts are `key:number`. */
function expectComplete(texts: readonly string[], perKey: number): void {
  expect(texts.length).toBe(KEYS.length * perKey)
  for (const key of KEYS) {
    const numbers = texts.filter((text) => text.startsWith(`${key}:`)).map((text) => Number(text.split(':')[1]))
    expect(numbers).toEqual(Array.from({ length: perKey }, (_, i) => i))
  }
}

async function leaseRows(harness: StreamHarness): Promise<Record<string, string | undefined>[]> {
  const dynamodb = new DynamoDBClient({ endpoint: harness.local.dynamodbEndpoint, region: REGION, credentials: CREDENTIALS })
  const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'delays', ConsistentRead: true }))
  dynamodb.destroy()
  return Items.map((item) => ({
    leaseKey: item.leaseKey?.S,
    leaseOwner: item.leaseOwner?.S,
    checkpoint: item.checkpoint?.S,
    sub: item.checkpointSubSequenceNumber?.N,
  }))
}

describe('a consumer over the local service', () => {
  it('delivers plain and aggregated records, and leaves exact checkpoints and no owner behind', async () => {
    await using harness = await StreamHarness.start(2)
    const got = new Deliveries()
    await harness.put('key-1', 'plain')
    await harness.putAggregate('key-1', ['first', 'second', 'third'])
    const consumer = harness.consumer()
    const run = consumer.run(got.by('one'))
    await got.until((all) => all.length === 4)
    await consumer.stop()
    await run
    expect(got.texts).toEqual(['plain', 'first', 'second', 'third'])
    expect(got.all.map(({ record }) => [record.aggregated, record.subSequenceNumber])).toEqual([
      [false, 0],
      [true, 0],
      [true, 1],
      [true, 2],
    ])
    const { record } = got.all[3]!
    expect(record).toMatchObject({
      stream: 'flights',
      partitionKey: 'key-1',
      explicitHashKey: undefined,
      outsideShardRange: false,
    })
    expect(record.arrivedAt).toBeInstanceOf(Date)
    const rows = await leaseRows(harness)
    expect(rows).toHaveLength(2)
    for (const row of rows) expect(row.leaseOwner).toBeUndefined()
    expect(rows.find((row) => row.leaseKey === record.shardId)).toMatchObject({ checkpoint: record.sequenceNumber, sub: '2' })
  })

  it('resumes in mid-aggregate exactly where it was stopped', async () => {
    await using harness = await StreamHarness.start(1)
    await harness.putAggregate('a', ['0', '1', '2', '3', '4'])
    await harness.put('a', '5')
    const first: string[] = []
    const one = harness.consumer()
    await one.run({
      eachRecord: (record) => {
        first.push(new TextDecoder().decode(record.data))
        // The record in hand is the last: nothing waits for this promise inside the handler.
        if (first.length === 3) void one.stop()
      },
    })
    expect(first).toEqual(['0', '1', '2'])
    expect(await leaseRows(harness)).toMatchObject([{ sub: '2' }])
    const got = new Deliveries()
    const two = harness.consumer()
    const run = two.run(got.by('two'))
    await got.until((all) => all.length === 3)
    await two.stop()
    await run
    expect(got.texts).toEqual(['3', '4', '5'])
  })

  it('shares shards between two consumers, and a graceful stop hands them over at once, without a duplicate', async () => {
    await using harness = await StreamHarness.start(4)
    const got = new Deliveries()
    // So long that nothing in this test happens by expiry.
    const failoverTimeMs = 60_000
    const one = harness.consumer({ failoverTimeMs })
    const two = harness.consumer({ failoverTimeMs })
    const [heldByOne, heldByTwo] = [heldShards(one), heldShards(two)]
    const both = [one, two]
    const runs = [one.run(got.by('one')), two.run(got.by('two'))]
    await eventually(both, () => heldByOne.size === 2 && heldByTwo.size === 2)
    for (let n = 0; n < 5; n++) for (const key of KEYS) await harness.put(key, `${key}:${n}`)
    await got.until((all) => all.length === KEYS.length * 5)
    expect(new Set(got.all.map(({ by }) => by))).toEqual(new Set(['one', 'two']))
    const stopped = performance.now()
    await one.stop()
    expect(heldByOne.size).toBe(0)
    await eventually(both, () => heldByTwo.size === 4)
    // By hand-over, then: an owned lease expires two thirds of the failover time later, at the earliest.
    expect(performance.now() - stopped).toBeLessThan(failoverTimeMs / 2)
    for (let n = 5; n < 8; n++) for (const key of KEYS) await harness.put(key, `${key}:${n}`)
    await got.until((all) => all.length >= KEYS.length * 8)
    await two.stop()
    await Promise.all(runs)
    expectComplete(got.texts, 8)
  })

  it('follows a split and a merge: nothing lost, nothing twice, order kept per key', async () => {
    await using harness = await StreamHarness.start(2)
    const got = new Deliveries()
    const consumers = [harness.consumer(), harness.consumer()]
    const runs = consumers.map((consumer, i) => consumer.run(got.by(`${i}`)))
    const putAll = async (n: number): Promise<void> => {
      for (const key of KEYS) {
        if (n % 2 === 0) await harness.put(key, `${key}:${n}`)
        else await harness.putAggregate(key, [`${key}:${n}`])
      }
    }
    await putAll(0)
    await harness.split((await harness.openShards())[0]!)
    await putAll(1)
    await putAll(2)
    const [, left, right] = await harness.openShards()
    await harness.merge(left!, right!)
    await putAll(3)
    await putAll(4)
    await got.until((all) => all.length >= KEYS.length * 5)
    await Promise.all(consumers.map((consumer) => consumer.stop()))
    await Promise.all(runs)
    expectComplete(got.texts, 5)
    const rows = await leaseRows(harness)
    expect(rows.filter((row) => row.checkpoint === 'SHARD_END')).toHaveLength(3)
    expect(rows).toHaveLength(5)
  })

  it('repeats what a handler failed at, skips nothing, and checkpoints nothing of it', async () => {
    await using harness = await StreamHarness.start(1)
    for (const text of ['0', '1', '2', '3']) await harness.put('a', text)
    const calls: string[] = []
    const done: string[] = []
    const consumer = harness.consumer({ retry: { baseMs: 10, maxMs: 20 } })
    const failures = recorded(consumer)
    let rowsAtFailure: Record<string, string | undefined>[] = []
    let completed: string | undefined
    await consumer.run({
      async eachRecord(record, { attempt }) {
        const text = new TextDecoder().decode(record.data)
        calls.push(`${text}/${attempt}`)
        if (text === '2' && attempt === 3) rowsAtFailure = await leaseRows(harness)
        if (text === '2' && attempt < 4) throw new Error('sink is full')
        done.push(text)
        if (text === '1') completed = record.sequenceNumber
        if (text === '3') void consumer.stop()
      },
    })
    expect(calls).toEqual(['0/1', '1/1', '2/1', '2/2', '2/3', '2/4', '3/1'])
    expect(done).toEqual(['0', '1', '2', '3'])
    expect(['TRIM_HORIZON', completed]).toContain(rowsAtFailure[0]?.checkpoint)
    expect(failures.filter((event) => event.type === 'handler-failed')).toHaveLength(3)
  })

  it('delivers again what was not completed when it was stopped', async () => {
    await using harness = await StreamHarness.start(1)
    for (const text of ['0', '1', '2']) await harness.put('a', text)
    const one = harness.consumer({ retry: { baseMs: 60_000, maxMs: 60_000 } })
    const run = one.run({
      eachRecord(record) {
        if (new TextDecoder().decode(record.data) === '1') throw new Error('no')
      },
    })
    await one.events.next('handler-failed')
    await one.stop()
    await run
    const got = new Deliveries()
    const two = harness.consumer()
    const again = two.run(got.by('two'))
    await got.until((all) => all.length === 2)
    await two.stop()
    await again
    expect(got.texts).toEqual(['1', '2'])
  })

  it('starts at the tip by default, and loses nothing when it stops before its first checkpoint', async () => {
    await using harness = await StreamHarness.start(1)
    await harness.put('a', 'before')
    // LATEST is a moment in whole seconds, floored: what was put in the same second counts as later.
    const second = Math.floor(Date.now() / 1000)
    const fill = async (): Promise<void> => {
      while (Math.floor(Date.now() / 1000) === second) await harness.openShards()
    }
    await fill()
    const one = harness.consumer({ initialPosition: 'latest' })
    const run = one.run({ eachRecord: () => {} })
    await one.events.next('shard-started')
    await one.stop()
    await run
    await harness.put('a', 'between')
    const got = new Deliveries()
    const two = harness.consumer({ initialPosition: 'latest' })
    const again = two.run(got.by('two'))
    await got.until((all) => all.length >= 1)
    await two.stop()
    await again
    expect(got.texts).toEqual(['between'])
  })
})

describe('starting and stopping', () => {
  async function failing(consumer: Consumer): Promise<Error & { code?: string }> {
    return consumer.run({ eachRecord: () => {} }).then(
      () => expect.unreachable('the start should fail'),
      (error: Error) => error,
    )
  }

  it('says what to do about a missing stream', async () => {
    await using harness = await StreamHarness.start(1)
    const error = await failing(harness.consumer({ stream: 'fligths' }))
    expect(error).toMatchObject({ name: 'ConsumerStartError', code: 'ERR_SHARDWISE_CONSUMER_START', stream: 'fligths' })
    expect(error.message).toMatch(/fligths.*not found.*Check the name, the region/s)
    expect(error.cause).toMatchObject({ name: 'ResourceNotFoundException' })
  })

  it('says what to do about an endpoint that nobody answers at', async () => {
    await using harness = await StreamHarness.start(1)
    const dead = await StreamHarness.start(1)
    const endpoint = dead.local.kinesisEndpoint
    await dead[Symbol.asyncDispose]()
    expect((await failing(harness.consumer({ endpoint }))).message).toMatch(/ECONNREFUSED.*endpoint/s)
    expect((await failing(harness.consumer({ dynamodbEndpoint: endpoint }))).message).toMatch(
      /Opening the lease table failed.*ECONNREFUSED/s,
    )
  })

  it('says what to do about wrong credentials', async () => {
    await using harness = await StreamHarness.start(1)
    harness.local.faults.on('DescribeStreamSummary', {
      fail: { code: 'UnrecognizedClientException', message: 'The security token included in the request is invalid.' },
      times: Number.POSITIVE_INFINITY,
    })
    expect((await failing(harness.consumer())).message).toMatch(/security token.*Check the AWS credentials/s)
  })

  it('refuses a table with another key', async () => {
    await using harness = await StreamHarness.start(1)
    const dynamodb = new DynamoDBClient({ endpoint: harness.local.dynamodbEndpoint, region: REGION, credentials: CREDENTIALS })
    const { CreateTableCommand } = await import('@aws-sdk/client-dynamodb')
    await dynamodb.send(
      new CreateTableCommand({
        TableName: 'delays',
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
        BillingMode: 'PAY_PER_REQUEST',
      }),
    )
    const error = await failing(harness.consumer())
    expect(error).toMatchObject({ name: 'LeaseTableError' })
    expect(error.message).toMatch(/partition key leaseKey/)
    await dynamodb.send(new DescribeTableCommand({ TableName: 'delays' }))
    dynamodb.destroy()
  })

  it('refuses the leases of another stream, whose shards have the same names, and leaves them alone', async () => {
    await using harness = await StreamHarness.start(1)
    await harness.put('a', 'x')
    const got = new Deliveries()
    const one = harness.consumer()
    const run = one.run(got.by('one'))
    await got.until((all) => all.length === 1)
    await harness.create('weather', 2)
    const error = await failing(harness.consumer({ stream: 'weather' }))
    expect(error).toMatchObject({ name: 'LeaseTableError' })
    expect(error.message).toMatch(
      /`delays`.*shardId-000000000000.*stream arn:aws:kinesis:\S+:stream\/flights.*stream\/weather.*applicationName/s,
    )
    expect(await leaseRows(harness)).toHaveLength(1)
    // By its ARN it is the same stream.
    await one.stop()
    await run
    await harness.put('a', 'y')
    const arn = `arn:aws:kinesis:${REGION}:000000000000:stream/flights`
    const two = harness.consumer({ stream: arn })
    const again = two.run(got.by('two'))
    await got.until((all) => all.length === 2)
    await two.stop()
    await again
    expect(got.texts).toEqual(['x', 'y'])
  })

  it('refuses the leases of a stream of the same name in another account, and leaves them alone', async () => {
    await using harness = await StreamHarness.start(1)
    await using elsewhere = await StreamHarness.start(1, { accountId: '210987654321' })
    await harness.put('a', 'x')
    const got = new Deliveries()
    const one = harness.consumer()
    const run = one.run(got.by('one'))
    await got.until((all) => all.length === 1)
    await one.stop()
    await run
    const rows = await leaseRows(harness)
    const error = await failing(harness.consumer({ endpoint: elsewhere.local.kinesisEndpoint }))
    expect(error.message).toMatch(/000000000000:stream\/flights.*210987654321:stream\/flights/s)
    expect(await leaseRows(harness)).toEqual(rows)
  })

  it('retries what passes by itself', async () => {
    await using harness = await StreamHarness.start(1)
    await harness.put('a', 'x')
    harness.local.faults.on('DescribeTable', { fail: { code: 'InternalServerError', status: 500 } })
    const consumer = harness.consumer()
    const events = recorded(consumer)
    const got = new Deliveries()
    const run = consumer.run(got.by('one'))
    await got.until((all) => all.length === 1)
    await consumer.stop()
    await run
    expect(events.filter((event) => event.type === 'start-retried')).toMatchObject([{ step: 'open-lease-table', attempt: 1 }])
  })

  it('settles whenever it is stopped: before the run, twice, during the start', async () => {
    await using harness = await StreamHarness.start(1)
    const before = harness.consumer()
    await before.stop()
    await before.run({ eachRecord: () => expect.unreachable() })

    const during = harness.consumer()
    const run = during.run({ eachRecord: () => {} })
    await Promise.all([during.stop(), during.stop()])
    await run

    let release = (): void => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    harness.local.faults.on('DescribeTable', { hold: held })
    const slow = harness.consumer()
    const slowRun = slow.run({ eachRecord: () => {} })
    const seen = new Promise<void>((resolve) => harness.local.faults.on('DescribeStreamSummary', { observe: () => resolve() }))
    await seen
    await slow.stop()
    await slowRun
    release()
  })

  it('runs once', async () => {
    await using harness = await StreamHarness.start(1)
    const consumer = harness.consumer()
    const run = consumer.run({ eachRecord: () => {} })
    await expect(consumer.run({ eachRecord: () => {} })).rejects.toMatchObject({ code: 'ERR_SHARDWISE_CONSUMER_RAN' })
    await consumer.stop()
    await run
    await expect(consumer.run({ eachRecord: () => {} })).rejects.toMatchObject({ code: 'ERR_SHARDWISE_CONSUMER_RAN' })
  })

  it('refuses handlers that are none', async () => {
    await using harness = await StreamHarness.start(1)
    await expect(harness.consumer().run({} as never)).rejects.toMatchObject({ code: 'ERR_SHARDWISE_INVALID_OPTION' })
  })
})

it('creates and reads many shards at once without a warning of Node about listeners', async () => {
  const shards = 32
  await using harness = await StreamHarness.start(shards)
  const warnings: string[] = []
  const heard = ({ name, message }: Error): void => void (name === 'MaxListenersExceededWarning' && warnings.push(message))
  process.on('warning', heard)
  try {
    const consumer = harness.consumer({ failoverTimeMs: 10_000 })
    const held = heldShards(consumer)
    const run = consumer.run({ eachRecord: () => {} })
    await eventually([consumer], () => held.size === shards)
    await consumer.stop()
    await run
  } finally {
    process.off('warning', heard)
  }
  expect(warnings).toEqual([])
})
