import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  type DynamoDBClientConfig,
  GetItemCommand,
  ProvisionedThroughputExceededException,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../clock.js'
import { classifyFailure } from '../service-error.js'
import { connectDynamoDB, type DynamoDBConnection, type DynamoDBConnectionOptions } from './dynamodb.js'
import { RawHttpStub, type RawRequest } from './testing/raw-http-stub.js'
import { expectedSignature } from './testing/signature.js'
import { USER_AGENT } from './user-agent.js'

const JSON_TYPE = 'application/x-amz-json-1.0'
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
/** As a renewal of a lease. */
const renewal: UpdateItemCommandInput = {
  TableName: 'leases',
  Key: { leaseKey: { S: 'shardId-000000000000' } },
  UpdateExpression: 'SET #a0 = :v0 REMOVE #a1',
  ConditionExpression: '#a0 = :c0 AND attribute_not_exists(#a2)',
  ExpressionAttributeNames: { '#a0': 'leaseCounter', '#a1': 'swNext', '#a2': 'checkpointOwner' },
  ExpressionAttributeValues: { ':v0': { N: '8' }, ':c0': { N: '7' } },
  ReturnValues: 'ALL_NEW',
  ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
}
const row = { leaseKey: { S: 'shardId-000000000000' }, leaseCounter: { N: '8' }, parentShardId: { SS: ['a', 'ключ'] } }

let stub: RawHttpStub
let endpoint: string
let connections: DynamoDBConnection[]
let bySdk: { readonly mock: { readonly calls: readonly unknown[] } }

beforeEach(async () => {
  stub = new RawHttpStub()
  endpoint = await stub.start()
  connections = []
  bySdk = vi.spyOn(UpdateItemCommand.prototype, 'resolveMiddleware')
})

afterEach(async () => {
  vi.restoreAllMocks()
  for (const connection of connections) connection.close()
  await stub[Symbol.asyncDispose]()
})

/** How often the SDK has made a request, or read an answer. */
const sdkCalls = (): number => bySdk.mock.calls.length

function connect(options: DynamoDBConnectionOptions = {}): DynamoDBConnection['send'] {
  const place = options.client === undefined ? { region: 'eu-west-1', endpoint, credentials } : {}
  const connection = connectDynamoDB({ ...place, ...options })
  connections.push(connection)
  return connection.send
}

function answering(body: object, { status = 200, headers = {} as Record<string, string> } = {}): typeof stub.answer {
  return (response) => {
    response.writeHead(status, { 'content-type': JSON_TYPE, 'x-amzn-requestid': 'request-1', ...headers })
    response.end(JSON.stringify(body))
  }
}

const update = (input: UpdateItemCommandInput = renewal): UpdateItemCommand => new UpdateItemCommand(input)
const refusal = (type: string, more: object = {}): object => ({ __type: `com.amazonaws.dynamodb.v20120810#${type}`, ...more })
const failed = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => expect.fail('should have been rejected'),
    (error: unknown) => error,
  )

/** One that has learned how the request looks, so that its next call goes the short way. */
async function learned(options: DynamoDBConnectionOptions = {}): Promise<DynamoDBConnection['send']> {
  const send = connect(options)
  stub.answer = answering({ Attributes: row })
  await send(update())
  stub.requests.length = 0
  return send
}

