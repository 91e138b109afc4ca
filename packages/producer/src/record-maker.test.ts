import { bytes, type Codec, type CodecContext, json, text } from '@shardwise/core/codec'
import { headersOf, recordIdOf } from '@shardwise/core/record-tags'
import type { Telemetry } from '@shardwise/core/telemetry'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkOptions, type ProducerOptions } from './producer-options.js'
import { RecordMaker } from './record-maker.js'
import type { PutInput, UserRecord } from './user-record.js'

const data = new Uint8Array([1, 2, 3])

function makerOf<T = Uint8Array>(options: ProducerOptions<T> = {}): { make(input: PutInput<T>): UserRecord } {
  const maker = new RecordMaker<T>(checkOptions(options))
  return { make: (input) => maker.make(input, 'flights') }
}

function carried(record: UserRecord): object {
  return { ...headersOf(record.tags ?? []) }
}

const refusal = (field: string, message: RegExp): object =>
  expect.objectContaining({ name: 'RecordRejectedError', field, message: expect.stringMatching(message) })

describe('a codec', () => {
  test('makes the bytes, told whose they are', () => {
    const seen: CodecContext[] = []
    const codec: Codec<number> = {
      encode(value, context) {
        seen.push(context)
        return Uint8Array.of(0, value)
      },
      decode: (encoded) => encoded[1]!,
    }
    const maker = makerOf<number>({ codec })
    const headers = { schema: '7' }
    expect([...maker.make({ partitionKey: 'a', data: 5, headers }).data]).toEqual([0, 5])
    expect([...maker.make({ partitionKey: 'b', data: 6 }).data]).toEqual([0, 6])
    expect(seen).toEqual([
      { stream: 'flights', partitionKey: 'a', headers },
      { stream: 'flights', partitionKey: 'b', headers: undefined },
    ])
  })

  test.each<[string, Codec<unknown> | undefined, unknown, string]>([
    ['none', undefined, data, '\x01\x02\x03'],
    ['bytes', bytes() as Codec<unknown>, data, '\x01\x02\x03'],
    ['json', json(), { a: 1 }, '{"a":1}'],
    ['text', text() as Codec<unknown>, 'é', 'é'],
  ])('%s', (_, codec, value, written) => {
    const record = makerOf<unknown>({ codec }).make({ partitionKey: 'a', data: value })
    expect(Buffer.from(record.data).toString()).toBe(written)
    expect([record.bytes, record.dataBytes, record.tags]).toEqual([record.data.length + 1, record.data.length, undefined])
  })

  test('bytes and no codec hand on the very array', () => {
    expect(makerOf().make({ partitionKey: 'a', data }).data).toBe(data)
    expect(makerOf({ codec: bytes() }).make({ partitionKey: 'a', data, headers: { a: '1' } }).data).toBe(data)
  })

  test.each<[string, Codec<unknown>, unknown, RegExp, boolean]>([
    [
      'that throws',
      json(),
      undefined,
      /`data` was refused by the codec: JSON has no form for this value, of type undefined/,
      true,
    ],
    [
      'that throws no error',
      {
        encode: () => {
          throw 'no'
        },
        decode: () => 0,
      },
      1,
      /refused by the codec: no$/,
      true,
    ],
    [
      'that gives no bytes',
      { encode: (() => 'x') as never, decode: () => 0 },
      1,
      /must be a Uint8Array or Buffer, got "x"/,
      false,
    ],
    ['that is asynchronous', { encode: (async () => data) as never, decode: () => 0 }, 1, /must be a Uint8Array.*Promise/, false],
  ])('%s refuses the record', (_, codec, value, message, hasCause) => {
    for (const recordIds of [false, true]) {
      try {
        makerOf<unknown>({ codec, recordIds }).make({ partitionKey: 'a', data: value })
        expect.unreachable()
      } catch (error) {
        expect(error).toEqual(refusal('data', message))
        expect((error as Error).cause !== undefined).toBe(hasCause)
      }
    }
  })

  test('is not asked about a record without a key', () => {
    const codec: Codec<number> = { encode: () => expect.unreachable(), decode: () => 0 }
    expect(() => makerOf<number>({ codec }).make({ partitionKey: '', data: 1 })).toThrow(
      refusal('partitionKey', /got 0 characters/) as Error,
    )
    expect(() => makerOf<number>({ codec }).make(undefined as never)).toThrow(refusal('record', /got undefined/) as Error)
  })

  test.each([5, {}, { encode() {} }])('that is none is refused as an option', (codec) => {
    expect(() => makerOf({ codec: codec as never })).toThrow(/`codec` must be an object with the functions encode and decode/)
  })
})

