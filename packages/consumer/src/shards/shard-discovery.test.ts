import { ManualClock } from '@shardwise/core/clock'
import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type { KinesisPort, ShardListing } from '@shardwise/core/kinesis-port'
import { KinesisModel } from '@shardwise/local/model'
import { beforeEach, describe, expect, test } from 'vitest'
import { AT_TIMESTAMP, LATEST, SHARD_END, TRIM_HORIZON } from '../checkpoints/position.js'
import type { Lease } from '../leases/lease.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import { MemoryLeaseStore } from '../leases/memory-lease-store.js'
import { FaultyLeaseStore } from '../leases/testing/faulty-lease-store.js'
import { type InitialPosition, ShardDiscovery } from './shard-discovery.js'

const STREAM = { StreamName: 'orders' }

let clock: ManualClock
let model: KinesisModel
let table: MemoryLeaseStore
let events: LeaseEvent[]
let calls: string[]

beforeEach(() => {
  clock = new ManualClock()
  model = new KinesisModel({ clock, random: () => 0.5, transitionMs: { create: 0, delete: 0, update: 0 } })
  model.call('CreateStream', { ...STREAM, ShardCount: 2 })
  // The shards are older than the second in which the consumer starts.
  clock.advance(2_500)
  table = new MemoryLeaseStore()
  events = []
  calls = []
})

function aPort(changes: Partial<KinesisPort> = {}): KinesisPort {
  const call =
    (operation: string) =>
    async (input: object): Promise<object> => {
      calls.push(operation)
      return model.call(operation, input)
    }
  const port = {
    listShards: call('ListShards'),
    describeStreamSummary: async (input: object) => ({
      ...(await call('DescribeStreamSummary')(input)),
      serviceTime: clock.wallTime(),
    }),
  }
  return { ...port, ...changes } as unknown as KinesisPort
}

function discovery(
  initialPosition: InitialPosition,
  store = new FaultyLeaseStore(table).store,
  kinesis = aPort(),
): ShardDiscovery {
  return new ShardDiscovery({ kinesis, stream: STREAM, store, initialPosition, clock, emit: (event) => events.push(event) })
}

function split(shardId: string): void {
  clock.advance(1_000)
  const [shard] = (model.call('ListShards', STREAM) as { Shards: ShardListing[] }).Shards.filter(
    ({ ShardId }) => ShardId === shardId,
  )
  const [start, end] = [BigInt(shard!.HashKeyRange!.StartingHashKey!), BigInt(shard!.HashKeyRange!.EndingHashKey!)]
  model.call('SplitShard', { ...STREAM, ShardToSplit: shardId, NewStartingHashKey: `${(start + end) / 2n + 1n}` })
  clock.advance(1_000)
}

const id = (number: number): string => `shardId-${String(number).padStart(12, '0')}`

async function rows(): Promise<Map<string, Lease>> {
  return new Map((await table.list()).leases.map((lease) => [lease.leaseKey, lease]))
}

async function numbers(): Promise<number[]> {
  return [...(await rows()).keys()].map((key) => Number(key.slice(-12))).sort((a, b) => a - b)
}

describe('an empty table', () => {
  test('latest: the open shards, with the service’s time in whole seconds', async () => {
    await discovery('latest').createMissing()
    expect(await numbers()).toEqual([0, 1])
    const startAt = Math.floor(clock.wallTime() / 1_000) * 1_000
    expect((await rows()).get(id(1))).toMatchObject({
      checkpoint: LATEST,
      startAt,
      range: { end: MAX_HASH_KEY },
      parentShardIds: [],
    })
    expect(events).toEqual([0, 1].map((number) => ({ type: 'lease-created', leaseKey: id(number), checkpoint: LATEST })))
  })

  test('latest, and the stream is split while it is looked at: the parent is read, nothing is skipped', async () => {
    const describeStreamSummary: KinesisPort['describeStreamSummary'] = async () => {
      split(id(0))
      return { serviceTime: clock.wallTime() }
    }
    await discovery('latest', table, aPort({ describeStreamSummary })).createMissing()
    expect(await numbers()).toEqual([0, 1])
  })

  test('latest in the second in which the stream was made', async () => {
    model.call('CreateStream', { StreamName: 'young', ShardCount: 2 })
    const young = new ShardDiscovery({
      kinesis: aPort(),
      stream: { StreamName: 'young' },
      store: table,
      initialPosition: 'latest',
      clock,
      emit: () => {},
    })
    await young.createMissing()
    expect(await numbers()).toEqual([0, 1])
  })

  test('trim horizon: the oldest shards, the service’s time is not asked', async () => {
    split(id(0))
    await discovery('trim-horizon').createMissing()
    expect(await numbers()).toEqual([0, 1])
    expect((await rows()).get(id(0))).toMatchObject({ checkpoint: TRIM_HORIZON, startAt: undefined })
    expect(calls).toEqual(['ListShards'])
  })

  test('a time: the shards that were open then', async () => {
    const before = new Date(clock.wallTime())
    split(id(0))
    await discovery({ at: new Date(clock.wallTime()) }).createMissing()
    expect(await numbers()).toEqual([1, 2, 3])
    expect((await rows()).get(id(2))).toMatchObject({ checkpoint: AT_TIMESTAMP, startAt: clock.wallTime() })
    table = new MemoryLeaseStore()
    await discovery({ at: before }).createMissing()
    expect(await numbers()).toEqual([0, 1])
  })
})

