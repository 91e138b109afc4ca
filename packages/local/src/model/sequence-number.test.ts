import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { END_POSITION, formatSequenceNumber, parseSequenceNumber, SequenceNumberSource } from './sequence-number.js'

const parts = fc.record({
  beganSecond: fc.integer({ min: 1_400_000_000, max: 4_000_000_000 }),
  shardIndex: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  position: fc.oneof(fc.integer({ min: 0, max: 2 ** 40 }), fc.constant(END_POSITION)),
  second: fc.integer({ min: 1_400_000_000, max: 4_000_000_000 }),
})

describe('sequence numbers', () => {
  it('survive formatting and parsing, and have the form of the service’s', () => {
    fc.assert(
      fc.property(parts, (given) => {
        const text = formatSequenceNumber(given)
        expect(text).toMatch(/^\d{56}$/)
        expect(BigInt(text).toString(2)).toHaveLength(186)
        expect(Number((BigInt(text) >> 4n) & 0xffffffffn)).toBe(given.shardIndex)
        expect(parseSequenceNumber(text)).toEqual(given)
      }),
    )
  })

  // Numbers that the service gave, from its public documentation and issues. The second is of an older layout.
  it.each([
    ['49590338271490256608559692538361571095921575989136588898', 6],
    ['49545115243490985018280067714973144582180062593244200961', undefined],
    ['49594189147623985939251953501666965394405037144469929986', 0],
  ])('reads %s', (text, shardIndex) => {
    const parsed = parseSequenceNumber(text)
    expect(parsed?.shardIndex).toBe(shardIndex)
    if (parsed !== undefined) expect(formatSequenceNumber(parsed)).toBe(text)
  })

  it.each([
    '',
    '0',
    '1',
    'x',
    '4959033827149025660855969253836157109592157598913658889',
    '99999999999999999999999999999999999999999999999999999999',
  ])('refuses %j', (text) => expect(parseSequenceNumber(text)).toBeUndefined())

  it('are ordered by second of the shard’s birth, then by position', () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        if (a.beganSecond !== b.beganSecond) {
          expect(formatSequenceNumber(a) < formatSequenceNumber(b)).toBe(a.beganSecond < b.beganSecond)
        } else if (a.shardIndex === b.shardIndex && a.position !== b.position) {
          expect(formatSequenceNumber(a) < formatSequenceNumber(b)).toBe(a.position < b.position)
        }
      }),
    )
  })

  it('are issued as they would be formatted', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 50 }), (steps) => {
        const source = new SequenceNumberSource(1_700_000_000, 5)
        let second = 1_700_000_000
        steps.forEach((step, index) => {
          second += step
          const expected = formatSequenceNumber({ beganSecond: 1_700_000_000, shardIndex: 5, position: index + 1, second })
          expect(source.issue(index + 1, second)).toBe(expected)
        })
      }),
    )
  })
})
