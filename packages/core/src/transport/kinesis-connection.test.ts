import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KinesisClient, ProvisionedThroughputExceededException } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeCbor, encodeCbor } from '../cbor.js'
import { type Clock, ManualClock, systemClock } from '../clock.js'
import type { KinesisPort } from '../kinesis-port.js'
import { InvalidOptionError } from '../options.js'
import { classifyFailure } from '../service-error.js'
import { connectKinesis, type KinesisConnection, type KinesisConnectionOptions } from './kinesis-connection.js'

interface StubRequest {
  readonly operation: string
  readonly encoding: 'cbor' | 'json'
  readonly headers: IncomingHttpHeaders
  readonly input: unknown
}

/** `hang`: no answer; `half`: headers and a part of the body; `reset`: the connection is cut. */
type StubAnswer = { readonly status?: number; readonly type?: string; readonly body?: unknown } | 'hang' | 'half' | 'reset'

const CBOR = 'application/x-amz-cbor-1.1'
const JSON_TYPE = 'application/x-amz-json-1.1'
const DATE = 'Sun, 01 Feb 2026 10:20:30 GMT'
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
const shard = {
  ShardId: 'shardId-000000000000',
  HashKeyRange: { StartingHashKey: '0', EndingHashKey: '340282366920938463463374607431768211455' },
  SequenceNumberRange: { StartingSequenceNumber: '4900' },
}

class Stub {
  readonly requests: StubRequest[] = []
  connections = 0
  /** Who answers; a body that is not text or bytes is encoded as its content type says, by default that of the request. */
  answer: (request: StubRequest) => StubAnswer = () => ({ body: {} })
  onRequest: () => void = () => {}
  readonly #server: Server

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const body = Buffer.concat(chunks)
        const encoding = request.headers['content-type'] === CBOR ? 'cbor' : 'json'
        const input: unknown = encoding === 'cbor' ? decodeCbor(body) : JSON.parse(body.toString())
        const operation = String(request.headers['x-amz-target']).replace('Kinesis_20131202.', '')
        const received = { operation, encoding, headers: request.headers, input } as const
        this.requests.push(received)
        const answer = this.answer(received)
        if (answer === 'reset') request.socket.destroy()
        else if (answer === 'half')
          response.writeHead(200, { 'content-type': JSON_TYPE, 'content-length': 100 }).write('{"Shards":')
        else if (answer !== 'hang') {
          const type = answer.type ?? (encoding === 'cbor' ? CBOR : JSON_TYPE)
          const given = answer.body ?? {}
          const text = typeof given === 'string' || given instanceof Uint8Array ? given : undefined
          response.writeHead(answer.status ?? 200, { 'content-type': type, date: DATE, 'x-amzn-requestid': 'request-1' })
          response.end(text ?? (type === CBOR ? encodeCbor(given) : JSON.stringify(given)))
        }
        this.onRequest()
      })
    })
    this.#server.on('connection', () => this.connections++)
  }

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  get sent(): string[] {
    return this.requests.map((request) => `${request.operation}:${request.encoding}`)
  }
}

let stub: Stub
let endpoint: string
let connections: KinesisConnection[]

beforeEach(async () => {
  stub = new Stub()
  endpoint = await stub.start()
  connections = []
})

afterEach(async () => {
  for (const connection of connections) connection.close()
  await stub.stop()
})

function connect(options: KinesisConnectionOptions = {}): KinesisPort {
  const place = options.client === undefined ? { region: 'eu-west-1', endpoint, credentials } : {}
  const connection = connectKinesis({ ...place, controlRetryBaseMs: 1, ...options })
  connections.push(connection)
  return connection.port
}

function foreign(): KinesisClient {
  return new KinesisClient({
    region: 'eu-west-1',
    endpoint,
    credentials,
    maxAttempts: 5,
    requestHandler: new NodeHttpHandler({ httpAgent: { keepAlive: true } }),
  })
}

