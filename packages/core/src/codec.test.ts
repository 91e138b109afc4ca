import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytes, type Codec, json, text } from './codec.js'

const context = { stream: 'flights', partitionKey: 'ORD', headers: undefined }

describe('codecs', () => {
  test('bytes are the same object on both ways, and so is the codec', () => {
    const data = new Uint8Array([1, 2])
    expect(bytes().encode(data, context)).toBe(data)
    expect(bytes().decode(data, context)).toBe(data)
    expect(bytes()).toBe(bytes())
  })

  test.each<[string, unknown, string]>([
    ['an object', { gate: 'B7', late: true }, '{"gate":"B7","late":true}'],
    ['null', null, 'null'],
    ['an empty text', '', '""'],
    ['false', false, 'false'],
    ['half a surrogate pair, which JSON escapes', '\ud800', '"\\ud800"'],
  ])('json: %s', (_, value, written) => {
    const encoded = json<unknown>().encode(value, context)
    expect(Buffer.from(encoded).toString()).toBe(written)
    expect(json<unknown>().decode(encoded, context)).toEqual(value)
  })

  test('json brings every JSON value back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const again = json<unknown>()
        expect(JSON.stringify(again.decode(again.encode(value, context), context))).toBe(JSON.stringify(value))
      }),
    )
  })

  test('texts that share memory stay what they are, and share it with nobody else', () => {
    const some = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.nat({ max: 5000 }).map((length) => 'é'.repeat(length)),
      fc.constant(''),
    )
    fc.assert(
      fc.property(fc.array(some, { maxLength: 50 }), (texts) => {
        const encoded = texts.map((each) => text().encode(each, context))
        expect(encoded.map((data) => text().decode(data, context))).toEqual(texts)
        for (const data of encoded) expect(data.buffer).not.toBe(Buffer.from('a').buffer)
      }),
    )
    const short = text().encode('short', context)
    try {
      structuredClone(short, { transfer: [short.buffer as ArrayBuffer] })
    } catch {
      // Node 20 copies it; later ones say that it is not to be transferred.
    }
    expect(text().decode(short, context)).toBe('short')
  })

  const cycle: { self?: object } = {}
  cycle.self = cycle
  test.each<[string, unknown, RegExp]>([
    ['undefined', undefined, /no form for this value, of type undefined/],
    ['a function', () => {}, /of type function/],
    ['a symbol', Symbol('x'), /of type symbol/],
    ['what says so itself', { toJSON: () => undefined }, /of type object/],
    ['a bigint', 1n, /BigInt/],
    ['a cycle', cycle, /circular/],
  ])('json refuses %s', (_, value, message) => {
    expect(() => json<unknown>().encode(value, context)).toThrow(message)
  })

  test.each<[string, Uint8Array]>([
    ['what is no JSON', Buffer.from('{')],
    ['nothing', Buffer.alloc(0)],
    ['what is no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
  ])('json does not decode %s', (_, data) => {
    expect(() => json().decode(data, context)).toThrow()
  })

  test('json takes a byte order mark that another writer has put first', () => {
    expect(json().decode(Buffer.from('\ufeff[1]'), context)).toEqual([1])
  })

  test('text brings every well-formed text back, a byte order mark included', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.constant('\ufeffx')), (value) => {
        expect(text().decode(text().encode(value, context), context)).toBe(value)
      }),
    )
  })

  test.each<[string, unknown, RegExp]>([
    ['no string', 7, /a string was expected, got number/],
    ['null', null, /got null/],
    ['half a surrogate pair', 'a\udc00', /half of a surrogate pair/],
  ])('text refuses %s', (_, value, message) => {
    expect(() => (text() as Codec<unknown>).encode(value, context)).toThrow(message)
  })

  test('text does not decode what is no UTF-8', () => {
    expect(() => text().decode(Buffer.from([0xc3]), context)).toThrow()
  })
})
