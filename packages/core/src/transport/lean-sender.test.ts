import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import {
  GetRecordsCommand,
  KinesisClient,
  type KinesisClientConfig,
  ProvisionedThroughputExceededException,
  PutRecordsCommand,
} from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { encodeCbor } from '../cbor.js'
import { systemClock } from '../clock.js'
import type { KinesisPort, PutRecordsInput } from '../kinesis-port.js'
import { classifyFailure } from '../service-error.js'
import { connectKinesis, type KinesisConnection, type KinesisConnectionOptions } from './kinesis-connection.js'
import { millisOf } from './request-signature.js'
import { RawHttpStub, type RawRequest } from './testing/raw-http-stub.js'
import { expectedSignature } from './testing/signature.js'
import { USER_AGENT } from './user-agent.js'

const CBOR = 'application/x-amz-cbor-1.1'
const JSON_TYPE = 'application/x-amz-json-1.1'
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
const put: PutRecordsInput = { StreamName: 's', Records: [{ Data: Buffer.from('hello'), PartitionKey: 'k' }] }

let stub: RawHttpStub
let endpoint: string
let connections: KinesisConnection[]
let bySdk: { readonly mock: { readonly calls: readonly unknown[] } }[]

beforeEach(async () => {
  stub = new RawHttpStub()
  endpoint = await stub.start()
  connections = []
  bySdk = [PutRecordsCommand, GetRecordsCommand].map((command) => vi.spyOn(command.prototype, 'resolveMiddleware'))
})

afterEach(async () => {
  vi.restoreAllMocks()
  for (const connection of connections) connection.close()
  await stub[Symbol.asyncDispose]()
})

/** How often the SDK has made a request, or read an answer. */
const sdkCalls = (): number => bySdk.reduce((sum, { mock }) => sum + mock.calls.length, 0)

function connect(options: KinesisConnectionOptions = {}): KinesisPort {
  const place = options.client === undefined ? { region: 'eu-west-1', endpoint, credentials } : {}
  const connection = connectKinesis({ ...place, ...options })
  connections.push(connection)
  return connection.port
}

function answering(body: unknown, { status = 200, headers = {} as Record<string, string> } = {}): typeof stub.answer {
  return (response, request) => {
    const type = String(request.headers['content-type'])
    response.writeHead(status, { 'content-type': type, 'x-amzn-requestid': 'request-1', 'x-amz-id-2': 'two', ...headers })
    response.end(body instanceof Uint8Array ? body : type === CBOR ? encodeCbor(body) : JSON.stringify(body))
  }
}

/** One that has learned how the request looks, so that its next call goes the short way. */
async function learned(options: KinesisConnectionOptions = {}, call: (port: KinesisPort) => Promise<unknown> = putOne) {
  const port = connect(options)
  stub.answer = answering({})
  await call(port)
  stub.requests.length = 0
  return port
}

const putOne = (port: KinesisPort): Promise<unknown> => port.putRecords(put)
const getOne = (port: KinesisPort): Promise<unknown> => port.getRecords({ ShardIterator: 'i', Limit: 7 })

