import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { md5, md5Words } from './md5.js'

const reference = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex')
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function wordsHex(key: string): string {
  const out = new Uint32Array(4)
  md5Words(key, out)
  return Array.from(out, (word) => word.toString(16).padStart(8, '0')).join('')
}

describe('md5Words', () => {
  it('is the hash key of the KPL for its own vector', () => {
    // aws/kinesis/core/test/user_record_test.cc
    const out = new Uint32Array(4)
    md5Words('abcd', out)
    const hashKey = (BigInt(out[0]!) << 96n) | (BigInt(out[1]!) << 64n) | (BigInt(out[2]!) << 32n) | BigInt(out[3]!)
    expect(hashKey).toBe(301716283811389038011477436469853762335n)
  })

  it.each([0, 1, 2, 3, 4, 5, 7, 8, 54, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 255, 256, 257, 1000, 5000])(
    'agrees with OpenSSL on %i characters, ASCII and not',
    (length) => {
      for (const unit of ['a', '\x7f', '\x80', 'é', '€', '\ud83d', '\ude00', '\0']) {
        const key = unit.repeat(length)
        expect(wordsHex(key)).toBe(reference(new TextEncoder().encode(key)))
        // The last character alone must be enough to leave the ASCII path.
        const tail = `${'k'.repeat(length)}${unit}`
        expect(wordsHex(tail)).toBe(reference(new TextEncoder().encode(tail)))
      }
    },
  )

  it('agrees with OpenSSL on any string, whatever was hashed before', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ maxLength: 60 }), (any, ascii) => {
        expect(wordsHex(any)).toBe(reference(new TextEncoder().encode(any)))
        expect(wordsHex(ascii)).toBe(reference(new TextEncoder().encode(ascii)))
      }),
      { numRuns: 2000 },
    )
  })

  it('counts a lone surrogate as U+FFFD', () => {
    for (const key of ['\ud800', 'a\udfffb', '\ud800\ud800', `${'x'.repeat(60)}\ud83d`]) {
      expect(wordsHex(key)).toBe(wordsHex(key.replaceAll(/[\ud800-\udfff]/g, '\ufffd')))
    }
  })
})

describe('md5', () => {
  it.each([
    // RFC 1321, appendix A.5
    ['', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['a', '0cc175b9c0f1b6a831c399e269772661'],
    ['abc', '900150983cd24fb0d6963f7d28e17f72'],
    ['message digest', 'f96b697d7cb7938d525a2f31aaf161d0'],
    ['abcdefghijklmnopqrstuvwxyz', 'c3fcd3d76192e4007dfb496cca67e13b'],
    ['12345678901234567890123456789012345678901234567890123456789012345678901234567890', '57edf4a22be3c955ac49da2e2107b67a'],
  ])('gives the digest of RFC 1321 for %j', (text, digest) => {
    expect(hex(md5(new TextEncoder().encode(text)))).toBe(digest)
  })

  it('agrees with OpenSSL on bytes of any length and at any offset', () => {
    for (let length = 0; length <= 260; length++) {
      const bytes = Uint8Array.from({ length: length + 3 }, (_, i) => (i * 197 + length) & 0xff).subarray(3)
      expect(hex(md5(bytes))).toBe(reference(bytes))
    }
    const megabytes = new Uint8Array(3_000_001).map((_, i) => i * 31)
    expect(hex(md5(megabytes))).toBe(reference(megabytes))
  })
})
