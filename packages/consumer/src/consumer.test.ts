import { AggregateBuilder } from '@shardwise/aggregation'
import { sleep } from '@shardwise/core/clock'
import { json } from '@shardwise/core/codec'
import { InvalidOptionError } from '@shardwise/core/options'
import { seededRandom } from '@shardwise/core/random'
import { tagsOf } from '@shardwise/core/record-tags'
import type { KinesisModel } from '@shardwise/local/model'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AT_TIMESTAMP } from './checkpoints/position.js'
import type { Consumer } from './consumer.js'
import { ConsumerStoppingError } from './consumer-error.js'
import type { ConsumerOptions } from './consumer-options.js'
import type { ConsumedRecord } from './delivery/consumed-record.js'
import { MemoryLeaseStore } from './leases/memory-lease-store.js'
import { FaultyLeaseStore } from './leases/testing/faulty-lease-store.js'
import type { RunOptions } from './run-options.js'
import { setUp } from './testing/small-fleet.js'

describe('Consumer, without real time', () => {
  it('a checkpoint without a record, made after its call, is not one of the records that the next call has in hand', async () => {
    const { consumer, put, leaseStore, settled, until, clock } = setUp(1)
    put(3)
    const one = consumer()
    const calls: { readonly sequenceNumber: string; readonly checkpoint: () => Promise<void> }[] = []
    const run = one.run(
      {
        async eachRecord({ sequenceNumber }, { checkpoint }) {
          if (calls.push({ sequenceNumber, checkpoint }) === 2) await sleep(clock, 60_000)
        },
      },
      { checkpoint: 'manual' },
    )
    await until(() => calls.length === 2)
    await settled(calls[0]!.checkpoint())
    const { checkpoint } = (await leaseStore.list()).leases[0]!
    expect(checkpoint).toMatchObject({ sequenceNumber: calls[0]!.sequenceNumber })
    await settled(Promise.all([one.stop(), run]))
  })

  it('stop refuses what is no option, and stops nothing by that', async () => {
    const { consumer, settled } = setUp(1)
    const one = consumer()
    for (const options of [5000, null, { signal: new AbortController() }, { timeoutMs: -1 }])
      await expect(one.stop(options as never)).rejects.toThrow(InvalidOptionError)
    expect(one.snapshot().state).toBe('new')
    await settled(one.stop())
  })

  it('shares shards, follows reshards, stops in order, and leaves no timer and no owner behind', async () => {
    const { model, leaseStore, consumer, put, until, settled } = setUp(3)
    const got: { by: number; value: number; key: string }[] = []
    const fleet = [consumer(), consumer(), consumer()]
    const runs = fleet.map((each, by) =>
      each.run({
        eachRecord: async (record) => {
          got.push({ by, value: Number(new TextDecoder().decode(record.data)), key: record.partitionKey })
        },
      }),
    )
    put(300)
    await until(() => got.length === 300)
    merge(model, openShards(model), 0)
    put(300)
    await settled(fleet[0]!.stop())
    put(300)
    await until(() => got.length >= 900)
    await settled(Promise.all([...fleet.map((each) => each.stop()), ...runs]))
    expect(got).toHaveLength(900)
    expect(new Set(got.map(({ by }) => by)).size).toBeGreaterThan(1)
    for (let i = 0; i < 32; i++) {
      const values = got.filter(({ key }) => key === `key-${i}`).map(({ value }) => value)
      expect(values).toEqual([...values].sort((a, b) => a - b))
    }
    for (const lease of (await leaseStore.list()).leases) expect(lease.leaseOwner).toBeUndefined()
  })

  it.each([1, 2, 3, 4, 5, 6])('any reshards, starts and stops, mixed with records, one upon the other (%i)', async (seed) => {
    const options: RunOptions = seed % 2 === 0 ? { concurrency: 4, order: 'key' } : {}
    const { model, leaseStore, consumer, put, until, settled, clock } = setUp(2)
    const random = seededRandom(seed)
    const pick = (count: number): number => Math.floor(random() * count)
    const got: { value: number; key: string }[] = []
    const fleet: { consumer: Consumer; run: Promise<void> }[] = []
    const join = (): void => {
      const one = consumer({ failoverTimeMs: 3000 })
      const eachRecord = async (record: ConsumedRecord): Promise<void> => {
        if (random() < 0.05) await sleep(clock, pick(4000))
        got.push({ value: Number(new TextDecoder().decode(record.data)), key: record.partitionKey })
      }
      fleet.push({ consumer: one, run: one.run({ eachRecord }, options) })
    }
    join()
    let total = 0
    const stopping: Promise<unknown>[] = []
    for (let step = 0; step < 40; step++) {
      const count = pick(30)
      put(count)
      total += count
      const open = openShards(model)
      const action = pick(6)
      if (action < 2 && open.length < 8) split(model, open[pick(open.length)]!)
      else if (action === 2 && open.length > 1) merge(model, open, pick(open.length - 1))
      else if (action === 3 && fleet.length < 4) join()
      else if (action === 4 && fleet.length > 1) {
        const [left] = fleet.splice(pick(fleet.length), 1)
        stopping.push(left!.consumer.stop(), left!.run)
      }
      await clock.advanceAsync(pick(3) === 0 ? pick(5000) : pick(300))
    }
    const distinct = (): Set<number> => new Set(got.map(({ value }) => value))
    await until(() => distinct().size >= total, 600_000)
    await settled(Promise.all([...stopping, ...fleet.flatMap((each) => [each.consumer.stop(), each.run])]))
    // Nobody died: each record once, and each key in order. By key a stop repeats what was completed beyond a gap.
    expect(distinct().size).toBe(total)
    if (options.order !== 'key') expect(got).toHaveLength(total)
    const seen = new Set<number>()
    const firsts = got.filter(({ value }) => !seen.has(value) && seen.add(value))
    for (let i = 0; i < 32; i++) {
      const values = firsts.filter(({ key }) => key === `key-${i}`).map(({ value }) => value)
      expect(values).toEqual([...values].sort((a, b) => a - b))
    }
    for (const lease of (await leaseStore.list()).leases) expect(lease.leaseOwner).toBeUndefined()
  })

  it('stop in a handler that returns no promise: at most a few calls begin after it', async () => {
    const { consumer, put, until, settled } = setUp(1)
    const one = consumer()
    let handled = 0
    put(100)
    const run = one.run({
      eachRecord: () => {
        if (++handled === 3) void one.stop()
      },
    })
    await until(() => handled >= 3)
    await settled(run)
    expect(handled).toBeLessThan(10)
  })

  it('checkpoints what is completed with the renewals, so that a crash repeats little', async () => {
    const { leaseStore, consumer, put, until, settled, clock } = setUp(1)
    const one = consumer({ failoverTimeMs: 9000 })
    let handled = 0
    const run = one.run({ eachRecord: () => void handled++ })
    put(10)
    await until(() => handled === 10)
    expect((await leaseStore.list()).leases[0]?.checkpoint.kind).toBe('trim-horizon')
    await clock.advanceAsync(3001)
    expect((await leaseStore.list()).leases[0]?.checkpoint.kind).toBe('sequence')
    await settled(one.stop())
    await run
  })

  it('checkpoints sooner when asked to', async () => {
    const { leaseStore, consumer, put, until, settled, clock } = setUp(1)
    const one = consumer({ failoverTimeMs: 60_000, checkpointIntervalMs: 500 })
    let handled = 0
    const run = one.run({ eachRecord: () => void handled++ })
    put(10)
    await until(() => handled === 10)
    await clock.advanceAsync(501)
    expect((await leaseStore.list()).leases[0]?.checkpoint.kind).toBe('sequence')
    await settled(one.stop())
    await run
  })

  it.each<{ name: string; initialPosition: ConsumerOptions['initialPosition']; first: number }>([
    { name: 'a time: there', initialPosition: { at: new Date('2026-01-01T00:01:00Z') }, first: 5 },
    { name: 'no time: at the oldest record, for nothing may be skipped', initialPosition: 'latest', first: 0 },
  ])('a lease at AT_TIMESTAMP that KCL made, configured with $name', async ({ initialPosition, first }) => {
    const { leaseStore, consumer, put, until, settled, clock } = setUp(1)
    put(5)
    await clock.advanceAsync(61_000)
    put(5)
    const leaseKey = 'shardId-000000000000'
    await leaseStore.create({ leaseKey, checkpoint: AT_TIMESTAMP, parentShardIds: [], range: undefined, startAt: undefined })
    const got: string[] = []
    const one = consumer({ initialPosition })
    const run = one.run({ eachRecord: ({ data }) => void got.push(new TextDecoder().decode(data)) })
    await until(() => got.at(-1) === '9')
    expect(got[0]).toBe(`${first}`)
    await settled(one.stop())
    await run
  })

  it('stops in the middle of a start that does not get on', async () => {
    const { consumer, settled, clock } = setUp(1)
    const slow = consumer({
      leaseStore: Object.assign(new MemoryLeaseStore(), {
        open: ({ signal }: { signal: AbortSignal }) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true })),
      }),
    })
    const run = slow.run({ eachRecord: () => {} })
    await clock.advanceAsync(1000)
    await settled(slow.stop())
    await run
  })

  it('stops during an outage of the lease table, also with a checkpoint on its way: its leases expire', async () => {
    const { leaseStore, consumer, put, until, settled, clock } = setUp(1)
    const network = new FaultyLeaseStore(leaseStore)
    const one = consumer({ leaseStore: network.store, failoverTimeMs: 9000, checkpointIntervalMs: 500 })
    let handled = 0
    const run = one.run({ eachRecord: () => void handled++ })
    await until(() => network.sent.includes('take'))
    network.outage = 'lost'
    put(10)
    await until(() => handled === 10)
    await clock.advanceAsync(600)
    expect(network.sent).toContain('renew')
    await settled(one.stop())
    await run
  })

  it('stops while the children of a finished shard cannot be recorded: the next owner does it', async () => {
    const { model, leaseStore, consumer, put, until, settled } = setUp(1)
    const network = new FaultyLeaseStore(leaseStore)
    const one = consumer({ leaseStore: network.store })
    let handled = 0
    const run = one.run({ eachRecord: () => void handled++ })
    put(10)
    await until(() => handled === 10)
    network.next('create', ...Array.from({ length: 1000 }, () => 'throttled' as const))
    split(model, openShards(model)[0]!)
    await until(() => network.sent.filter((operation) => operation === 'create').length > 3)
    const failed = one.events.next('shard-failed').then(() => expect.unreachable('it is no fault'))
    void failed.catch(() => {})
    await settled(one.stop())
    await run
    expect((await leaseStore.list()).leases).toMatchObject([{ checkpoint: { kind: 'sequence' }, leaseOwner: undefined }])
    const two = consumer()
    const again = two.run({ eachRecord: () => void handled++ })
    put(10)
    await until(() => handled === 20)
    await settled(two.stop())
    await again
  })

  it('stops while the end of a shard cannot be recorded', async () => {
    const { model, leaseStore, consumer, put, until, settled } = setUp(1)
    const network = new FaultyLeaseStore(leaseStore)
    const one = consumer({ leaseStore: network.store })
    let handled = 0
    const run = one.run({ eachRecord: () => void handled++ })
    put(10)
    await until(() => handled === 10)
    network.next('end', ...Array.from({ length: 1000 }, () => 'lost' as const))
    split(model, openShards(model)[0]!)
    await until(() => network.sent.includes('end'))
    network.outage = 'lost'
    await settled(one.stop())
    await run
    const two = consumer()
    const again = two.run({ eachRecord: () => void handled++ })
    put(10)
    await until(() => handled === 20)
    await settled(two.stop())
    await again
  })

  it('stops within its time though a handler never returns: what that does later is not checkpointed', async () => {
    const { leaseStore, consumer, put, until, settled, clock } = setUp(1)
    const one = consumer({ failoverTimeMs: 9000 })
    const got: string[] = []
    let finishLate = (): void => {}
    let signal: AbortSignal | undefined
    const run = one.run({
      eachRecord: ({ data }, context) => {
        got.push(new TextDecoder().decode(data))
        signal = context.signal
        if (got.length === 3)
          return new Promise<void>((resolve) => {
            finishLate = resolve
          })
        return undefined
      },
    })
    put(5)
    await until(() => got.length === 3)
    const began = clock.now()
    const patient = one.stop()
    const limited = one.stop({ timeoutMs: 5000 })
    expect(one.snapshot().state).toBe('stopping')
    await settled(limited)
    expect(clock.now() - began).toBeLessThan(6200)
    expect(signal?.reason).toBeInstanceOf(ConsumerStoppingError)
    const outcome = { abandonedShards: [{ stream: 'flights', shardId: 'shardId-000000000000' }] }
    expect(await limited).toEqual(outcome)
    expect(await patient).toEqual(outcome)
    await run
    const rows = (await leaseStore.list()).leases
    expect(rows).toMatchObject([{ leaseOwner: undefined, checkpoint: { kind: 'sequence' } }])
    finishLate()
    await clock.advanceAsync(1000)
    expect((await leaseStore.list()).leases).toEqual(rows)
    const two = consumer()
    const again = two.run({ eachRecord: ({ data }) => void got.push(new TextDecoder().decode(data)) })
    await until(() => got.at(-1) === '4')
    expect(got).toEqual(['0', '1', '2', '2', '3', '4'])
    await settled(two.stop())
    await again
  })

  it('hands over what the codec makes; what it cannot decode is a failure of the handler, and a dead letter has its bytes', async () => {
    const { model, consumer, until, settled } = setUp(1)
    const put = (text: string): void => {
      model.call('PutRecord', { StreamName: 'flights', PartitionKey: 'k', Data: Buffer.from(text) })
    }
    for (const text of ['{"gate":"A1"}', '{"gate"', '{"gate":"B2"}']) put(text)
    const one = consumer({ codec: json<{ gate: string }>() })
    const got: string[] = []
    const dead: string[] = []
    const errors: unknown[] = []
    one.events.on('handler-failed', ({ error }) => errors.push((error as Error).message))
    const run = one.run(
      { eachRecord: ({ data }) => void got.push(data.gate) },
      { onFailure: { attempts: 2, giveUp: { deadLetter: ({ bytes }) => void dead.push(Buffer.from(bytes).toString()) } } },
    )
    await until(() => got.length === 2)
    expect([got, dead]).toEqual([['A1', 'B2'], ['{"gate"']])
    expect(errors).toEqual(
      Array(2).fill(expect.stringMatching(/^The codec cannot decode record \d+\/0 of shardId-0+ of flights: /)),
    )
    await settled(one.stop())
    await run
  })

  it('drops copies that it has completed, over all shards, and counts them; not with manual checkpoints', async () => {
    const { model, consumer, leaseStore, until, settled } = setUp(2)
    const put = (id: string, key: string): void => {
      const builder = new AggregateBuilder()
      builder.tryAdd(key, Buffer.from(id), undefined, tagsOf(id, undefined))
      model.call('PutRecord', { StreamName: 'flights', PartitionKey: key, Data: Buffer.from(builder.seal().bytes) })
    }
    const one = consumer({ dedupe: { maxRecordIds: 100 } })
    const got: string[] = []
    const counts: number[] = []
    one.events.on('batch-completed', ({ duplicates }) => duplicates > 0 && counts.push(duplicates))
    const manual = one.run({ eachRecord: () => {} }, { checkpoint: 'manual' })
    await expect(manual).rejects.toThrow('`dedupe`')
    const run = one.run({ eachRecord: ({ recordId }) => void got.push(recordId!) })
    for (const id of ['a', 'b', 'a', 'c']) put(id, 'key-1')
    await until(() => got.length === 3)
    for (const id of ['c', 'd', 'b']) put(id, 'key-5')
    await until(() => got.length === 4 && counts.length === 2)
    expect([got, counts]).toEqual([
      ['a', 'b', 'c', 'd'],
      [1, 2],
    ])
    const { shards } = one.snapshot()
    expect(shards.map(({ worker }) => worker?.duplicates).toSorted()).toEqual([1, 2])
    await settled(one.stop())
    await run
    const { leases } = await leaseStore.list()
    expect(leases.map(({ checkpoint }) => checkpoint.kind)).toEqual(['sequence', 'sequence'])
  })

  it('many shards, many calls of each, and what handlers begin with their signal: no warning of a leak', async () => {
    const warnings: string[] = []
    const warn = (warning: Error): void => void warnings.push(warning.message)
    process.on('warning', warn)
    onTestFinished(() => void process.off('warning', warn))
    const { consumer, put, until, settled, clock } = setUp(20)
    const one = consumer()
    let calls = 0
    const eachRecord = async (_: unknown, { signal }: { readonly signal: AbortSignal }): Promise<void> => {
      calls++
      await sleep(clock, 5000, { signal }).catch(() => {})
    }
    put(2000)
    const run = one.run({ eachRecord }, { concurrency: 16, order: 'key' })
    await until(() => calls >= 32)
    one.pause()
    await clock.advanceAsync(6000)
    await settled(one.stop({ timeoutMs: 100 }))
    await run
    expect(warnings).toEqual([])
  })

  it('handlers that compute and wait for nothing leave the event loop its turns: a stop is heard', async () => {
    const { consumer, put, until, settled, clock } = setUp(2)
    const one = consumer()
    let calls = 0
    put(400)
    const busy = (): void => {
      calls++
      clock.advance(1)
    }
    const run = one.run({ eachRecord: busy })
    await until(() => calls > 0, 5000)
    // Both shards together: as much as a spell, not two reads of 200.
    expect(calls).toBeLessThanOrEqual(150)
    await settled(one.stop())
    expect(calls).toBeLessThan(300)
    await run
  })

  it('pauses a shard or all, those taken later included, keeps the leases meanwhile, and shows it', async () => {
    const { leaseStore, consumer, put, until, settled, clock } = setUp(3)
    const one = consumer({ failoverTimeMs: 3000 })
    const events: string[] = []
    for (const type of ['shard-paused', 'shard-resumed', 'lease-lost', 'lease-in-doubt'] as const) {
      one.events.on(type, (event) => events.push(`${type} ${'shardId' in event ? event.shardId.at(-1) : event.leaseKey}`))
    }
    const got = new Map<string, number>()
    const count = (): number => [...got.values()].reduce((sum, each) => sum + each, 0)
    one.pause()
    const run = one.run({ eachRecord: ({ shardId }) => void got.set(shardId, (got.get(shardId) ?? 0) + 1) })
    put(300)
    await until(() => events.length === 3)
    await clock.advanceAsync(60_000)
    expect(count()).toBe(0)
    expect(one.snapshot().shards.map(({ paused, owner }) => ({ paused, ours: owner === one.snapshot().workerId }))).toEqual(
      Array(3).fill({ paused: true, ours: true }),
    )
    one.resume('shardId-000000000001')
    await clock.advanceAsync(10_000)
    expect([...got.keys()]).toEqual(['shardId-000000000001'])
    one.resume()
    await until(() => count() === 300)
    one.pause('shardId-000000000002')
    one.pause('shardId-000000000002')
    put(300)
    const held = got.get('shardId-000000000002')!
    await clock.advanceAsync(10_000)
    expect(got.get('shardId-000000000002')).toBe(held)
    expect(count()).toBeGreaterThan(400)
    expect(events.sort()).toEqual([
      ...['0', '1', '2', '2'].map((shard) => `shard-paused ${shard}`),
      ...['0', '1', '2'].map((shard) => `shard-resumed ${shard}`),
    ])
    await settled(one.stop())
    await run
    for (const lease of (await leaseStore.list()).leases) expect(lease.leaseOwner).toBeUndefined()
  })

  it('shows shards, owners, checkpoints, lag and memory without asking anybody', async () => {
    const { consumer, put, until, settled, clock } = setUp(2)
    const one = consumer({ workerId: 'one' })
    expect(one.snapshot()).toEqual({
      streams: ['flights'],
      applicationName: 'delays',
      workerId: undefined,
      state: 'new',
      shards: [],
    })
    let handled = 0
    let blocked = false
    const eachRecord = async (): Promise<void> => {
      handled++
      while (blocked) await sleep(clock, 100)
    }
    const run = one.run({ eachRecord })
    expect(one.snapshot()).toMatchObject({ state: 'starting', workerId: expect.stringMatching(/^one:/) })
    const two = consumer({ workerId: 'two' })
    const running = two.run({ eachRecord })
    put(100)
    await until(() => handled === 100)
    await until(() => one.snapshot().shards.filter(({ owner }) => owner?.startsWith('two:')).length === 1)
    await until(() => one.snapshot().shards.every(({ checkpoint }) => checkpoint?.kind === 'sequence'))
    const seen = one.snapshot()
    expect(JSON.parse(JSON.stringify(seen))).toEqual(seen)
    expect(seen).toMatchObject({ state: 'running', streams: ['flights'], applicationName: 'delays' })
    const mine = seen.shards.filter(({ worker }) => worker !== undefined)
    expect(mine).toMatchObject([
      {
        owner: seen.workerId,
        paused: false,
        worker: {
          state: 'running',
          millisBehindLatest: 0,
          bufferedRecords: 0,
          bufferedBytes: 0,
          completed: { kind: 'sequence' },
        },
      },
    ])
    expect(Math.abs(mine[0]!.worker!.readAt! - clock.wallTime())).toBeLessThan(1000)
    blocked = true
    put(100)
    await until(() => one.snapshot().shards.some(({ worker }) => (worker?.bufferedRecords ?? 0) > 1))
    blocked = false
    await until(() => handled === 200)
    await settled(Promise.all([one.stop(), run]))
    expect(one.snapshot()).toMatchObject({ state: 'stopped', workerId: seen.workerId })
    for (const { owner, worker } of one.snapshot().shards) {
      expect(worker).toBeUndefined()
      expect(owner).not.toBe(seen.workerId)
    }
    await settled(Promise.all([two.stop(), running]))
  })
})

