import { seededRandom } from '@shardwise/core/random'
import type { Shard } from '@shardwise/core/shard-map'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LATEST, type Position, SHARD_END, TRIM_HORIZON } from '../checkpoints/position.js'
import type { Lease } from '../leases/lease.js'
import { aLease } from '../leases/testing/lease-rows.js'
import { parentIds } from './shard-family.js'
import { childLease, missingLeases, parentsHaveEnded, type StartingPoint } from './shard-lineage.js'

const RANGE = { start: 0n, end: 1n }
const FROM_THE_OLDEST: StartingPoint = { kind: 'trim-horizon' }

function shard(id: number, epoch: number, parents: readonly number[] = [], closed = false): Shard {
  return {
    shardId: `s${id}`,
    range: RANGE,
    startingSequenceNumber: `${epoch * 100 + id}`,
    ...(parents[0] !== undefined && { parentShardId: `s${parents[0]}` }),
    ...(parents[1] !== undefined && { adjacentParentShardId: `s${parents[1]}` }),
    ...(closed && { endingSequenceNumber: '999999' }),
  }
}

/**
 * The example of HierarchicalShardSyncer.java: 0 and 1 merged into 6, 2 and 3 into 7, these two into 8; 5 split into 9 and 10; 4 stayed.
 * Epochs: 1 (shards 0-5), 2 (6, 7), 3 (8, 9, 10).
 */
const TREE: readonly Shard[] = [
  shard(0, 1, [], true),
  shard(1, 1, [], true),
  shard(2, 1, [], true),
  shard(3, 1, [], true),
  shard(4, 1),
  shard(5, 1, [], true),
  shard(6, 2, [0, 1], true),
  shard(7, 2, [2, 3], true),
  shard(8, 3, [6, 7]),
  shard(9, 3, [5]),
  shard(10, 3, [5]),
]
const EPOCHS: Record<number, readonly number[]> = { 1: [0, 1, 2, 3, 4, 5], 2: [4, 5, 6, 7], 3: [4, 8, 9, 10] }

function startingAt(epoch: number, kind: 'latest' | 'at-timestamp' = 'latest'): StartingPoint {
  return { kind, startAt: epoch, openThen: new Set(EPOCHS[epoch]!.map((id) => `s${id}`)) }
}

function leased(ids: readonly number[], checkpoint: Position = TRIM_HORIZON): { shardId: string; checkpoint: Position }[] {
  return ids.map((id) => ({ shardId: `s${id}`, checkpoint }))
}

function keys(leases: readonly { leaseKey: string }[]): number[] {
  return leases.map((lease) => Number(lease.leaseKey.slice(1)))
}

