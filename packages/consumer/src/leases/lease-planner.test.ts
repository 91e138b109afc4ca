import { seededRandom } from '@shardwise/core/random'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SHARD_END } from '../checkpoints/position.js'
import type { Lease } from './lease.js'
import { type LeasePlan, planLeases } from './lease-planner.js'
import { aLease } from './testing/lease-rows.js'

function free(key: string): Lease {
  return aLease(key)
}

function ownedBy(owner: string, ...keys: string[]): Lease[] {
  return keys.map((key) => aLease(key, { leaseOwner: owner, shardwiseOwner: owner, leaseCounter: 1 }))
}

function plan(
  workerId: string,
  leases: readonly Lease[],
  more: { expired?: string[]; overdue?: string[]; busy?: string[]; leavers?: string[]; successors?: string[] } = {},
): LeasePlan {
  return planLeases({
    workerId,
    leases,
    hasExpired: (lease) => more.expired?.includes(lease.leaseKey) === true,
    isOverdue: (lease) => more.overdue?.includes(lease.leaseKey) === true,
    busy: new Set(more.busy ?? leases.filter((lease) => lease.leaseOwner === workerId).map((lease) => lease.leaseKey)),
    leavers: new Set(more.leavers ?? []),
    successors: new Set(more.successors ?? []),
    random: () => 0.999,
  })
}

const keys = (leases: readonly Lease[]): string[] => leases.map((lease) => lease.leaseKey).sort()

describe('taking', () => {
  test.each<[string, string, Lease[], Parameters<typeof plan>[2], string[]]>([
    ['all, when alone', 'a', ['1', '2', '3'].map(free), {}, ['1', '2', '3']],
    ['its share, rounded up', 'a', [...ownedBy('b', '1'), free('2'), free('3')], {}, ['2', '3']],
    ['nothing above its share', 'a', [...ownedBy('a', '1', '2'), ...ownedBy('b', '3'), free('4')], {}, []],
    [
      'what is overdue, above its share too',
      'a',
      [...ownedBy('a', '1', '2'), ...ownedBy('b', '3'), free('4')],
      { overdue: ['4'] },
      ['4'],
    ],
    ['expired leases, their owner being no member', 'a', ownedBy('dead', '1', '2'), { expired: ['1', '2'] }, ['1', '2']],
    ['nothing from the living', 'a', ownedBy('b', '1'), {}, []],
    [
      'an expired lease in the middle of a handoff',
      'a',
      [aLease('1', { leaseOwner: 'b', checkpointOwner: 'c' })],
      { expired: ['1'] },
      ['1'],
    ],
    [
      'its share beside KCL 2.x, which has taken a lease in the middle of a handoff: who had it is no member by that',
      'a',
      [aLease('1', { leaseOwner: 'java', checkpointOwner: 'c', shardwiseOwner: 'c', nextOwner: 'a' }), ...['2', '3'].map(free)],
      {},
      ['2', '3'],
    ],
    [
      'beside one of ours that has lost a lease so, whose new owner has died: it is no silent one',
      'a',
      [
        aLease('1', { leaseOwner: 'java', checkpointOwner: 'b', shardwiseOwner: 'b', nextOwner: 'a' }),
        ...ownedBy('b', '2'),
        ...ownedBy('a', '3'),
        free('4'),
      ],
      { expired: ['1'] },
      ['1'],
    ],
    ['no child before its parent has ended', 'a', [...ownedBy('b', '1'), aLease('2', { parentShardIds: ['1'] })], {}, []],
    [
      'a child of an ended parent',
      'a',
      [aLease('1', { checkpoint: SHARD_END }), aLease('2', { parentShardIds: ['1'] })],
      {},
      ['2'],
    ],
    ['a child whose parent has no lease', 'a', [aLease('2', { parentShardIds: ['1'] })], {}, ['2']],
    [
      'a merged child only when both ended',
      'a',
      [aLease('1', { checkpoint: SHARD_END }), ...ownedBy('b', '2'), aLease('3', { parentShardIds: ['1', '2'] })],
      {},
      [],
    ],
    ['no ended lease', 'a', [aLease('1', { checkpoint: SHARD_END })], {}, []],
    [
      'what the table says is its own, whatever the share',
      'a',
      [...ownedBy('a', '1', '2', '3'), ...ownedBy('b', '4')],
      { busy: ['1', '2'] },
      ['3'],
    ],
    ['not what it holds, even if its renewals stand still', 'a', ownedBy('a', '1'), { busy: ['1'], expired: ['1'] }, []],
    ['not what its last worker has not left', 'a', [free('1')], { busy: ['1'] }, []],
    [
      'what was offered to it, whatever its share',
      'a',
      [...ownedBy('a', '1', '2', '3'), aLease('4', { leaseOwner: 'a', nextOwner: 'a', shardwiseOwner: 'b' })],
      { busy: ['1', '2', '3'] },
      ['4'],
    ],
    ['not what was offered to another', 'a', [aLease('1', { leaseOwner: 'b', nextOwner: 'b', shardwiseOwner: 'c' })], {}, []],
    [
      'what was offered to another that does not take it',
      'a',
      [aLease('1', { leaseOwner: 'b', nextOwner: 'b', shardwiseOwner: 'c' })],
      { expired: ['1'] },
      ['1'],
    ],
    [
      'more than half, when the other leaves',
      'a',
      [...ownedBy('b', '1'), ...ownedBy('a', '2'), free('3'), free('4')],
      { leavers: ['b'] },
      ['3', '4'],
    ],
    [
      'all that is free, when the other lets leases expire',
      'a',
      [...ownedBy('b', '1', '2', '3'), ...ownedBy('a', '4', '5')],
      { expired: ['1', '2'] },
      ['1', '2'],
    ],
    [
      'the children of what it has just read, above its share',
      'a',
      [...ownedBy('a', '1', '2'), ...ownedBy('b', '3'), free('4'), free('5')],
      { successors: ['4', '5'] },
      ['4', '5'],
    ],
    ['not yet what is being handed to it', 'a', [aLease('1', { leaseOwner: 'a', checkpointOwner: 'b' })], { busy: [] }, []],
  ])('%s', (_name, workerId, leases, more, expected) => {
    expect(keys(plan(workerId, leases, more).take)).toEqual(expected)
  })

  test('ended and blocked leases do not count for the share', () => {
    const ended = ['8', '9'].map((key) => aLease(key, { checkpoint: SHARD_END, leaseOwner: 'b' }))
    const blocked = ['5', '6', '7'].map((key) => aLease(key, { parentShardIds: ['1'] }))
    expect(plan('a', [...ended, ...blocked, ...ownedBy('b', '1'), ...ownedBy('a', '2'), free('3'), free('4')]).take).toHaveLength(
      1,
    )
  })
})