describe('a request', () => {
  const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  const record = fc.record(
    {
      // Up to more than one piece of base64, and than what is written with its text.
      Data: fc.oneof(
        fc.uint8Array({ maxLength: 50 }),
        fc.integer({ min: 2040, max: 60_000 }).map((n) => Buffer.alloc(n, n)),
      ),
      PartitionKey: key,
      ExplicitHashKey: fc.stringMatching(/^\d{1,39}$/),
    },
    { requiredKeys: ['Data', 'PartitionKey'] },
  )
  const inputs = fc.record(
    { StreamName: key, StreamARN: fc.constant('arn:aws:kinesis:eu-west-1:123456789012:stream/s'), Records: fc.array(record) },
    { requiredKeys: ['Records'] },
  )
  /** CBOR is ours, on both ways. */
  const decoded = ({ headers, body }: RawRequest): unknown =>
    headers['content-type'] === CBOR ? body.toString('base64') : JSON.parse(body.toString())
  const ofCall = ['authorization', 'x-amz-date', 'content-length', 'x-amz-content-sha256']
  const constant = ({ method, path, headers }: RawRequest): unknown => {
    const rest = Object.entries(headers).filter(([name]) => !ofCall.includes(name))
    const signedHeaders = String(headers.authorization).replace(/Signature=\w+/, 'Signature=')
    return { method, path, headers: Object.fromEntries(rest), signedHeaders }
  }

  test.each(['json', 'cbor'] as const)('PutRecords as %s is the one that the SDK sends', async (writes) => {
    const wire = { writes }
    const session = { ...credentials, sessionToken: 'token' }
    const config = { region: 'eu-west-1', endpoint, credentials: session, customUserAgent: USER_AGENT }
    const stock = new KinesisClient({ ...config, requestHandler: new NodeHttpHandler() })
    const lean = connect({ wire, credentials: session })
    const sdk = writes === 'json' ? connect({ client: stock }) : connect({ wire, credentials: session, sender: 'sdk' })
    stub.answer = answering({})
    for (const StreamARN of [undefined, 'arn:aws:kinesis:eu-west-1:123456789012:stream/s'])
      await lean.putRecords({ ...put, ...(StreamARN && { StreamARN }) })
    await fc.assert(
      fc.asyncProperty(inputs, async (input) => {
        stub.requests.length = 0
        await lean.putRecords(input)
        const before = sdkCalls()
        await sdk.putRecords(input)
        expect(sdkCalls()).toBe(before + 1)
        const [ours, theirs] = stub.requests as [RawRequest, RawRequest]
        expect(decoded(ours)).toEqual(decoded(theirs))
        expect(constant(ours)).toEqual(constant(theirs))
        expect(ours.headers['content-length']).toBe(String(ours.body.length))
        expect(String(ours.headers.authorization)).toMatch(`Signature=${expectedSignature(ours, credentials.secretAccessKey)}`)
      }),
      { numRuns: 30 },
    )
    // Two were learned from, and each other one was made without the SDK.
    expect(sdkCalls()).toBe(2 + 30)
    stock.destroy()
  })

  test.each(['json', 'cbor'] as const)('GetRecords as %s is the one that the SDK sends', async (reads) => {
    const wire = { reads }
    const [lean, sdk] = [await learned({ wire }, getOne), connect({ wire, sender: 'sdk' })]
    await getOne(lean)
    expect(sdkCalls()).toBe(1)
    await getOne(sdk)
    const [ours, theirs] = stub.requests as [RawRequest, RawRequest]
    expect([decoded(ours), constant(ours)]).toEqual([decoded(theirs), constant(theirs)])
    expect(String(ours.headers.authorization)).toMatch(`Signature=${expectedSignature(ours, credentials.secretAccessKey)}`)
  })

  test('with members that only the SDK may know is made by the SDK', async () => {
    const port = await learned()
    await port.putRecords({ ...put, Records: [{ ...put.Records[0]!, New: 'x' } as never] })
    await port.getRecords({ ShardIterator: 'i', New: { deep: 1 } } as never)
    expect(sdkCalls()).toBe(3)
    expect(JSON.parse(stub.requests[0]!.body.toString())).toMatchObject({ Records: [{ PartitionKey: 'k' }] })
  })

  test('takes the bytes of the moment of the call', async () => {
    const port = await learned()
    const data = Buffer.from('before')
    const call = port.putRecords({ ...put, Records: [{ Data: data, PartitionKey: 'k' }] })
    data.fill('x')
    await call
    expect(JSON.parse(stub.requests[0]!.body.toString())).toMatchObject({
      Records: [{ Data: Buffer.from('before').toString('base64') }],
    })
  })
})