describe('a table with leases', () => {
  test('complete: one listing, and nothing is written', async () => {
    await discovery('latest').createMissing()
    calls = []
    expect(await discovery('latest').createMissing()).toEqual([])
    expect(calls).toEqual(['ListShards'])
  })

  test('half made by a worker that died: the next one goes on from the first one’s time', async () => {
    const network = new FaultyLeaseStore(table)
    network.next('create', 'lost')
    await expect(discovery('latest', network.store).createMissing()).rejects.toThrow('socket hang up')
    const [first] = [...(await rows()).values()]
    clock.advance(60_000)
    await discovery('latest').createMissing()
    expect([...(await rows()).values()].map(({ startAt }) => startAt)).toEqual([first!.startAt, first!.startAt])
  })

  test('two workers at once create each lease once', async () => {
    await Promise.all([discovery('latest').createMissing(), discovery('latest').createMissing()])
    expect(await numbers()).toEqual([0, 1])
    expect(events).toHaveLength(2)
  })

  test('children whose parent is still at work are left alone, those of a finished one are made', async () => {
    await discovery('trim-horizon').createMissing()
    split(id(0))
    await discovery('trim-horizon').createMissing()
    expect(await numbers()).toEqual([0, 1])
    await table.end((await table.take((await rows()).get(id(0))!, 'me')).lease!, 'me', [])
    await discovery('latest').createMissing()
    expect(await numbers()).toEqual([0, 1, 2, 3])
    expect((await rows()).get(id(2))).toMatchObject({ checkpoint: TRIM_HORIZON, parentShardIds: [id(0)] })
    expect((await rows()).get(id(0))).toMatchObject({ checkpoint: SHARD_END })
  })
})

describe('a listing with a hole', () => {
  const withHoles = (times: number): KinesisPort => {
    const { listShards } = aPort()
    let left = times
    return aPort({
      listShards: async (input) => {
        const output = await listShards(input)
        return left-- > 0 ? { Shards: output.Shards!.slice(1) } : output
      },
    })
  }

  test('is read again', async () => {
    const created = discovery('trim-horizon', table, withHoles(3)).createMissing()
    await clock.advanceAsync(3_000)
    expect(await created).toHaveLength(2)
  })

  test('that stays is an error that names it, and no lease is made', async () => {
    const outcome = discovery('trim-horizon', table, withHoles(99))
      .createMissing()
      .catch((error: Error) => error)
    await clock.advanceAsync(5_000)
    expect(await outcome).toMatchObject({ name: 'IncompleteShardListError', message: expect.stringContaining('hash keys 0 to ') })
    expect(await numbers()).toEqual([])
    expect(clock.pendingTimers).toBe(0)
  })

  test('waiting ends with the signal', async () => {
    const stop = new AbortController()
    const outcome = discovery('trim-horizon', table, withHoles(99)).createMissing({ signal: stop.signal })
    const settled = expect(outcome).rejects.toThrow('stop')
    await clock.advanceAsync(500)
    stop.abort(new Error('stop'))
    await settled
    expect(clock.pendingTimers).toBe(0)
  })
})

test('children of a shard, as ListShards knows them', async () => {
  split(id(1))
  const children = await discovery('latest').childrenOf({ shardId: id(1) })
  expect(children.map(({ ShardId, ParentShards }) => [ShardId, ParentShards])).toEqual([
    [id(2), [id(1)]],
    [id(3), [id(1)]],
  ])
  expect(children[1]!.HashKeyRange!.EndingHashKey).toBe(`${MAX_HASH_KEY}`)
  expect(await discovery('latest').childrenOf({ shardId: id(0) })).toEqual([])
})
