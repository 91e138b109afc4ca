import { expect, test } from 'vitest'
import { withLast } from './with-last.js'

test.each([
  [[], []],
  [['a'], [['a', true]]],
  [
    ['a', undefined, 'c'],
    [
      ['a', false],
      [undefined, false],
      ['c', true],
    ],
  ],
])('%j', (items, expected) => {
  expect([...withLast(items)]).toEqual(expected)
})
