import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CborError, decodeCbor, encodeCbor } from './cbor.js'
import { systemClock } from './clock.js'
import { decodeMessage, messageLength } from './transport/event-stream-message.js'
import { connectKinesis } from './transport/index.js'

/** What answers look like that are meant well; changed here and there they come further than noise does. */
const CORPUS = [
  {
    Records: [
      { Data: new Uint8Array([1, 2]), PartitionKey: 'k', SequenceNumber: '49', ApproximateArrivalTimestamp: new Date(0) },
    ],
    MillisBehindLatest: 0,
    NextShardIterator: 'x',
  },
  {
    Shards: [
      {
        ShardId: 's',
        HashKeyRange: { StartingHashKey: '0', EndingHashKey: '9' },
        SequenceNumberRange: { StartingSequenceNumber: '1' },
      },
    ],
  },
  {
    StreamDescriptionSummary: {
      StreamName: 'a',
      StreamStatus: 'ACTIVE',
      OpenShardCount: 1,
      StreamCreationTimestamp: new Date(0),
    },
  },
  {
    FailedRecordCount: 1,
    Records: [
      { ErrorCode: 'InternalFailure', ErrorMessage: 'm' },
      { ShardId: 's', SequenceNumber: '1' },
    ],
  },
  { ['__proto__']: { polluted: true }, constructor: { prototype: { polluted: true } } },
].map((value) => encodeCbor(value))

const changed = fc
  .record({
    base: fc.constantFrom(...CORPUS),
    edits: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }),
    cut: fc.nat(),
    tail: fc.uint8Array({ maxLength: 12 }),
  })
  .map(({ base, edits, cut, tail }) => {
    const bytes = Buffer.from(base)
    for (const [at, value] of edits) bytes[at % bytes.length] = value
    return Buffer.concat([cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes, tail])
  })
/** Heads that claim lengths and depths: arrays in arrays, gigabytes of text, tags without end. */
const claims = fc.array(
  fc.constantFrom(0x9b, 0xbb, 0x5b, 0x7b, 0x9f, 0xbf, 0x5f, 0x7f, 0xc1, 0xff, 0x81, 0xa1, 0x00, 0x7f, 0xd8),
  { maxLength: 3000 },
)
const hostile = fc.oneof(
  changed,
  fc.uint8Array({ maxLength: 300 }),
  claims.map((bytes) => Buffer.from(bytes)),
)

afterEach(() => {
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
})

describe('CBOR', () => {
  test('of any bytes is a value or a CborError, soon and in little memory', () => {
    fc.assert(
      fc.property(hostile, (bytes) => {
        try {
          decodeCbor(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(CborError)
        }
      }),
      { numRuns: 5000 },
    )
  })

  test('that is nested deeply, or claims to be large, is refused and not tried', () => {
    const before = process.memoryUsage()
    for (const head of [[0x81], [0xa1, 0x00], [0x9f], [0xbf, 0x00], [0xc1]]) {
      const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, i) => head[i % head.length]!))
      expect(() => decodeCbor(bytes)).toThrow(CborError)
    }
    for (const head of [0x9b, 0xbb, 0x5b, 0x7b]) {
      expect(() => decodeCbor(Buffer.from([head, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]))).toThrow(CborError)
    }
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(64 * 2 ** 20)
  })
})

describe('messages of an event stream', () => {
  test('of any bytes are a message or an error; none claims more than the largest', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 300 }), (bytes) => {
        const buffer = Buffer.from(bytes)
        try {
          expect(messageLength(buffer)).toBeLessThanOrEqual(32 * 2 ** 20)
          decodeMessage(buffer)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
          expect(error).not.toBeInstanceOf(RangeError)
        }
      }),
      { numRuns: 5000 },
    )
  })
})

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: Uint8Array
  /** Of the announced length, what comes before the connection is cut. 1: all of it. */
  readonly part: number
}

const TYPES = ['application/x-amz-json-1.1', 'application/x-amz-cbor-1.1', 'text/html', 'application/json; charset=utf-7', '']
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

describe('whatever the service answers', () => {
  let answer: Answer
  const server: Server = createServer((request, response) => {
    request.resume().on('end', () => respond(response, answer))
  })
  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  test('each call ends in time, with an object or an Error; nothing is polluted and nothing is thrown elsewhere', {
    timeout: 60_000,
  }, async () => {
    const { port } = server.address() as AddressInfo
    const uncaught: unknown[] = []
    const note = (error: unknown): void => void uncaught.push(error)
    process.on('uncaughtException', note)
    process.on('unhandledRejection', note)
    const connection = connectKinesis({
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      requestTimeoutMs: 1000,
      controlAttempts: 1,
    })
    const kinesis = connection.port
    const calls = [
      () => kinesis.putRecords({ StreamName: 'a', Records: [{ Data: new Uint8Array(1), PartitionKey: 'k' }] }),
      () => kinesis.getRecords({ ShardIterator: 'x' }),
      () => kinesis.getShardIterator({ StreamName: 'a', ShardId: 's', ShardIteratorType: 'LATEST' }),
      () => kinesis.listShards({ StreamName: 'a' }),
      () => kinesis.describeStreamSummary({ StreamName: 'a' }),
    ]
    await fc.assert(
      fc.asyncProperty(answers, fc.nat(calls.length - 1), async (given, which) => {
        answer = given
        const began = systemClock.now()
        const outcome = await calls[which]!().catch((error: unknown) => ({ error }))
        if ('error' in outcome) expect(outcome.error).toBeInstanceOf(Error)
        else expect(typeof outcome).toBe('object')
        expect(systemClock.now() - began).toBeLessThan(20_000)
      }),
      { numRuns: 150, endOnFailure: true, interruptAfterTimeLimit: 30_000 },
    )
    connection.close()
    process.off('uncaughtException', note)
    process.off('unhandledRejection', note)
    expect(uncaught).toEqual([])
  })
})

function respond(response: ServerResponse, { status, type, body, part }: Answer): void {
  const hasBody = status !== 204
  response.writeHead(status, { ...(type !== '' && { 'content-type': type }), ...(hasBody && { 'content-length': body.length }) })
  if (!hasBody || part === 1) response.end(hasBody ? body : undefined)
  else response.write(body.subarray(0, Math.floor(body.length * part)), () => response.destroy())
}
