import { ManualClock, systemClock } from '@shardwise/core/clock'
import { EventSource } from '@shardwise/core/events'
import { seededRandom } from '@shardwise/core/random'
import { connectDynamoDB } from '@shardwise/core/transport/dynamodb'
import { startLocal } from '@shardwise/local'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LATEST, SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { DynamoDBLeaseStore } from './dynamodb-lease-store.js'
import type { HeldLease } from './held-lease.js'
import type { Lease, NewLease } from './lease.js'
import { LeaseCoordinator } from './lease-coordinator.js'
import type { LeaseEvent } from './lease-event.js'
import { MemoryLeaseStore } from './memory-lease-store.js'
import { scanIntervalMs } from './table-scan.js'
import { FaultyLeaseStore } from './testing/faulty-lease-store.js'

const FAILOVER = 9_000
const HANDOFF = 30_000

let clock: ManualClock
let table: MemoryLeaseStore
let workers: Worker[]

beforeEach(() => {
  clock = new ManualClock()
  table = new MemoryLeaseStore()
  workers = []
})

afterEach(async () => {
  for (const worker of workers) worker.network.outage = undefined
  const stopped = Promise.all(workers.map((worker) => worker.coordinator.stop()))
  for (const worker of workers) worker.releaseAll()
  await clock.advanceAsync(FAILOVER * 3)
  await stopped
  expect(clock.pendingTimers).toBe(0)
})

/** A worker that drains when asked, `drainMs` later. */
class Worker {
  readonly id: string
  readonly network: FaultyLeaseStore
  readonly coordinator: LeaseCoordinator
  readonly events: LeaseEvent[] = []
  readonly held = new Map<string, HeldLease>()
  readonly missing: NewLease[] = []
  readonly #obedient: boolean

  constructor(id: string, options: { readonly obedient?: boolean; readonly drainMs?: number } = {}) {
    this.id = id
    this.#obedient = options.obedient ?? true
    this.network = new FaultyLeaseStore(table)
    const { store } = this.network
    this.coordinator = new LeaseCoordinator({
      store,
      discovery: {
        createMissing: async () => {
          for (const lease of this.missing) await store.create(lease)
          return []
        },
        childrenOf: async () => [],
      },
      workerId: id,
      failoverTimeMs: FAILOVER,
      handoffTimeoutMs: HANDOFF,
      clock,
      random: seededRandom(1),
      onHeld: (lease) => this.#serve(lease, options.drainMs ?? 0),
      emit: (event) => this.events.push(event),
    })
    workers.push(this)
  }

  #serve(lease: HeldLease, drainMs: number): void {
    this.held.set(lease.leaseKey, lease)
    if (!this.#obedient) return
    const finish = (): void =>
      void lease.release().then(() => this.held.get(lease.leaseKey) === lease && this.held.delete(lease.leaseKey))
    lease.drain.addEventListener('abort', () => void clock.schedule(drainMs, finish))
    lease.signal.addEventListener('abort', finish)
  }

  releaseAll(): void {
    for (const lease of this.held.values()) void lease.release()
  }

  get keys(): string[] {
    return [...this.held.values()]
      .filter((lease) => lease.isOurs())
      .map((lease) => lease.leaseKey)
      .sort()
  }

  count(type: LeaseEvent['type']): number {
    return this.events.filter((event) => event.type === type).length
  }
}

async function leases(count: number, changes: Partial<NewLease> = {}): Promise<void> {
  for (let i = 1; i <= count; i++) {
    await table.create({
      leaseKey: `s${i}`,
      checkpoint: TRIM_HORIZON,
      parentShardIds: [],
      range: undefined,
      startAt: undefined,
      ...changes,
    })
  }
}

async function row(leaseKey: string): Promise<Lease> {
  return (await table.read(leaseKey))!
}

async function started(worker: Worker): Promise<Worker> {
  await worker.coordinator.start()
  await clock.advanceAsync(0)
  return worker
}

