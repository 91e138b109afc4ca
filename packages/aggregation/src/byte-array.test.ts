import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { isUint8Array } from './byte-array.js'

it.each([
  ['Uint8Array', new Uint8Array(1), true],
  ['Buffer', Buffer.from('x'), true],
  ['Uint8Array of another realm', runInNewContext('new Uint8Array(1)'), true],
  ['Uint8ClampedArray', new Uint8ClampedArray(1), false],
  ['DataView', new DataView(new ArrayBuffer(1)), false],
  ['ArrayBuffer', new ArrayBuffer(1), false],
  ['array', [1], false],
  ['text', 'x', false],
  ['undefined', undefined, false],
])('%s: %#', (_, value, expected) => {
  expect(isUint8Array(value)).toBe(expected)
})
