import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { CborError, decodeCbor, encodeCbor } from './cbor.js'
import { decodeMessage, messageLength } from './transport/event-stream-message.js'

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

/** With CRCs that match, so that what else is wrong is met. */
function sealed(message: Buffer): Buffer {
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8)
  message.writeUInt32BE(crc32(message.subarray(0, -4)), message.length - 4)
  return message
}

describe('messages of an event stream', () => {
  test('of which only the CRCs are right are a message or an error that names the stream', () => {
    const lengths = fc.oneof(fc.nat(60), fc.constantFrom(0xffff, 2 ** 31, 2 ** 32 - 1))
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 200 }), lengths, fc.boolean(), (bytes, headerLength, isLong) => {
        const buffer = Buffer.from(bytes)
        buffer.writeUInt32BE(isLong ? headerLength : buffer.length, 0)
        buffer.writeUInt32BE(headerLength, 4)
        try {
          if (messageLength(sealed(buffer)) !== buffer.length) return
          const { headers, payload } = decodeMessage(buffer)
          for (const [name, value] of headers) expect([typeof name, typeof value]).toEqual(['string', 'string'])
          expect(payload.length).toBeLessThan(buffer.length)
        } catch (error) {
          expect(error).toMatchObject({ message: expect.stringMatching(/of the stream/) })
        }
      }),
      { numRuns: 5000 },
    )
  })

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
