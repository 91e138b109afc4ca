import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { GetRecordsCommand, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { encodeCbor } from './cbor.js'
import { systemClock } from './clock.js'
import { connectKinesis, type KinesisConnectionOptions } from './transport/index.js'
import { EventStreamService, encodeMessage, type ReceivedRequest } from './transport/testing/event-stream-service.js'

/** What is meant well, changed here and there. */
const CORPUS: readonly object[] = [
  {
    Records: [
      { Data: new Uint8Array([1, 2]), PartitionKey: 'k', SequenceNumber: '49', ApproximateArrivalTimestamp: new Date(0) },
    ],
    MillisBehindLatest: 0,
    NextShardIterator: 'x',
    ContinuationSequenceNumber: '49',
  },
  {
    FailedRecordCount: 1,
    Records: [
      { ErrorCode: 'InternalFailure', ErrorMessage: 'm' },
      { ShardId: 's', SequenceNumber: '1' },
    ],
  },
  { ['__proto__']: { polluted: true }, constructor: { prototype: { polluted: true } } },
]
const changed = fc
  .record({
    base: fc.constantFrom(
      ...CORPUS.map((value) => encodeCbor(value)),
      ...CORPUS.map((value) => Buffer.from(JSON.stringify(value))),
    ),
    edits: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
    cut: fc.nat(),
  })
  .map(({ base, edits, cut }) => {
    const bytes = Buffer.from(base)
    for (const [at, value] of edits) bytes[at % bytes.length] = value
    return cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes
  })

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: Uint8Array
  /** Of the announced length, what comes before the connection is cut. 1: all of it. */
  readonly part: number
}

/** The encoding of the request. */
const ITS_OWN = 'its own'
const TYPES = [
  ITS_OWN,
  ITS_OWN,
  ITS_OWN,
  'application/x-amz-json-1.1',
  'application/x-amz-cbor-1.1',
  'text/html',
  'application/json; charset=utf-7',
  '',
]
const jsonBody = fc
  .oneof(
    fc.json(),
    fc.constantFrom(
      ...[
        '',
        'null',
        '[]',
        '{',
        '"text"',
        '1e999',
        '{"__proto__":{"polluted":true}}',
        '{"constructor":{"prototype":{"polluted":true}}}',
      ],
      ...[
        '{"Records":{"length":1e9}}',
        '{"Shards":[null,1,{"ShardId":{}}]}',
        '{"Records":[null]}',
        '{"Records":[{"Data":5}]}',
        '{"__type":["a"]}',
        '{"__type":"__proto__"}',
      ],
      ...[
        '{"StreamDescriptionSummary":[]}',
        '{"NextToken":"x","Shards":"many"}',
        '[[[['.repeat(5000),
        `{"Message":"${'x'.repeat(100_000)}"}`,
      ],
    ),
  )
  .map((text) => Buffer.from(text))
const answers: fc.Arbitrary<Answer> = fc.record({
  status: fc.constantFrom(200, 200, 200, 400, 403, 413, 500, 503, 204, 302),
  type: fc.constantFrom(...TYPES),
  body: fc.oneof(jsonBody, changed, fc.uint8Array({ maxLength: 200 })),
  part: fc.constantFrom(1, 1, 1, 0.5, 0),
})

const PLACE = { region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } }
const uncaught: unknown[] = []
const note = (error: unknown): void => void uncaught.push(error)
beforeAll(() => {
  process.on('uncaughtException', note)
  process.on('unhandledRejection', note)
})
afterAll(() => {
  process.off('uncaughtException', note)
  process.off('unhandledRejection', note)
})
afterEach(() => {
  vi.restoreAllMocks()
  expect(uncaught.splice(0)).toEqual([])
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
})

/** An object or an Error, soon. */
async function settles(call: () => Promise<unknown>): Promise<void> {
  const began = systemClock.now()
  const outcome = await call().then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('error' in outcome) expect(outcome.error).toBeInstanceOf(Error)
  else expect(typeof outcome.value).toBe('object')
  expect(systemClock.now() - began).toBeLessThan(20_000)
}

