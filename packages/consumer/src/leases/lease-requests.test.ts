import { seededRandom } from '@shardwise/core/random'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Lease, leaseKeyOf } from './lease.js'
import { planLeases } from './lease-planner.js'
import { requestsOf } from './lease-requests.js'
import { aLease } from './testing/lease-rows.js'

function ofStream(streamId: string, shardId: string, owner?: string): Lease {
  const leaseKey = leaseKeyOf(streamId, shardId)
  return aLease(leaseKey, {
    streamId,
    shardId,
    leaseOwner: owner,
    shardwiseOwner: owner,
    leaseCounter: owner === undefined ? 0 : 1,
  })
}

/** 'x1' is shard 1 of stream x. */
function owned(holdings: Readonly<Record<string, string>>): Map<string, Lease[]> {
  return new Map(
    Object.entries(holdings).map(([id, shards]) => [
      id,
      shards.split(' ').flatMap((each) => (each === '' ? [] : ofStream(each[0]!, each.slice(1), id))),
    ]),
  )
}

describe('requests between workers that read different streams', () => {
  test.each<{ name: string; me: string; reads: string; holdings: Record<string, string>; asks: string[] }>([
    {
      name: 'a newcomer asks for leases of its streams only, by what their owners hold of all',
      me: 'new',
      reads: 'y',
      holdings: { a: 'x1 x2 x3 x4', b: 'y1 y2 y3', new: '' },
      asks: ['y:1'],
    },
    {
      name: 'who reads a part evens out the totals',
      me: 'b',
      reads: 'y',
      holdings: { a: 'x1 x2 x3 x4 y1 y2', b: 'y3 y4' },
      asks: ['y:1', 'y:2'],
    },
    {
      name: 'who cannot take is no rival',
      me: 'new',
      reads: 'xy',
      holdings: { a: 'x1 x2 x3 x4', b: 'y1', new: '' },
      asks: ['x:1', 'x:2'],
    },
    { name: 'who can is one', me: 'new', reads: 'x', holdings: { a: 'x1 x2 x3 x4 x5', b: 'x6', new: '' }, asks: ['x:1', 'x:3'] },
    {
      name: 'nobody asks for a stream that it does not read',
      me: 'b',
      reads: 'y',
      holdings: { a: 'x1 x2 x3 x4', b: 'y1' },
      asks: [],
    },
    {
      name: 'the stream that only the fuller one has',
      me: 'new',
      reads: 'z',
      holdings: { a: 'x1 x2 x3', b: 'x4 z1 z2', new: '' },
      asks: ['z:1'],
    },
  ])('$name', ({ me, reads, holdings, asks }) => {
    const wanted = requestsOf(
      me,
      owned(holdings),
      (lease) => reads.includes(lease.streamId!),
      () => true,
    )
    expect(wanted.map(({ leaseKey }) => leaseKey).sort()).toEqual(asks)
  })
})

/** Workers that plan one after the other on one table; owners hand over what is asked at once. Who reads what is known to nobody else. */
function settle(leases: readonly Lease[], readers: ReadonlyMap<string, string>, seed: number) {
  const random = seededRandom(seed)
  const table = new Map(leases.map((lease) => [lease.leaseKey, lease]))
  let moves = 0
  const turn = (): number => {
    const before = moves
    for (const [workerId, streams] of readers) {
      const reads = ({ streamId }: Lease): boolean => streams.includes(streamId!)
      const busy = new Set([...table.values()].flatMap((lease) => (lease.leaseOwner === workerId ? lease.leaseKey : [])))
      const plan = planLeases({
        leases: [...table.values()],
        workerId,
        reads,
        hasExpired: (lease) => lease.leaseOwner === 'dead',
        isOverdue: () => true,
        busy,
        random,
      })
      for (const lease of [...plan.take, ...plan.request]) {
        expect(reads(lease)).toBe(true)
        table.set(lease.leaseKey, {
          ...lease,
          leaseOwner: workerId,
          shardwiseOwner: workerId,
          leaseCounter: lease.leaseCounter + 1,
        })
        moves++
      }
    }
    return moves - before
  }
  let rounds = 0
  while (turn() > 0) if (++rounds > 200) throw new Error('It never comes to rest')
  return [...table.values()]
}

describe('a fleet whose workers read different streams', () => {
  const STREAMS = ['x', 'y', 'z']
  const situations = fc.record({
    readers: fc.array(fc.subarray(STREAMS), { minLength: 1, maxLength: 6 }),
    shards: fc.array(fc.record({ stream: fc.constantFrom(...STREAMS), owner: fc.option(fc.nat(6), { nil: undefined }) }), {
      maxLength: 40,
    }),
    seed: fc.nat(),
  })

  test('comes to rest; every lease that somebody reads has an owner that reads it; nobody could take one more from a worker with two more', () => {
    fc.assert(
      fc.property(situations, ({ readers, shards, seed }) => {
        const streamsOf = new Map(readers.map((streams, i) => [`w${i}`, streams.join('')]))
        const leases = shards.map(({ stream, owner }, i) => {
          const id = `w${owner}`
          const reads = streamsOf.get(id)?.includes(stream)
          return ofStream(stream, `${i}`, owner === undefined ? undefined : reads ? id : 'dead')
        })
        const settled = settle(leases, streamsOf, seed)
        const counts = new Map(
          [...streamsOf.keys()].map((id) => [id, settled.filter(({ leaseOwner }) => leaseOwner === id).length]),
        )
        for (const { streamId, leaseOwner } of settled) {
          const able = [...streamsOf].filter(([, streams]) => streams.includes(streamId!)).map(([id]) => id)
          if (able.length === 0) expect(['dead', undefined]).toContain(leaseOwner)
          else expect(able).toContain(leaseOwner)
          for (const id of able) expect(counts.get(leaseOwner!)! - counts.get(id)!).toBeLessThan(2)
        }
      }),
      { numRuns: 500 },
    )
  })
})