describe('an answer', () => {
  type Answer = (response: ServerResponse, request: RawRequest) => void
  const raw =
    (status: number, type: string, body: string | Uint8Array, more: Record<string, string> = {}): Answer =>
    (response) => {
      const headers = { ...(type && { 'content-type': type }), 'x-amzn-requestid': 'request-1', 'x-amz-id-2': 'two', ...more }
      response.writeHead(status, headers).end(body)
    }
  const cut =
    (status: number): Answer =>
    (response, { headers }) => {
      response.writeHead(status, { 'content-type': headers['content-type'], 'content-length': '1000' })
      response.write('{"Records":[', () => response.destroy())
    }
  const results = {
    FailedRecordCount: 1,
    EncryptionType: 'KMS',
    Records: [
      { SequenceNumber: '1', ShardId: 'shardId-000000000000' },
      { ErrorCode: 'ProvisionedThroughputExceededException', ErrorMessage: 'Rate exceeded' },
    ],
  }
  const records = {
    Records: [{ SequenceNumber: '1', PartitionKey: 'ключ', Data: 'AP+A', ApproximateArrivalTimestamp: 1_700_000_000.123 }],
    NextShardIterator: 'n',
    MillisBehindLatest: 0,
    ChildShards: [],
  }
  const refusal = (type: string, more: object = {}): object => ({ __type: type, message: 'why', ...more })
  const answers: [string, Answer | { status?: number; body: object; headers?: Record<string, string> }][] = [
    ['a success', { body: { ...results, ...records } }],
    ['a success with what is not in the model', { body: { ...results, New: { a: [1] } } }],
    ['an empty success', { body: {} }],
    ['201', { status: 201, body: results }],
    ['no body', raw(200, JSON_TYPE, '')],
    ['no content', raw(204, '', '')],
    ['text in place of JSON', raw(200, JSON_TYPE, 'ok')],
    ['JSON that is cut', raw(200, JSON_TYPE, '{"Records":[')],
    ['JSON that is no object', raw(200, JSON_TYPE, '[]')],
    ['JSON as another type', raw(200, 'text/plain', JSON.stringify(results))],
    ['JSON without a type', raw(200, '', JSON.stringify(results))],
    ['CBOR', raw(200, CBOR, encodeCbor(results))],
    ['CBOR that is none', raw(200, CBOR, new Uint8Array([0x9f, 1]))],
    ['an event stream', raw(200, 'application/vnd.amazon.eventstream', '')],
    ['a page', raw(200, 'text/html', '<html>')],
    ['a redirect', raw(301, 'text/html', '<html>', { location: 'http://127.0.0.1:1/' })],
    ['a temporary redirect', raw(307, JSON_TYPE, '{}', { location: '/' })],
    ['a throttle', { status: 400, body: refusal('ProvisionedThroughputExceededException') }],
    ['a throttle with namespace', { status: 400, body: refusal('com.amazonaws.kinesis#LimitExceededException') }],
    [
      'an error by header',
      { status: 400, body: { message: 'm' }, headers: { 'x-amzn-errortype': 'ResourceNotFoundException:x' } },
    ],
    ['an error without a model', { status: 400, body: refusal('NewException', { Extra: 1 }) }],
    ['an expired token', { status: 400, body: refusal('ExpiredTokenException') }],
    ['a wrong signature', { status: 403, body: refusal('InvalidSignatureException') }],
    ['an error without a body', raw(400, JSON_TYPE, '')],
    ['too large', raw(413, 'text/html', '<html>')],
    ['too many', raw(429, '', 'slow down')],
    ['an internal failure', { status: 500, body: refusal('InternalFailure') }],
    ["a front end's page", raw(502, 'text/html', '<html>Bad gateway</html>')],
    ['nothing but 503', raw(503, '', '')],
    ['a success that breaks off', cut(200)],
    ['a failure that breaks off', cut(500)],
    ['no answer', (response) => response.destroy()],
  ]
  const shape = (error: unknown): unknown => {
    const members = (of: object): object =>
      Object.fromEntries(Object.entries(of).map(([name, value]) => [name, value instanceof Error ? members(value) : value]))
    const { name, message, stack: _, ...rest } = error as Error & Record<string, unknown>
    const { $response: response, cause } = error as { $response?: { statusCode: number; headers: object }; cause?: unknown }
    const { date: __, connection: ___, ...headers } = (response?.headers ?? {}) as Record<string, string>
    const { kind, code, written, retryable } = classifyFailure(error)
    return {
      ...{
        class: (error as object).constructor,
        name,
        message: message.replace(/:\d{4,5}\b/, ''),
        members: members(rest),
        cause,
      },
      ...{ status: response?.statusCode, headers, meaning: { kind, code, written, retryable } },
    }
  }
  const outcome = (call: Promise<unknown>): Promise<unknown> => call.then((output) => ({ output }), shape)
  const calls: [string, KinesisConnectionOptions, (port: KinesisPort) => Promise<unknown>][] = [
    ['PutRecords, JSON', {}, putOne],
    ['GetRecords, CBOR', { wire: { reads: 'cbor' } }, getOne],
  ]
  for (const [what, options, call] of calls) {
    test.each(answers)(`to ${what} is what the SDK makes of it: %s`, async (_, answer) => {
      const [lean, sdk] = [await learned(options, call), connect({ ...options, sender: 'sdk' })]
      stub.answer = typeof answer === 'function' ? answer : answering(answer.body, answer)
      const ours = await outcome(call(lean))
      expect(stub.requests).toHaveLength(1)
      const theirs = await outcome(call(sdk))
      expect(ours).toStrictEqual(theirs)
      // Whatever came, the next call is well.
      stub.answer = answering(results)
      expect(await outcome(call(lean))).toStrictEqual(await outcome(call(sdk)))
    })
  }

  test.each(['timeout', 'abort'] as const)('that stalls in its middle is given up, and so is its connection: %s', async (how) => {
    const port = await learned()
    const abort = new AbortController()
    let closed: Promise<unknown> | undefined
    stub.answer = (response) => {
      closed = once(response, 'close')
      response.writeHead(200, { 'content-type': JSON_TYPE, 'content-length': '1000' })
      response.write('{"Records":[', () => how === 'abort' && abort.abort())
    }
    const limits = how === 'abort' ? { signal: abort.signal } : { timeoutMs: 100 }
    const error = await port.putRecords(put, limits).catch((reason: unknown) => reason)
    expect(classifyFailure(error)).toMatchObject({ kind: how === 'abort' ? 'aborted' : 'timeout', written: 'unknown' })
    await closed
    expect(sdkCalls()).toBe(1)
    stub.answer = answering(results)
    expect(await port.putRecords(put)).toMatchObject(results)
  })

  test('that is a refusal has the class of the SDK', async () => {
    const port = await learned()
    stub.answer = answering(refusal('ProvisionedThroughputExceededException'), { status: 400 })
    await expect(port.putRecords(put)).rejects.toBeInstanceOf(ProvisionedThroughputExceededException)
  })

  test('that is a failure has the next call go through the SDK, which is learned from', async () => {
    const port = await learned()
    stub.answer = answering(refusal('InternalFailure'), { status: 500 })
    await port.putRecords(put).catch(() => {})
    // The first call, and the reading of the failure.
    expect(sdkCalls()).toBe(2)
    stub.answer = answering({})
    await port.putRecords(put)
    expect(sdkCalls()).toBe(3)
    await port.putRecords(put)
    expect(sdkCalls()).toBe(3)
  })

  test('that came and cannot be read for want of credentials is no word on what became of the call', async () => {
    let gone = false
    const provider = async () => {
      if (gone) throw Object.assign(new Error('no credentials'), { name: 'CredentialsProviderError', code: 'ECONNREFUSED' })
      // Expired at once: asked for with each call.
      return { ...credentials, expiration: new Date(systemClock.wallTime()) }
    }
    const port = await learned({ credentials: provider })
    stub.answer = (response, request) => {
      gone = true
      answering(refusal('InternalFailure'), { status: 500 })(response, request)
    }
    const error = await port.putRecords(put).catch((reason: unknown) => reason)
    expect(classifyFailure(error)).toMatchObject({ kind: 'internal', written: 'unknown', retryable: true })
    expect((error as Error).message).toBe('The answer to PutRecords, HTTP status 500, could not be read: no credentials')
  })
})

