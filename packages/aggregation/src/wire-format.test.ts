import { expect, it } from 'vitest'
import { lengthDelimitedBytes, varintBytes, writeVarint } from './wire-format.js'

it.each([
  [0, '00'],
  [1, '01'],
  [127, '7f'],
  [128, '8001'],
  [300, 'ac02'],
  [16_383, 'ff7f'],
  [16_384, '808001'],
  [2_097_151, 'ffff7f'],
  [2_097_152, '80808001'],
  [268_435_455, 'ffffff7f'],
  [268_435_456, '8080808001'],
  [2 ** 31 - 1, 'ffffffff07'],
])('the varint of %i is %s', (value, hex) => {
  const bytes = new Uint8Array(8)
  const end = writeVarint(bytes, 1, value)
  expect(Buffer.from(bytes.subarray(1, end)).toString('hex')).toBe(hex)
  expect(varintBytes(value)).toBe(hex.length / 2)
  expect(lengthDelimitedBytes(value)).toBe(1 + hex.length / 2 + value)
})
