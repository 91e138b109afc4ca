import type { ChildShard } from '@shardwise/core/kinesis-port'
import { beforeEach, describe, expect, test } from 'vitest'
import { SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import type { Lease } from '../leases/lease.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import { MemoryLeaseStore } from '../leases/memory-lease-store.js'
import { FaultyLeaseStore } from '../leases/testing/faulty-lease-store.js'
import { aLease } from '../leases/testing/lease-rows.js'
import { type ChildLeases, createChildLeases } from './child-leases.js'

const LEFT = { StartingHashKey: '0', EndingHashKey: '9' }
const RIGHT = { StartingHashKey: '10', EndingHashKey: '19' }
const SPLIT: ChildShard[] = [
  { ShardId: 'l', ParentShards: ['p'], HashKeyRange: LEFT },
  { ShardId: 'r', ParentShards: ['p'], HashKeyRange: RIGHT },
]
const MERGED: ChildShard[] = [{ ShardId: 'm', ParentShards: ['p', 'q'], HashKeyRange: LEFT }]

let table: MemoryLeaseStore
let network: FaultyLeaseStore
let events: LeaseEvent[]
let listed: readonly ChildShard[]
let lookedUp: string[]

beforeEach(() => {
  table = new MemoryLeaseStore()
  network = new FaultyLeaseStore(table)
  events = []
  listed = []
  lookedUp = []
})

async function leased(...leaseKeys: string[]): Promise<void> {
  for (const leaseKey of leaseKeys) {
    await table.create({ leaseKey, checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined })
  }
}

function endOf(
  parent: string,
  named: readonly ChildShard[],
  { isOurs = () => true, ...changes }: Partial<Lease> & { readonly isOurs?: () => boolean } = {},
): Promise<ChildLeases | undefined> {
  const discovery = {
    childrenOf: async ({ shardId }: { readonly shardId: string }) => {
      lookedUp.push(shardId)
      return listed
    },
  }
  const options = { store: network.store, discovery, emit: (event: LeaseEvent) => void events.push(event) }
  return createChildLeases(options, aLease(parent, changes), named, new AbortController().signal, isOurs)
}

/** The leases that the table has and events told of. */
async function created(): Promise<string[]> {
  const keys = events.map((event) => (event.type === 'lease-created' ? event.leaseKey : event.type))
  for (const key of keys) expect(await table.read(key)).toBeDefined()
  return keys
}

describe('KCL scenario 19: the children’s leases come before the parent’s SHARD_END, which of them the end of p creates', () => {
  test.each<{
    what: string
    leases: string[]
    named: ChildShard[]
    listed?: ChildShard[]
    creates: string[]
    result: ChildLeases
  }>([
    {
      what: 'a split: both',
      leases: ['p'],
      named: SPLIT,
      creates: ['l', 'r'],
      result: { childShardIds: ['l', 'r'], complete: true },
    },
    {
      what: 'a split of which the audit made one: the other',
      leases: ['p', 'l'],
      named: SPLIT,
      creates: ['r'],
      result: { childShardIds: ['l', 'r'], complete: true },
    },
    {
      what: 'a merge whose other parent has a lease, read to its end or not',
      leases: ['p', 'q'],
      named: MERGED,
      creates: ['m'],
      result: { childShardIds: ['m'], complete: true },
    },
    {
      what: 'a merge whose other parent has none yet: nothing, for the child would be read before it',
      leases: ['p'],
      named: MERGED,
      creates: [],
      result: { childShardIds: ['m'], complete: false },
    },
    {
      what: 'one left out does not keep the others from being created',
      leases: ['p'],
      named: [...MERGED, ...SPLIT],
      creates: ['l', 'r'],
      result: { childShardIds: ['m', 'l', 'r'], complete: false },
    },
    {
      what: 'none named: those that the stream lists',
      leases: ['p'],
      named: [],
      listed: SPLIT,
      creates: ['l', 'r'],
      result: { childShardIds: ['l', 'r'], complete: true },
    },
    {
      what: 'none named and none listed: the audit looks after it',
      leases: ['p'],
      named: [],
      creates: [],
      result: { childShardIds: [], complete: false },
    },
  ])('$what', async ({ leases, named, creates, result, ...given }) => {
    await leased(...leases)
    listed = given.listed ?? []
    expect(await endOf('p', named)).toEqual(result)
    expect(await created()).toEqual(creates)
    expect(lookedUp).toEqual(named.length > 0 ? [] : ['p'])
  })

  test.each([
    ['p', 'q'],
    ['q', 'p'],
  ])(
    'a merge whose parents get their leases one after the other, %s first: the later end creates it, once',
    async (first, second) => {
      await leased(first!)
      expect(await endOf(first!, MERGED)).toMatchObject({ complete: false })
      expect(await created()).toEqual([])
      await leased(second!)
      expect(await endOf(second!, MERGED)).toMatchObject({ complete: true })
      expect(await created()).toEqual(['m'])
    },
  )

  test('the lease of a child: from its oldest record on, after its parents', async () => {
    await leased('p', 'q')
    await endOf('p', MERGED)
    expect(await table.read('m')).toEqual(aLease('m', { parentShardIds: ['p', 'q'], range: { start: 0n, end: 9n } }))
  })
})

describe('repeated', () => {
  test('by the next owner: creates nothing, resets nothing', async () => {
    await leased('p')
    const result = await endOf('p', SPLIT)
    const taken = (await table.take((await table.read('l'))!, 'other')).lease!
    const renewed = (await table.renew(taken, 'other', { checkpoint: sequencePosition('7') })).lease
    await table.end((await table.take((await table.read('r'))!, 'other')).lease!, 'other', [])
    events = []
    expect(await endOf('p', SPLIT)).toEqual(result)
    expect(events).toEqual([])
    expect(await table.read('l')).toEqual(renewed)
    expect(await table.read('r')).toMatchObject({ checkpoint: SHARD_END })
  })

  test.each([
    ['create', 'lost', ['l', 'r']],
    // It did take effect: nobody can tell whose it was.
    ['create', 'unanswered', ['r']],
  ] as const)('after a %s that was %s', async (operation, fault, told) => {
    await leased('p')
    network.next(operation, fault)
    await expect(endOf('p', SPLIT)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await endOf('p', SPLIT)).toEqual({ childShardIds: ['l', 'r'], complete: true })
    expect(await created()).toEqual(told)
    expect(await table.read('l')).toBeDefined()
  })

  test('not knowing whether the other parent has a lease is not knowing that it has none', async () => {
    await leased('p', 'q')
    network.next('read', 'lost')
    await expect(endOf('p', MERGED)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await created()).toEqual([])
  })
})

describe('KCL scenario 16: children that make no sense at the end of a shard', () => {
  const BROKEN: [string, ChildShard[]][] = [
    ['without a range', [SPLIT[0]!, { ShardId: 'r', ParentShards: ['p'] }]],
    ['without an id', [{ ParentShards: ['p'], HashKeyRange: LEFT }]],
    ['of another parent', [SPLIT[0]!, { ...SPLIT[1]!, ParentShards: ['q'] }]],
    ['with an impossible range', [{ ...SPLIT[0]!, HashKeyRange: { StartingHashKey: '9', EndingHashKey: '0' } }]],
  ]

  test.each(BROKEN)('%s: the list of shards decides', async (_what, named) => {
    await leased('p')
    listed = SPLIT
    expect(await endOf('p', named)).toEqual({ childShardIds: ['l', 'r'], complete: true })
    expect(await created()).toEqual(['l', 'r'])
    expect(lookedUp).toEqual(['p'])
  })

  test.each(BROKEN)('%s, and none is listed either: nothing is created, and the end is not recorded', async (_what, named) => {
    await leased('p')
    await expect(endOf('p', named)).rejects.toThrow('A child of shard p must have')
    expect(network.sent).toEqual([])
  })

  test('that cover only a part of their parent: they are created, and the audit looks for the rest', async () => {
    await leased('p')
    expect(await endOf('p', SPLIT.slice(0, 1), { range: { start: 0n, end: 19n } })).toEqual({
      childShardIds: ['l'],
      complete: false,
    })
    expect(await endOf('p', SPLIT, { range: { start: 0n, end: 19n } })).toEqual({ childShardIds: ['l', 'r'], complete: true })
  })
})

describe('a worker that is not sure to own the parent', () => {
  test('creates nothing: the child may have been read, and its lease deleted', async () => {
    await leased('p')
    expect(await endOf('p', SPLIT, { isOurs: () => false })).toBe(undefined)
    expect(network.sent).toEqual([])
  })

  test('in the middle: what is created stays, and no more is', async () => {
    await leased('p')
    expect(await endOf('p', SPLIT, { isOurs: () => events.length === 0 })).toBe(undefined)
    expect(await created()).toEqual(['l'])
  })
})