const put = { StreamName: 's', Records: [{ Data: Buffer.from('hello'), PartitionKey: 'kéy"\n' }] }
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('should have been rejected'),
    (error: unknown) => error,
  )

describe('one attempt for data-plane calls', () => {
  const calls: [string, (port: KinesisPort) => Promise<unknown>][] = [
    ['putRecords', (port) => port.putRecords(put)],
    ['getRecords', (port) => port.getRecords({ ShardIterator: 'i' })],
    ['getShardIterator', (port) => port.getShardIterator({ StreamName: 's', ShardId: 'x', ShardIteratorType: 'LATEST' })],
  ]
  const answers: [string, StubAnswer][] = [
    ['InternalFailure', { status: 500, body: { __type: 'InternalFailure', message: 'boom' } }],
    ['throttling', { status: 400, body: { __type: 'ProvisionedThroughputExceededException', message: 'slow' } }],
    ['a cut connection', 'reset'],
  ]
  for (const [name, call] of calls) {
    for (const [what, answer] of answers) {
      test(`${name} on ${what}, own client`, async () => {
        stub.answer = () => answer
        await failure(call(connect()))
        expect(stub.requests).toHaveLength(1)
      })
      test(`${name} on ${what}, a client of the user with 5 attempts`, async () => {
        stub.answer = () => answer
        const client = foreign()
        await failure(call(connect({ client })))
        expect(stub.requests).toHaveLength(1)
        client.destroy()
      })
    }
  }

  test('a client of the user keeps its retries for its own calls, and is not destroyed', async () => {
    const client = foreign()
    const connection = connectKinesis({ client })
    expect(connection.client).toBe(client)
    stub.answer = () => ({ status: 500, body: { __type: 'InternalFailure' } })
    await failure(connection.port.putRecords(put))
    connection.close()
    stub.answer = () =>
      stub.requests.length < 3 ? { status: 500, body: { __type: 'InternalFailure' } } : { body: { Shards: [shard] } }
    const { ListShardsCommand } = await import('@aws-sdk/client-kinesis')
    const output = await client.send(new ListShardsCommand({ StreamName: 's' }))
    expect(output.$metadata.attempts).toBe(2)
    expect(stub.requests).toHaveLength(3)
    client.destroy()
  })
})

describe('control-plane calls', () => {
  for (const own of [true, false]) {
    test(`are tried again by p-retry, ${own ? 'own client' : 'client of the user'}`, async () => {
      stub.answer = () =>
        stub.requests.length < 3 ? { status: 500, body: { __type: 'InternalFailure' } } : { body: { Shards: [shard] } }
      const client = own ? undefined : foreign()
      expect(await connect({ client }).listShards({ StreamName: 's' })).toMatchObject({ Shards: [shard] })
      expect(stub.requests).toHaveLength(3)
      client?.destroy()
    })
  }

  test('give up after the given attempts, with the last error', async () => {
    stub.answer = () => ({ status: 400, body: { __type: 'LimitExceededException', message: 'slow down' } })
    const error = await failure(connect({ controlAttempts: 3 }).listShards({ StreamName: 's' }))
    expect(classifyFailure(error)).toMatchObject({ kind: 'limit-exceeded', code: 'LimitExceededException', message: 'slow down' })
    expect(stub.requests).toHaveLength(3)
  })

  test('fail at once where trying again cannot help', async () => {
    stub.answer = () => ({ status: 400, body: { __type: 'ResourceNotFoundException', message: 'Stream s not found' } })
    const error = await failure(connect().describeStreamSummary({ StreamName: 's' }))
    expect(classifyFailure(error).kind).toBe('not-found')
    expect(stub.requests).toHaveLength(1)
  })

  test('stop between attempts when the signal aborts', async () => {
    const controller = new AbortController()
    stub.answer = () => ({ status: 500, body: { __type: 'InternalFailure' } })
    // The time limit of an attempt is taken off when the attempt is over: then the wait begins.
    const schedule: Clock['schedule'] = (...args) => {
      const { cancel } = systemClock.schedule(...args)
      return { cancel: () => [cancel(), setImmediate(() => controller.abort(new Error('enough')))] }
    }
    // That wait would take longer than the test may.
    const port = connect({ controlAttempts: 100, controlRetryBaseMs: 5_000, clock: { ...systemClock, schedule } })
    const error = await failure(port.listShards({ StreamName: 's' }, { signal: controller.signal }))
    expect(error).toMatchObject({ name: 'AbortError', cause: { message: 'enough' } })
    expect(stub.requests).toHaveLength(1)
  })
})