describe('headers', () => {
  test('of any well-formed texts come back from the tags', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.constantFrom('__proto__', 'constructor', 'shardwise', '0'),
    )
    const name = part.filter((given) => given !== '' && !given.startsWith('shardwise-'))
    fc.assert(
      fc.property(fc.array(fc.tuple(name, part)), (entries) => {
        const headers = Object.fromEntries(entries)
        const record = makerOf().make({ partitionKey: 'a', data, headers })
        expect(new Map(Object.entries(headersOf(record.tags ?? [])))).toEqual(new Map(Object.entries(headers)))
        expect(record.hasHeaders).toBe(entries.length > 0)
      }),
    )
  })

  test('are those of the moment of the put', () => {
    const headers: Record<string, string> = { a: '1' }
    const record = makerOf().make({ partitionKey: 'a', data, headers })
    headers.a = '2'
    headers.b = '3'
    expect(carried(record)).toEqual({ a: '1' })
  })

  test('none are no reason for an envelope', () => {
    const record = makerOf().make({ partitionKey: 'a', data, headers: {} })
    expect([record.tags, record.hasHeaders, record.bytes]).toEqual([undefined, false, 4])
    expect(makerOf({ recordIds: true }).make({ partitionKey: 'a', data, headers: {} }).hasHeaders).toBe(false)
  })

  test('count, with the envelope and the key once more', () => {
    // Magic number 4, digest 16. The key's table entry 3. The record: its tag and length 2, index 2, data 5, the tag 8. The key outside 1.
    expect(makerOf().make({ partitionKey: 'a', data, headers: { a: 'é' } }).bytes).toBe(20 + 3 + 2 + 2 + 5 + 9 + 1)
  })

  test.each<[string, unknown, RegExp]>([
    ['text', 'a=1', /must be an object of texts by name, got "a=1"/],
    ['null', null, /got null/],
    ['an array', ['a'], /got an object \(Array\)/],
    ['a map, whose entries would be left out', new Map([['a', '1']]), /got an object \(Map\): use Object.fromEntries/],
    ['the headers of a fetch', new Headers({ a: '1' }), /got an object \(Headers\): use Object.fromEntries/],
    ['a number as value', { a: 5 }, /has for "a" 5, which is no well-formed text/],
    ['a value of undefined', { a: undefined }, /has for "a" undefined/],
    ['half a surrogate pair as value', { a: '\ud800' }, /no well-formed text/],
    ['no name', { '': 'x' }, /has the name "": a name must be a text of one character or more/],
    ['half a surrogate pair as name', { '\udc00': 'x' }, /has the name/],
    ['our own name', { 'shardwise-id': 'x' }, /"shardwise-id": names that begin with shardwise- are reserved/],
    ['a name that may be ours', { 'shardwise-x': 'x' }, /are reserved/],
  ])('refused: %s', (_, headers, message) => {
    expect(() => makerOf().make({ partitionKey: 'a', data, headers: headers as never })).toThrow(
      refusal('headers', message) as Error,
    )
  })

  test('that make a record too large for any stream are refused', () => {
    const size = 10 * 1024 * 1024
    const record = (headers: Record<string, string>): PutInput => ({
      partitionKey: 'a',
      data: new Uint8Array(size - 30),
      headers,
    })
    expect(makerOf().make(record({})).bytes).toBe(size - 29)
    expect(() => makerOf().make(record({ a: '1' }))).toThrow(
      refusal('data', /and partitionKey, headers and their envelope together have 104857\d\d bytes, and any stream/) as Error,
    )
  })
})

describe('record ids', () => {
  test('are made when asked for, one for each record, and the same for none', () => {
    const [one, two] = [makerOf({ recordIds: true }), makerOf({ recordIds: true })]
    const ids = [one, one, two].map((maker) => recordIdOf(maker.make({ partitionKey: 'a', data }).tags!))
    expect(new Set(ids).size).toBe(3)
    expect(makerOf().make({ partitionKey: 'a', data }).tags).toBeUndefined()
  })

  test("are the caller's where given, also when none are made", () => {
    for (const recordIds of [true, false]) {
      const record = makerOf({ recordIds }).make({ partitionKey: 'a', data, recordId: 'order-7' })
      expect([recordIdOf(record.tags!), carried(record), record.hasHeaders]).toEqual(['order-7', {}, false])
    }
  })

  test.each<[unknown, RegExp]>([
    ['', /must be a text of one character or more, well-formed, got ""/],
    [7, /got 7/],
    ['\ud800', /got/],
    [null, /got null/],
  ])('refused: %j', (recordId, message) => {
    expect(() => makerOf().make({ partitionKey: 'a', data, recordId: recordId as never })).toThrow(
      refusal('recordId', message) as Error,
    )
  })
})

describe('trace context', () => {
  const inject = (carrier: Record<string, string>): void => {
    carrier.traceparent = '00-1-2-01'
  }

  test('travels as headers beside those of the caller, and alone is none of the caller', () => {
    const maker = makerOf({ telemetry: { inject } })
    const headers = { a: '1' }
    const with1 = maker.make({ partitionKey: 'a', data, headers })
    expect([carried(with1), with1.hasHeaders]).toEqual([{ a: '1', traceparent: '00-1-2-01' }, true])
    expect(headers).toEqual({ a: '1' })
    const without = maker.make({ partitionKey: 'a', data })
    expect([carried(without), without.hasHeaders]).toEqual([{ traceparent: '00-1-2-01' }, false])
  })

  test('of the present takes the place of one that was handed on', () => {
    const record = makerOf({ telemetry: { inject } }).make({ partitionKey: 'a', data, headers: { traceparent: 'old' } })
    expect(carried(record)).toEqual({ traceparent: '00-1-2-01' })
  })

  test.each<[string, Telemetry]>([
    ['nothing', { inject() {} }],
    [
      'what cannot be a header',
      { inject: (carrier) => Object.assign(carrier, { '': 'x', a: 5, b: '\ud800', 'shardwise-id': 'x' }) },
    ],
    ['no function for it', { counter() {} }],
  ])('%s does not matter', (_, telemetry) => {
    expect(makerOf({ telemetry }).make({ partitionKey: 'a', data }).tags).toBeUndefined()
  })
})
