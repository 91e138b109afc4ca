import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readUtf8, utf8Bytes, utf8Decoder, wellFormed, writeAscii, writeUtf8 } from './utf8.js'

/** Any sequence of UTF-16 units: the surrogates are frequent, paired and not. */
const anyUnits = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0xd800, max: 0xdfff }),
      fc.integer({ min: 0, max: 0xffff }),
      fc.constantFrom(0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xfeff),
      fc.integer({ min: 0x20, max: 0x7e }),
    ),
    { maxLength: 80 },
  )
  .map((units) => String.fromCharCode(...units))

describe('any string', () => {
  it('is measured and written as TextEncoder does, and read back well-formed', () => {
    fc.assert(
      fc.property(anyUnits, (text) => {
        const expected = new TextEncoder().encode(text)
        const bytes = utf8Bytes(text)
        expect(bytes).toBe(expected.length)
        const target = new Uint8Array(bytes + 4).fill(0xee)
        expect(writeUtf8(target, 2, text, bytes)).toBe(bytes + 2)
        expect(target).toEqual(Uint8Array.of(0xee, 0xee, ...expected, 0xee, 0xee))
        expect(readUtf8(target, 2, bytes + 2)).toBe(wellFormed(text))
        expect(new TextEncoder().encode(wellFormed(text))).toEqual(expected)
        const ascii = bytes === text.length
        expect(writeAscii(target, 2, text)).toBe(ascii)
        if (ascii) expect(target).toEqual(Uint8Array.of(0xee, 0xee, ...expected, 0xee, 0xee))
      }),
      { numRuns: 3000 },
    )
  })

  it.each([0, 1, 15, 16, 17, 31, 32, 33, 1000])('of %i ASCII characters too', (length) => {
    const text = 'abcdefghij'.repeat(100).slice(0, length)
    const target = new Uint8Array(length + 2)
    expect(utf8Bytes(text)).toBe(length)
    expect(writeUtf8(target, 1, text, length)).toBe(length + 1)
    expect(readUtf8(target, 1, length + 1)).toBe(text)
    expect([target[0], target[length + 1]]).toEqual([0, 0])
  })
})

it('reads invalid bytes as U+FFFD', () => {
  const bytes = Uint8Array.of(0x61, 0xc3, 0x62, 0xff, 0xe2, 0x82)
  expect(readUtf8(bytes, 0, bytes.length)).toBe('a\ufffdb\ufffd\ufffd')
})

it('reads any bytes as TextDecoder does, with and without Buffer', () => {
  const elsewhere = utf8Decoder(null)
  // Parts of what is valid come often.
  const anyBytes = fc.array(
    fc.oneof(
      fc.nat(0xff),
      fc.nat(0x7f),
      fc.constantFrom(0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x9a, 0x80, 0xef, 0xbb, 0xbf, 0xed),
    ),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(anyBytes, (given) => {
      const bytes = Uint8Array.of(0x61, ...given, 0x62)
      const expected = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(given))
      expect(readUtf8(bytes, 1, given.length + 1)).toBe(expected)
      expect(elsewhere(bytes, 1, given.length + 1)).toBe(expected)
    }),
    { numRuns: 3000 },
  )
})