describe('reads by negotiation', () => {
  const iterate = {
    StreamName: 's',
    ShardId: 'x',
    ShardIteratorType: 'AT_TIMESTAMP',
    Timestamp: new Date(1_700_000_000_123),
  } as const

  test('accepted: reads stay CBOR, writes stay JSON', async () => {
    stub.answer = ({ operation }) => ({ body: operation === 'ListShards' ? { Shards: [shard] } : {} })
    const port = connect()
    expect((await port.listShards({ StreamName: 's' })).Shards).toEqual([shard])
    await port.getShardIterator(iterate)
    await port.getRecords({ ShardIterator: 'i', Limit: 10 })
    await port.putRecords(put)
    expect(stub.sent).toEqual(['ListShards:cbor', 'GetShardIterator:cbor', 'GetRecords:cbor', 'PutRecords:json'])
    expect(stub.requests[1]?.input).toEqual(iterate)
    expect(stub.requests[3]?.input).toEqual({
      StreamName: 's',
      Records: [{ Data: Buffer.from('hello').toString('base64'), PartitionKey: 'kéy"\n' }],
    })
    expect(
      stub.requests.every(({ headers }) => headers.authorization?.includes('/eu-west-1/kinesis/aws4_request') === true),
    ).toBe(true)
  })

  test('a record read before any control call is JSON', async () => {
    const port = connect()
    await port.getRecords({ ShardIterator: 'i' })
    await port.describeStreamSummary({ StreamName: 's' })
    await port.getRecords({ ShardIterator: 'i' })
    expect(stub.sent).toEqual(['GetRecords:json', 'DescribeStreamSummary:cbor', 'GetRecords:cbor'])
  })

  const refusals: [string, StubAnswer][] = [
    ['415', { status: 415, type: 'text/plain', body: 'no' }],
    ['a JSON error', { status: 400, type: JSON_TYPE, body: { __type: 'SerializationException' } }],
    ['SerializationException in CBOR', { status: 400, body: { __type: 'SerializationException' } }],
    ['UnknownOperationException', { status: 400, type: JSON_TYPE, body: { __type: 'UnknownOperationException' } }],
    ['an error page', { status: 502, type: 'text/html', body: '<html>' }],
    ['an empty 500', { status: 500, type: '', body: '' }],
    ['a JSON answer', { type: JSON_TYPE, body: { Shards: [] } }],
    ['CBOR that cannot be read', { type: CBOR, body: new Uint8Array([0x9f, 0x01]) }],
    ['CBOR that is not an object', { type: CBOR, body: new Uint8Array([0x01]) }],
  ]
  for (const [what, answer] of refusals) {
    test(`refused by ${what}: sent again in JSON, and JSON from then on`, async () => {
      stub.answer = ({ encoding }) => (encoding === 'cbor' ? answer : { body: { Shards: [shard] } })
      const port = connect({ controlAttempts: 1 })
      expect((await port.listShards({ StreamName: 's' })).Shards).toEqual([shard])
      await port.getRecords({ ShardIterator: 'i' })
      expect(stub.sent).toEqual(['ListShards:cbor', 'ListShards:json', 'GetRecords:json'])
    })
  }

  test('a proper CBOR error is an acceptance, and decodes to the class of the SDK', async () => {
    stub.answer = () => ({
      status: 400,
      body: { __type: 'com.amazonaws.kinesis#ProvisionedThroughputExceededException', message: 'slow' },
    })
    const port = connect({ controlAttempts: 1 })
    const error = await failure(port.listShards({ StreamName: 's' }))
    expect(error).toBeInstanceOf(ProvisionedThroughputExceededException)
    expect(error).toMatchObject({
      name: 'ProvisionedThroughputExceededException',
      message: 'slow',
      $fault: 'client',
      $metadata: { httpStatusCode: 400, requestId: 'request-1' },
    })
    await failure(port.getRecords({ ShardIterator: 'i' }))
    expect(stub.sent).toEqual(['ListShards:cbor', 'GetRecords:cbor'])
  })

  test('a later refusal of a read flips it too', async () => {
    let speaksCbor = true
    stub.answer = ({ encoding }) =>
      encoding === 'json' || speaksCbor ? { body: {} } : { status: 400, type: JSON_TYPE, body: { __type: 'X' } }
    const port = connect()
    await port.listShards({ StreamName: 's' })
    speaksCbor = false
    await port.getRecords({ ShardIterator: 'i' })
    await port.getRecords({ ShardIterator: 'i' })
    expect(stub.sent).toEqual(['ListShards:cbor', 'GetRecords:cbor', 'GetRecords:json', 'GetRecords:json'])
  })

  test("a front end's 5xx page does not flip an endpoint that speaks CBOR", async () => {
    const port = connect()
    await port.listShards({ StreamName: 's' })
    stub.answer = () => ({ status: 503, type: 'text/html', body: '<html>' })
    expect(classifyFailure(await failure(port.getRecords({ ShardIterator: 'i' }))).kind).toBe('internal')
    stub.answer = () => ({ body: {} })
    await port.getRecords({ ShardIterator: 'i' })
    expect(stub.sent).toEqual(['ListShards:cbor', 'GetRecords:cbor', 'GetRecords:cbor'])
  })

  test('a broken connection decides nothing', async () => {
    stub.answer = () => (stub.requests.length === 1 ? 'reset' : { body: {} })
    await connect().listShards({ StreamName: 's' })
    expect(stub.sent).toEqual(['ListShards:cbor', 'ListShards:cbor'])
  })

  test('fixed by option', async () => {
    const json = connect({ wire: { reads: 'json' } })
    await json.listShards({ StreamName: 's' })
    const cbor = connect({ wire: { reads: 'cbor', writes: 'cbor' } })
    await cbor.getRecords({ ShardIterator: 'i' })
    await cbor.putRecords(put)
    expect(stub.sent).toEqual(['ListShards:json', 'GetRecords:cbor', 'PutRecords:cbor'])
    expect(stub.requests[2]?.input).toEqual({
      StreamName: 's',
      Records: [{ Data: Buffer.from('hello'), PartitionKey: 'kéy"\n' }],
    })
  })

  test('a client of the user keeps its protocol', async () => {
    const client = foreign()
    const port = connect({ client })
    await port.listShards({ StreamName: 's' })
    await port.getRecords({ ShardIterator: 'i' })
    expect(stub.sent).toEqual(['ListShards:json', 'GetRecords:json'])
    client.destroy()
    expect(() => connectKinesis({ client, wire: { writes: 'cbor' } })).toThrow(/Option `wire.writes` must be left out or 'json'/)
  })
})