describe('taking and giving', () => {
  test('all leases at once when alone, kept by renewal, free after stop', async () => {
    await leases(3)
    const a = await started(new Worker('a'))
    expect(a.keys).toEqual(['s1', 's2', 's3'])
    await clock.advanceAsync(FAILOVER * 5)
    expect(a.keys).toEqual(['s1', 's2', 's3'])
    a.held.get('s1')!.checkpoint(sequencePosition('7'))
    const stopped = a.coordinator.stop()
    await clock.advanceAsync(0)
    await stopped
    expect(a.coordinator.stop()).toBe(a.coordinator.stop())
    expect((await table.list()).leases.map((lease) => lease.leaseOwner)).toEqual([undefined, undefined, undefined])
    expect(await row('s1')).toMatchObject({ checkpoint: sequencePosition('7') })
    expect(clock.pendingTimers).toBe(0)
  })

  test('what discovery finds is taken in the first round', async () => {
    const a = new Worker('a')
    a.missing.push({ leaseKey: 's1', checkpoint: LATEST, parentShardIds: [], range: undefined, startAt: 5 })
    expect((await started(a)).keys).toEqual(['s1'])
    expect(a.held.get('s1')).toMatchObject({ resumeFrom: LATEST, startAt: 5 })
  })

  test('a newcomer gets its share by handoff, within five seconds, and nothing is lost', async () => {
    await leases(6)
    const a = await started(new Worker('a', { drainMs: 500 }))
    const b = await started(new Worker('b'))
    await clock.advanceAsync(5_000)
    expect([a.keys.length, b.keys.length]).toEqual([3, 3])
    expect(a.count('lease-released')).toBe(3)
    expect(a.count('lease-lost') + b.count('lease-lost')).toBe(0)
    await clock.advanceAsync(FAILOVER * 5)
    expect(b.count('lease-taken')).toBe(3)
    expect(a.count('lease-taken')).toBe(6)
  })

  test('an owner that does not drain keeps its lease as long as a handoff may take, and a second', async () => {
    await leases(2)
    const a = await started(new Worker('a', { obedient: false }))
    const b = await started(new Worker('b'))
    await clock.advanceAsync(HANDOFF)
    expect([a.keys.length, b.keys.length]).toEqual([2, 0])
    const [wanted] = [...a.held.values()].filter((lease) => lease.drain.aborted)
    wanted!.checkpoint(sequencePosition('7'))
    await clock.advanceAsync(1_000)
    expect(wanted!.signal.reason).toMatchObject({ name: 'LeaseLostError', owner: 'b' })
    expect(a.events).toContainEqual(
      expect.objectContaining({ type: 'lease-handoff-forced', leaseKey: wanted!.leaseKey, to: 'b' }),
    )
    await clock.advanceAsync(3_000)
    expect([a.keys.length, b.keys]).toEqual([1, [wanted!.leaseKey]])
    expect(b.held.get(wanted!.leaseKey)).toMatchObject({ resumeFrom: sequencePosition('7') })
    expect(a.count('lease-handoff-forced') + a.count('lease-lost')).toBe(1)
    // Its worker has not returned yet: this process does not take the shard again.
    void b.coordinator.stop()
    await clock.advanceAsync(FAILOVER * 3)
    expect(a.keys).toHaveLength(1)
    await wanted!.release()
    await clock.advanceAsync(3_000)
    expect(a.keys).toEqual(['s1', 's2'])
  })

  test('after a graceful stop the others go on within two scans', async () => {
    await leases(4)
    const a = await started(new Worker('a'))
    const b = await started(new Worker('b'))
    await clock.advanceAsync(6_000)
    expect([a.keys.length, b.keys.length]).toEqual([2, 2])
    void a.coordinator.stop()
    await clock.advanceAsync(2_000)
    expect(b.keys).toHaveLength(4)
  })

  test('a leaver with one slow handler does not keep its other leases from being taken', async () => {
    await leases(4)
    const a = await started(new Worker('a', { obedient: false }))
    const b = await started(new Worker('b'))
    await clock.advanceAsync(2_000)
    for (const lease of [...a.held.values()].filter((each) => each.drain.aborted)) void lease.release()
    await clock.advanceAsync(2_000)
    expect([a.keys.length, b.keys.length]).toEqual([2, 2])
    void a.coordinator.stop()
    const [first] = a.keys
    void a.held.get(first!)!.release()
    await clock.advanceAsync(4_000)
    expect([a.keys.length, b.keys.length]).toEqual([1, 3])
  })
})