describe('the clock of the service', () => {
  const HOUR = 3_600_000
  const timeOf = ({ headers }: RawRequest): number => {
    const [, y, mo, d, h, m, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(headers['x-amz-date']))!
    return Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(m), Number(s))
  }
  const offsets = (): number[] =>
    stub.requests.map((request) => Math.round((timeOf(request) - systemClock.wallTime()) / HOUR) + 0)

  test.each(['lean', 'sdk'] as const)('is heeded after a refusal, and after a success (%s)', async (sender) => {
    const port = await learned({ sender })
    const date = (hours: number) => ({ date: new Date(systemClock.wallTime() + hours * HOUR).toUTCString() })
    stub.answer = answering({ __type: 'RequestTimeTooSkewed' }, { status: 403, headers: date(2) })
    await port.putRecords(put).catch(() => {})
    stub.answer = answering({}, { headers: date(2) })
    await port.putRecords(put)
    stub.answer = answering({}, { headers: date(-3) })
    await port.putRecords(put)
    await port.putRecords(put)
    expect(offsets()).toEqual([0, 2, 2, -3])
  })
})

describe('credentials', () => {
  test('that change are those of the next call, with their session token or without', async () => {
    let [accessKeyId, sessionToken]: [string, string | undefined] = ['FIRST', 'token']
    const provider = async () => ({
      ...{ accessKeyId, secretAccessKey: 'secret', expiration: new Date(systemClock.wallTime()) },
      ...(sessionToken !== undefined && { sessionToken }),
    })
    const port = await learned({ credentials: provider })
    await port.putRecords(put)
    ;[accessKeyId, sessionToken] = ['SECOND', undefined]
    await port.putRecords(put)
    expect(sdkCalls()).toBe(1)
    const seen = stub.requests.map(({ headers }) => [
      /Credential=(\w+)/.exec(String(headers.authorization))?.[1],
      headers['x-amz-security-token'],
    ])
    expect(seen).toEqual([
      ['FIRST', 'token'],
      ['SECOND', undefined],
    ])
    for (const request of stub.requests) expect(request.headers.authorization).toMatch(expectedSignature(request, 'secret'))
  })

  test('of another account are for the SDK to find the endpoint of', async () => {
    let accountId = '111111111111'
    const provider = async () => ({ ...credentials, accountId, expiration: new Date(systemClock.wallTime()) })
    const port = await learned({ credentials: provider })
    await port.putRecords(put)
    expect(sdkCalls()).toBe(1)
    accountId = '222222222222'
    await port.putRecords(put)
    expect(sdkCalls()).toBe(2)
  })

  test('that cannot be had reject as they do from the SDK, and nothing is sent', async () => {
    let gone = false
    const provider = async () => {
      if (gone) throw Object.assign(new Error('logged out'), { name: 'CredentialsProviderError' })
      return { ...credentials, expiration: new Date(systemClock.wallTime()) }
    }
    const port = await learned({ credentials: provider })
    gone = true
    await expect(port.putRecords(put)).rejects.toMatchObject({ name: 'CredentialsProviderError', message: 'logged out' })
    expect(stub.requests).toEqual([])
  })
})