describe('answers', () => {
  const arrived = new Date(1_700_000_000_123)
  const data = Buffer.from([0, 255, 128])
  const record = { SequenceNumber: '1', PartitionKey: 'ключ', Data: data, ApproximateArrivalTimestamp: arrived }
  const asText = { ...record, Data: data.toString('base64') }
  const wires: [string, 'json' | 'cbor', unknown][] = [
    ['JSON', 'json', { ...asText, ApproximateArrivalTimestamp: 1_700_000_000.123 }],
    ['CBOR, tag 1 with milliseconds', 'cbor', record],
    ['CBOR, base64 text and plain milliseconds', 'cbor', { ...asText, ApproximateArrivalTimestamp: arrived.getTime() }],
    ['CBOR, plain seconds', 'cbor', { ...record, ApproximateArrivalTimestamp: 1_700_000_000.123 }],
  ]
  for (const [what, reads, sent] of wires) {
    test(`GetRecords: ${what}`, async () => {
      const rest = { NextShardIterator: 'n', MillisBehindLatest: 7, ChildShards: [{ ShardId: 'c', ParentShards: ['p'] }] }
      stub.answer = () => ({ body: { ...rest, Records: [sent, sent] } })
      const output = await connect({ wire: { reads } }).getRecords({ ShardIterator: 'i' })
      expect(output).toMatchObject(rest)
      expect(output.Records).toEqual([record, record])
      expect(output.Records?.[0]?.Data).toBeInstanceOf(Uint8Array)
      expect(output).toHaveProperty('$metadata.httpStatusCode', 200)
      expect(output).toHaveProperty('$metadata.requestId', 'request-1')
    })
  }

  test('whole seconds with tag 1 are dates of today, not of 1970', async () => {
    // c1 fb: tag 1 with a float of 1,700,000,000; c1 1a: the same as an integer, as the RFC has it
    const body = Buffer.from(
      `a1675265636f72647382${['c1fb41d954fc40000000', 'c11a6553f100'].map((time) => `a1781b${Buffer.from('ApproximateArrivalTimestamp').toString('hex')}${time}`).join('')}`,
      'hex',
    )
    stub.answer = () => ({ body })
    const { Records: records } = await connect({ wire: { reads: 'cbor' } }).getRecords({ ShardIterator: 'i' })
    for (const { ApproximateArrivalTimestamp: time } of records ?? []) expect(time).toEqual(new Date(1_700_000_000_000))
    expect(records).toHaveLength(2)
  })

  for (const kind of ['own JSON', 'own CBOR', 'foreign'] as const) {
    test(`DescribeStreamSummary has the service's time and dates: ${kind}`, async () => {
      const created = kind === 'own CBOR' ? arrived : 1_700_000_000.123
      const summary = { StreamName: 's', StreamStatus: 'ACTIVE', StreamCreationTimestamp: created, OpenShardCount: 4 }
      stub.answer = () => ({ body: { StreamDescriptionSummary: summary } })
      const client = kind === 'foreign' ? foreign() : undefined
      const port = connect(client ? { client } : { wire: { reads: kind === 'own CBOR' ? 'cbor' : 'json' } })
      const output = await port.describeStreamSummary({ StreamName: 's' })
      expect(output.serviceTime).toBe(Date.UTC(2026, 1, 1, 10, 20, 30))
      expect(output.StreamDescriptionSummary).toEqual({ ...summary, StreamCreationTimestamp: arrived })
      client?.destroy()
    })
  }

  test('PutRecords, JSON and CBOR', async () => {
    const body = {
      FailedRecordCount: 1,
      Records: [
        { SequenceNumber: '1', ShardId: 'x' },
        { ErrorCode: 'InternalFailure', ErrorMessage: 'm' },
      ],
    }
    stub.answer = () => ({ body })
    for (const writes of ['json', 'cbor'] as const)
      expect(await connect({ wire: { writes } }).putRecords(put)).toMatchObject(body)
  })

  test('a JSON body that is cut or is not JSON is a failure of unknown outcome', async () => {
    stub.answer = () => ({ type: JSON_TYPE, body: '{"Records":[' })
    const failed = classifyFailure(await failure(connect().putRecords(put)))
    expect(failed).toMatchObject({ kind: 'internal', written: 'unknown', retryable: true })
  })
})

