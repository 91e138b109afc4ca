import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import { type Random, seededRandom } from '@shardwise/core/random'
import type { Shard } from '@shardwise/core/shard-map'
import { beforeEach, describe, expect, test } from 'vitest'
import { SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { hasBegun, hasEnded, type Lease } from '../leases/lease.js'
import { aLease } from '../leases/testing/lease-rows.js'
import { coverAllHashKeys, HashRangeWatch, missingRanges } from './hash-range-watch.js'
import { finishedLeases } from './lease-garbage.js'
import { parentIds } from './shard-family.js'
import { parentsHaveEnded } from './shard-lineage.js'
import { RandomStream } from './testing/random-stream.js'

const WHOLE = { start: 0n, end: MAX_HASH_KEY }
const NO_SHARDS = new Map<string, Shard>()

function lease(key: string, start: bigint, end: bigint, changes: Partial<Lease> = {}): Lease {
  return aLease(key, { range: { start, end }, checkpoint: sequencePosition('1'), ...changes })
}

function shard(shardId: string, range: Shard['range']): Shard {
  return { shardId, range, startingSequenceNumber: '1' }
}

let watch: HashRangeWatch

beforeEach(() => {
  watch = new HashRangeWatch()
})

/** What each scan in turn reports. */
function holes(...scans: readonly (readonly Lease[])[]): (string | undefined)[] {
  return scans.map((leases) => {
    const hole = watch.observe(leases, NO_SHARDS)
    return hole && `${hole.start}-${hole.end === MAX_HASH_KEY ? 'max' : hole.end}`
  })
}

describe('KCL scenario 18: the audit of hash ranges', () => {
  const left = lease('l', 0n, 9n)
  const right = lease('r', 20n, MAX_HASH_KEY)
  const middle = lease('m', 10n, 19n)

  test('the same hole three scans in a row is reported, once', () => {
    const scan = [left, right]
    expect(holes(scan, scan, scan, scan, scan)).toEqual([undefined, undefined, '10-19', undefined, undefined])
  })

  test('a hole that shifts, or is filled meanwhile, starts the count again', () => {
    const shifted = [left, lease('r', 15n, MAX_HASH_KEY)]
    const full = [left, middle, right]
    const scan = [left, right]
    expect(holes(scan, scan, shifted, shifted, full, scan, scan)).toEqual(Array.from({ length: 7 }, () => undefined))
    expect(holes(scan)).toEqual(['10-19'])
  })

  test('at either end, everywhere, and behind a shard that has ended', () => {
    expect(holes([right], [right], [right]).at(-1)).toBe('0-19')
    expect(holes([left], [left], [left]).at(-1)).toBe('10-max')
    expect(holes([], [], []).at(-1)).toBe('0-max')
    const ended = [left, right, { ...middle, checkpoint: SHARD_END }]
    expect(holes(ended, ended, ended).at(-1)).toBe('10-19')
    const waiting = [left, right, { ...middle, checkpoint: SHARD_END, childShardIds: ['merged'] }]
    expect(holes(waiting, waiting, waiting).at(-1)).toBe(undefined)
  })

  test('a parent at work covers its children; overlaps are no holes', () => {
    const scan = [lease('p', 0n, MAX_HASH_KEY), left]
    expect(holes(scan, scan, scan).at(-1)).toBe(undefined)
  })

  test('ranges that rows lack are taken from the list of shards; where that does not know them nothing is said', () => {
    const kcl = [left, right, aLease('m', { range: undefined })]
    const known = new Map([['m', shard('m', { start: 10n, end: 18n })]])
    for (const _ of [1, 2, 3]) expect(watch.observe(kcl, NO_SHARDS)).toBe(undefined)
    const found = [1, 2, 3].map(() => watch.observe(kcl, known))
    expect(found).toEqual([undefined, undefined, { start: 19n, end: 19n }])
  })

  test('rows without a range get the one that the stream lists, unless it is a single hash key or the shard is finished or unknown', () => {
    const rows = ['none', 'single', 'ended', 'unknown'].map((key) =>
      aLease(key, { range: undefined, checkpoint: key === 'ended' ? SHARD_END : TRIM_HORIZON }),
    )
    const shards = new Map(
      ['none', 'single', 'ended'].map((id) => [id, shard(id, { start: 5n, end: id === 'single' ? 5n : 9n })]),
    )
    expect([...missingRanges([left, ...rows], shards)]).toEqual([[rows[0], { start: 5n, end: 9n }]])
  })

  test('a thousand random reshard trees never show a hole, however far each shard is read and whatever was deleted', () => {
    for (let seed = 0; seed < 1_000; seed++) {
      const random = seededRandom(seed)
      const stream = new RandomStream(random, 1 + Math.floor(random() * 4))
      const table = new Map<string, Lease>()
      for (const each of stream.shards) table.set(each.shardId, row(each))
      const history = new HashRangeWatch()
      for (let step = 0; step < 60; step++) {
        if (random() < 0.3) stream.reshard()
        else if (random() < 0.2)
          for (const done of finishedLeases([...table.values()], stream.listed)) table.delete(done.leaseKey)
        else read(table, stream, random)
        expect(history.observe([...table.values()], NO_SHARDS)).toBe(undefined)
        expect(coverAllHashKeys([...table.values()])).toBe(true)
      }
    }
  })
})

test('a table covers all hash keys only when every range of it is known', () => {
  expect(coverAllHashKeys([])).toBe(false)
  expect(coverAllHashKeys([aLease('a', { range: WHOLE })])).toBe(true)
  expect(coverAllHashKeys([aLease('a', { range: WHOLE, checkpoint: SHARD_END })])).toBe(false)
  expect(coverAllHashKeys([aLease('a', { range: undefined })])).toBe(false)
})

function row({ shardId, range, ...rest }: Shard): Lease {
  return aLease(shardId, { range, parentShardIds: parentIds(rest) })
}

/** One shard is read some way, or to its end, as the coordinator does it: children first. */
function read(table: Map<string, Lease>, stream: RandomStream, random: Random): void {
  const ready = [...table.values()].filter((each) => !hasEnded(each) && parentsHaveEnded(each, table))
  const next = ready[Math.floor(random() * ready.length)]!
  if (!hasBegun(next) || stream.get(next.shardId).endingSequenceNumber === undefined) {
    table.set(next.leaseKey, { ...next, checkpoint: sequencePosition('1') })
    return
  }
  const children = stream.shards.filter((each) => parentIds(each).includes(next.shardId))
  for (const child of children) {
    if (!table.has(child.shardId) && parentIds(child).every((id) => table.has(id))) table.set(child.shardId, row(child))
  }
  table.set(next.leaseKey, { ...next, checkpoint: SHARD_END, childShardIds: children.map(({ shardId }) => shardId) })
}
