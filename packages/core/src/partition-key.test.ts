import { expect, it } from 'vitest'
import { bytesOfKey } from './partition-key.js'

it.each([
  ['a', 1],
  ['é', 2],
  ['✈', 3],
  ['😀', 4],
  ['a😀é', 7],
  ['\0', 1],
  ['x'.repeat(256), 256],
  ['✈'.repeat(256), 768],
  ['😀'.repeat(256), 1024],
])('of %j: %i bytes', (key, bytes) => {
  expect(bytesOfKey(key)).toBe(bytes)
})

it.each([
  ['nothing', ''],
  ['257 characters', 'x'.repeat(257)],
  ['257 characters of two units', '😀'.repeat(257)],
  ['far too many', 'x'.repeat(100_000)],
  ['half of a surrogate pair', 'a\ud800b'],
  ['the other half', '\udc00'],
])('%s is no partition key', (_, key) => {
  expect(bytesOfKey(key)).toBe(0)
})