describe('a request', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 20 })
  const { value } = fc.letrec<{ value: object }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.record({ S: text }),
      fc.record({ N: fc.integer().map(String) }),
      fc.record({ BOOL: fc.boolean() }),
      fc.constant({ NULL: true }),
      fc.record({ SS: fc.array(text) }),
      fc.record({ NS: fc.array(fc.integer().map(String)) }),
      fc.record({ L: fc.array(tie('value'), { maxLength: 3 }) }),
      fc.record({ M: fc.dictionary(text, tie('value'), { maxKeys: 3 }) }),
    ),
  }))
  const values = fc.dictionary(text, value, { maxKeys: 4 })
  const inputs = fc.record(
    {
      TableName: fc.constantFrom('leases', 'arn:aws:dynamodb:eu-west-1:123456789012:table/leases'),
      Key: values,
      UpdateExpression: fc.option(text, { nil: undefined }),
      ConditionExpression: text,
      ExpressionAttributeNames: fc.dictionary(text, text, { maxKeys: 4 }),
      ExpressionAttributeValues: values,
      ReturnValues: fc.constant('ALL_NEW'),
      ReturnValuesOnConditionCheckFailure: fc.constant('ALL_OLD'),
    },
    { requiredKeys: ['TableName', 'Key'] },
  )
  const ofCall = ['authorization', 'x-amz-date', 'content-length', 'x-amz-content-sha256']
  const constant = ({ method, path, headers }: RawRequest): unknown => {
    const rest = Object.entries(headers).filter(([name]) => !ofCall.includes(name))
    const signedHeaders = String(headers.authorization).replace(/Signature=\w+/, 'Signature=')
    return { method, path, headers: Object.fromEntries(rest), signedHeaders }
  }

  test('is the one that the SDK sends', async () => {
    const session = { ...credentials, sessionToken: 'token' }
    const config = { region: 'eu-west-1', endpoint, credentials: session, customUserAgent: USER_AGENT }
    const stock = new DynamoDBClient({ ...config, requestHandler: new NodeHttpHandler() })
    const lean = connect({ credentials: session })
    const sdk = connect({ client: stock })
    stub.answer = answering({})
    for (const TableName of ['leases', 'arn:aws:dynamodb:eu-west-1:123456789012:table/leases'])
      await lean(update({ ...renewal, TableName }))
    await fc.assert(
      fc.asyncProperty(inputs, async (input) => {
        stub.requests.length = 0
        await lean(update(input as UpdateItemCommandInput))
        const before = sdkCalls()
        await sdk(update(input as UpdateItemCommandInput))
        expect(sdkCalls()).toBe(before + 1)
        const [ours, theirs] = stub.requests as [RawRequest, RawRequest]
        expect(JSON.parse(ours.body.toString())).toEqual(JSON.parse(theirs.body.toString()))
        expect(constant(ours)).toEqual(constant(theirs))
        expect(ours.headers['content-length']).toBe(String(ours.body.length))
        expect(ours.headers['user-agent']).toContain(' shardwise/')
        expect(String(ours.headers.authorization)).toMatch(`Signature=${expectedSignature(ours, credentials.secretAccessKey)}`)
      }),
      { numRuns: 50 },
    )
    // Two were learned from, and each other one was made without the SDK.
    expect(sdkCalls()).toBe(2 + 50)
    stock.destroy()
  })

  test.each<[string, object]>([
    ['bytes', { ExpressionAttributeValues: { ':v0': { B: Buffer.from('x') } } }],
    ['bytes within', { ExpressionAttributeValues: { ':v0': { L: [{ M: { a: { BS: [Buffer.from('x')] } } }] } } }],
    ['an old form', { AttributeUpdates: {} }],
    ['a report', { ReturnConsumedCapacity: 'TOTAL' }],
    ['a member that is not in the model', { New: 'x' }],
    ['a number where a text belongs', { ExpressionAttributeValues: { ':v0': { N: 7 } } }],
    ['a null', { ConditionExpression: null }],
    ['an object that says itself what its JSON is', { Key: { leaseKey: { S: 'a' }, at: new Date(0) } }],
  ])('with %s is made by the SDK', async (_, more) => {
    const [lean, sdk] = [await learned(), connect({ sender: 'sdk' })]
    const input = { ...renewal, ...more } as UpdateItemCommandInput
    const outcomes = [await lean(update(input)).catch(String), await sdk(update(input)).catch(String)]
    expect(sdkCalls()).toBe(3)
    expect(outcomes[0]).toEqual(outcomes[1])
    const [ours, theirs] = stub.requests
    expect(ours?.body.toString()).toBe(theirs?.body.toString())
  })

  test('that somebody has added a middleware to goes through the SDK, and runs it', async () => {
    const send = await learned()
    const command = update()
    let runs = 0
    command.middlewareStack.add((next) => (args) => [runs++, next(args)][1] as ReturnType<typeof next>, { step: 'build' })
    await send(command)
    expect([runs, sdkCalls()]).toEqual([1, 2])
  })

  test('of another operation goes through the SDK', async () => {
    const send = await learned()
    stub.answer = answering({ Item: row })
    expect((await send(new GetItemCommand({ TableName: 'leases', Key: renewal.Key }))).Item).toEqual(row)
  })
})

