import { expect, test } from 'vitest'
import { Halts } from './halts.js'
import { recordOf } from './testing/records.js'

const HALF = 2n ** 127n
const LEFT = { start: 0n, end: HALF - 1n }
const QUARTER = { start: 5n, end: HALF / 2n }

test('names the first failure for the range until resumed', () => {
  const halts = new Halts()
  const [first, second] = [new Error('1'), new Error('2')]
  expect([halts.any, halts.haltRange(LEFT, first), halts.haltRange(QUARTER, second)]).toEqual([false, true, false])
  const [inside, outside] = [recordOf('a', 1, '5'), recordOf('a', 1, HALF.toString())]
  expect([halts.any, halts.causeFor(inside), halts.causeFor(outside)]).toEqual([true, first, undefined])
  halts.resume()
  expect([halts.any, halts.causeFor(inside)]).toEqual([false, undefined])
})

test('a key halts alone: with another explicit hash key it is another key', () => {
  const halts = new Halts()
  const [key, range] = [new Error('key'), new Error('range')]
  halts.haltKeyOf(recordOf('a', 1, '5'), key)
  const causes = (): unknown[] => ['5', '6', undefined].map((hashKey) => halts.causeFor(recordOf('a', 1, hashKey)))
  expect([causes(), halts.keys, halts.any]).toEqual([[key, undefined, undefined], 1, true])
  halts.haltRange(LEFT, range)
  expect(causes().slice(0, 2)).toEqual([key, range])
  halts.resume()
  expect([causes(), halts.keys, halts.any]).toEqual([[undefined, undefined, undefined], 0, false])
})
