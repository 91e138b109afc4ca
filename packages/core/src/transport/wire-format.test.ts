import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeCbor } from '../cbor.js'
import { cborFormat, isCborContent, jsonFormat, MalformedAnswerError, type WireFormat } from './wire-format.js'

const data = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes))
const key = fc.string({ unit: 'grapheme', maxLength: 40 })
const entry = fc.record(
  { Data: data, PartitionKey: key, ExplicitHashKey: fc.stringMatching(/^\d{1,39}$/) },
  { requiredKeys: ['Data', 'PartitionKey'] },
)
const input = fc.record({ Records: fc.array(entry), StreamName: key, StreamARN: key }, { requiredKeys: ['Records'] })

const textOf = (body: Uint8Array | undefined): string => Buffer.from(body!).toString()

describe('PutRecords', () => {
  test('as JSON: what JSON.parse and base64 give back is what was put', () => {
    fc.assert(
      fc.property(input, (given) => {
        const parsed = JSON.parse(textOf(jsonFormat.encode('PutRecords', given))) as { Records: { Data: string }[] }
        const records = parsed.Records.map((record) => ({ ...record, Data: Buffer.from(record.Data, 'base64') }))
        expect({ ...parsed, Records: records }).toEqual(given)
      }),
    )
  })

  test('as CBOR', () => {
    fc.assert(
      fc.property(input, (given) => {
        expect(decodeCbor(cborFormat.encode('PutRecords', given) as Uint8Array)).toEqual(given)
      }),
    )
  })

  test('is left to the SDK where it has members that only the SDK may know', () => {
    const record = { Data: Buffer.from('x'), PartitionKey: 'k' }
    expect(jsonFormat.encode('PutRecords', { Records: [record, { ...record, New: 1 }] })).toBeUndefined()
    expect(jsonFormat.encode('PutRecords', { Records: [{ ...record, Data: 'text' }] })).toBeUndefined()
    expect(jsonFormat.encode('PutRecords', { Records: [{ Data: record.Data }] })).toBeUndefined()
    expect(jsonFormat.encode('PutRecords', { Records: [{ ...record, ExplicitHashKey: null }] })).toBeUndefined()
    expect(jsonFormat.encode('PutRecords', { StreamName: 's' })).toBeUndefined()
    expect(JSON.parse(textOf(jsonFormat.encode('PutRecords', { DryRun: true, Records: [] })))).toEqual({
      DryRun: true,
      Records: [],
    })
    expect(jsonFormat.encode('ListShards', { StreamName: 's' })).toBeUndefined()
  })
})

describe('answers', () => {
  const decode = (format: WireFormat, body: string): object | undefined => format.decoder('GetRecords')?.(Buffer.from(body))

  test.each(['7', '[]', 'null', '{"Records":[7]}', '{"Records":[{"ApproximateArrivalTimestamp":"soon"}]}'])(
    '%s is malformed',
    (body) => {
      expect(() => decode(jsonFormat, body)).toThrow(MalformedAnswerError)
    },
  )

  test('an empty body is an empty answer', () => {
    expect(decode(jsonFormat, '')).toEqual({})
    expect(decode(cborFormat, '')).toEqual({})
  })

  test.each(['key', 'clé', '✈ 😀'])('JSON with the partition key %s', (PartitionKey) => {
    const body = JSON.stringify({ Records: [{ Data: 'eA==', PartitionKey }] })
    expect(decode(jsonFormat, body)).toEqual({ Records: [{ Data: Buffer.from('x'), PartitionKey }] })
  })

  test('a record without a time has none', () => {
    expect(decode(jsonFormat, '{"Records":[{"Data":"eA=="}]}')).toEqual({ Records: [{ Data: Buffer.from('x') }] })
  })

  test('times to the millisecond', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_400_000_000_000, max: 4_000_000_000_000 }), (millis) => {
        const body = JSON.stringify({ Records: [{ ApproximateArrivalTimestamp: millis / 1000 }] })
        expect(decode(jsonFormat, body)).toEqual({ Records: [{ ApproximateArrivalTimestamp: new Date(millis) }] })
      }),
    )
  })
})

test.each([
  ['application/x-amz-cbor-1.1', true],
  ['application/CBOR; x=y', true],
  ['application/x-amz-json-1.1', false],
  [undefined, false],
])('content type %s', (type, expected) => {
  expect(isCborContent(type)).toBe(expected)
})