describe('an answer', () => {
  type Answer = (response: ServerResponse, request: RawRequest) => void
  const raw =
    (status: number, type: string, body: string): Answer =>
    (response) =>
      response.writeHead(status, { ...(type && { 'content-type': type }), 'x-amzn-requestid': 'request-1' }).end(body)
  const cut =
    (status: number): Answer =>
    (response) => {
      response.writeHead(status, { 'content-type': JSON_TYPE, 'content-length': '1000' })
      response.write('{"Attributes":{', () => response.destroy())
    }
  const answers: [string, Answer][] = [
    ['a row', answering({ Attributes: row })],
    ['a row of every kind', answering({ Attributes: { ...row, l: { L: [{ M: { n: { NULL: true } } }, { BOOL: false }] } } })],
    ['a row with bytes', answering({ Attributes: { ...row, pendingCheckpointState: { B: 'AP+A' }, s: { BS: ['AP+A'] } } })],
    ['a row with a kind of the future', answering({ Attributes: { ...row, f: { F64: '1.5' } } })],
    ['a row with a value of no kind', answering({ Attributes: { ...row, f: {} } })],
    ['a row with a number as such', answering({ Attributes: { leaseCounter: { N: 8 } } })],
    ['a row and capacity', answering({ Attributes: row, ConsumedCapacity: { TableName: 't', CapacityUnits: 1 } })],
    ['what is not in the model', answering({ Attributes: row, New: { a: 1 } })],
    ['no row', answering({})],
    ['null for a row', answering({ Attributes: null as never })],
    ['a list for a row', answering({ Attributes: [] })],
    ['201', answering({ Attributes: row }, { status: 201 })],
    ['no body', raw(200, JSON_TYPE, '')],
    ['no content', raw(204, '', '')],
    ['text', raw(200, JSON_TYPE, 'ok')],
    ['JSON that is cut', raw(200, JSON_TYPE, '{"Attributes":{')],
    ['JSON that is no object', raw(200, JSON_TYPE, '[]')],
    ['JSON without a type', raw(200, '', JSON.stringify({ Attributes: row }))],
    ['a page', raw(200, 'text/html', '<html>')],
    ['a refused condition with the row', answering(refusal('ConditionalCheckFailedException', { Item: row }), { status: 400 })],
    ['a refused condition', answering(refusal('ConditionalCheckFailedException', { message: 'failed' }), { status: 400 })],
    ['a throttle', answering(refusal('ProvisionedThroughputExceededException', { message: 'why' }), { status: 400 })],
    ['a throttle of the account', answering(refusal('ThrottlingException', { message: 'why' }), { status: 400 })],
    ['a conflict', answering(refusal('TransactionConflictException', { Message: 'why' }), { status: 400 })],
    ['no table', answering(refusal('ResourceNotFoundException', { message: 'why' }), { status: 400 })],
    ['no permission', answering(refusal('AccessDeniedException', { Message: 'why' }), { status: 400 })],
    ['an expired token', answering(refusal('ExpiredTokenException', { message: 'why' }), { status: 400 })],
    ['an internal failure', answering(refusal('InternalServerError', { message: 'why' }), { status: 500 })],
    ["a front end's page", raw(503, 'text/html', '<html>')],
    ['a success that breaks off', cut(200)],
    ['a failure that breaks off', cut(500)],
    ['no answer', (response) => response.destroy()],
  ]
  const shape = (error: unknown): unknown => {
    const { name, message, stack: _, ...rest } = error as Error & Record<string, unknown>
    const { $response: response } = error as { $response?: { statusCode: number } }
    const { kind, code, written, retryable } = classifyFailure(error)
    return {
      ...{ class: (error as object).constructor, name, message: message.replace(/:\d{4,5}\b/, ''), members: Object.keys(rest) },
      ...{ item: rest.Item, metadata: rest.$metadata, status: response?.statusCode, meaning: { kind, code, written, retryable } },
    }
  }
  const outcome = (call: Promise<unknown>): Promise<unknown> => call.then((output) => ({ output }), shape)

  test.each(answers)('is what the SDK makes of it, and nothing is sent again: %s', async (_, answer) => {
    const [lean, sdk] = [await learned(), connect({ sender: 'sdk' })]
    stub.answer = answer
    const ours = await outcome(lean(update()))
    expect(stub.requests).toHaveLength(1)
    expect(ours).toStrictEqual(await outcome(sdk(update())))
    // Whatever came, the next call is well.
    stub.answer = answering({ Attributes: row })
    expect(await outcome(lean(update()))).toStrictEqual(await outcome(sdk(update())))
  })

  test('that is a plain success needs no SDK', async () => {
    const send = await learned()
    expect((await send(update())).Attributes).toEqual(row)
    expect(sdkCalls()).toBe(1)
  })

  test('that refuses has the classes of the SDK, and the row', async () => {
    const send = await learned()
    stub.answer = answering(refusal('ConditionalCheckFailedException', { Item: row, message: 'failed' }), { status: 400 })
    const refused = await failed(send(update()))
    expect(refused).toBeInstanceOf(ConditionalCheckFailedException)
    expect(refused).toMatchObject({ name: 'ConditionalCheckFailedException', Item: row })
    await send(update()).catch(() => {})
    stub.answer = answering(refusal('ProvisionedThroughputExceededException'), { status: 400 })
    expect(await failed(send(update()))).toBeInstanceOf(ProvisionedThroughputExceededException)
  })

  test.each(['timeout', 'abort'] as const)('that stalls in its middle leaves open what became of the write: %s', async (how) => {
    const send = await learned()
    const abort = new AbortController()
    let closed: Promise<unknown> | undefined
    stub.answer = (response) => {
      closed = once(response, 'close')
      response.writeHead(200, { 'content-type': JSON_TYPE, 'content-length': '1000' })
      response.write('{"Attributes":{', () => how === 'abort' && abort.abort())
    }
    const error = await failed(send(update(), how === 'abort' ? { signal: abort.signal } : { timeoutMs: 100 }))
    expect(classifyFailure(error)).toMatchObject({ kind: how === 'abort' ? 'aborted' : 'timeout', written: 'unknown' })
    await closed
    stub.answer = answering({ Attributes: row })
    expect((await send(update())).Attributes).toEqual(row)
  })
})

