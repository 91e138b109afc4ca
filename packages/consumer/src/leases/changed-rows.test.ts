import { ManualClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import type { HeldLease } from './held-lease.js'
import { hasEnded } from './lease.js'
import { LeaseCoordinator } from './lease-coordinator.js'
import { MemoryLeaseStore } from './memory-lease-store.js'
import { FaultyLeaseStore } from './testing/faulty-lease-store.js'
import { aLease } from './testing/lease-rows.js'

const FAILOVER = 9_000
const HashKeyRange = { StartingHashKey: '0', EndingHashKey: '9' }

let clock: ManualClock
let table: MemoryLeaseStore
let network: FaultyLeaseStore
let coordinator: LeaseCoordinator
let held: Map<string, HeldLease>

beforeEach(() => {
  clock = new ManualClock()
  table = new MemoryLeaseStore()
  network = new FaultyLeaseStore(table)
  held = new Map()
  coordinator = new LeaseCoordinator({
    store: network.store,
    discovery: { createMissing: async () => [], childrenOf: async () => [] },
    workerId: 'me',
    failoverTimeMs: FAILOVER,
    handoffTimeoutMs: FAILOVER,
    clock,
    random: seededRandom(1),
    onHeld: (lease) => {
      held.set(lease.leaseKey, lease)
      lease.drain.addEventListener('abort', () => void lease.release())
    },
    emit: () => {},
  })
})

afterEach(async () => {
  const stopped = coordinator.stop()
  for (const lease of held.values()) void lease.release()
  await clock.advanceAsync(FAILOVER * 3)
  await stopped
  expect(clock.pendingTimers).toBe(0)
})

async function create(leaseKey: string, parentShardIds: readonly string[] = [], streamCreatedAt?: number): Promise<void> {
  await table.create({
    leaseKey,
    checkpoint: TRIM_HORIZON,
    parentShardIds,
    range: undefined,
    startAt: undefined,
    streamCreatedAt,
  })
}

async function start(): Promise<void> {
  await coordinator.start()
  await clock.advanceAsync(0)
  network.sent.length = 0
}

function scans(): number {
  return network.sent.filter((operation) => operation === 'list').length
}

describe('after the end of a shard', () => {
  test('its row and its children’s are read, and the table is not: the children are taken at once', async () => {
    await create('p')
    await start()
    const children = ['l', 'r'].map((ShardId) => ({ ShardId, ParentShards: ['p'], HashKeyRange }))
    void held.get('p')!.endShard(children)
    await clock.advanceAsync(0)
    expect([...held.keys()].sort()).toEqual(['l', 'p', 'r'])
    expect(network.sent).toEqual(['create', 'create', 'end', 'read', 'read', 'read', 'take', 'take'])
  })

  test('the other parent of a merge is read too: it may have ended elsewhere since the last scan', async () => {
    await create('p')
    await create('q')
    const q = (await table.take((await table.read('q'))!, 'other')).lease!
    await start()
    await table.end(q, 'other', ['m'])
    void held.get('p')!.endShard([{ ShardId: 'm', ParentShards: ['p', 'q'], HashKeyRange }])
    await clock.advanceAsync(0)
    expect(held.has('m')).toBe(true)
    expect(scans()).toBe(0)
  })

  test('while the other parent is at work the child waits, and is taken when a scan shows its end', async () => {
    await create('p')
    await create('q')
    let q = (await table.take((await table.read('q'))!, 'other')).lease!
    await start()
    void held.get('p')!.endShard([{ ShardId: 'm', ParentShards: ['p', 'q'], HashKeyRange }])
    await clock.advanceAsync(500)
    expect(held.has('m')).toBe(false)
    q = (await table.renew(q, 'other', {})).lease!
    await table.end(q, 'other', ['m'])
    await clock.advanceAsync(1_000)
    expect(held.has('m')).toBe(true)
  })

  test('also when its row was created since the last scan: unknown is not gone', async () => {
    await create('p')
    await start()
    await create('q')
    const q = (await table.take((await table.read('q'))!, 'other')).lease!
    void held.get('p')!.endShard([{ ShardId: 'm', ParentShards: ['p', 'q'], HashKeyRange }])
    await clock.advanceAsync(500)
    expect(scans()).toBe(0)
    expect(held.has('m')).toBe(false)
    await table.end(q, 'other', ['m'])
    await clock.advanceAsync(1_000)
    expect(held.has('m')).toBe(true)
  })

  test('many rows are read at once: no warning of a leak', async () => {
    const warnings: string[] = []
    const warn = (warning: Error): void => void warnings.push(warning.message)
    process.on('warning', warn)
    onTestFinished(() => void process.off('warning', warn))
    await create('p')
    await start()
    const children = Array.from({ length: 15 }, (_, i) => ({ ShardId: `c${i}`, ParentShards: ['p'], HashKeyRange }))
    void held.get('p')!.endShard(children)
    await clock.advanceAsync(0)
    expect([held.has('c14'), warnings]).toEqual([true, []])
  })

  test('a read that fails is left to the next scan', async () => {
    await create('p')
    await start()
    network.next('read', 'lost')
    void held.get('p')!.endShard([{ ShardId: 'l', ParentShards: ['p'], HashKeyRange }])
    await clock.advanceAsync(0)
    expect(held.has('l')).toBe(false)
    await clock.advanceAsync(1_000)
    expect(held.has('l')).toBe(true)
  })
})

describe('a scan that is no snapshot: it shows the child of a merge, and not its other parent', () => {
  function hide(leaseKey: string): void {
    const list = table.list.bind(table)
    table.list = async () => {
      const { leases, malformed } = await list()
      return { leases: leases.filter((lease) => lease.leaseKey !== leaseKey), malformed }
    }
  }

  test('the child is not taken while that parent is at work', async () => {
    await create('q')
    const q = (await table.take((await table.read('q'))!, 'other')).lease!
    await create('m', ['p', 'q'])
    hide('q')
    await start()
    await clock.advanceAsync(5_000)
    expect([...held.keys()]).toEqual([])
    await table.end(q, 'other', ['m'])
    await clock.advanceAsync(1_000)
    expect([...held.keys()]).toEqual(['m'])
  })

  test('nor when nobody knows, and a child that has begun is, without asking', async () => {
    await create('m', ['p', 'q'])
    network.next('read', 'lost')
    await start()
    expect([...held.keys()]).toEqual([])
    await clock.advanceAsync(1_000)
    expect([...held.keys()]).toEqual(['m'])
    held.get('m')!.checkpoint(sequencePosition('1'))
    void held.get('m')!.release()
    await clock.advanceAsync(0)
    network.sent.length = 0
    await clock.advanceAsync(1_000)
    expect(network.sent).toContain('take')
    expect(network.sent).not.toContain('read')
  })
})

describe('a scan that is no snapshot: it shows a lease of the stream that was made anew, and of its parent that of the former one', () => {
  test.each([
    ['which says so', 1_000],
    ['which does not say, as KCL made it', undefined],
  ])('%s: the child is not taken before the parent of the present one has ended', async (_, formerlyCreatedAt) => {
    await create('p', [], 60_000)
    const p = (await table.take((await table.read('p'))!, 'other')).lease!
    await create('m', ['p'], 60_000)
    const list = table.list.bind(table)
    table.list = async () => {
      const { leases, malformed } = await list()
      const former = aLease('p', { checkpoint: SHARD_END, streamCreatedAt: formerlyCreatedAt })
      return { leases: leases.map((lease) => (lease.leaseKey === 'p' && !hasEnded(lease) ? former : lease)), malformed }
    }
    await start()
    await clock.advanceAsync(5_000)
    expect([...held.keys()]).toEqual([])
    await table.end(p, 'other', ['m'])
    await clock.advanceAsync(1_000)
    expect([...held.keys()]).toEqual(['m'])
  })

  test('the child is taken as soon as the former lease of a parent that is gone is deleted', async () => {
    await create('p', [], 1_000)
    const p = (await table.take((await table.read('p'))!, 'other')).lease!
    const ended = (await table.end(p, 'other', ['m'])).lease!
    await create('m', ['p'], 60_000)
    await start()
    await clock.advanceAsync(5_000)
    expect([...held.keys()]).toEqual([])
    await table.delete(ended)
    await clock.advanceAsync(1_000)
    expect([...held.keys()]).toEqual(['m'])
  })

  test('a child that was given to us before the end of its parent, whose row does not say, is taken, and waits', async () => {
    await create('p')
    await table.take((await table.read('p'))!, 'other')
    await create('m', ['p'], 60_000)
    // As a leader of KCL's assigns it.
    await table.handOver((await table.take((await table.read('m'))!, 'other')).lease!, 'other', { to: 'me', offer: true })
    await start()
    await clock.advanceAsync(FAILOVER / 2)
    expect(network.sent).toContain('renew')
    expect([...held.keys()]).toEqual([])
  })
})
