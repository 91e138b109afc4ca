import { ManualClock } from '@shardwise/core/clock'
import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type { KinesisPort, ShardListing } from '@shardwise/core/kinesis-port'
import { KinesisModel } from '@shardwise/local/model'
import { beforeEach, describe, expect, test } from 'vitest'
import { AT_TIMESTAMP, LATEST, SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import type { Lease } from '../leases/lease.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import type { ListOptions } from '../leases/lease-store.js'
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

describe('KCL scenario 15: a listing with a hole', () => {
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

  test('an empty listing is one hole', async () => {
    const outcome = discovery('latest', table, aPort({ listShards: async () => ({ Shards: [] }) }))
      .createMissing()
      .catch((error: Error) => error.name)
    await clock.advanceAsync(5_000)
    expect(await outcome).toBe('IncompleteShardListError')
  })

  test('shards that overlap, both open, are read again too, and stay an error', async () => {
    const { listShards } = aPort()
    let wrong = 2
    const overlapping = aPort({
      listShards: async (input) => {
        const { Shards = [] } = await listShards(input)
        return { Shards: wrong-- > 0 ? [...Shards, { ...Shards[0]!, ShardId: id(9) }] : Shards }
      },
    })
    const created = discovery('trim-horizon', table, overlapping).createMissing()
    await clock.advanceAsync(2_000)
    expect(await created).toEqual([id(0), id(1)])
    table = new MemoryLeaseStore()
    wrong = 99
    const outcome = discovery('trim-horizon', table, overlapping)
      .createMissing()
      .catch((error: Error) => error.name)
    await clock.advanceAsync(5_000)
    expect(await outcome).toBe('ShardListingError')
    expect(await numbers()).toEqual([])
  })
})

describe('KCL scenario 17: broken off in the middle, and called again', () => {
  const denied = Object.assign(new Error('Not today'), { name: 'AccessDeniedException' })

  test('ListShards fails: nothing is written, and the next call does it all', async () => {
    const failing = aPort({ listShards: () => Promise.reject(denied) })
    await expect(discovery('latest', table, failing).createMissing()).rejects.toBe(denied)
    await expect(discovery('latest', table, failing).createMissing({ atStart: true })).rejects.toBe(denied)
    expect(await numbers()).toEqual([])
    expect(await discovery('latest').createMissing()).toEqual([id(0), id(1)])
  })

  test.each(['latest', 'trim-horizon'] as const)(
    '%s: whichever create fails, however, and however often, the table comes out the same',
    async (position) => {
      model.call('UpdateShardCount', { ...STREAM, TargetShardCount: 4, ScalingType: 'UNIFORM_SCALING' })
      clock.advance(60_000)
      await discovery(position).createMissing()
      const undisturbed = new Map([...(await rows())].map(([key, row]) => [key, row.checkpoint]))
      expect(undisturbed.size).toBe(position === 'latest' ? 4 : 2)
      for (const fault of ['lost', 'unanswered', 'throttled'] as const) {
        for (let failing = 0; failing < undisturbed.size; failing++) {
          table = new MemoryLeaseStore()
          const create = table.create.bind(table)
          let calls = 0
          const network = new FaultyLeaseStore(table)
          table.create = (lease) => {
            if (calls++ === failing) network.next('create', fault)
            return create(lease)
          }
          let startAt: number | undefined
          for (let attempt = 0; attempt < 5; attempt++) {
            await discovery(position, network.store)
              .createMissing()
              .catch(() => {})
            startAt ??= [...(await rows()).values()][0]?.startAt
            clock.advance(30_000)
          }
          expect(new Map([...(await rows())].map(([key, row]) => [key, row.checkpoint]))).toEqual(undisturbed)
          for (const row of (await rows()).values()) expect(row.startAt).toBe(startAt)
        }
      }
    },
  )

  test('what a failed call leaves behind is finished before it rejects: nothing runs on', async () => {
    const network = new FaultyLeaseStore(table)
    network.next('create', 'lost')
    await expect(discovery('latest', network.store).createMissing()).rejects.toThrow('socket hang up')
    expect(await numbers()).toEqual([1])
    expect(events).toMatchObject([{ type: 'lease-created', leaseKey: id(1) }])
  })
})

describe('without ListShards', () => {
  const failing = (): KinesisPort => aPort({ listShards: () => Promise.reject(new Error('no control plane')) })

  test('a start goes on where the table covers all hash keys, and says so; an audit does not', async () => {
    await discovery('latest').createMissing()
    events = []
    expect(await discovery('latest', table, failing()).createMissing({ atStart: true })).toEqual([])
    expect(events).toMatchObject([
      { type: 'shard-audit-failed', failure: { message: expect.stringContaining('no control plane') } },
    ])
    await expect(discovery('latest', table, failing()).createMissing()).rejects.toThrow('no control plane')
  })

  test('it does not go on where a part of the hash keys has no lease, or nobody knows', async () => {
    await discovery('latest').createMissing()
    const [row] = (await table.list()).leases
    await table.delete(row!)
    await expect(discovery('latest', table, failing()).createMissing({ atStart: true })).rejects.toThrow('no control plane')
    await table.create({ ...row!, range: undefined })
    await expect(discovery('latest', table, failing()).createMissing({ atStart: true })).rejects.toThrow('no control plane')
  })
})

describe('late creates', () => {
  test('a listing of more than a minute ago is not acted upon: all is listed again', async () => {
    model.call('UpdateShardCount', { ...STREAM, TargetShardCount: 4, ScalingType: 'UNIFORM_SCALING' })
    clock.advance(60_000)
    const describeStreamSummary: KinesisPort['describeStreamSummary'] = async () => {
      // Suspended here, the first time. Meanwhile others create the leases, read the shards, and delete the leases.
      if (calls.filter((call) => call === 'ListShards').length === 1) clock.advance(61_000)
      return { serviceTime: clock.wallTime() }
    }
    await discovery('latest', table, aPort({ describeStreamSummary })).createMissing()
    expect(calls.filter((call) => call === 'ListShards')).toHaveLength(4)
    expect(await numbers()).toHaveLength(4)
  })
})

describe('audit', () => {
  test('KCL scenario 18: rows that KCL made without a hash range get it; the counter stays', async () => {
    for (const leaseKey of [id(0), id(1)]) {
      await table.create({ leaseKey, checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined })
    }
    const taken = (await table.take((await rows()).get(id(0))!, 'java')).lease!
    await discovery('latest').audit((await table.list()).leases)
    expect((await rows()).get(id(0))).toEqual({ ...taken, range: { start: 0n, end: MAX_HASH_KEY / 2n } })
    expect((await rows()).get(id(1))).toMatchObject({ range: { end: MAX_HASH_KEY }, leaseCounter: 0 })
  })

  test('where nothing is missing in what was scanned, the table is not read', async () => {
    await discovery('latest').createMissing()
    const network = new FaultyLeaseStore(table)
    const { leases } = await table.list()
    await discovery('latest', network.store).audit(leases)
    expect(network.sent).toEqual([])
  })

  test('what seems to be missing is looked up in the table itself', async () => {
    await discovery('trim-horizon').createMissing()
    const network = new FaultyLeaseStore(table)
    await discovery('trim-horizon', network.store).audit([])
    expect(network.sent).toEqual(['list'])
    await table.delete((await rows()).get(id(1))!)
    await discovery('trim-horizon', network.store).audit([])
    expect(network.sent).toEqual(['list', 'list', 'create'])
  })

  test('a finished lease that nothing depends on goes after twenty minutes', async () => {
    const audited = discovery('trim-horizon')
    await audited.createMissing()
    split(id(0))
    await finish(id(0), [id(2), id(3)])
    await audited.audit((await table.list()).leases)
    for (const child of [id(2), id(3)]) await begin(child)
    for (let minute = 0; minute < 20; minute++) {
      await audited.audit((await table.list()).leases)
      clock.advance(60_000)
    }
    expect(await numbers()).toEqual([0, 1, 2, 3])
    await audited.audit((await table.list()).leases)
    expect(await numbers()).toEqual([1, 2, 3])
    // ListShards goes on listing the closed shard.
    await audited.audit((await table.list()).leases)
    await discovery('trim-horizon').createMissing()
    expect(await numbers()).toEqual([1, 2, 3])
    expect(events.at(-1)).toEqual({ type: 'lease-deleted', leaseKey: id(0) })
  })

  describe('three scans that show the same hole', () => {
    const hole = { type: 'hash-range-hole', startingHashKey: `${MAX_HASH_KEY / 2n + 1n}`, endingHashKey: `${MAX_HASH_KEY}` }
    let store: FaultyLeaseStore
    let audited: ShardDiscovery
    let scan: readonly Lease[]

    beforeEach(async () => {
      store = new FaultyLeaseStore(table)
      audited = discovery('latest', store.store)
      await audited.createMissing()
      events = []
      scan = (await table.list()).leases.filter(({ leaseKey }) => leaseKey !== id(1))
    })

    test('are looked into at once, and told, with the hash keys, when a consistent read shows it too; then the row is made', async () => {
      await table.delete((await rows()).get(id(1))!)
      expect([1, 2, 3, 4].map(() => audited.watch(scan))).toEqual([false, false, true, false])
      expect(events).toEqual([])
      await audited.audit(scan)
      expect(events).toEqual([hole, expect.objectContaining({ type: 'lease-created', leaseKey: id(1) })])
      await audited.audit((await table.list()).leases)
      expect(events).toHaveLength(2)
    })

    test('are no alarm where the row is there: it is so young that scans do not show it yet', async () => {
      // Reads that are not consistent do not, either.
      const all = await table.list()
      table.list = async (options?: ListOptions) => (options?.consistent === true ? all : { ...all, leases: scan })
      for (let scans = 0; scans < 10; scans++) if (audited.watch(scan)) await audited.audit(scan)
      await audited.audit(scan)
      expect(events).toEqual([])
    })

    test('are looked into again when the table could not be read', async () => {
      await table.delete((await rows()).get(id(1))!)
      for (let scans = 0; scans < 3; scans++) audited.watch(scan)
      store.next('list', 'lost')
      await expect(audited.audit(scan)).rejects.toThrow()
      expect(events).toEqual([])
      await audited.audit(scan)
      expect(events[0]).toEqual(hole)
    })
  })
})

describe('an application with a past of which no row tells the beginning (KCL made them)', () => {
  test('latest is not now: a shard without leased ancestors starts at its oldest record', async () => {
    split(id(0))
    for (const leaseKey of [id(1), id(2)]) {
      await table.create({ leaseKey, checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined })
    }
    await begin(id(1))
    const { listShards } = aPort()
    // Retention has taken the parent.
    const expired = aPort({
      listShards: async (input) => ({ Shards: (await listShards(input)).Shards!.filter(({ ShardId }) => ShardId !== id(0)) }),
    })
    await discovery('latest', table, expired).createMissing()
    expect((await rows()).get(id(3))).toMatchObject({ checkpoint: TRIM_HORIZON, startAt: undefined })
  })

  test('while nothing has begun it is: KCL itself was about to start at the tip', async () => {
    await table.create({ leaseKey: id(0), checkpoint: LATEST, parentShardIds: [], range: undefined, startAt: undefined })
    await discovery('latest').createMissing()
    expect((await rows()).get(id(1))).toMatchObject({ checkpoint: LATEST, startAt: expect.any(Number) })
  })
})

async function begin(leaseKey: string): Promise<Lease> {
  const taken = (await table.take((await table.read(leaseKey))!, 'me')).lease!
  const { Shards } = model.call('ListShards', STREAM) as { Shards: ShardListing[] }
  // A checkpoint before a shard's first record would be of a former stream.
  const first = Shards.find(({ ShardId }) => ShardId === leaseKey)!.SequenceNumberRange!.StartingSequenceNumber!
  return (await table.renew(taken, 'me', { checkpoint: sequencePosition(first) })).lease!
}

async function finish(leaseKey: string, children: readonly string[]): Promise<void> {
  await table.end(await begin(leaseKey), 'me', children)
}

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

test('leases of former streams are cleared away as often as there are any: earlier times do not count', async () => {
  const createdAt = clock.wallTime()
  const discovery = new ShardDiscovery({
    kinesis: aPort(),
    stream: STREAM,
    store: table,
    initialPosition: 'latest',
    createdAt,
    clock,
    emit: () => {},
  })
  const former = { parentShardIds: [], range: undefined, startAt: undefined, streamCreatedAt: createdAt - 60_000 }
  for (let time = 0; time < 8; time++) {
    await table.create({ leaseKey: id(9), checkpoint: SHARD_END, ...former })
    await discovery.createMissing()
    expect(await numbers()).toEqual([0, 1])
  }
})