describe('whatever the service answers', () => {
  /** Undefined: an empty success, in the encoding of the request. */
  let answer: Answer | undefined
  const server: Server = createServer((request, response) => {
    const own = String(request.headers['content-type'])
    const body = own.includes('cbor') ? encodeCbor({}) : Buffer.from('{}')
    const { type, ...rest } = answer ?? { status: 200, type: ITS_OWN, body, part: 1 }
    request.resume().on('end', () => respond(response, { ...rest, type: type === ITS_OWN ? own : type }))
  })
  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  const cbor = { reads: 'cbor', writes: 'cbor' } as const
  const json = { reads: 'json', writes: 'json' } as const
  test.each<[string, KinesisConnectionOptions]>([
    ['the lean sender, JSON', { wire: json, sender: 'lean' }],
    ['the lean sender, CBOR', { wire: cbor, sender: 'lean' }],
    ['the lean sender, negotiated', {}],
    ['the SDK, JSON', { wire: json, sender: 'sdk' }],
    ['the SDK, CBOR', { wire: cbor, sender: 'sdk' }],
  ])(
    '%s: each call ends in time, with an object or an Error; nothing is polluted and nothing is thrown elsewhere',
    {
      timeout: 60_000,
    },
    async (_, options) => {
      const { port } = server.address() as AddressInfo
      const endpoint = `http://127.0.0.1:${port}`
      const connection = connectKinesis({ ...PLACE, endpoint, requestTimeoutMs: 1000, controlAttempts: 1, ...options })
      const kinesis = connection.port
      const data = [
        () => kinesis.putRecords({ StreamName: 'a', Records: [{ Data: new Uint8Array(1), PartitionKey: 'k' }] }),
        () => kinesis.getRecords({ ShardIterator: 'x' }),
      ]
      const others = [
        () => kinesis.getShardIterator({ StreamName: 'a', ShardId: 's', ShardIteratorType: 'LATEST' }),
        () => kinesis.listShards({ StreamName: 'a' }),
        () => kinesis.describeStreamSummary({ StreamName: 'a' }),
      ]
      const bySdk = [PutRecordsCommand, GetRecordsCommand].map((command) => vi.spyOn(command.prototype, 'resolveMiddleware'))
      const sdkCalls = (): number => bySdk.reduce((sum, { mock }) => sum + mock.calls.length, 0)
      // The lean sender learns by a success how the next request looks, which then goes the short way.
      const succeed = async (call: () => Promise<unknown>): Promise<void> => {
        answer = undefined
        // The first ones may meet connections that were cut.
        for (let tries = 1; ; tries++) {
          const done = await call().then(
            () => true,
            () => false,
          )
          if (done) return
          expect(tries).toBeLessThan(10)
        }
      }
      for (const call of data) {
        await succeed(call)
        const before = sdkCalls()
        await succeed(call)
        expect(sdkCalls() === before).toBe(options.sender !== 'sdk')
      }
      await fc.assert(
        fc.asyncProperty(answers, fc.constantFrom(...data, ...data, ...others), async (given, call) => {
          if (data.includes(call as (typeof data)[number])) await succeed(call)
          answer = given
          await settles(call)
        }),
        { numRuns: 60, endOnFailure: true, interruptAfterTimeLimit: 20_000 },
      )
      connection.close()
    },
  )
})

describe('whatever comes by a subscription', () => {
  const service = new EventStreamService()
  let endpoint: string
  beforeAll(async () => {
    endpoint = await service.start()
  })
  afterAll(() => service.stop())

  const kinds = fc.constantFrom('event', 'exception', 'error', 'initial-response', '__proto__', '')
  const message = fc
    .record({
      headers: fc.dictionary(
        fc.constantFrom(':message-type', ':event-type', ':exception-type', ':error-code', '__proto__', 'x'),
        kinds,
      ),
      isEvent: fc.boolean(),
      payload: fc.oneof(jsonBody, changed, fc.uint8Array({ maxLength: 200 })),
    })
    .map(({ headers, isEvent, payload }) =>
      isEvent
        ? encodeMessage({ ':message-type': 'event', ':event-type': 'SubscribeToShardEvent' }, payload)
        : encodeMessage(headers, payload),
    )
  const script = fc.record({
    accepts: fc.boolean(),
    chunks: fc.array(fc.oneof(message, message, fc.uint8Array({ maxLength: 40 })), { maxLength: 5 }),
    end: fc.constantFrom('end', 'end', 'reset', 'break'),
  })

  test.each(['json', 'cbor'] as const)('in %s: events or an Error, and an end', { timeout: 60_000 }, async (reads) => {
    const connection = connectKinesis({ ...PLACE, endpoint, requestTimeoutMs: 1000, controlAttempts: 1, wire: { reads } })
    const ConsumerARN = 'arn:aws:kinesis:us-east-1:123456789012:stream/s/consumer/c:1'
    let events = 0
    await fc.assert(
      fc.asyncProperty(script, async ({ accepts, chunks, end }) => {
        service.onRequest = (request) => play(request, accepts, chunks, end)
        await settles(async () => {
          const subscription = await connection.fanOut.subscribeToShard({
            ConsumerARN,
            ShardId: 's',
            StartingPosition: { Type: 'LATEST' },
          })
          for (let event = await subscription.next(); event !== undefined; event = await subscription.next()) {
            expect(typeof event).toBe('object')
            events++
          }
          return {}
        })
      }),
      { numRuns: 100, endOnFailure: true, interruptAfterTimeLimit: 20_000 },
    )
    connection.close()
    expect(events).toBeGreaterThan(0)
  })
})

function play(request: ReceivedRequest, accepts: boolean, chunks: readonly Uint8Array[], end: string): void {
  if (accepts) request.accept()
  else request.stream.respond({ ':status': 200, 'content-type': 'application/vnd.amazon.eventstream' })
  for (const chunk of chunks) request.stream.write(chunk)
  if (end === 'end') request.stream.end()
  else if (end === 'reset') request.stream.close(2)
  else request.session.destroy()
}

function respond(response: ServerResponse, { status, type, body, part }: Answer): void {
  const hasBody = status !== 204
  response.writeHead(status, { ...(type !== '' && { 'content-type': type }), ...(hasBody && { 'content-length': body.length }) })
  if (!hasBody || part === 1) response.end(hasBody ? body : undefined)
  else response.write(body.subarray(0, Math.floor(body.length * part)), () => response.destroy())
}
