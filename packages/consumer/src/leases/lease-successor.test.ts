import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SHARD_END } from '../checkpoints/position.js'
import type { Lease } from './lease.js'
import { chooseSuccessor } from './lease-successor.js'
import { aLease } from './testing/lease-rows.js'

function ownedBy(owner: string, ...keys: string[]): Lease[] {
  return keys.map((key) => aLease(key, { leaseOwner: owner, shardwiseOwner: owner, leaseCounter: 1 }))
}

interface Circumstances {
  readonly silent?: readonly string[]
  readonly leavers?: readonly string[]
  readonly named?: Readonly<Record<string, string>>
}

function choose(leases: readonly Lease[], { silent = [], leavers = [], named = {} }: Circumstances = {}): string | undefined {
  return chooseSuccessor({
    leases,
    workerId: 'me',
    isAlive: (lease) => !silent.includes(lease.leaseKey),
    leavers: new Set(leavers),
    named: new Map(Object.entries(named)),
  })
}

test.each<[string, Lease[], Circumstances, string | undefined]>([
  ['the one with the fewest', [...ownedBy('a', '1', '2'), ...ownedBy('b', '3'), ...ownedBy('me', '4')], {}, 'b'],
  ['of equals the first by name', [...ownedBy('b', '1'), ...ownedBy('a', '2')], {}, 'a'],
  ['nobody, when alone', ownedBy('me', '1', '2'), {}, undefined],
  ['not who was not seen to write', [...ownedBy('a', '1', '2'), ...ownedBy('b', '3')], { silent: ['3'] }, 'a'],
  ['one lease that moved is enough', ownedBy('a', '1', '2'), { silent: ['1'] }, 'a'],
  ['not who leaves as well', [...ownedBy('a', '1', '2'), ...ownedBy('b', '3')], { leavers: ['b'] }, 'a'],
  ['not a KCL worker', [aLease('1', { leaseOwner: 'java' }), ...ownedBy('a', '2', '3')], {}, 'a'],
  ['not a KCL worker on a lease that was ours before', [aLease('1', { leaseOwner: 'java', shardwiseOwner: 'a' })], {}, undefined],
  [
    'not who has lost its lease to KCL 2.x in the middle of a handoff',
    [aLease('1', { leaseOwner: 'java', checkpointOwner: 'a', shardwiseOwner: 'a', nextOwner: 'b' })],
    {},
    undefined,
  ],
  [
    'not who was named and has not taken it',
    [aLease('1', { leaseOwner: 'a', shardwiseOwner: 'a', nextOwner: 'a' })],
    {},
    undefined,
  ],
  ['not who has only ended leases', ownedBy('a', '1').map((lease) => ({ ...lease, checkpoint: SHARD_END })), {}, undefined],
  [
    'who was asked for a lease is there',
    [aLease('1', { leaseOwner: 'b', checkpointOwner: 'a', shardwiseOwner: 'a', nextOwner: 'b' })],
    {},
    'a',
  ],
  [
    'what is promised counts',
    [...ownedBy('a', '1'), ...ownedBy('b', '2'), aLease('3', { leaseOwner: 'a', checkpointOwner: 'c', nextOwner: 'a' })],
    {},
    'b',
  ],
  [
    'what we have just named counts',
    [...ownedBy('a', '1'), ...ownedBy('b', '2'), ...ownedBy('me', '3', '4')],
    { named: { 3: 'a' } },
    'b',
  ],
  [
    'what we named, and others have taken since, counts for them',
    [...ownedBy('a', '1'), ...ownedBy('b', '2', '3')],
    { named: { 3: 'a' } },
    'a',
  ],
])('%s', (_name, leases, circumstances, expected) => {
  expect(choose(leases, circumstances)).toBe(expected)
})

test('property: a leaver that names a successor for each of its leases leaves counts as even as they were', () => {
  const fleets = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(fleets, fc.nat(20), (counts, mine) => {
      const leases = counts.flatMap((count, i) => ownedBy(`w${i}`, ...Array.from({ length: count }, (_, n) => `${i}-${n}`)))
      const keys = Array.from({ length: mine }, (_, n) => `mine-${n}`)
      const named: Record<string, string> = {}
      for (const key of keys) named[key] = choose([...leases, ...ownedBy('me', ...keys)], { named })!
      const after = counts.map((count, i) => count + Object.values(named).filter((id) => id === `w${i}`).length)
      const spread = (of: number[]): number => Math.max(...of) - Math.min(...of)
      expect(spread(after)).toBeLessThanOrEqual(Math.max(1, spread(counts)))
    }),
  )
})