/** In the order of hash keys. */
function openShards(model: KinesisModel): Shard[] {
  const { Shards } = model.call('ListShards', { StreamName: 'flights' }) as { Shards: Shard[] }
  const open = Shards.filter((shard) => shard.SequenceNumberRange.EndingSequenceNumber === undefined)
  return open.sort((a, b) => (BigInt(a.HashKeyRange.StartingHashKey) < BigInt(b.HashKeyRange.StartingHashKey) ? -1 : 1))
}

interface Shard {
  readonly ShardId: string
  readonly HashKeyRange: { readonly StartingHashKey: string; readonly EndingHashKey: string }
  readonly SequenceNumberRange: { readonly EndingSequenceNumber?: string }
}

function split(model: KinesisModel, { ShardId, HashKeyRange }: Shard): void {
  const middle = (BigInt(HashKeyRange.StartingHashKey) + BigInt(HashKeyRange.EndingHashKey)) / 2n
  model.call('SplitShard', { StreamName: 'flights', ShardToSplit: ShardId, NewStartingHashKey: `${middle}` })
}

function merge(model: KinesisModel, open: readonly Shard[], index: number): void {
  const [ShardToMerge, AdjacentShardToMerge] = [open[index]!.ShardId, open[index + 1]!.ShardId]
  model.call('MergeShards', { StreamName: 'flights', ShardToMerge, AdjacentShardToMerge })
}
