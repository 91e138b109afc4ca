import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_HASH_KEY, toWords } from './hash-key.js'
import type { KinesisPort, ListShardsInput, ListShardsOutput, ShardListing } from './kinesis-port.js'
import { listAllShards, ShardListingError, ShardMap } from './shard-map.js'

interface Leaf {
  readonly id: number
  readonly start: bigint
  readonly end: bigint
  readonly parents: readonly number[]
}

function listing(leaf: Leaf, closed = false): ShardListing {
  return {
    ShardId: `shardId-${String(leaf.id).padStart(12, '0')}`,
    HashKeyRange: { StartingHashKey: String(leaf.start), EndingHashKey: String(leaf.end) },
    SequenceNumberRange: {
      StartingSequenceNumber: String(leaf.id),
      ...(closed && { EndingSequenceNumber: String(leaf.id + 1) }),
    },
    ...(leaf.parents[0] !== undefined && { ParentShardId: `shardId-${String(leaf.parents[0]).padStart(12, '0')}` }),
    ...(leaf.parents[1] !== undefined && { AdjacentParentShardId: `shardId-${String(leaf.parents[1]).padStart(12, '0')}` }),
  }
}

/** Even shards, as CreateStream makes them. */
function even(count: number): Leaf[] {
  const edge = (index: number): bigint => (2n ** 128n * BigInt(index)) / BigInt(count)
  return Array.from({ length: count }, (_, id) => ({ id, start: edge(id), end: edge(id + 1) - 1n, parents: [] }))
}

/** A stream's life: even shards, then splits at any hash key (`at` picks where) and merges of neighbours. */
function grown(
  initial: number,
  steps: readonly { readonly pick: number; readonly at: bigint; readonly merge: boolean }[],
): {
  readonly open: Leaf[]
  readonly all: ShardListing[]
} {
  const open = even(initial)
  const closed: Leaf[] = []
  let id = initial
  for (const { pick, at, merge } of steps) {
    const index = pick % open.length
    const leaf = open[index]!
    const next = open[index + 1]
    if (merge && next !== undefined) {
      open.splice(index, 2, { id: id++, start: leaf.start, end: next.end, parents: [leaf.id, next.id] })
      closed.push(leaf, next)
    } else if (leaf.end > leaf.start) {
      // Most picks fall near the start of the range: so shards get narrow, down to a single hash key.
      const cut = leaf.start + 1n + (at % (leaf.end - leaf.start))
      const parents = [leaf.id]
      open.splice(
        index,
        1,
        { id: id++, start: leaf.start, end: cut - 1n, parents },
        { id: id++, start: cut, end: leaf.end, parents },
      )
      closed.push(leaf)
    }
  }
  return { open, all: [...closed.map((leaf) => listing(leaf, true)), ...open.map((leaf) => listing(leaf))] }
}

const anyKey = fc.bigInt({ min: 0n, max: MAX_HASH_KEY })
const smallOrLarge = fc.oneof(anyKey, fc.bigInt({ min: 0n, max: 3n }), fc.constant(2n ** 96n), fc.constant(2n ** 64n - 1n))
const step = fc.record({ pick: fc.nat(), at: smallOrLarge, merge: fc.boolean() })

function indexOf(map: ShardMap, key: bigint): number {
  const words = new Uint32Array(4)
  toWords(key, words)
  return map.indexOf(words)
}

/** Every edge of the leaves, its neighbours, and the keys given. */
function probes(leaves: readonly Leaf[], more: readonly bigint[]): bigint[] {
  const edges = leaves.flatMap(({ start, end }) => [start - 1n, start, start + 1n, end - 1n, end, end + 1n])
  return [...edges, ...more, 0n, MAX_HASH_KEY].filter((key) => key >= 0n && key <= MAX_HASH_KEY)
}

