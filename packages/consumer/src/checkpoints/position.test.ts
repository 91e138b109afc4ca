import fc from 'fast-check'
import { expect, test } from 'vitest'
import { comparePositions, formatPosition, type Position, parsePosition, sequencePosition } from './position.js'

/** As KCL orders them (ExtendedSequenceNumber.java); sequence numbers of different length on purpose. */
const ASCENDING: readonly Position[] = [
  { kind: 'at-timestamp' },
  { kind: 'trim-horizon' },
  { kind: 'latest' },
  sequencePosition('9'),
  sequencePosition('10', 0),
  sequencePosition('10', 1),
  sequencePosition('10', 12),
  sequencePosition('49590338271490256608559692538361571095921575989136588898'),
  sequencePosition('49590338271490256608559692538361571095921575989136588899'),
  { kind: 'shard-end' },
]

test('positions have KCL’s order', () => {
  ASCENDING.forEach((a, i) => {
    ASCENDING.forEach((b, j) => {
      expect(Math.sign(comparePositions(a, b)), `${JSON.stringify(a)} ${JSON.stringify(b)}`).toBe(Math.sign(i - j))
    })
  })
})

test.each(ASCENDING.map((position) => [formatPosition(position).checkpoint, position]))('%s is read back', (_text, position) => {
  expect(parsePosition(formatPosition(position))).toEqual(position)
})

test('any sequence numbers compare as the numbers that they are', () => {
  const numbers = fc.bigInt({ min: 0n, max: 2n ** 200n })
  fc.assert(
    fc.property(numbers, numbers, (a, b) => {
      const sign = a < b ? -1 : a > b ? 1 : 0
      expect(Math.sign(comparePositions(sequencePosition(`${a}`), sequencePosition(`${b}`)))).toBe(sign)
    }),
  )
})

test.each(['', 'shard_end', '007', '-1', '1e3', '__proto__', ' 1'])('%j is no checkpoint', (checkpoint) => {
  expect(() => parsePosition({ checkpoint, checkpointSubSequenceNumber: 0 })).toThrow(JSON.stringify(checkpoint))
})

test.each([-1, 0.5, Number.NaN])('%d is no sub-sequence number', (subSequenceNumber) => {
  expect(() => sequencePosition('1', subSequenceNumber)).toThrow(`${subSequenceNumber}`)
})