describe('connections', () => {
  test('are kept and used again', async () => {
    const port = connect()
    for (let i = 0; i < 5; i++) await port.putRecords(put)
    await port.listShards({ StreamName: 's' })
    expect(stub.connections).toBe(1)
  })

  test('maxSockets bounds them', async () => {
    const port = connect({ maxSockets: 2 })
    await Promise.all(Array.from({ length: 8 }, () => port.putRecords(put)))
    expect(stub.requests).toHaveLength(8)
    expect(stub.connections).toBe(2)
  })

  test('that are idle do not keep the process alive', async () => {
    const script = `import { connectKinesis } from '@shardwise/core/transport'
      const { port } = connectKinesis({ region: 'x', endpoint: '${endpoint}', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } })
      await port.listShards({ StreamName: 's' })`
    const args = ['--import', 'tsx', '-C', 'shardwise-source', '--input-type=module', '-e', script]
    const child = spawn(process.execPath, args, {
      cwd: new URL('../..', import.meta.url),
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(stub.sent).toEqual(['ListShards:cbor'])
  })

  test('refused: says where', async () => {
    const closed = new Stub()
    const nowhere = await closed.start()
    await closed.stop()
    const failed = classifyFailure(await failure(connect({ endpoint: nowhere }).putRecords(put)))
    expect(failed).toMatchObject({ kind: 'connection', code: 'ECONNREFUSED', retryable: true, written: 'no' })
    expect(failed.advice).toContain(`at ${nowhere.replace('http://', '')}`)
  })

  test('cut after the request was sent: unknown outcome', async () => {
    stub.answer = () => 'reset'
    const failed = classifyFailure(await failure(connect().putRecords(put)))
    expect(failed).toMatchObject({ kind: 'connection', code: 'ECONNRESET', retryable: true, written: 'unknown' })
  })
})

describe('timeouts and aborts', () => {
  for (const answer of ['hang', 'half'] as const) {
    test(`no complete answer in time (${answer})`, async () => {
      const clock = new ManualClock()
      stub.answer = () => answer
      const arrivedAtServer = new Promise<void>((resolve) => {
        stub.onRequest = resolve
      })
      const failed = failure(connect({ clock }).getRecords({ ShardIterator: 'i' }, { timeoutMs: 1234 }))
      await arrivedAtServer
      clock.advance(1234)
      expect(classifyFailure(await failed)).toMatchObject({ kind: 'timeout', retryable: true, written: 'unknown' })
      expect(clock.pendingTimers).toBe(0)
    })

    test(`aborted by the caller (${answer})`, async () => {
      const controller = new AbortController()
      stub.answer = () => answer
      const arrivedAtServer = new Promise<void>((resolve) => {
        stub.onRequest = resolve
      })
      const failed = failure(connect().getRecords({ ShardIterator: 'i' }, { signal: controller.signal }))
      await arrivedAtServer
      controller.abort(new Error('stopping'))
      const error = await failed
      expect(error).toMatchObject({ name: 'AbortError', cause: { message: 'stopping' } })
      expect(classifyFailure(error).kind).toBe('aborted')
    })
  }

  test('aborted before: nothing is sent', async () => {
    for (const call of [
      connect().putRecords(put, { signal: AbortSignal.abort() }),
      connect().listShards({}, { signal: AbortSignal.abort() }),
    ]) {
      expect(await failure(call)).toMatchObject({ name: 'AbortError' })
    }
    expect(stub.requests).toHaveLength(0)
  })
})

describe('settings', () => {
  test('a provider of credentials is asked once for all calls, whatever their encoding', async () => {
    let asked = 0
    const provider = async () => ({ ...credentials, expiration: new Date(systemClock.wallTime() + 3_600_000 + ++asked) })
    const port = connect({ credentials: provider })
    await port.listShards({ StreamName: 's' })
    await port.putRecords(put)
    await port.getRecords({ ShardIterator: 'i' })
    expect([asked, stub.sent]).toEqual([1, ['ListShards:cbor', 'PutRecords:json', 'GetRecords:cbor']])
  })

  const names = [
    'AWS_REGION',
    'AWS_DEFAULT_REGION',
    'AWS_PROFILE',
    'AWS_CONFIG_FILE',
    'AWS_SHARED_CREDENTIALS_FILE',
    'AWS_ENDPOINT_URL_KINESIS',
  ]
  let before: [string, string | undefined][]

  beforeEach(() => {
    before = names.map((name) => [name, process.env[name]])
    for (const name of names) delete process.env[name]
    process.env.AWS_CONFIG_FILE = process.env.AWS_SHARED_CREDENTIALS_FILE = '/nonexistent'
  })

  afterEach(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  })

  test('a missing region is named', async () => {
    const error = await failure(connect({ region: undefined }).listShards({ StreamName: 's' }))
    expect(error).toBeInstanceOf(InvalidOptionError)
    expect(error).toMatchObject({ option: 'region' })
    expect(classifyFailure(error)).toMatchObject({ kind: 'invalid', retryable: false })
  })

  test('the endpoint and region of the environment hold', async () => {
    process.env.AWS_ENDPOINT_URL_KINESIS = endpoint
    process.env.AWS_REGION = 'ap-south-1'
    const connection = connectKinesis({ credentials })
    connections.push(connection)
    await connection.port.listShards({ StreamName: 's' })
    expect(stub.requests[0]?.headers.authorization).toContain('/ap-south-1/kinesis/')
  })

  test('a StreamARN passes through', async () => {
    const StreamARN = 'arn:aws:kinesis:eu-west-1:123456789012:stream/s'
    const port = connect()
    await port.describeStreamSummary({ StreamARN })
    await port.getRecords({ ShardIterator: 'i', StreamARN })
    await port.putRecords({ StreamARN, Records: put.Records })
    expect(stub.requests.map(({ input }) => (input as { StreamARN: string }).StreamARN)).toEqual([
      StreamARN,
      StreamARN,
      StreamARN,
    ])
  })

  const invalid: [KinesisConnectionOptions, string][] = [
    [{ endpoint: '127.0.0.1:4567' }, 'endpoint'],
    [{ endpoint: 'nonsense' }, 'endpoint'],
    [{ maxSockets: 0 }, 'maxSockets'],
    [{ requestTimeoutMs: 0.5 }, 'requestTimeoutMs'],
    [{ connectTimeoutMs: -1 }, 'connectTimeoutMs'],
    [{ controlAttempts: 0 }, 'controlAttempts'],
    [{ wire: { reads: 'xml' as 'json' } }, 'wire.reads'],
    [{ wire: { write: 'json' } as object }, 'wire.write'],
    [{ wire: 'json' as never }, 'wire'],
    [{ region: '' }, 'region'],
    [{ region: -1 as never }, 'region'],
    [{ credentials: {} as never }, 'credentials'],
    [{ credentials: null as never }, 'credentials'],
    [{ client: {} as never }, 'client'],
    [{ client: null as never }, 'client'],
  ]
  test('refuses an endpoint beside a client, which has its own', () => {
    const client = new KinesisClient({ region: 'eu-west-1', endpoint, credentials })
    expect(() => connectKinesis({ client, region: 'eu-west-1', credentials, endpoint: 'http://127.0.0.1:1' })).toThrow(
      "Option `endpoint` must be left out where `client` is given: it keeps its own endpoint, got 'http://127.0.0.1:1' (string)",
    )
    connections.push(connectKinesis({ client, region: 'eu-west-1', credentials, endpoint: undefined }))
  })

  for (const [options, option] of invalid) {
    test(`refuses ${JSON.stringify(options)}`, () => {
      expect(() => connectKinesis(options)).toThrow(expect.objectContaining({ name: 'InvalidOptionError', option }))
    })
  }
})
