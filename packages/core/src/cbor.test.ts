import { cbor as smithy } from '@smithy/core/cbor'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CborError, decodeCbor, encodeCbor } from './cbor.js'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const shown = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('known forms', () => {
  // Examples of RFC 8949, appendix A
  const both: [string, unknown][] = [
    ['00', 0],
    ['17', 23],
    ['1818', 24],
    ['18ff', 255],
    ['190100', 256],
    ['1903e8', 1000],
    ['1a000f4240', 1_000_000],
    ['1b000000e8d4a51000', 1_000_000_000_000],
    ['1b001fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['1b0020000000000000', 2n ** 53n],
    ['1bffffffffffffffff', 2n ** 64n - 1n],
    ['20', -1],
    ['29', -10],
    ['3863', -100],
    ['3903e7', -1000],
    ['3b001ffffffffffffe', Number.MIN_SAFE_INTEGER],
    ['3b001fffffffffffff', -(2n ** 53n)],
    ['3bffffffffffffffff', -(2n ** 64n)],
    ['fb3ff199999999999a', 1.1],
    ['fb7e37e43c8800759c', 1e300],
    ['fb8000000000000000', -0],
    ['fb7ff0000000000000', Number.POSITIVE_INFINITY],
    ['f4', false],
    ['f5', true],
    ['f6', null],
    ['40', Buffer.alloc(0)],
    ['4401020304', Buffer.from([1, 2, 3, 4])],
    ['60', ''],
    ['6449455446', 'IETF'],
    ['62c3bc', 'ü'],
    ['64f0908591', '𐅑'],
    ['80', []],
    ['8301820203820405', [1, [2, 3], [4, 5]]],
    ['a0', {}],
    ['a26161016162820203', { a: 1, b: [2, 3] }],
    ['c11b0000018bcfe5687b', new Date(1_700_000_000_123)],
    ['c120', new Date(-1)],
  ]
  test.each(both)('%s', (encoded, value) => {
    expect(decodeCbor(hex(encoded))).toEqual(value)
    expect(shown(encodeCbor(value))).toBe(encoded)
  })

  test.each<[string, unknown]>([
    ['f97c00', Number.POSITIVE_INFINITY],
    ['f9fc00', Number.NEGATIVE_INFINITY],
    ['f97e00', Number.NaN],
    ['f93c00', 1],
    ['f9c400', -4],
    ['f90001', 2 ** -24],
    ['f90400', 2 ** -14],
    ['f97bff', 65504],
    ['fa47c35000', 100_000],
    ['f7', undefined],
    ['1800', 0],
    ['5f42010243030405ff', Buffer.from([1, 2, 3, 4, 5])],
    ['5fff', Buffer.alloc(0)],
    ['7f657374726561646d696e67ff', 'streaming'],
    ['7f41c3ff'.replace('41', '61').replace('ff', '61bcff'), 'ü'],
    ['9fff', []],
    ['9f018202039f0405ffff', [1, [2, 3], [4, 5]]],
    ['bf61610161629f0203ffff', { a: 1, b: [2, 3] }],
    ['bf7f616161 62ff01ff', { ab: 1 }],
    ['a2 6161 01 6161 02', { a: 2 }],
    ['c1fb41d954fc40000000', new Date(1_700_000_000_000)],
    ['c1fb41d954fc4007df3b', new Date(1_700_000_000_123)],
    ['c249010000000000000000', 2n ** 64n],
    ['c349010000000000000000', -1n - 2n ** 64n],
    ['c240', 0n],
    ['d9d9f7 01', 1],
    ['d74401020304', Buffer.from([1, 2, 3, 4])],
  ])('also reads %s', (encoded, value) => {
    expect(decodeCbor(hex(encoded))).toEqual(value)
  })

  test('members that are undefined are left out', () => {
    expect(shown(encodeCbor({ a: undefined, b: 1 }))).toBe('a1616201')
  })

  test('names that an object already has are members like others', () => {
    const value = { ['__proto__']: { polluted: true }, constructor: 1, toString: 2, hasOwnProperty: 3 }
    const decoded = decodeCbor(encodeCbor(value)) as Record<string, unknown>
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype)
    expect(Object.keys(decoded)).toEqual(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])
    expect(Object.getOwnPropertyDescriptor(decoded, '__proto__')?.value).toEqual({ polluted: true })
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  test('byte strings are views into the input', () => {
    const input = encodeCbor({ Data: Buffer.from('hello') })
    const { Data: data } = decodeCbor(input) as { Data: Uint8Array }
    expect(data.buffer).toBe(input.buffer)
    input[input.length - 1] = 0x21
    expect(Buffer.from(data).toString()).toBe('hell!')
  })

  test('an input that is a part of a larger buffer', () => {
    const whole = Buffer.concat([Buffer.from([0xff, 0xff]), encodeCbor({ a: ['x', Buffer.from('y')] }), Buffer.from([0xff])])
    expect(decodeCbor(whole.subarray(2, -1))).toEqual({ a: ['x', Buffer.from('y')] })
  })

  test("what encodeCbor returns is the caller's alone", () => {
    const first = encodeCbor('first')
    encodeCbor('other')
    expect(decodeCbor(first)).toBe('first')
  })
})

test('texts and bytes of any length at any place of the buffer as it grows', () => {
  for (let length = 0; length < 30; length++) {
    for (let before = 225; before < 260; before++) {
      const value = [Buffer.alloc(before), 'x'.repeat(length), Buffer.alloc(length), 'é'.repeat(length), before * 1e9]
      expect(decodeCbor(encodeCbor(value))).toEqual(value)
    }
  }
})

describe('refused', () => {
  test.each<[string, string, RegExp]>([
    ['nothing', '', /ends too early at byte 0/],
    ['a head cut off', '19 01', /ends too early/],
    ['bytes beyond the input', '43 01 02', /a length of 3, beyond the input at byte 1/],
    ['text beyond the input', '5a ffffffff', /a length of 4294967295/],
    ['2^64 bytes', '5b ffffffffffffffff', /a length of 18446744073709551615/],
    ['an array of 2^32', '9a ffffffff 00', /beyond the input/],
    ['a map of more members than can be', 'a4 6161 01 6162 02', /a length of 4, beyond the input/],
    ['an array without its end', '9f 01', /ends too early at byte 2/],
    ['a map without its end', 'bf 6161 01', /ends too early/],
    ['a chunk of another type', '5f 6161 ff', /another type/],
    ['chunks within chunks', '5f 5f ff ff', /another type/],
    ['a break alone', 'ff', /break outside/],
    ['a break as a value', 'a1 6161 ff', /break outside/],
    ['a break in an array of known length', '81 ff', /break outside/],
    ['bytes after the value', '01 02', /1 bytes follow the value at byte 1/],
    ['a reserved head', '1c', /reserved length 28/],
    ['an integer of indefinite length', '1f', /reserved length 31/],
    ['an unknown simple value', 'f0', /unknown simple value 16/],
    ['a simple value of two bytes', 'f8ff', /unknown simple value 24/],
    ['a key that is not text', 'a1 01 02', /key that is not text/],
    ['a key that is bytes', 'a1 41 61 02', /key that is not text/],
    ['a timestamp of text', 'c1 6161', /timestamp that is not a date/],
    ['a timestamp beyond all dates', 'c1 1b ffffffffffffffff', /timestamp that is not a date/],
    ['a timestamp that is not a number', 'c1 fb7ff8000000000000', /timestamp that is not a date/],
    ['a timestamp of a timestamp', 'c1 c1 01', /timestamp that is not a date/],
    ['a big number of text', 'c2 6161', /big number/],
    ['a very big number', `c2 5865 ${'ff'.repeat(101)}`, /big number/],
  ])('%s', (_what, encoded, message) => {
    expect(() => decodeCbor(hex(encoded))).toThrow(message)
    expect(() => decodeCbor(hex(encoded))).toThrow(CborError)
  })

  test.each([
    ['arrays', '81'],
    ['endless arrays', '9f'],
    ['maps', 'a161 61'],
    ['tags', 'c6'],
  ])('nesting without end: %s', (_what, unit) => {
    for (const depth of [100, 1_000_000])
      expect(() => decodeCbor(hex(unit.repeat(depth)))).toThrow(/nested more than 64 deep|too early/)
    expect(() => decodeCbor(hex(`${unit.repeat(100)}00`))).toThrow(/nested more than 64 deep/)
  })

  test('what has no form', () => {
    const circle: unknown[] = []
    circle.push(circle)
    const values = [
      undefined,
      [undefined],
      () => {},
      Symbol('s'),
      2n ** 64n,
      -(2n ** 64n) - 1n,
      new Date(Number.NaN),
      new Map(),
      new Set(),
      new Uint16Array(2),
      new ArrayBuffer(2),
      circle,
    ]
    for (const value of values) expect(() => encodeCbor(value)).toThrow(CborError)
  })

  test('a lying length takes no memory', () => {
    const lies = ['9a 00ffffff', 'ba 007fffff', '5a 7fffffff', '7a 7fffffff', '9b 0000ffffffffffff', 'bb 0000ffffffffffff']
    const before = process.memoryUsage()
    for (let i = 0; i < 2000; i++) for (const lie of lies) expect(() => decodeCbor(hex(lie))).toThrow(CborError)
    const after = process.memoryUsage()
    expect(after.arrayBuffers + after.heapTotal - before.arrayBuffers - before.heapTotal).toBeLessThan(200_000_000)
  })
})

/** Objects whose keys may be anything, `__proto__` too. */
const anyObject = (value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc
    .array(
      fc.tuple(
        fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('Data', 'PartitionKey', '__proto__', 'Dasa', 'é')),
        value,
      ),
    )
    .map((entries) => {
      const object: Record<string, unknown> = {}
      for (const [key, member] of entries) {
        Object.defineProperty(object, key, { value: member, enumerable: true, configurable: true, writable: true })
      }
      return object
    })
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
const scalars = [
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.string({ unit: 'grapheme', maxLength: 70 }),
  bytes,
]
const dates = fc.date({ noInvalidDate: true, min: new Date(-8.64e15), max: new Date(8.64e15) })
const large = fc.oneof(fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }), fc.bigInt({ min: -(2n ** 64n), max: -(2n ** 53n) }))
const tree = (leaves: fc.Arbitrary<unknown>[]): fc.Arbitrary<unknown> =>
  fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, ...leaves, tie('array'), tie('object')),
    array: fc.array(tie('value'), { maxLength: 30 }),
    object: anyObject(tie('value')),
  })).value