test('what KCL 2.x has taken in the middle of a handoff is taken back from it as all else that it owns: no handoff is under way', () => {
  const java = ['1', '2', '3'].map((key) =>
    aLease(key, { leaseOwner: 'java', checkpointOwner: 'b', shardwiseOwner: 'b', nextOwner: 'a', leaseCounter: 5 }),
  )
  const { takeFromLive, request } = planLeases({
    ...{ workerId: 'a', leases: [...java, ...ownedBy('a', '4')], busy: new Set(['4']), random: () => 0.999 },
    ...{ hasExpired: () => false, isOverdue: () => false, mayTakeFrom: ({ leaseOwner }) => leaseOwner === 'java' },
  })
  expect([keys(takeFromLive), request]).toEqual([['1'], []])
})

describe('asking for a handoff', () => {
  test.each<[string, string, Lease[], string[]]>([
    [
      'a newcomer asks the owners above its share',
      'new',
      [...ownedBy('a', '1', '2', '3', '4'), ...ownedBy('b', '5', '6')],
      ['1', '2'],
    ],
    ['a newcomer to single leases asks for nothing', 'new', [...ownedBy('a', '1'), ...ownedBy('b', '2')], []],
    ['nobody asks within one', 'a', [...ownedBy('a', '1'), ...ownedBy('b', '2', '3')], []],
    ['the one below asks when two apart', 'a', [...ownedBy('a', '1'), ...ownedBy('b', '2', '3', '4')], ['2']],
    [
      'two equals: each asks for its part',
      'b',
      [...ownedBy('a', '1'), ...ownedBy('b', '2'), ...ownedBy('c', '3', '4', '5', '6')],
      ['4'],
    ],
    ['nothing while something is free', 'new', [...ownedBy('a', '1', '2', '3'), free('4')], []],
    [
      'a pending handoff counts for its next owner',
      'new',
      [...ownedBy('a', '1', '2'), aLease('3', { leaseOwner: 'new', checkpointOwner: 'a' })],
      [],
    ],
    [
      'not what was offered and is not taken yet',
      'new',
      ['1', '2', '3'].map((key) => aLease(key, { leaseOwner: 'a', nextOwner: 'a', shardwiseOwner: 'a' })),
      [],
    ],
    ['not a KCL worker', 'new', ['1', '2', '3'].map((key) => aLease(key, { leaseOwner: 'java', leaseCounter: 5 })), []],
    [
      'not a KCL worker on a lease that was ours before',
      'new',
      ['1', '2', '3'].map((key) => aLease(key, { leaseOwner: 'java', shardwiseOwner: 'a' })),
      [],
    ],
  ])('%s', (_name, workerId, leases, expected) => {
    const { take, request } = plan(workerId, leases)
    expect(keys(request)).toEqual(expected)
    for (const lease of take) expect(lease.leaseOwner).toBe(undefined)
  })
})

