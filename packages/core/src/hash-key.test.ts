import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  effectiveHashKey,
  fromWords,
  type HashKeyRange,
  hashKeyOf,
  hashKeyWords,
  inRange,
  MAX_HASH_KEY,
  parseHashKey,
  rangesOverlap,
  toWords,
  uncovered,
} from './hash-key.js'

const hashKey = fc.bigInt({ min: 0n, max: MAX_HASH_KEY })
const range = fc.tuple(hashKey, hashKey).map(([a, b]): HashKeyRange => (a <= b ? { start: a, end: b } : { start: b, end: a }))

describe('hash of a partition key', () => {
  test("the KPL's vector", () => {
    expect(hashKeyOf('abcd')).toBe(301716283811389038011477436469853762335n)
  })

  test('MD5 of the UTF-8 bytes, for any string of whole characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (key) => {
        const expected = BigInt(`0x${createHash('md5').update(key, 'utf8').digest('hex')}`)
        const words = new Uint32Array(4)
        hashKeyWords(key, words)
        expect(hashKeyOf(key)).toBe(expected)
        expect(fromWords(words)).toBe(expected)
      }),
    )
  })

  test('an explicit hash key takes its place', () => {
    expect(effectiveHashKey('abcd', '7')).toBe(7n)
    expect(effectiveHashKey('abcd', undefined)).toBe(hashKeyOf('abcd'))
  })
})

test('words and bigint are the same number', () => {
  fc.assert(
    fc.property(hashKey, (value) => {
      const words = new Uint32Array(4)
      toWords(value, words)
      expect(fromWords(words)).toBe(value)
    }),
  )
  const words = new Uint32Array(4)
  toWords((1n << 96n) | (2n << 64n) | (3n << 32n) | 4n, words)
  expect([...words]).toEqual([1, 2, 3, 4])
})

describe('parseHashKey', () => {
  test.each([
    ['0', 0n],
    ['1', 1n],
    ['340282366920938463463374607431768211455', MAX_HASH_KEY],
    ['340282366920938463463374607431768211456', undefined],
    ['999999999999999999999999999999999999999', undefined],
    ['', undefined],
    ['-1', undefined],
    ['+1', undefined],
    ['01', undefined],
    ['1.0', undefined],
    ['1e3', undefined],
    ['0x1', undefined],
    [' 1', undefined],
    ['1\n', undefined],
    ['٣', undefined],
  ])('%j', (given, expected) => {
    expect(parseHashKey(given)).toBe(expected)
  })

  test('reads every hash key', () => {
    fc.assert(fc.property(hashKey, (value) => parseHashKey(String(value)) === value))
  })
})

describe('ranges', () => {
  test('overlap when some hash key is in both', () => {
    fc.assert(
      fc.property(range, range, (a, b) => {
        const expected = [a.start, b.start].some((edge) => inRange(edge, a) && inRange(edge, b))
        expect(rangesOverlap(a, b)).toBe(expected)
        expect(rangesOverlap(b, a)).toBe(expected)
      }),
    )
  })

  test('both ends belong to a range', () => {
    const ends = { start: 5n, end: 7n }
    expect([4n, 5n, 7n, 8n].map((value) => inRange(value, ends))).toEqual([false, true, true, false])
  })

  test.each<[string, HashKeyRange[], HashKeyRange[]]>([
    ['nothing covered', [], [{ start: 0n, end: MAX_HASH_KEY }]],
    ['all covered', [{ start: 0n, end: MAX_HASH_KEY }], []],
    [
      'adjacent',
      [
        { start: 10n, end: MAX_HASH_KEY },
        { start: 0n, end: 9n },
      ],
      [],
    ],
    [
      'a hole of one',
      [
        { start: 0n, end: 9n },
        { start: 11n, end: MAX_HASH_KEY },
      ],
      [{ start: 10n, end: 10n }],
    ],
    [
      'a range within another',
      [
        { start: 0n, end: 99n },
        { start: 3n, end: 5n },
      ],
      [{ start: 100n, end: MAX_HASH_KEY }],
    ],
    [
      'the first and the last missing',
      [{ start: 1n, end: MAX_HASH_KEY - 1n }],
      [
        { start: 0n, end: 0n },
        { start: MAX_HASH_KEY, end: MAX_HASH_KEY },
      ],
    ],
  ])('uncovered: %s', (_what, ranges, holes) => {
    expect(uncovered(ranges)).toEqual(holes)
  })

  test('uncovered: ranges and holes tile the hash space', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 8 }), (ranges) => {
        const holes = uncovered(ranges)
        expect(uncovered([...ranges, ...holes])).toEqual([])
        for (const hole of holes) expect(ranges.some((other) => rangesOverlap(other, hole))).toBe(false)
      }),
    )
  })
})