describe('endpoints', () => {
  const arn = (account: string): string => `arn:aws:kinesis:eu-west-1:${account}:stream/s`

  test.each([
    [{}, 'kinesis.eu-west-1.amazonaws.com'],
    [{ useFipsEndpoint: true }, 'kinesis-fips.eu-west-1.amazonaws.com'],
    [{ useDualstackEndpoint: true }, 'kinesis.eu-west-1.api.aws'],
  ])('are those that the SDK finds, for each account: %o', async (config, hostname) => {
    const hosts: string[] = []
    const requestHandler = {
      handle: async ({ hostname }: { readonly hostname: string }) => {
        hosts.push(hostname)
        return { response: { statusCode: 200, headers: {}, body: Buffer.from('{}') } }
      },
    } as never
    const client = new KinesisClient({ region: 'eu-west-1', credentials, requestHandler, ...config } as KinesisClientConfig)
    const port = connect({ client, sender: 'lean' })
    const streams = [{ StreamName: 's' }, { StreamARN: arn('111111111111') }, { StreamARN: arn('222222222222') }]
    for (let round = 0; round < 2; round++)
      for (const stream of streams) await port.putRecords({ ...stream, Records: put.Records })
    expect(sdkCalls()).toBe(3)
    expect(hosts.slice(0, 3)).toEqual(hosts.slice(3))
    expect(hosts[0]).toBe(hostname)
    expect(new Set(hosts).size).toBe(3)
  })
})