describe('failure', () => {
  test('the leases of a dead worker are taken one failover time after its last renewal, and a scan', async () => {
    await leases(2)
    const a = await started(new Worker('a', { obedient: false }))
    const b = await started(new Worker('b'))
    await clock.advanceAsync(3_000)
    a.network.outage = 'late'
    const lastRenewal = clock.now()
    await clock.advanceAsync(FAILOVER - 1)
    expect(b.keys).toEqual([])
    await clock.advanceAsync(1_100)
    expect(b.keys).toEqual(['s1', 's2'])
    expect(clock.now() - lastRenewal).toBeLessThanOrEqual(FAILOVER + 1_100)
  })

  test('an outage of the table for a minute: everybody pauses, nobody raids, all go on', async () => {
    await leases(4)
    const a = await started(new Worker('a'))
    const b = await started(new Worker('b'))
    await clock.advanceAsync(6_000)
    const before = [a.keys, b.keys]
    const generations = [...a.held.values(), ...b.held.values()].map((lease) => lease.generation)
    for (const worker of [a, b]) worker.network.outage = 'lost'
    await clock.advanceAsync(60_000)
    expect([a.keys, b.keys]).toEqual([[], []])
    b.network.outage = undefined
    await clock.advanceAsync(3_000)
    a.network.outage = undefined
    await clock.advanceAsync(FAILOVER * 3)
    expect([a.keys, b.keys]).toEqual(before)
    expect([...a.held.values(), ...b.held.values()].map((lease) => lease.generation)).toEqual(generations)
    expect(a.count('lease-lost') + b.count('lease-lost')).toBe(0)
  })

  test('writes fail for all, reads do not: a worker in doubt about its own leases takes nobody else’s', async () => {
    await leases(2)
    const a = await started(new Worker('a'))
    const b = await started(new Worker('b'))
    await clock.advanceAsync(6_000)
    expect([a.keys.length, b.keys.length]).toEqual([1, 1])
    const takes = (): number[] => [a, b].map((worker) => worker.network.sent.filter((sent) => sent === 'take').length)
    const before = takes()
    for (const worker of [a, b]) worker.network.next('renew', ...Array(40).fill('throttled'))
    await clock.advanceAsync(FAILOVER * 2)
    expect([a.keys, b.keys]).toEqual([[], []])
    await clock.advanceAsync(60_000 * 3)
    expect([a.keys.length, b.keys.length]).toEqual([1, 1])
    expect(takes()).toEqual(before)
    expect(a.count('lease-lost') + b.count('lease-lost')).toBe(0)
  })

  test('a lost lease is not taken again before its worker has finished', async () => {
    await leases(1)
    const a = await started(new Worker('a', { obedient: false }))
    const thief = (await table.take(await row('s1'), 'thief')).lease!
    await clock.advanceAsync(4_000)
    const lost = a.held.get('s1')!
    expect(lost.signal.aborted).toBe(true)
    await table.handOver(thief, 'thief', { to: undefined })
    await clock.advanceAsync(FAILOVER * 2)
    expect(a.keys).toEqual([])
    await lost.release()
    await clock.advanceAsync(2_000)
    expect(a.keys).toEqual(['s1'])
    expect(a.held.get('s1')!.generation).toBeGreaterThan(lost.generation)
  })

  test('a take whose answer was lost is taken up at the next scan', async () => {
    await leases(1)
    const a = new Worker('a')
    a.network.next('take', 'unanswered')
    await started(a)
    expect(a.keys).toEqual([])
    await clock.advanceAsync(1_000)
    expect(a.keys).toEqual(['s1'])
  })
})

