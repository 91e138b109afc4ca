import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Md5Lanes } from './md5-lanes.js'
import { BLOCK_BYTES, LANES, laneKernel, WINDOW_BLOCKS } from './md5-lanes-kernel.js'

const lanes = new Md5Lanes(laneKernel()!)
const WINDOW_BYTES = WINDOW_BLOCKS * BLOCK_BYTES

const reference = (message: Uint8Array): string => createHash('md5').update(message).digest('hex')
const message = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 197 + seed * 31) >> (i & 3))

function digests(messages: readonly Uint8Array[]): string[] {
  const found: string[] = []
  lanes.digest(messages, (item, digest) => {
    expect(found[item]).toBeUndefined()
    found[item] = Buffer.from(digest).toString('hex')
  })
  return found
}

describe('Md5Lanes', () => {
  it('agrees with OpenSSL on messages of every length about the ends of blocks and windows', () => {
    const lengths = [0, 1, BLOCK_BYTES, 2 * BLOCK_BYTES, WINDOW_BYTES, 2 * WINDOW_BYTES, 51_200]
    const messages = lengths.flatMap((length) =>
      Array.from({ length: 24 }, (_, i) => length - 12 + i)
        .filter((near) => near >= 0)
        .map((near, i) => message(near, i)),
    )
    expect(digests(messages)).toEqual(messages.map(reference))
  })

  it('agrees with OpenSSL on messages of 0 to 300 bytes, whichever lane takes them and whatever was in it', () => {
    for (let first = 0; first < LANES; first++) {
      const messages = Array.from({ length: 301 + first }, (_, i) => message(((i + first) * 89) % 301, i).fill(0xff, 0, i % 5))
      expect(digests(messages)).toEqual(messages.map(reference))
    }
  })

  it.each(Array.from({ length: 2 * LANES + 2 }, (_, count) => count))('takes %i messages', (count) => {
    const messages = Array.from({ length: count }, (_, i) => message(i * 100, i))
    expect(digests(messages)).toEqual(messages.map(reference))
  })

  it('agrees with OpenSSL on any messages, whatever went through the lanes before', () => {
    const anyMessages = fc.array(fc.record({ length: fc.nat(3 * WINDOW_BYTES), seed: fc.nat(1000) }), { maxLength: 20 })
    fc.assert(
      fc.property(anyMessages, (shapes) => {
        const messages = shapes.map(({ length, seed }) => message(length, seed))
        expect(digests(messages)).toEqual(messages.map(reference))
      }),
      { numRuns: 50 },
    )
  })

  it('agrees on the largest aggregate beside the smallest', () => {
    const messages = [message(10_485_760, 1), message(0, 0), message(1, 1)]
    expect(digests(messages)).toEqual(messages.map(reference))
  })
})

describe('laneKernel', () => {
  const refusing = class {
    constructor() {
      throw new Error('Wasm code generation disallowed by embedder')
    }
  }

  it.each([
    ['without WebAssembly', undefined],
    ['that refuses it', { Module: refusing, Instance: refusing }],
  ])('is not there in a runtime %s', (_, runtime) => {
    // An argument of undefined would stand for the default.
    expect(laneKernel((runtime ?? {}) as never)).toBeUndefined()
  })
})
