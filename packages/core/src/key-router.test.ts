import fc from 'fast-check'
import { expect, it } from 'vitest'
import { hashKeyOf } from './hash-key.js'
import { KeyRouter } from './key-router.js'
import { bytesOfKey } from './partition-key.js'
import { ShardMap } from './shard-map.js'

const SHARDS = 1000
const start = (i: number): bigint => (2n ** 128n * BigInt(i)) / BigInt(SHARDS)
const map = ShardMap.from(
  Array.from({ length: SHARDS }, (_, i) => ({
    ShardId: `shardId-${i}`,
    HashKeyRange: { StartingHashKey: String(start(i)), EndingHashKey: String(start(i + 1) - 1n) },
    SequenceNumberRange: { StartingSequenceNumber: '1' },
  })),
)

const expected = (key: string): string => map.at(hashKeyOf(key))!.shardId

const TRIAL = 4096
const ROUND = 33 * TRIAL

/** A router that remembers, which at first it does not: by some characters of a key or, as no trial by some has paid, by all. */
function warm(by: 'some' | 'all'): KeyRouter {
  const router = new KeyRouter(map)
  if (by === 'all') for (let i = 0; i < 2 * ROUND; i++) router.indexOf(`unique-${i}`)
  for (let i = 0; i < 34 * TRIAL; i++) router.indexOf('again')
  return router
}
const searches = ['some', 'all'] as const

it.each(searches)('finds the shard of any key, and its length, the first time and again, by %s of its characters', (by) => {
  const router = warm(by)
  const unit = fc.constantFrom('a', 'b', '\0', 'é', 'ÿ', 'Ā', '✈', '😀', '\ud800')
  fc.assert(
    fc.property(fc.array(fc.string({ unit, minLength: 1, maxLength: 70 }), { maxLength: 30 }), (keys) => {
      for (const key of [...keys, ...keys]) {
        const shard = map.open[router.indexOf(key)]
        expect(shard?.shardId).toBe(bytesOfKey(key) === 0 ? undefined : expected(key))
        expect([router.key, router.keyBytes]).toEqual([key, bytesOfKey(key)])
      }
    }),
    { numRuns: 500 },
  )
})

it.each(searches)('tells keys apart that differ in one character, wherever it is, or in length alone, by %s', (by) => {
  const router = warm(by)
  for (const length of [1, 2, 5, 6, 7, 8, 9, 16, 17, 36, 63, 64, 65, 66]) {
    for (let at = 0; at < length; at++) {
      for (const other of ['b', '\0', '\xff']) {
        const key = `${'a'.repeat(at)}${other}${'a'.repeat(length - at - 1)}`
        for (const again of [key, 'a'.repeat(length), key]) expect(map.open[router.indexOf(again)]!.shardId).toBe(expected(again))
      }
    }
  }
})

it.each(searches)('tells a key from those that come to the same slot, by %s', (by) => {
  const router = warm(by)
  const wrong: string[] = []
  for (let i = 0; i < 20_000; i++) {
    for (const key of [`${i}-alike`, `${i}-alike\0`, `key-${i}`, `key-${i}`, `${i}-alike`]) {
      if (map.open[router.indexOf(key)]!.shardId !== expected(key)) wrong.push(key)
    }
    // Else too few keys would return for it to remember any.
    for (let again = 0; again < 10; again++) router.indexOf('again')
  }
  expect(wrong).toEqual([])
})

it('needs no MD5 for keys that return, whatever came between; where none returns it tries no more than now and then', () => {
  let digested = 0
  const counting = {
    indexOf: (words: Uint32Array) => {
      digested++
      return map.indexOf(words)
    },
  }
  const router = new KeyRouter(counting as ShardMap)
  const share = (lookUps: number, key: (i: number) => string): number => {
    digested = 0
    for (let i = 0; i < lookUps; i++) router.indexOf(key(i))
    return digested / lookUps
  }
  const returning = (i: number): string => `key-${i % 100}`
  // Alike in the characters that are looked at first.
  const alike = (i: number): string => `${String(i % 100).padStart(3, '0')}-of-the-same-kind`
  for (let round = 0; round < 2; round++) {
    for (const key of [returning, alike]) {
      share(5 * ROUND, key)
      expect(share(10_000, key)).toBeLessThan(0.1)
    }
    share(2 * TRIAL, (i) => `unique-${round}-${i}`)
    expect(share(20_000, (i) => `unique-${i}-${round}`)).toBe(1)
  }
})

it('remembers one of two keys that come in turns to the same slot', () => {
  let digested = 0
  const counting = {
    indexOf: (words: Uint32Array) => {
      digested++
      return map.indexOf(words)
    },
  }
  const router = new KeyRouter(counting as ShardMap)
  const keys = ['a-of-the-same-kind', 'again', 'b-of-the-same-kind', 'again']
  for (let i = 0; i < 4 * TRIAL; i++) router.indexOf(keys[i % 4]!)
  digested = 0
  for (let i = 0; i < 1000; i++) router.indexOf(keys[i % 4]!)
  expect(digested).toBe(250)
})

it('is right through all its trials and pauses, with keys that come again and keys that do not', () => {
  const router = new KeyRouter(map)
  for (let i = 0; i < 8 * ROUND; i++) {
    const key = i % (2 * ROUND) < ROUND ? `unique-${i}` : `key-${i % 300}`
    const shard = map.open[router.indexOf(key)]!
    if (i % 7 === 0 && shard.shardId !== expected(key)) throw new Error(`${key} (${i}) is said to be of ${shard.shardId}`)
  }
})