describe('a client of the user', () => {
  const foreign = (config: KinesisClientConfig = {}): KinesisClient =>
    new KinesisClient({ region: 'eu-west-1', endpoint, credentials, requestHandler: new NodeHttpHandler(), ...config })

  test.each([
    [undefined, 3],
    ['sdk', 3],
    ['lean', 1],
  ] as const)('with sender %s has its middleware run for %i of 3 calls', async (sender, expected) => {
    const client = foreign()
    let runs = 0
    client.middlewareStack.add((next) => (args) => [runs++, next(args)][1] as ReturnType<typeof next>, { step: 'initialize' })
    const port = connect({ client, sender })
    stub.answer = answering({})
    for (let i = 0; i < 3; i++) await port.putRecords(put)
    expect([runs, stub.requests.length]).toEqual([expected, 3])
    client.destroy()
  })

  test('whose signer is its own signs with it', async () => {
    const signer = {
      sign: async (request: { readonly headers: Record<string, string> }) => {
        const scope = '20260101/eu-west-1/kinesis/aws4_request'
        const signature = String(stub.requests.length).padStart(64, '0')
        request.headers.authorization = `AWS4-HMAC-SHA256 Credential=A/${scope}, SignedHeaders=host, Signature=${signature}`
        return request
      },
    }
    const client = foreign({ signer: signer as never })
    const port = connect({ client, sender: 'lean' })
    stub.answer = answering({})
    for (let i = 0; i < 3; i++) await port.putRecords(put)
    expect(stub.requests.map(({ headers }) => /Signature=0*(\d)$/.exec(String(headers.authorization))?.[1])).toEqual([
      '0',
      '1',
      '2',
    ])
    expect(sdkCalls()).toBe(1)
    client.destroy()
  })

  test('whose middleware adds a header of its own is always sent through', async () => {
    const client = foreign()
    client.middlewareStack.add(
      (next) => (args) => {
        ;(args.request as { headers: Record<string, string> }).headers['x-tenant'] = String(stub.requests.length)
        return next(args)
      },
      { step: 'build' },
    )
    const port = connect({ client, sender: 'lean' })
    stub.answer = answering({})
    for (let i = 0; i < 3; i++) await port.putRecords(put)
    expect(stub.requests.map(({ headers }) => headers['x-tenant'])).toEqual(['0', '1', '2'])
    client.destroy()
  })

  test('may have a handler whose bodies are no streams of Node', async () => {
    const text = JSON.stringify({ FailedRecordCount: 0, Records: [] })
    const requestHandler = {
      handle: async () => ({ response: { statusCode: 200, headers: {}, body: new Blob([text]).stream() } }),
    } as never
    const port = connect({ client: foreign({ requestHandler }), sender: 'lean' })
    for (let i = 0; i < 2; i++) expect(await port.putRecords(put)).toMatchObject({ FailedRecordCount: 0, Records: [] })
  })

  test('that only looks like one is sent to as it is', async () => {
    const send = vi.fn(async () => ({ Records: [] }))
    const port = connect({ client: { send } as never, sender: 'lean' })
    for (let i = 0; i < 2; i++) expect(await port.putRecords(put)).toEqual({ Records: [] })
    expect(send).toHaveBeenCalledTimes(2)
  })
})

