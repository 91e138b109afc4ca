import { Agent } from 'node:https'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import {
  CreateTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  type DynamoDBClientConfig,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  type KinesisClientConfig,
  ListStreamsCommand,
  PutRecordCommand,
  PutRecordsCommand,
} from '@aws-sdk/client-kinesis'
import { ManualClock, systemClock } from '@shardwise/core/clock'
import { InvalidOptionError } from '@shardwise/core/options'
import { NodeHttp2Handler, NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, describe, expect, it } from 'vitest'
import type { ObservedCall } from './faults.js'
import { PortUnavailableError } from './port-unavailable-error.js'
import { type LocalOptions, type LocalServices, startLocal } from './start-local.js'

const key = { accessKeyId: 'local', secretAccessKey: 'local' }
const cleanUp: (() => void | Promise<void>)[] = []

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

function isReached(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 2_000 })
    const settle = (reached: boolean): void => {
      socket.destroy()
      resolve(reached)
    }
    socket.once('connect', () => settle(true))
    socket.once('error', () => settle(false))
    socket.once('timeout', () => settle(false))
  })
}

async function start(options: LocalOptions = {}): Promise<LocalServices> {
  const local = await startLocal({ transitionMs: { create: 0, delete: 0, update: 0 }, ...options })
  cleanUp.push(() => local.stop())
  return local
}

function kinesis(local: LocalServices, config: KinesisClientConfig = {}): KinesisClient {
  const client = new KinesisClient({
    endpoint: local.kinesisEndpoint,
    region: 'us-east-1',
    credentials: key,
    maxAttempts: 1,
    ...config,
  })
  cleanUp.push(() => client.destroy())
  return client
}

function dynamodb(local: LocalServices, config: DynamoDBClientConfig = {}): DynamoDBClient {
  const client = new DynamoDBClient({
    endpoint: local.dynamodbEndpoint,
    region: 'us-east-1',
    credentials: key,
    maxAttempts: 1,
    ...config,
  })
  cleanUp.push(() => client.destroy())
  return client
}

/** The ways users configure the SDK: as it comes (HTTP/2, a session for each request), HTTP/1.1, HTTP/2 with a shared session. */
const handlers: [string, (local: LocalServices) => KinesisClientConfig][] = [
  ['as it comes', () => ({})],
  [
    'over HTTP/1.1',
    ({ certificate }) => ({ requestHandler: new NodeHttpHandler({ httpsAgent: new Agent({ ca: certificate }) }) }),
  ],
  [
    'over one HTTP/2 session',
    ({ certificate }) => ({ requestHandler: new NodeHttp2Handler({ nodeHttp2ConnectOptions: { ca: certificate } }) }),
  ],
]

/** The SDK's own handler takes no certificate authority except through one of its options. */
const secureDefault = ({ certificate }: LocalServices): KinesisClientConfig => ({
  requestHandler: { disableConcurrentStreams: true, nodeHttp2ConnectOptions: { ca: certificate } },
})