test('the clock of the service is heeded after a refusal, and after a success', async () => {
  const HOUR = 3_600_000
  const send = await learned()
  const date = (hours: number) => ({ date: new Date(systemClock.wallTime() + hours * HOUR).toUTCString() })
  stub.answer = answering(refusal('RequestTimeTooSkewed'), { status: 403, headers: date(2) })
  await send(update()).catch(() => {})
  stub.answer = answering({}, { headers: date(2) })
  await send(update())
  stub.answer = answering({}, { headers: date(-3) })
  await send(update())
  await send(update())
  const hourOf = ({ headers }: RawRequest): number => {
    const [, y, mo, d, h, m, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(headers['x-amz-date']))!
    const time = Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(m), Number(s))
    return Math.round((time - systemClock.wallTime()) / HOUR) + 0
  }
  expect(stub.requests.map(hourOf)).toEqual([0, 2, 2, -3])
})

test('credentials that change are those of the next call, and of another account for the SDK to find the endpoint of', async () => {
  let account = { accessKeyId: 'FIRST', sessionToken: 'token', accountId: '111111111111' }
  const provider = async () => ({ ...account, secretAccessKey: 'secret', expiration: new Date(systemClock.wallTime()) })
  const send = await learned({ credentials: provider })
  account = { ...account, accessKeyId: 'SECOND', sessionToken: 'other' }
  await send(update())
  expect(sdkCalls()).toBe(1)
  account = { ...account, accessKeyId: 'THIRD', accountId: '222222222222' }
  await send(update())
  expect(sdkCalls()).toBe(2)
  const seen = stub.requests.map(({ headers }) => [
    /Credential=(\w+)/.exec(String(headers.authorization))?.[1],
    headers['x-amz-security-token'],
  ])
  expect(seen).toEqual([
    ['SECOND', 'other'],
    ['THIRD', 'other'],
  ])
  for (const request of stub.requests) expect(request.headers.authorization).toMatch(expectedSignature(request, 'secret'))
})

test.each([
  [{}, 'leases', 'dynamodb.eu-west-1.amazonaws.com'],
  [{ useFipsEndpoint: true }, 'leases', 'dynamodb-fips.eu-west-1.amazonaws.com'],
  [{ accountIdEndpointMode: 'required' }, 'leases', '333333333333.ddb.eu-west-1.amazonaws.com'],
  [{}, 'arn:aws:dynamodb:eu-west-1:111111111111:table/leases', '111111111111.ddb.eu-west-1.amazonaws.com'],
])('the endpoint is the one that the SDK finds: %o, %s', async (config, TableName, hostname) => {
  const hosts: string[] = []
  const requestHandler = {
    handle: async ({ hostname }: { readonly hostname: string }) => {
      hosts.push(hostname)
      return { response: { statusCode: 200, headers: {}, body: Buffer.from('{}') } }
    },
  } as never
  const accountId = TableName === 'leases' && !('accountIdEndpointMode' in config) ? undefined : '333333333333'
  const client = new DynamoDBClient({
    ...{ region: 'eu-west-1', requestHandler, ...config },
    credentials: { ...credentials, ...(accountId && { accountId }) },
  } as DynamoDBClientConfig)
  const send = connect({ client, sender: 'lean' })
  for (let i = 0; i < 2; i++) await send(update({ ...renewal, TableName }))
  expect(sdkCalls()).toBe(1)
  expect(hosts).toEqual([hostname, hostname])
})

test.each([
  [undefined, 3],
  ['sdk', 3],
  ['lean', 1],
] as const)('a client of the user, with sender %s, has its middleware run for %i of 3 calls', async (sender, expected) => {
  const client = new DynamoDBClient({ region: 'eu-west-1', endpoint, credentials, requestHandler: new NodeHttpHandler() })
  let runs = 0
  client.middlewareStack.add((next) => (args) => [runs++, next(args)][1] as ReturnType<typeof next>, { step: 'initialize' })
  const send = connect({ client, sender })
  stub.answer = answering({})
  for (let i = 0; i < 3; i++) await send(update())
  expect([runs, stub.requests.length]).toEqual([expected, 3])
  client.destroy()
})

test('refuses a sender that is none', () => {
  expect(() => connectDynamoDB({ sender: 'fat' as never })).toThrow(/Option `sender` must be/)
})