test('in Lambda, where each invocation has a header of its own, the SDK makes all requests', async () => {
  vi.stubEnv('AWS_LAMBDA_FUNCTION_NAME', 'f')
  const port = await learned()
  vi.stubEnv('_X_AMZN_TRACE_ID', 'Root=1')
  await port.putRecords(put)
  vi.stubEnv('_X_AMZN_TRACE_ID', 'Root=2')
  await port.putRecords(put)
  vi.unstubAllEnvs()
  expect(sdkCalls()).toBe(3)
  expect(stub.requests.map(({ headers }) => headers['x-amzn-trace-id'])).toEqual(['Root=1', 'Root=2'])
})

describe('what the SDK notes of a call when it signs it', () => {
  /** Of two calls, the second made by us: what the signer is told of each when the answer has come, and how often it has signed. */
  async function twoCalls(config: KinesisClientConfig & { readonly systemClockOffset?: number } = {}) {
    const place = { region: 'eu-west-1', endpoint, credentials }
    const client = new KinesisClient({ ...place, requestHandler: new NodeHttpHandler(), ...config })
    const { httpAuthSchemes } = client.config as unknown as {
      httpAuthSchemes: {
        signer: {
          sign: (request: object, identity: object, properties: object) => unknown
          successHandler: (response: object, properties: object) => void
        }
      }[]
    }
    const { signer } = httpAuthSchemes[0]!
    const sign = vi.spyOn(signer, 'sign')
    const successHandler = vi.spyOn(signer, 'successHandler')
    const port = connect({ client, sender: 'lean' })
    stub.answer = answering({})
    await port.putRecords(put)
    const between = systemClock.wallTime()
    while (systemClock.wallTime() === between);
    await port.putRecords(put)
    client.destroy()
    const [theirs, ours] = successHandler.mock.calls.map(([, properties]) => properties as Record<string, unknown>)
    expect([successHandler.mock.calls.length, sdkCalls()]).toEqual([2, 1])
    return { theirs: theirs!, ours: ours!, between, signed: sign.mock.calls.length }
  }

  test('keeps nothing of the call that was learned from in memory', async () => {
    const { theirs, ours } = await twoCalls()
    expect([reaches(theirs, put.Records[0]!.Data), reaches(ours, put.Records[0]!.Data)]).toEqual([true, false])
  })

  // Names of the SDK's own, which a release may change: then `signedByUs` must learn the new ones.
  test('is noted by us under the same names, of our call', async () => {
    const { theirs, ours, between, signed } = await twoCalls()
    expect(signed).toBe(1)
    expect(Object.keys(ours).sort()).toEqual(Object.keys(theirs).sort())
    expect(ours._requestSentAt).toBeGreaterThan(between)
    expect(theirs._requestSentAt).toBeLessThanOrEqual(between)
    // The first answer has had a date.
    expect(theirs._preRequestSystemClockOffset).toBe(0)
    expect(ours._preRequestSystemClockOffset).not.toBe(0)
  })

  test('tells that the clock of the machine is to be taken as it is', async () => {
    const own = { systemClockOffset: 7_200_000, disableClockSkewCorrection: true } as object
    const { signed } = await twoCalls(own)
    expect(signed).toBe(1)
    const ages = stub.requests.map(({ headers }) => millisOf(String(headers['x-amz-date'])) - systemClock.wallTime())
    for (const age of ages) expect(Math.abs(age)).toBeLessThan(600_000)
  })
})

function reaches(from: unknown, target: object, visited: Set<unknown> = new Set()): boolean {
  if (from === target) return true
  if (typeof from !== 'object' || from === null || from instanceof KinesisClient || visited.has(from)) return false
  visited.add(from)
  return Object.values(from).some((value) => reaches(value, target, visited))
}
