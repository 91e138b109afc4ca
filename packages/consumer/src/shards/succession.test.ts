import { ManualClock } from '@shardwise/core/clock'
import type { Shard } from '@shardwise/core/shard-map'
import { beforeEach, describe, expect, test } from 'vitest'
import { LATEST, SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import type { Lease, NewLease } from '../leases/lease.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import { MemoryLeaseStore } from '../leases/memory-lease-store.js'
import { FaultyLeaseStore } from '../leases/testing/faulty-lease-store.js'
import { formerLeases } from './former-leases.js'
import { Succession } from './succession.js'

const RANGE = { start: 0n, end: 9n }
const OLD = 1_000
const NOW = 5_000

/** The new stream: 0 was split into 1 and 2, 3 is open. */
const SHARDS: readonly Shard[] = [
  { shardId: '0', range: RANGE, startingSequenceNumber: '100', endingSequenceNumber: '200' },
  { shardId: '1', range: RANGE, startingSequenceNumber: '200', parentShardId: '0' },
  { shardId: '2', range: RANGE, startingSequenceNumber: '200', parentShardId: '0' },
  { shardId: '3', range: RANGE, startingSequenceNumber: '100' },
]

let clock: ManualClock
let table: MemoryLeaseStore
let network: FaultyLeaseStore
let events: LeaseEvent[]

beforeEach(async () => {
  clock = new ManualClock()
  table = new MemoryLeaseStore()
  network = new FaultyLeaseStore(table)
  events = []
  const rest = { parentShardIds: [], range: undefined, startAt: 5, streamCreatedAt: OLD }
  for (const [leaseKey, checkpoint] of [
    ['0', SHARD_END],
    ['1', SHARD_END],
    ['3', sequencePosition('77')],
    ['9', LATEST],
  ] satisfies [string, NewLease['checkpoint']][]) {
    await table.create({ leaseKey, checkpoint, ...rest })
  }
})

function succession(): Succession {
  return new Succession({ store: network.store, clock, emit: (event) => events.push(event) })
}

/** As ShardDiscovery does: look, advance, look again. */
async function once(succession: Succession, fresh = () => true, shards = SHARDS): Promise<boolean> {
  const { leases } = await table.list()
  const former = formerLeases(leases, shards, NOW)
  if (former.leases.length === 0) return true
  await succession.advance({ leases, shards, former, stream: { streamId: undefined, streamCreatedAt: NOW }, fresh }, {})
  return false
}

async function rows(): Promise<Lease[]> {
  return [...(await table.list()).leases].sort((a, b) => (a.leaseKey < b.leaseKey ? -1 : 1))
}

describe('the leases of a former stream', () => {
  test('parents begin anew before their children, in whatever order they are listed', async () => {
    await once(succession(), () => true, [...SHARDS].reverse())
    expect(events.map((event) => 'leaseKey' in event && event.leaseKey)).toEqual(['3', '0', '1'])
  })

  test('become those of the present one, from the oldest record on; what has no shard any more goes', async () => {
    const one = succession()
    expect(await once(one)).toBe(false)
    expect(await once(one)).toBe(true)
    const begun = { checkpoint: TRIM_HORIZON, streamCreatedAt: NOW, startAt: undefined, range: RANGE }
    expect(await rows()).toMatchObject([
      { leaseKey: '0', leaseCounter: 1, parentShardIds: [], ...begun },
      { leaseKey: '1', leaseCounter: 1, parentShardIds: ['0'], ...begun },
      { leaseKey: '3', leaseCounter: 1, parentShardIds: [], ...begun },
    ])
    expect(events.map((event) => [event.type, 'leaseKey' in event && event.leaseKey])).toEqual([
      ['lease-reset', '0'],
      ['lease-reset', '3'],
      ['lease-reset', '1'],
    ])
  })

  test('a shard that the new stream needs first and that has no row is created before anything is replaced by its name', async () => {
    for (const row of await rows()) if (row.leaseKey === '0') await table.delete(row)
    const one = succession()
    while (!(await once(one))) {}
    expect((await rows()).map(({ leaseKey }) => leaseKey)).toEqual(['0', '1', '3'])
    expect(events[0]).toMatchObject({ type: 'lease-created', leaseKey: '0', checkpoint: TRIM_HORIZON })
  })

  test.each([0, 1, 2, 3])('a crash after %d writes leaves the rest for the next worker', async (writes) => {
    let sent = 0
    const crashed = succession()
    await once(crashed, () => sent++ < writes)
    const half = (await rows()).filter(({ streamCreatedAt }) => streamCreatedAt === OLD).length
    expect(half).toBe(4 - writes)
    const next = succession()
    while (!(await once(next))) {}
    expect((await rows()).map(({ leaseKey, checkpoint }) => [leaseKey, checkpoint.kind])).toEqual(
      ['0', '1', '3'].map((key) => [key, 'trim-horizon']),
    )
  })

  test('what another worker has begun meanwhile is left alone', async () => {
    const { leases } = await table.list()
    const former = formerLeases(leases, SHARDS, NOW)
    const other = succession()
    while (!(await once(other))) {}
    const taken = await table.take((await table.read('3'))!, 'other')
    const read = await table.renew(taken.lease!, 'other', { checkpoint: sequencePosition('150') })
    const stream = { streamId: undefined, streamCreatedAt: NOW }
    expect(await succession().advance({ leases, shards: SHARDS, former, stream, fresh: () => true }, {})).toEqual([])
    expect(await table.read('3')).toEqual(read.lease)
  })

  test('an owner that still renews has lost its lease', async () => {
    const taken = await table.take((await table.read('3'))!, 'old')
    const one = succession()
    while (!(await once(one))) {}
    expect((await table.renew(taken.lease!, 'old', {})).done).toBe(false)
    expect((await table.read('3'))!.leaseOwner).toBe(undefined)
  })

  test('what only contradicts the listing is looked at twice', async () => {
    for (const row of await rows()) await table.delete(row)
    await table.create({ leaseKey: '3', checkpoint: SHARD_END, parentShardIds: [], range: undefined, startAt: undefined })
    const one = succession()
    const first = once(one)
    await clock.advanceAsync(1_000)
    await first
    expect((await table.read('3'))!.checkpoint).toEqual(SHARD_END)
    await once(one)
    expect((await table.read('3'))!.checkpoint).toEqual(TRIM_HORIZON)
  })

  test('is not tried for ever', async () => {
    const one = succession()
    for (let i = 0; i < 5; i++) await once(one, () => false)
    await expect(once(one, () => false)).rejects.toThrow(/still being written/)
  })
})