describe('the end of a shard', () => {
  const children = (...ids: string[]) =>
    ids.map((ShardId) => ({ ShardId, ParentShards: ['s1'], HashKeyRange: { StartingHashKey: '0', EndingHashKey: '1' } }))

  test('its children are taken at once', async () => {
    await leases(1)
    const a = await started(new Worker('a'))
    await a.held.get('s1')!.endShard(children('s2', 's3'))
    a.held.delete('s1')
    await clock.advanceAsync(10)
    expect(a.keys).toEqual(['s2', 's3'])
    expect(await row('s1')).toMatchObject({ checkpoint: SHARD_END, leaseOwner: undefined })
    expect(await row('s2')).toMatchObject({ parentShardIds: ['s1'], checkpoint: TRIM_HORIZON })
  })

  test('a merge waits for both parents', async () => {
    await leases(2)
    const a = await started(new Worker('a'))
    const merged = [{ ...children('s3')[0]!, ParentShards: ['s1', 's2'] }]
    await a.held.get('s1')!.endShard(merged)
    await clock.advanceAsync(5_000)
    expect(await table.read('s3')).toMatchObject({ leaseOwner: undefined })
    await a.held.get('s2')!.endShard(merged)
    await clock.advanceAsync(10)
    expect((await row('s3')).leaseOwner).toBe('a')
  })

  test('a merge whose other parent has no lease: the audit decides, at once', async () => {
    await leases(1)
    const a = await started(new Worker('a'))
    a.missing.push({
      leaseKey: 's9',
      checkpoint: TRIM_HORIZON,
      parentShardIds: ['s1', 's8'],
      range: undefined,
      startAt: undefined,
    })
    await a.held.get('s1')!.endShard([{ ...children('s9')[0]!, ParentShards: ['s1', 's8'] }])
    expect(await table.read('s9')).toBe(undefined)
    await clock.advanceAsync(2_000)
    expect((await row('s9')).leaseOwner).toBe('a')
  })

  test('the audit repeats every one to two minutes, and survives failures', async () => {
    const a = await started(new Worker('a'))
    a.missing.push({ leaseKey: 's1', checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined })
    a.network.next('create', 'throttled')
    await clock.advanceAsync(120_000)
    expect(a.events).toContainEqual(
      expect.objectContaining({ type: 'shard-audit-failed', failure: expect.objectContaining({ kind: 'throttled' }) }),
    )
    await clock.advanceAsync(121_000)
    expect(a.keys).toEqual(['s1'])
  })
})

describe('LATEST', () => {
  test('means the earliest time in the table', async () => {
    await leases(1, { checkpoint: LATEST, startAt: 2_000 })
    await table.create({ leaseKey: 'other', checkpoint: SHARD_END, parentShardIds: [], range: undefined, startAt: 1_000 })
    const a = await started(new Worker('a'))
    expect(a.held.get('s1')).toMatchObject({ startAt: 1_000 })
  })

  test('of a row that KCL made has no time, and an event says so', async () => {
    await leases(1, { checkpoint: LATEST })
    const a = await started(new Worker('a'))
    expect(a.held.get('s1')!.startAt).toBe(undefined)
    expect(a.events).toContainEqual({ type: 'lease-starts-at-tip', leaseKey: 's1' })
  })
})