describe('the tree of KCL', () => {
  test.each<[string, StartingPoint, ReturnType<typeof leased>, number[]]>([
    ['empty table, oldest data', FROM_THE_OLDEST, [], [0, 1, 2, 3, 4, 5]],
    ['empty table, latest', startingAt(3), [], [4, 8, 9, 10]],
    ['empty table, a time at which the parents were open', startingAt(1, 'at-timestamp'), [], [0, 1, 2, 3, 4, 5]],
    ['empty table, a time in between', startingAt(2, 'at-timestamp'), [], [4, 5, 6, 7]],
    ['leases 4, 5, 7: the other parent of the merge, at the tip', startingAt(3), leased([4, 5, 7]), [6]],
    ['leases 4, 5, 7: its oldest ancestors', FROM_THE_OLDEST, leased([4, 5, 7]), [0, 1]],
    ['leases 4, 5, 7: its ancestors at an early time', startingAt(1, 'at-timestamp'), leased([4, 5, 7]), [0, 1]],
    ['leases 4, 5, 7: what was open when the application first started', startingAt(1), leased([4, 5, 7]), [0, 1]],
    ['leases of the open shards: nothing', FROM_THE_OLDEST, leased([4, 8, 9, 10]), []],
    ['ancestors at work: their end creates the rest', startingAt(3), leased([0, 1, 2, 3, 4, 5]), []],
    ['half of a reshard is leased', startingAt(3), leased([4, 8, 9]), [10]],
    ['a finished parent left no child', FROM_THE_OLDEST, [...leased([4, 8, 9]), ...leased([5], SHARD_END)], [10]],
    [
      'one parent of a merge finished, the other at work',
      FROM_THE_OLDEST,
      [...leased([4, 9, 10, 6]), ...leased([7], SHARD_END)],
      [],
    ],
    ['both parents of a merge finished', FROM_THE_OLDEST, [...leased([4, 9, 10]), ...leased([6, 7], SHARD_END)], [8]],
    [
      'a finished grandparent: the parent, not the child',
      FROM_THE_OLDEST,
      [...leased([4, 9, 10]), ...leased([0, 1, 2, 3], SHARD_END)],
      [6, 7],
    ],
  ])('%s', (_name, start, leases, expected) => {
    expect(keys(missingLeases({ shards: TREE, leases, start }))).toEqual(expected)
  })

  test('a starting time before the oldest shard, in the second of creation for instance, skips nothing', () => {
    const start: StartingPoint = { kind: 'latest', startAt: 0, openThen: new Set() }
    expect(keys(missingLeases({ shards: TREE, leases: [], start }))).toEqual([0, 1, 2, 3, 4, 5])
  })

  test('at the boundary parent and child may both count as open then: the parent is read first', () => {
    const start: StartingPoint = { kind: 'latest', startAt: 3, openThen: new Set(['s5', 's9', 's10', 's4', 's8']) }
    expect(keys(missingLeases({ shards: TREE, leases: [], start }))).toEqual([4, 5, 8])
  })

  test('parents that are listed no more do not count, unless they have a lease', () => {
    const listed = TREE.filter(({ shardId }) => !['s0', 's1', 's2', 's3'].includes(shardId))
    expect(keys(missingLeases({ shards: listed, leases: [], start: FROM_THE_OLDEST }))).toEqual([4, 5, 6, 7])
    expect(keys(missingLeases({ shards: listed, leases: leased([0, 4, 5]), start: FROM_THE_OLDEST }))).toEqual([7])
  })

  test('initial positions: the starting point where there is no history, the oldest record behind a finished parent', () => {
    const [first] = missingLeases({ shards: TREE, leases: leased([4, 5, 7]), start: startingAt(3) })
    expect(first).toEqual({ leaseKey: 's6', checkpoint: LATEST, startAt: 3, parentShardIds: ['s0', 's1'], range: RANGE })
    const ended = [...leased([4, 8, 9]), ...leased([5], SHARD_END)]
    expect(missingLeases({ shards: TREE, leases: ended, start: startingAt(3) })[0]).toMatchObject({
      leaseKey: 's10',
      checkpoint: TRIM_HORIZON,
      startAt: undefined,
    })
  })
})

test('a child without identity, parents or range is refused', () => {
  const child = { ShardId: 's1', ParentShards: ['s0'], HashKeyRange: { StartingHashKey: '0', EndingHashKey: '9' } }
  expect(childLease(child, 's0')).toMatchObject({ leaseKey: 's1', parentShardIds: ['s0'], range: { start: 0n, end: 9n } })
  for (const broken of [{ ShardId: undefined }, { ParentShards: [] }, { ParentShards: ['s9'] }, { HashKeyRange: undefined }]) {
    expect(() => childLease({ ...child, ...broken }, 's0')).toThrow('A child of shard s0 must have')
  }
})

/** A stream that splits and merges at random. Shard ids are their birth order; merges join any two, lineage does not look at ranges. */
function randomTree(seed: number, steps: number): { shards: Shard[]; openAt: ReadonlySet<string>[] } {
  const random = seededRandom(seed)
  const shards = [shard(0, 0), shard(1, 0), shard(2, 0)]
  let open = [0, 1, 2]
  const openAt = [new Set(open.map((id) => `s${id}`))]
  const draw = (): number => open.splice(Math.floor(random() * open.length), 1)[0]!
  for (let step = 1; step <= steps; step++) {
    const parents = random() < 0.5 || open.length < 2 ? [draw()] : [draw(), draw()]
    for (const id of parents) shards[id] = { ...shards[id]!, endingSequenceNumber: `${step * 100}` }
    const born = parents.length === 1 ? 2 : 1
    for (let i = 0; i < born; i++) {
      open = [...open, shards.length]
      shards.push(shard(shards.length, step, parents))
    }
    openAt.push(new Set(open.map((id) => `s${id}`)))
  }
  return { shards, openAt }
}