describe('lookup', () => {
  test('agrees with a linear search over any tree of splits and merges, edges included', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.array(step, { maxLength: 60 }),
        fc.array(anyKey, { maxLength: 20 }),
        (initial, steps, keys) => {
          const { open, all } = grown(initial, steps)
          const map = ShardMap.from(all)
          expect(map.open.map((shard) => shard.range)).toEqual(open.map(({ start, end }) => ({ start, end })))
          expect(map.holes).toEqual([])
          for (const key of probes(open, keys)) {
            const expected = open.findIndex((leaf) => key >= leaf.start && key <= leaf.end)
            if (indexOf(map, key) !== expected) expect.fail(`${key}: got ${indexOf(map, key)}, not ${expected}`)
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  test('finds holes where shards are missing', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.array(step, { maxLength: 30 }),
        fc.nat(),
        fc.array(anyKey),
        (initial, steps, seed, keys) => {
          const { open } = grown(initial, steps)
          const kept = open.filter((_, index) => (seed >> (index % 30)) % 2 === 0)
          const map = ShardMap.from(kept.map((leaf) => listing({ ...leaf, parents: [] })))
          for (const key of probes(open, keys)) {
            const expected = kept.findIndex((leaf) => key >= leaf.start && key <= leaf.end)
            expect(indexOf(map, key)).toBe(expected)
            expect(map.at(key)).toBe(map.open[expected])
            expect(map.holes.some((hole) => key >= hole.start && key <= hole.end)).toBe(expected === -1)
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  test.each([1, 2, 3, 7, 100, 1000, 9999, 10_000])('%i even shards, all edges', (count) => {
    const leaves = even(count)
    const map = ShardMap.from(leaves.map((leaf) => listing(leaf)))
    leaves.forEach((leaf, index) => {
      if (indexOf(map, leaf.start) !== index || indexOf(map, leaf.end) !== index) expect.fail(`shard ${index}`)
    })
  })

  test('10,000 shards of one hash key each within one bucket', () => {
    const base = 12345n << 100n
    const leaves: Leaf[] = [{ id: 0, start: 0n, end: base - 1n, parents: [] }]
    for (let i = 0; i < 9998; i++) leaves.push({ id: i + 1, start: base + BigInt(i), end: base + BigInt(i), parents: [] })
    leaves.push({ id: 9999, start: base + 9998n, end: MAX_HASH_KEY, parents: [] })
    const map = ShardMap.from(leaves.map((leaf) => listing(leaf)))
    for (const [index, leaf] of leaves.entries()) if (indexOf(map, leaf.start) !== index) expect.fail(`shard ${index}`)
    expect(indexOf(map, MAX_HASH_KEY)).toBe(9999)
  })

  test("the KPL's vectors: three shards, both edges", () => {
    const cut = [0n, 85070591730234615865843651857942052863n, 170141183460469231731687303715884105728n, MAX_HASH_KEY + 1n]
    const ids = [2, 3, 1]
    const map = ShardMap.from(ids.map((id, i) => listing({ id, start: cut[i]!, end: cut[i + 1]! - 1n, parents: [] })).reverse())
    const found = (key: string): string | undefined => map.at(BigInt(key))?.shardId.slice(-1)
    expect(found('170141183460469231731687303715884105728')).toBe('1')
    expect(found('340282366920938463463374607431768211455')).toBe('1')
    expect(found('0')).toBe('2')
    expect(found('85070591730234615865843651857942052862')).toBe('2')
    expect(found('85070591730234615865843651857942052863')).toBe('3')
    expect(found('170141183460469231731687303715884105727')).toBe('3')
  })

  test('no shard at all: a hole everywhere', () => {
    const map = ShardMap.from([])
    expect([indexOf(map, 0n), indexOf(map, MAX_HASH_KEY)]).toEqual([-1, -1])
    expect(map.at(5n)).toBeUndefined()
    expect(map.holes).toEqual([{ start: 0n, end: MAX_HASH_KEY }])
  })
})

describe('listing', () => {
  const whole: Leaf = { id: 0, start: 0n, end: MAX_HASH_KEY, parents: [] }
  const left: Leaf = { id: 1, start: 0n, end: 9n, parents: [0] }
  const right: Leaf = { id: 2, start: 10n, end: MAX_HASH_KEY, parents: [0] }

  test('gives open and closed shards by id, and their parents', () => {
    const merged: Leaf = { id: 3, start: 0n, end: MAX_HASH_KEY, parents: [1, 2] }
    const map = ShardMap.from([listing(whole, true), listing(left, true), listing(right, true), listing(merged)])
    expect(map.get('shardId-000000000000')).toEqual({
      shardId: 'shardId-000000000000',
      range: { start: 0n, end: MAX_HASH_KEY },
      startingSequenceNumber: '0',
      endingSequenceNumber: '1',
    })
    expect(map.open.map((shard) => shard.shardId)).toEqual(['shardId-000000000003'])
    expect(map.open[0]).toMatchObject({ parentShardId: 'shardId-000000000001', adjacentParentShardId: 'shardId-000000000002' })
    expect(map.get('shardId-9')).toBeUndefined()
  })

  test('a parent that is still listed as open is closed: its children take the records', () => {
    const map = ShardMap.from([listing(whole), listing(left), listing(right)])
    expect(map.open.map((shard) => shard.shardId)).toEqual(['shardId-000000000001', 'shardId-000000000002'])
    expect(ShardMap.from([listing(whole), listing(left)]).holes).toEqual([{ start: 10n, end: MAX_HASH_KEY }])
  })

  test('the same shard twice is one shard', () => {
    expect(ShardMap.from([listing(whole), listing(whole)]).open).toHaveLength(1)
  })

  test('cannot be changed', () => {
    const map = ShardMap.from([listing(whole)])
    expect(() => (map.open as unknown[]).push(1)).toThrow(TypeError)
    expect(Object.isFrozen(map.open[0])).toBe(true)
    expect(Object.isFrozen(map.open[0]?.range)).toBe(true)
  })

  const good = listing(left)
  test.each<[string, ShardListing, RegExp]>([
    ['no id', { ...good, ShardId: undefined }, /\(without ShardId\) has no ShardId/],
    ['no range', { ...good, HashKeyRange: undefined }, /shardId-000000000001 has a HashKeyRange that is not/],
    ['no end', { ...good, HashKeyRange: { StartingHashKey: '0' } }, /HashKeyRange/],
    ['a range upside down', { ...good, HashKeyRange: { StartingHashKey: '9', EndingHashKey: '8' } }, /HashKeyRange/],
    [
      'a range too far',
      { ...good, HashKeyRange: { StartingHashKey: '0', EndingHashKey: String(MAX_HASH_KEY + 1n) } },
      /HashKeyRange/,
    ],
    ['no sequence number', { ...good, SequenceNumberRange: {} }, /shardId-000000000001 has no StartingSequenceNumber/],
  ])('refuses an entry with %s, naming it', (_what, entry, message) => {
    expect(() => ShardMap.from([entry])).toThrow(message)
    expect(() => ShardMap.from([entry])).toThrow(ShardListingError)
  })

  test('refuses open shards that overlap without being kin', () => {
    const overlapping = [listing({ ...left, parents: [], end: 10n }), listing({ ...right, parents: [] })]
    expect(() => ShardMap.from(overlapping)).toThrow(/shardId-000000000002 starts inside shardId-000000000001/)
  })
})

describe('listAllShards', () => {
  const shards = even(5).map((leaf) => listing(leaf))

  function paged(pages: readonly ListShardsOutput[]): { readonly port: KinesisPort; readonly inputs: ListShardsInput[] } {
    const inputs: ListShardsInput[] = []
    const listShards = async (input: ListShardsInput): Promise<ListShardsOutput> => {
      inputs.push(input)
      return pages[inputs.length - 1] ?? expect.fail('one page too many')
    }
    return { port: { listShards } as unknown as KinesisPort, inputs }
  }

  test('asks for further pages by NextToken alone', async () => {
    const { port, inputs } = paged([
      { Shards: shards.slice(0, 2), NextToken: 'a' },
      { NextToken: 'b' },
      { Shards: shards.slice(2) },
    ])
    expect(await listAllShards(port, { StreamName: 's' }, { filter: { Type: 'AT_LATEST' } })).toEqual(shards)
    expect(inputs).toEqual([{ StreamName: 's', ShardFilter: { Type: 'AT_LATEST' } }, { NextToken: 'a' }, { NextToken: 'b' }])
  })

  test('does not follow a token that points to itself', async () => {
    const { port } = paged([
      { Shards: shards, NextToken: 'a' },
      { Shards: shards, NextToken: 'a' },
    ])
    await expect(listAllShards(port, { StreamName: 's' })).rejects.toThrow(/points to itself/)
  })
})