describe('properties', () => {
  test('what is written reads the same', () => {
    fc.assert(
      fc.property(tree([...scalars, dates, large]), (value) => {
        expect(decodeCbor(encodeCbor(value))).toEqual(value)
      }),
      { numRuns: 2000 },
    )
  })

  test("the SDK's codec reads what we write, and we read what it writes", () => {
    // Its own members aside: it makes `__proto__` the prototype, and writes no dates.
    const plain = tree(scalars).filter((value) => !JSON.stringify(value)?.includes('"__proto__"'))
    fc.assert(
      fc.property(plain, (value) => {
        const ours = smithy.deserialize(encodeCbor(value)) as unknown
        expect(asPlain(ours)).toEqual(asPlain(value))
        expect(asPlain(decodeCbor(Uint8Array.from(smithy.serialize(value))))).toEqual(asPlain(value))
      }),
      { numRuns: 1000 },
    )
  })

  test('hostile bytes: an answer or a CborError, 300,000 times', () => {
    const random = mulberry(20_260_201)
    const record = {
      Data: Buffer.from('some data'),
      PartitionKey: 'key',
      ApproximateArrivalTimestamp: new Date(1_700_000_000_123),
      SequenceNumber: '495',
    }
    const seeds = [
      encodeCbor({ Records: [record, record, record], MillisBehindLatest: 0, NextShardIterator: 'x'.repeat(40) }),
      encodeCbor({ a: [1, -1, 1.5, 2n ** 60n, null, true, { b: {} }] }),
      hex('bf6752656 36f726473 9fbf 6444617461 5f 4101 4102 ff ff ff ff'),
    ]
    let readable = 0
    for (let run = 0; run < 300_000; run++) {
      const input = mutated(seeds[run % seeds.length]!, random, seeds)
      try {
        decodeCbor(input)
        readable++
      } catch (error) {
        if (!(error instanceof CborError)) expect.fail(`${shown(input)}: ${String(error)}`)
      }
    }
    // Both outcomes must occur, or this proves nothing.
    expect(readable).toBeGreaterThan(10_000)
    expect(readable).toBeLessThan(290_000)
  })
})

/** Byte strings by content, whatever their class; and the SDK's codec writes -0 as 0. */
function asPlain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: shown(value) }
  if (Array.isArray(value)) return value.map(asPlain)
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' || value === 0 ? Number(value) + 0 : value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, asPlain(member)]))
}

function mulberry(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Flips, cuts, splices, or makes up bytes. */
function mutated(seed: Uint8Array, random: (below: number) => number, seeds: readonly Uint8Array[]): Uint8Array {
  const kind = random(5)
  if (kind === 0) return Uint8Array.from({ length: random(24) }, () => random(256))
  if (kind === 1) return seed.slice(0, random(seed.length))
  if (kind === 2) {
    const other = seeds[random(seeds.length)]!
    return Uint8Array.from([...seed.slice(0, random(seed.length)), ...other.slice(random(other.length))])
  }
  const copy = Uint8Array.from(seed)
  for (let flips = 1 + random(kind); flips > 0; flips--) copy[random(copy.length)] = random(256)
  return copy
}