describe('start and stop', () => {
  test('stop before start: start does nothing', async () => {
    await leases(1)
    const a = new Worker('a')
    await a.coordinator.stop()
    await a.coordinator.start()
    await clock.advanceAsync(5_000)
    expect(a.network.sent).toEqual([])
  })

  test('stop during start', async () => {
    await leases(1)
    const a = new Worker('a')
    const start = a.coordinator.start()
    const stop = a.coordinator.stop()
    await clock.advanceAsync(0)
    await Promise.all([start, stop])
    await clock.advanceAsync(5_000)
    expect((await row('s1')).leaseOwner).toBe(undefined)
  })

  test('a start that fails can be repeated, a second start is refused', async () => {
    const a = new Worker('a')
    a.missing.push({ leaseKey: 's1', checkpoint: LATEST, parentShardIds: [], range: undefined, startAt: 5 })
    a.network.next('create', 'throttled')
    await expect(a.coordinator.start()).rejects.toThrow('Too fast')
    expect(clock.pendingTimers).toBe(0)
    await started(a)
    expect(a.keys).toEqual(['s1'])
    await expect(a.coordinator.start()).rejects.toThrow('started before')
  })

  test('stop takes back its requests, and gives back what was handed over meanwhile', async () => {
    await leases(4)
    const a = await started(new Worker('a', { obedient: false }))
    const b = await started(new Worker('b'))
    await clock.advanceAsync(0)
    const asked = [...a.held.values()].map((lease) => lease.leaseKey)
    const pending = (await Promise.all(asked.map(row))).filter((lease) => lease.leaseOwner === 'b')
    expect(pending).toHaveLength(2)
    await table.handOver(await row(pending[0]!.leaseKey), 'a', { to: 'b' })
    await b.coordinator.stop()
    expect(await row(pending[0]!.leaseKey)).toMatchObject({ leaseOwner: undefined })
    expect(await row(pending[1]!.leaseKey)).toMatchObject({ leaseOwner: 'a', checkpointOwner: undefined })
  })

  test('a take that lands after the stop is given back', async () => {
    await leases(1)
    const a = new Worker('a')
    const take = table.take.bind(table)
    let answer: () => void = () => {}
    table.take = async (...args) => {
      const write = await take(...args)
      await new Promise<void>((resolve) => {
        answer = resolve
      })
      return write
    }
    await started(a)
    expect((await row('s1')).leaseOwner).toBe('a')
    const stopped = a.coordinator.stop()
    answer()
    await clock.advanceAsync(0)
    await stopped
    expect(a.held.size).toBe(0)
    expect((await row('s1')).leaseOwner).toBe(undefined)
  })

  test('a malformed row is reported once', async () => {
    const list = table.list.bind(table)
    table.list = async () => ({ ...(await list()), malformed: [{ leaseKey: 'odd', reason: 'no position' }] })
    const a = await started(new Worker('a'))
    await clock.advanceAsync(5_000)
    expect(a.events).toEqual([{ type: 'lease-malformed', leaseKey: 'odd', reason: 'no position' }])
  })
})

test.each([
  [1, 10_000, 1_000],
  [500, 10_000, 1_000],
  [1_000, 10_000, 2_000],
  [10_000, 10_000, 20_000],
  [10_000, 30_000, 20_000],
  [50, 1_000, 200],
  [1, 1_000, 200],
])('%d leases, failover %d ms: a scan every %d ms', (count, failover, expected) => {
  expect(scanIntervalMs(count, failover)).toBe(expected)
})

test('on DynamoDB, in real time: two workers share, one dies, the other goes on', async () => {
  await using local = await startLocal({ kinesis: false })
  const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }
  const dynamodb = connectDynamoDB({ endpoint: local.dynamodbEndpoint, region: 'us-east-1', credentials })
  const events = new EventSource<{ readonly type: 'held'; readonly by: string }>()
  const open = (id: string): { coordinator: LeaseCoordinator; network: FaultyLeaseStore } => {
    const network = new FaultyLeaseStore(
      new DynamoDBLeaseStore({ dynamodb, tableName: 'app', streamName: 'flights', clock: systemClock }),
    )
    const createMissing = async (): Promise<string[]> => {
      for (const leaseKey of ['s1', 's2']) {
        await network.store.create({
          leaseKey,
          checkpoint: TRIM_HORIZON,
          parentShardIds: [],
          range: undefined,
          startAt: undefined,
        })
      }
      return []
    }
    const onHeld = (lease: HeldLease): void => {
      lease.drain.addEventListener('abort', () => void lease.release())
      lease.signal.addEventListener('abort', () => void lease.release())
      events.emit({ type: 'held', by: id })
    }
    const discovery = { createMissing, childrenOf: async () => [] }
    const timing = { failoverTimeMs: 600, handoffTimeoutMs: 30_000, clock: systemClock, random: seededRandom(1) }
    return {
      coordinator: new LeaseCoordinator({ store: network.store, discovery, workerId: id, ...timing, onHeld, emit: () => {} }),
      network,
    }
  }
  const [a, b] = [open('a'), open('b')]
  await a.coordinator.start()
  const shared = events.next('held', { accept: ({ by }) => by === 'b' })
  await b.coordinator.start()
  await shared
  const takenOver = events.next('held', { accept: ({ by }) => by === 'b' })
  a.network.outage = 'lost'
  await takenOver
  a.network.outage = undefined
  await Promise.all([a.coordinator.stop(), b.coordinator.stop()])
  dynamodb.close()
})
