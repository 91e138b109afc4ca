import { expect, it } from 'vitest'
import { decodeBase64 } from './base64.js'

it('gives the same bytes with and without Buffer', () => {
  for (let length = 0; length < 70; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 251 + length) & 0xff)
    const text = Buffer.from(bytes).toString('base64')
    expect(Buffer.from(decodeBase64(text)).equals(bytes)).toBe(true)
    expect(decodeBase64(text, null)).toEqual(bytes)
  }
})