function asLease(leaseKey: string, parentShardIds: readonly string[], checkpoint: Position): Lease {
  return aLease(leaseKey, { parentShardIds, checkpoint, range: RANGE })
}

describe('random split and merge trees', () => {
  const trees = fc.record({
    seed: fc.nat(),
    steps: fc.integer({ min: 0, max: 14 }),
    order: fc.nat(),
    from: fc.nat(),
    deaf: fc.boolean(),
  })

  test('every shard from the starting point on is read exactly once, parents first, also when shard ends create no children', () => {
    fc.assert(
      fc.property(trees, ({ seed, steps, order, from, deaf }) => {
        const { shards, openAt } = randomTree(seed, steps)
        const epoch = from % (openAt.length + 1)
        const latest = openAt[epoch]
        const start: StartingPoint = latest === undefined ? FROM_THE_OLDEST : { kind: 'latest', startAt: epoch, openThen: latest }
        const random = seededRandom(order)
        const table = new Map<string, Lease>()
        const read: string[] = []
        const audit = (): void => {
          for (const created of missingLeases({ shards, leases: [...table.values()], start })) {
            if (!table.has(created.leaseKey))
              table.set(created.leaseKey, asLease(created.leaseKey, created.parentShardIds, created.checkpoint))
          }
        }
        audit()
        for (;;) {
          if (deaf || random() < 0.3) audit()
          const ready = [...table.values()].filter(
            (each) => each.checkpoint.kind !== 'shard-end' && parentsHaveEnded(each, table) && !read.includes(each.leaseKey),
          )
          const next = ready[Math.floor(random() * ready.length)]
          if (next === undefined) break
          read.push(next.leaseKey)
          if (shards.find((each) => each.shardId === next.leaseKey)!.endingSequenceNumber === undefined) continue
          // As the coordinator ends a shard: a child is created once the leases of all its parents exist.
          const children = shards.filter((child) => parentIds(child).includes(next.leaseKey))
          const known = children.filter((child) => parentIds(child).every((id) => table.has(id)))
          for (const child of deaf ? [] : known) {
            if (!table.has(child.shardId)) table.set(child.shardId, asLease(child.shardId, parentIds(child), TRIM_HORIZON))
          }
          table.set(next.leaseKey, { ...table.get(next.leaseKey)!, checkpoint: SHARD_END })
          if (known.length < children.length) audit()
        }
        const startEpoch = latest === undefined ? 0 : epoch
        const expected = shards.filter(
          (each) =>
            latest === undefined || latest.has(each.shardId) || Number(each.startingSequenceNumber) >= (startEpoch + 1) * 100,
        )
        expect([...read].sort()).toEqual(expected.map((each) => each.shardId).sort())
        read.forEach((id, index) => {
          const parents = parentIds(shards.find((each) => each.shardId === id)!)
          for (const parent of parents) if (table.has(parent)) expect(read.slice(0, index)).toContain(parent)
        })
      }),
      { numRuns: 500 },
    )
  })

  test('no lease is created twice, or behind an ancestor that is still at work', () => {
    fc.assert(
      fc.property(trees, fc.array(fc.nat(), { maxLength: 8 }), ({ seed, steps, from }, picks) => {
        const { shards, openAt } = randomTree(seed, steps)
        const start: StartingPoint = { kind: 'latest', startAt: 1, openThen: openAt[from % openAt.length]! }
        const held = new Set(picks.map((pick) => `s${pick % shards.length}`))
        const leases = [...held].map((shardId) => ({ shardId, checkpoint: TRIM_HORIZON }))
        const created = missingLeases({ shards, leases, start }).map((each) => each.leaseKey)
        expect(new Set(created).size).toBe(created.length)
        const byId = new Map(shards.map((each) => [each.shardId, each]))
        const behind = (id: string): boolean =>
          parentIds(byId.get(id)!).some((parent) => held.has(parent) || created.includes(parent) || behind(parent))
        for (const id of created) {
          expect(held.has(id)).toBe(false)
          expect(behind(id)).toBe(false)
        }
      }),
      { numRuns: 500 },
    )
  })
})
