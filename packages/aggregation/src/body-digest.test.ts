import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { bodyDigest, trailersMatch, writeTrailers } from './body-digest.js'
import { md5 } from './md5.js'

const refusing = {
  hash: () => {
    throw new Error('error:0308010C:digital envelope routines::unsupported')
  },
}

describe('bodyDigest', () => {
  it.each([
    ['a browser', undefined],
    ['a runtime before getBuiltinModule', {}],
    ['a runtime without node:crypto', { getBuiltinModule: () => undefined }],
    ['a node:crypto without hash', { getBuiltinModule: () => ({}) }],
    ['Node in FIPS mode, which refuses MD5', { getBuiltinModule: () => refusing }],
  ])('is our own in %s', (_, runtime) => {
    expect(bodyDigest(runtime)).toBe(md5)
  })

  it('is OpenSSL here, with the same bytes', () => {
    const native = bodyDigest(process)
    expect(native).not.toBe(md5)
    for (const length of [0, 1, 55, 56, 64, 1000, 51_200]) {
      const bytes = new Uint8Array(length).map((_, i) => i * 7)
      expect(Buffer.from(native(bytes)).toString('hex')).toBe(createHash('md5').update(bytes).digest('hex'))
      expect(Buffer.from(md5(bytes)).equals(native(bytes))).toBe(true)
    }
  })
})

it('a trailer matches what it was written over and nothing else', () => {
  const aggregate = new Uint8Array(4 + 100 + 16).fill(7)
  writeTrailers([aggregate])
  expect(trailersMatch([aggregate])).toEqual([true])
  for (let i = 4; i < aggregate.length; i++) {
    aggregate[i]! ^= 1
    expect(trailersMatch([aggregate])).toEqual([false])
    aggregate[i]! ^= 1
  }
})

afterEach(() => {
  vi.unstubAllGlobals()
  vi.resetModules()
})

describe.each([
  ['with WebAssembly', true],
  ['without', false],
])('%s', (_, isThere) => {
  const bodyDigests = async () => {
    if (isThere) return import('./body-digest.js')
    vi.stubGlobal('WebAssembly', undefined)
    return import('./body-digest.js')
  }

  it.each([2, 3, 8, 9, 17, 25])(
    '%i trailers at once are those that OpenSSL gives, and each is judged by itself',
    async (count) => {
      const { trailersMatch, writeTrailers } = await bodyDigests()
      const aggregates = Array.from({ length: count }, (_, i) => Uint8Array.from({ length: 20 + i * 77 }, (_, at) => at * i))
      writeTrailers(aggregates)
      for (const aggregate of aggregates) {
        const expected = createHash('md5').update(aggregate.subarray(4, -16)).digest('hex')
        expect(Buffer.from(aggregate.subarray(-16)).toString('hex')).toBe(expected)
      }
      expect(trailersMatch(aggregates)).toEqual(aggregates.map(() => true))
      for (const [spoilt, aggregate] of aggregates.entries()) {
        for (const at of [4, aggregate.length - 16, aggregate.length - 1]) {
          aggregate[at]! ^= 0x80
          expect(trailersMatch(aggregates)).toEqual(aggregates.map((_, i) => i !== spoilt))
          aggregate[at]! ^= 0x80
        }
      }
    },
  )
})
