import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase64, encodeBase64 } from './base64.js'

describe('decodeBase64', () => {
  it.each([
    ['', ''],
    ['QUJD', 'ABC'],
    ['QUI=', 'AB'],
    ['QQ==', 'A'],
  ])('reads %j', (text, expected) => {
    expect(decodeBase64(text)?.toString()).toBe(expected)
  })

  it.each([
    ['no padding', 'QUJDQQ'],
    ['one character too few', 'QUJ'],
    ['padding alone', '===='],
    ['padding within', 'QUI=QUJD'],
    ['padding, then filler up to a multiple of four', 'QUJDQQ==\n\n\n\n'],
    ['URL alphabet, minus', 'QU-D'],
    ['URL alphabet, underscore', 'QU_D'],
    ['a line break', 'QUJD\nUJD'],
    ['a wide character whose low byte is a valid one', 'QUJ\u0141'],
    ['a Latin-1 character', 'QUJ\u00e9'],
    ['JSON text', '{"a":1}}'],
  ])('refuses %s', (_, text) => {
    expect(decodeBase64(text)).toBeUndefined()
  })

  it('gives back what was encoded, and accepts nothing outside the alphabet', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(decodeBase64(encodeBase64(bytes))).toEqual(Buffer.from(bytes))
      }),
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (text) => {
        expect(decodeBase64(text) !== undefined).toBe(text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text))
      }),
      { numRuns: 2000 },
    )
  })
})