describe.each([
  ...handlers.map(([name, config]) => ({ name, config, tls: false as const })),
  ...[['as it comes', secureDefault] as (typeof handlers)[0], ...handlers.slice(1)].map(([name, config]) => ({
    name,
    config,
    tls: 'self-signed' as const,
  })),
])('an SDK client $name, TLS: $tls', ({ config, tls }) => {
  it('creates, puts, reads what it put, small and large, and deletes', async () => {
    const local = await start({ tls, quotas: false })
    expect(local.kinesisEndpoint).toMatch(tls === false ? /^http:\/\/127\.0\.0\.1:\d+$/ : /^https:/)
    const client = kinesis(local, config(local))
    await client.send(new CreateStreamCommand({ StreamName: 's', ShardCount: 1 }))
    const payloads = [0, 1, 60_000, 70_000, 1_000_000, 900_000].map((size) => Buffer.alloc(size, `${size},`))
    const put = await client.send(
      new PutRecordsCommand({ StreamName: 's', Records: payloads.map((Data, i) => ({ Data, PartitionKey: `ключ-${i}` })) }),
    )
    expect(put.FailedRecordCount).toBe(0)
    const { ShardIterator } = await client.send(
      new GetShardIteratorCommand({ StreamName: 's', ShardId: put.Records![0]!.ShardId, ShardIteratorType: 'TRIM_HORIZON' }),
    )
    const { Records: records = [] } = await client.send(new GetRecordsCommand({ ShardIterator }))
    expect(records.map(({ PartitionKey }) => PartitionKey)).toEqual(payloads.map((_, i) => `ключ-${i}`))
    for (const [index, payload] of payloads.entries()) expect(payload.equals(records[index]!.Data!)).toBe(true)
    expect(Math.abs(records[0]!.ApproximateArrivalTimestamp!.getTime() - systemClock.wallTime())).toBeLessThan(60_000)
    await client.send(new DeleteStreamCommand({ StreamName: 's' }))
    await expect(client.send(new DescribeStreamSummaryCommand({ StreamName: 's' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      $metadata: { httpStatusCode: 400 },
    })
  })
})

it('serves many calls at once', async () => {
  const local = await start({ quotas: false })
  local.model.call('CreateStream', { StreamName: 's', ShardCount: 4 })
  const clients = [kinesis(local), kinesis(local, { requestHandler: new NodeHttpHandler() })]
  const puts = Array.from({ length: 200 }, (_, i) =>
    clients[i % 2]!.send(new PutRecordCommand({ StreamName: 's', PartitionKey: `${i}`, Data: Buffer.alloc(2000, `${i} `) })),
  )
  const places = (await Promise.all(puts)).map(({ ShardId, SequenceNumber }) => `${ShardId} ${SequenceNumber}`)
  expect(new Set(places).size).toBe(200)
})

it('starts both in less than 200 ms, and stops at the end of a scope', async () => {
  await (await startLocal()).stop()
  const began = systemClock.now()
  let endpoint: string
  {
    await using local = await startLocal({ tls: 'self-signed' })
    expect(systemClock.now() - began).toBeLessThan(200)
    expect(local.certificate).toContain('BEGIN CERTIFICATE')
    endpoint = local.kinesisEndpoint
  }
  const again = await start({ port: Number(new URL(endpoint).port) })
  expect(again.kinesisEndpoint).toBe(endpoint.replace('https', 'http'))
})

it('comes back with its data: the model of a stopped one, on its port', async () => {
  const first = await start({ transitionMs: { create: 0 } })
  first.model.call('CreateStream', { StreamName: 's', ShardCount: 1 })
  await kinesis(first).send(new PutRecordCommand({ StreamName: 's', PartitionKey: 'k', Data: Buffer.from('kept') }))
  await first.stop()
  await using again = await startLocal({ model: first.model, port: Number(new URL(first.kinesisEndpoint).port) })
  const client = kinesis(again)
  const shard = { StreamName: 's', ShardId: 'shardId-000000000000' }
  const { ShardIterator } = await client.send(new GetShardIteratorCommand({ ...shard, ShardIteratorType: 'TRIM_HORIZON' }))
  const { Records: records = [] } = await client.send(new GetRecordsCommand({ ShardIterator }))
  expect(records.map(({ Data }) => Buffer.from(Data!).toString())).toEqual(['kept'])
  await expect(startLocal({ model: first.model, quotas: false })).rejects.toThrow(/must be left out where `model` is given/)
})

it('names a host that clients can reach when it listens on all', async () => {
  const local = await start({ host: '0.0.0.0' })
  expect(local.kinesisEndpoint).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  expect((await kinesis(local).send(new ListStreamsCommand({}))).StreamNames).toEqual([])
})

describe('signatures', () => {
  it('are checked for both services when a key is given, by the clock of the service', async () => {
    const clock = new ManualClock({ wallTime: systemClock.wallTime() })
    const local = await start({ credentials: key, clock })
    const good = kinesis(local)
    expect((await good.send(new ListStreamsCommand({}))).StreamNames).toEqual([])
    const wrong = { ...key, secretAccessKey: 'x' }
    for (const client of [
      kinesis(local, { credentials: wrong }),
      kinesis(local, { credentials: wrong, requestHandler: new NodeHttpHandler() }),
    ]) {
      await expect(client.send(new ListStreamsCommand({}))).rejects.toMatchObject({ name: 'InvalidSignatureException' })
    }
    const stranger = kinesis(local, { credentials: { ...key, accessKeyId: 'x' } })
    await expect(stranger.send(new ListStreamsCommand({}))).rejects.toMatchObject({ name: 'UnrecognizedClientException' })
    await expect(dynamodb(local, { credentials: wrong }).send(new ScanCommand({ TableName: 'abc' }))).rejects.toMatchObject({
      name: 'InvalidSignatureException',
    })
    await expect(dynamodb(local).send(new ScanCommand({ TableName: 'abc' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    })
    clock.jumpWallTime(6 * 60_000)
    await expect(kinesis(local).send(new ListStreamsCommand({}))).rejects.toThrow('Signature expired')
    // The SDK reads the service's Date header, and signs by that from then on.
    const corrected = kinesis(local, { maxAttempts: 2 })
    expect((await corrected.send(new ListStreamsCommand({}))).StreamNames).toEqual([])
  })
})

describe('faults of Kinesis, as an SDK client meets them', () => {
  it('the stated error', async () => {
    const local = await start()
    local.faults.on('ListStreams', { fail: { code: 'LimitExceededException', message: 'slow down' } })
    await expect(kinesis(local).send(new ListStreamsCommand({}))).rejects.toMatchObject({
      name: 'LimitExceededException',
      message: 'slow down',
      $metadata: { httpStatusCode: 400 },
    })
  })

  it.each([
    ['over HTTP/2', {}],
    ['over HTTP/1.1', { requestHandler: new NodeHttpHandler() }],
  ] as [string, KinesisClientConfig][])('a lost answer %s: the records are there', async (_, config) => {
    const local = await start()
    local.model.call('CreateStream', { StreamName: 's', ShardCount: 1 })
    const seen: ObservedCall[] = []
    const handle = local.faults.on('PutRecord', { drop: 'after-work' })
    local.faults.on('PutRecord', { observe: (call) => seen.push(call) })
    const client = kinesis(local, config)
    const command = new PutRecordCommand({ StreamName: 's', PartitionKey: 'k', Data: Buffer.from('x') })
    await expect(client.send(command)).rejects.not.toHaveProperty('$response')
    expect(handle.hits).toBe(1)
    expect(seen).toMatchObject([
      {
        service: 'kinesis',
        input: { PartitionKey: 'k', Data: Buffer.from('x') },
        outcome: { kind: 'answered', output: { ShardId: 'shardId-000000000000' } },
      },
    ])
    local.faults.on('PutRecord', { drop: 'before-work' })
    await expect(client.send(command)).rejects.not.toHaveProperty('$response')
    const { ShardIterator } = await client.send(
      new GetShardIteratorCommand({ StreamName: 's', ShardId: 'shardId-000000000000', ShardIteratorType: 'TRIM_HORIZON' }),
    )
    expect((await client.send(new GetRecordsCommand({ ShardIterator }))).Records).toHaveLength(1)
  })

  it('some entries refused', async () => {
    const local = await start()
    local.model.call('CreateStream', { StreamName: 's', ShardCount: 1 })
    local.faults.on('PutRecords', { rejectEntries: { when: ({ PartitionKey }) => PartitionKey === 'b' } })
    const put = await kinesis(local).send(
      new PutRecordsCommand({
        StreamName: 's',
        Records: ['a', 'b', 'c'].map((PartitionKey) => ({ PartitionKey, Data: Buffer.from('x') })),
      }),
    )
    expect(put.FailedRecordCount).toBe(1)
    expect(put.Records!.map(({ ErrorCode }) => ErrorCode)).toEqual([
      undefined,
      'ProvisionedThroughputExceededException',
      undefined,
    ])
  })

  it('a delay on the clock, ended by the stop of the service without leaving a timer', async () => {
    const clock = new ManualClock()
    const local = await start({ clock })
    local.faults.on('ListStreams', { delayMs: 1000, times: 2 })
    const client = kinesis(local)
    const first = client.send(new ListStreamsCommand({}))
    while (clock.pendingTimers === 0) await new Promise((resolve) => setImmediate(resolve))
    await clock.advanceAsync(1000)
    expect((await first).StreamNames).toEqual([])
    const second = client.send(new ListStreamsCommand({})).catch((error: unknown) => error)
    while (clock.pendingTimers === 0) await new Promise((resolve) => setImmediate(resolve))
    await local.stop()
    expect(await second).toBeInstanceOf(Error)
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('DynamoDB', () => {
  const table = new CreateTableCommand({
    TableName: 'leases',
    BillingMode: 'PAY_PER_REQUEST',
    KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
  })
  const item = { leaseKey: { S: 'shardId-0' } }
  const take = (from: number): UpdateItemCommand =>
    new UpdateItemCommand({
      TableName: 'leases',
      Key: item,
      UpdateExpression: 'SET leaseCounter = :next',
      ConditionExpression: 'leaseCounter = :last',
      ExpressionAttributeValues: { ':next': { N: String(from + 1) }, ':last': { N: String(from) } },
      ReturnValues: 'ALL_NEW',
    })

  async function withLease(options: LocalOptions = {}): Promise<{ local: LocalServices; client: DynamoDBClient }> {
    const local = await start(options)
    const client = dynamodb(local, { requestHandler: { httpsAgent: new Agent({ ca: local.certificate }) } })
    await client.send(table)
    while ((await client.send(new DescribeTableCommand({ TableName: 'leases' }))).Table?.TableStatus !== 'ACTIVE');
    await client.send(new PutItemCommand({ TableName: 'leases', Item: { ...item, leaseCounter: { N: '1' } } }))
    return { local, client }
  }

  const counter = async (client: DynamoDBClient): Promise<string | undefined> =>
    (await client.send(new GetItemCommand({ TableName: 'leases', Key: item, ConsistentRead: true }))).Item?.leaseCounter?.N

  it.each([false, 'self-signed'] as const)('keeps items and conditions, TLS: %s', async (tls) => {
    const { client } = await withLease({ tls })
    expect((await client.send(take(1))).Attributes).toEqual({ ...item, leaseCounter: { N: '2' } })
    await expect(client.send(take(1))).rejects.toMatchObject({ name: 'ConditionalCheckFailedException' })
    expect((await client.send(new ScanCommand({ TableName: 'leases' }))).Items).toHaveLength(1)
    const winners = await Promise.allSettled(Array.from({ length: 20 }, () => client.send(take(2))))
    expect(winners.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('fails on demand, as the SDK understands it', async () => {
    const { local, client } = await withLease()
    local.faults.on('UpdateItem', { fail: { code: 'ProvisionedThroughputExceededException', message: 'slow down' } })
    await expect(client.send(take(1))).rejects.toMatchObject({
      name: 'ProvisionedThroughputExceededException',
      message: 'slow down',
    })
    local.faults.on('Scan', { fail: { code: 'InternalServerError' } })
    await expect(client.send(new ScanCommand({ TableName: 'leases' }))).rejects.toMatchObject({
      name: 'InternalServerError',
      $metadata: { httpStatusCode: 500 },
    })
    expect(await counter(client)).toBe('1')
  })

  it('loses an answer with and without the work done', async () => {
    const { local, client } = await withLease()
    local.faults.on('UpdateItem', { drop: 'after-work' })
    await expect(client.send(take(1))).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await counter(client)).toBe('2')
    local.faults.on('UpdateItem', { drop: 'before-work' })
    await expect(client.send(take(2))).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await counter(client)).toBe('2')
  })

  it('shows calls, answered and refused, and passes refusals on as they were', async () => {
    const { local, client } = await withLease()
    const seen: ObservedCall[] = []
    local.faults.on('UpdateItem', { observe: (call) => seen.push(call), times: 2, when: (input) => input.TableName === 'leases' })
    await client.send(take(1))
    await expect(client.send(take(1))).rejects.toMatchObject({ name: 'ConditionalCheckFailedException' })
    expect(seen).toMatchObject([
      { service: 'dynamodb', outcome: { kind: 'answered', output: { Attributes: { leaseCounter: { N: '2' } } } } },
      { input: { Key: item }, outcome: { kind: 'failed', code: 'ConditionalCheckFailedException' } },
    ])
  })
})

it('passes on the very answer of DynamoDB, whether a fault rule looks on or not', async () => {
  const local = await start()
  const ask = async (): Promise<unknown[]> => {
    const answer = await fetch(local.dynamodbEndpoint, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': 'DynamoDB_20120810.Scan',
        'x-amz-date': '20260101T000000Z',
        authorization: 'AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c',
      },
      body: '{"TableName":"x"}',
    })
    return [answer.status, answer.headers.get('content-type'), answer.headers.get('x-amz-crc32'), await answer.text()]
  }
  const plain = await ask()
  expect(plain).toMatchObject([
    400,
    'application/x-amz-json-1.0',
    expect.any(String),
    expect.stringContaining('ValidationException'),
  ])
  const handle = local.faults.on('Scan', { observe: () => {} })
  expect(await ask()).toEqual(plain)
  expect(handle.hits).toBe(1)
})

describe('options', () => {
  it('can leave out a service, whose endpoint then says so', async () => {
    const local = await start({ dynamodb: false })
    expect(local.kinesisEndpoint).toBeDefined()
    expect(() => local.dynamodbEndpoint).toThrow('DynamoDB was not started: leave `dynamodb: false` out of the options')
  })

  it('takes ports as told, and when one is in use stops the other service and names the option', async () => {
    const first = await start({ kinesis: false })
    const taken = Number(new URL(first.dynamodbEndpoint).port)
    const free = await start({ dynamodb: false })
    const port = Number(new URL(free.kinesisEndpoint).port)
    await free.stop()
    const error: unknown = await startLocal({ port, dynamodbPort: taken }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(PortUnavailableError)
    expect(error).toMatchObject({ option: 'dynamodbPort', port: taken })
    const again = await start({ port, dynamodb: false })
    expect(again.kinesisEndpoint).toBe(`http://127.0.0.1:${port}`)
  })

  it('is reached from this machine alone, unless told otherwise', async () => {
    const outside = Object.values(networkInterfaces()).flatMap((each = []) => each.filter(({ internal }) => !internal))
    // All of 127.0.0.0/8 is this machine on Linux: a server on all addresses would answer there too.
    const others = [...outside.filter(({ family }) => family === 'IPv4').map(({ address }) => address), '127.0.0.2']
    const local = await start()
    const everywhere = await start({ host: '0.0.0.0' })
    const port = (endpoint: string): number => Number(new URL(endpoint).port)
    for (const address of others) {
      expect(await isReached(address, port(local.kinesisEndpoint)), `Kinesis on ${address}`).toBe(false)
      expect(await isReached(address, port(local.dynamodbEndpoint)), `DynamoDB on ${address}`).toBe(false)
    }
    if (outside.length > 0 || process.platform === 'linux')
      expect(await isReached(others[0]!, port(everywhere.kinesisEndpoint))).toBe(true)
  })

  it('keeps data from one start away from the next', async () => {
    const first = await start()
    first.model.call('CreateStream', { StreamName: 's', ShardCount: 1 })
    await first.stop()
    await first.stop()
    const second = await start()
    expect(second.model.call('ListStreams', {})).toMatchObject({ StreamNames: [] })
  })

  it.each<[string, unknown, string]>([
    ['an unknown key', { prot: 5 }, 'Option `prot` must be left out: there is no such option (there are kinesis, '],
    ['a port out of range', { port: 65_536 }, 'Option `port` must be a whole number from 0 to 65535, got 65536 (number)'],
    [
      'a port that is text',
      { dynamodbPort: '80' },
      "Option `dynamodbPort` must be a whole number from 0 to 65535, got '80' (string)",
    ],
    ['one port for both', { port: 4567, dynamodbPort: 4567 }, 'Option `dynamodbPort` must be another port than `port` (4567)'],
    ['a URL for a host', { host: 'http://x' }, 'Option `host` must be a host name or an IP address'],
    [
      'an unknown tls',
      { tls: 'yes' },
      "Option `tls` must be false, 'self-signed' or { key, cert } as PEM texts of one pair, got 'yes' (string)",
    ],
    [
      'half a key pair',
      { credentials: { accessKeyId: 'a' } },
      'Option `credentials.secretAccessKey` must be a text that is not empty',
    ],
    ['a text for a switch', { kinesis: 'no' }, "Option `kinesis` must be true or false, got 'no' (string)"],
    ['a shard limit of none', { shardLimit: 0 }, 'Option `shardLimit` must be'],
    ['quotas that are no choice', { quotas: 'off' }, 'Option `quotas` must be true or false'],
    ['a transition that is none', { transitionMs: { created: 0 } }, 'Option `transitionMs.created` must be left out'],
    ['texts that are no certificate', { tls: { key: 'x', cert: 'y' } }, 'Option `tls` must be'],
  ])('refuses %s', async (_, options, message) => {
    const error: unknown = await startLocal(options as LocalOptions).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(InvalidOptionError)
    expect((error as Error).message).toContain(message)
  })
})
