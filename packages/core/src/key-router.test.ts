import fc from 'fast-check'
import { expect, it } from 'vitest'
import { hashKeyOf } from './hash-key.js'
import { KeyRouter } from './key-router.js'
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

/** A router that remembers: its first look-ups are not. */
function warm(): KeyRouter {
  const router = new KeyRouter(map)
  for (let i = 0; i < 2048; i++) router.indexOf('again')
  return router
}

it('finds the shard that holds the MD5 of any key, the first time and again', () => {
  const router = warm()
  const unit = fc.constantFrom('a', 'b', '\0', 'é', 'ÿ', 'Ā', '✈', '😀', '\ud800')
  fc.assert(
    fc.property(fc.array(fc.string({ unit, minLength: 1, maxLength: 40 }), { maxLength: 30 }), (keys) => {
      for (const key of [...keys, ...keys]) expect(map.open[router.indexOf(key)]!.shardId).toBe(expected(key))
    }),
    { numRuns: 500 },
  )
})

it('tells keys apart that differ in one character, wherever it is, or in length alone', () => {
  const router = warm()
  for (let length = 1; length <= 34; length++) {
    for (let at = 0; at < length; at++) {
      for (const other of ['b', '\0', '\xff']) {
        const key = `${'a'.repeat(at)}${other}${'a'.repeat(length - at - 1)}`
        for (const again of [key, 'a'.repeat(length), key]) expect(map.open[router.indexOf(again)]!.shardId).toBe(expected(again))
      }
    }
  }
})

it('tells a key from a longer one that fills the same words and comes to the same slot', () => {
  const router = warm()
  const wrong: string[] = []
  for (let i = 0; i < 20_000; i++) {
    for (const key of [`k${i}`, `k${i}\0`]) if (map.open[router.indexOf(key)]!.shardId !== expected(key)) wrong.push(key)
    // Else too few keys would return for it to remember any.
    for (let again = 0; again < 4; again++) router.indexOf('again')
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
  for (let round = 0; round < 3; round++) {
    share(20_000, (i) => `key-${i % 100}`)
    expect(share(10_000, (i) => `key-${i % 100}`)).toBe(0)
    expect(share(20_000, (i) => `unique-${round}-${i}`)).toBe(1)
  }
})

it('is right through all its trials and pauses, with keys that come again and keys that do not', () => {
  const router = new KeyRouter(map)
  for (let i = 0; i < 100_000; i++) {
    const key = i % 40_000 < 20_000 ? `unique-${i}` : `key-${i % 300}`
    const shard = map.open[router.indexOf(key)]!
    if (i % 7 === 0 && shard.shardId !== expected(key)) throw new Error(`${key} (${i}) is said to be of ${shard.shardId}`)
  }
})