/** Workers that plan in turn on one table; owners hand over what is asked at their next turn. Counts what was moved from a live owner. */
class Fleet {
  readonly table: Map<string, Lease>
  moves = 0
  readonly #random: () => number

  constructor(owners: readonly (string | undefined)[], seed: number) {
    this.#random = seededRandom(seed)
    this.table = new Map(owners.map((owner, i) => [`s${i}`, owner === undefined ? free(`s${i}`) : ownedBy(owner, `s${i}`)[0]!]))
  }

  /** All workers see the same table; their writes then arrive in any order, each conditionally. */
  round(workers: readonly string[]): void {
    const seen = [...this.table.values()]
    const writes: (() => void)[] = []
    for (const workerId of workers) {
      const dead = (id: string | undefined): boolean => id !== undefined && !workers.includes(id)
      const busy = seen.filter((lease) => (lease.checkpointOwner ?? lease.leaseOwner) === workerId).map((lease) => lease.leaseKey)
      for (const lease of seen) {
        if (lease.checkpointOwner !== workerId) continue
        writes.push(() => this.#write(lease, { checkpointOwner: undefined, shardwiseOwner: lease.leaseOwner }))
      }
      const hasExpired = (lease: Lease): boolean => dead(lease.checkpointOwner ?? lease.leaseOwner)
      const { take, request } = planLeases({
        leases: seen,
        workerId,
        hasExpired,
        isOverdue: () => false,
        busy: new Set(busy),
        leavers: new Set(),
        successors: new Set(),
        random: this.#random,
      })
      for (const lease of take) {
        const current = lease.checkpointOwner ?? lease.leaseOwner
        expect(current === undefined || current === workerId || dead(current)).toBe(true)
        writes.push(() => this.#write(lease, { leaseOwner: workerId, shardwiseOwner: workerId, checkpointOwner: undefined }))
      }
      for (const lease of request) {
        expect(lease.checkpointOwner).toBe(undefined)
        writes.push(() => {
          if (this.#write(lease, { leaseOwner: workerId, checkpointOwner: lease.leaseOwner }, 0)) this.moves++
        })
      }
    }
    while (writes.length > 0) writes.splice(Math.floor(this.#random() * writes.length), 1)[0]!()
  }

  #write(seen: Lease, changes: Partial<Lease>, counts = 1): boolean {
    const now = this.table.get(seen.leaseKey)!
    if (
      now.leaseCounter !== seen.leaseCounter ||
      now.leaseOwner !== seen.leaseOwner ||
      now.checkpointOwner !== seen.checkpointOwner
    )
      return false
    this.table.set(seen.leaseKey, { ...now, ...changes, leaseCounter: now.leaseCounter + counts })
    return true
  }

  counts(workers: readonly string[]): number[] {
    return workers.map(
      (id) => [...this.table.values()].filter((lease) => lease.leaseOwner === id && lease.checkpointOwner === undefined).length,
    )
  }
}

describe('a fleet', () => {
  const workersOf = (count: number): string[] => Array.from({ length: count }, (_, i) => `w${i}`)
  const situations = fc.record({
    owners: fc.array(fc.option(fc.nat(9), { nil: undefined }), { minLength: 1, maxLength: 40 }),
    alive: fc.integer({ min: 1, max: 8 }),
    seed: fc.nat(),
  })

  test('comes to counts within one of each other from any state, and then stands still', () => {
    fc.assert(
      fc.property(situations, ({ owners, alive, seed }) => {
        const workers = workersOf(alive)
        const fleet = new Fleet(
          owners.map((id) => (id === undefined ? undefined : `w${id}`)),
          seed,
        )
        for (let round = 0; round < 25; round++) fleet.round(workers)
        const counts = fleet.counts(workers)
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(owners.length)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
        const settled = new Map(fleet.table)
        for (let round = 0; round < 3; round++) fleet.round(workers)
        expect(fleet.table).toEqual(settled)
      }),
      { numRuns: 300 },
    )
  })

  /** Several that arrive in the same second do not know of each other at first, and may ask for what one of them must give up again. */
  test.each([
    [1, 1],
    [4, 2],
  ])('%d newcomers cost at most %d moves for each lease that they receive', (newcomers, factor) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5 }), fc.nat(), (leases, old, seed) => {
        const fleet = new Fleet(
          Array.from({ length: leases }, (_, i) => `w${i % old}`),
          seed,
        )
        const workers = workersOf(old + newcomers)
        for (let round = 0; round < 25; round++) fleet.round(workers)
        const received = fleet
          .counts(workers)
          .slice(old)
          .reduce((sum, count) => sum + count, 0)
        expect(fleet.moves).toBeLessThanOrEqual(received * factor)
      }),
      { numRuns: 300 },
    )
  })
})
