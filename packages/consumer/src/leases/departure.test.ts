import { ManualClock } from '@shardwise/core/clock'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import type { Lease } from './lease.js'
import { MemoryLeaseStore } from './memory-lease-store.js'
import { FAILOVER_MS, TableWorker } from './testing/table-worker.js'

const SCAN_MS = 1_000

let clock: ManualClock
let table: MemoryLeaseStore
let workers: TableWorker[]

beforeEach(() => {
  clock = new ManualClock()
  table = new MemoryLeaseStore()
  workers = []
})

afterEach(async () => {
  for (const worker of workers) worker.network.outage = undefined
  const stopped = Promise.all(workers.map((worker) => worker.coordinator.stop()))
  for (const worker of workers) worker.releaseAll()
  await clock.advanceAsync(FAILOVER_MS * 3)
  await stopped
  expect(clock.pendingTimers).toBe(0)
})

/** So many workers share so many leases, and have seen each other write. */
async function fleet(
  names: readonly string[],
  count: number,
  drainMs: (name: string) => number | undefined = () => 0,
): Promise<TableWorker[]> {
  for (let i = 1; i <= count; i++) {
    const none = { range: undefined, startAt: undefined, streamId: undefined, streamCreatedAt: undefined }
    await table.create({ leaseKey: `s${i}`, checkpoint: TRIM_HORIZON, parentShardIds: [], ...none })
  }
  for (const name of names) {
    const worker = new TableWorker(name, table, clock, { drainMs: drainMs(name) })
    workers.push(worker)
    await worker.start()
    // Scans are not all at the same moment.
    await clock.advanceAsync(300)
  }
  await clock.advanceAsync(45_000)
  for (const worker of workers) worker.events.length = 0
  return workers
}

async function rows(): Promise<readonly Lease[]> {
  return (await table.list()).leases
}

function named(worker: TableWorker): (string | undefined)[] {
  return worker.events.flatMap((event) => (event.type === 'lease-released' ? [event.to] : []))
}

describe('a leaver', () => {
  test('hands its leases to those with the fewest, with their checkpoints; they begin within a scan', async () => {
    const [a, b, c] = await fleet(['a', 'b', 'c'], 9)
    for (const lease of a!.held.values()) lease.checkpoint(sequencePosition('7'))
    const theirs = a!.keys
    void a!.coordinator.stop()
    await clock.advanceAsync(0)
    expect((await rows()).filter((lease) => theirs.includes(lease.leaseKey))).toMatchObject(
      theirs.map(() => ({ nextOwner: expect.stringMatching(/^[bc]$/), leaver: 'a', checkpoint: sequencePosition('7') })),
    )
    await clock.advanceAsync(SCAN_MS)
    expect([b!.keys.length, c!.keys.length].sort()).toEqual([4, 5])
    await clock.advanceAsync(60_000)
    expect(b!.count('lease-requested') + c!.count('lease-requested')).toBe(0)
    expect(named(a!).every((to) => to === 'b' || to === 'c')).toBe(true)
  })

  test('alone leaves its leases to nobody', async () => {
    const [a] = await fleet(['a'], 3)
    void a!.coordinator.stop()
    await clock.advanceAsync(0)
    expect(named(a!)).toEqual([undefined, undefined, undefined])
  })

  test('names nobody whom it has not seen write: a scan later they take what is free', async () => {
    const [a, b] = await fleet(['a', 'b'], 4)
    b!.network.outage = 'late'
    await clock.advanceAsync(FAILOVER_MS / 2 + SCAN_MS)
    void a!.coordinator.stop()
    await clock.advanceAsync(0)
    expect(named(a!)).toEqual([undefined, undefined])
  })

  test('named a peer that had just died: others have the leases two scans later than if it had named nobody', async () => {
    const [a, dead, c] = await fleet(['a', 'dead', 'c'], 7)
    // The one with the fewest dies, and nobody can know yet.
    const few = [a!, dead!, c!].reduce((least, each) => (each.keys.length < least.keys.length ? each : least))
    few.network.outage = 'late'
    const leaver = few === a ? c! : a!
    const left = [a!, dead!, c!].find((each) => each !== few && each !== leaver)!
    const theirs = leaver.keys
    void leaver.coordinator.stop()
    await clock.advanceAsync(0)
    expect(named(leaver)).toContain(few.id)
    await clock.advanceAsync(4 * SCAN_MS)
    for (const key of theirs) expect(left.keys).toContain(key)
  })

  test('a peer whose own old worker on that shard has not finished does not keep others from it', async () => {
    const [a, b, c] = await fleet(['a', 'b', 'c'], 3, (name) => (name === 'b' ? undefined : 0))
    const [key] = b!.keys
    // b loses its lease, and its handler does not return.
    const stolen = (await table.take((await table.read(key!))!, 'a')).lease!
    await clock.advanceAsync(4_000)
    await table.handOver(stolen, 'a', { to: 'b', offer: true })
    await clock.advanceAsync(5 * SCAN_MS)
    expect([...a!.keys, ...c!.keys]).toContain(key)
  })

  test('with one slow handler is named by nobody, though it has the fewest; its last lease goes to who is there in the end', async () => {
    const [a, b, c] = await fleet(['a', 'b', 'c'], 6, (name) => (name === 'a' ? 20_000 : 0))
    void a!.coordinator.stop()
    await clock.advanceAsync(5_000)
    void b!.coordinator.stop()
    await clock.advanceAsync(SCAN_MS)
    expect(named(b!)).toEqual(['c', 'c'])
    expect(c!.keys).toHaveLength(4)
    await clock.advanceAsync(20_000)
    expect(named(a!)).toEqual(['c', 'c'])
    expect(c!.keys).toHaveLength(6)
  })

  test('two that leave at once name each other, and clean up after each other', async () => {
    const [a, b, c] = await fleet(['a', 'b', 'c'], 8)
    const both = Promise.all([a!.coordinator.stop(), b!.coordinator.stop()])
    await clock.advanceAsync(0)
    await both
    expect([...named(a!), ...named(b!)]).toEqual(expect.arrayContaining(['a', 'b']))
    expect((await rows()).filter(({ leaseOwner }) => leaseOwner === 'a' || leaseOwner === 'b')).toEqual([])
    await clock.advanceAsync(SCAN_MS)
    expect(c!.keys).toHaveLength(8)
  })

  test.each([2, 3, 7])('a whole fleet of %d that leaves at once leaves no owner behind', async (size) => {
    const names = Array.from({ length: size }, (_, i) => `w${i}`)
    const all = await fleet(names, 20, (name) => names.indexOf(name) * 40)
    const stopped = Promise.all(all.map((worker) => worker.coordinator.stop()))
    await clock.advanceAsync(1_000)
    await stopped
    expect((await rows()).filter(({ leaseOwner }) => leaseOwner !== undefined)).toEqual([])
  })

  test('stops within the failover time when the table cannot be reached, its scan under way given up', async () => {
    const [a] = await fleet(['a', 'b'], 2)
    a!.network.outage = 'late'
    let stoppedAt: number | undefined
    const since = clock.now()
    void a!.coordinator.stop().then(() => {
      stoppedAt = clock.now()
    })
    await clock.advanceAsync(FAILOVER_MS * 4)
    // The failover time, an attempt beyond it, and the clean-up's own limit.
    expect(stoppedAt! - since).toBeLessThanOrEqual(FAILOVER_MS + 3_000 + 10_000)
  })
})

describe('an event loop that was blocked', () => {
  test('is told with its length and what it meant for the leases', async () => {
    const [a] = await fleet(['a'], 3)
    // Nothing of this process runs for a while: timers wait.
    const late: (() => void)[] = []
    const schedule = clock.schedule.bind(clock)
    let blocked = false
    clock.schedule = (delayMs, run) => schedule(delayMs, () => (blocked ? late.push(run) : run()))
    await clock.advanceAsync(4_000)
    expect(a!.count('event-loop-blocked')).toBe(0)
    blocked = true
    await clock.advanceAsync(2_500)
    blocked = false
    for (const run of late.splice(0)) run()
    await clock.advanceAsync(0)
    blocked = true
    await clock.advanceAsync(FAILOVER_MS)
    blocked = false
    for (const run of late.splice(0)) run()
    await clock.advanceAsync(0)
    const told = a!.events.flatMap((event) => (event.type === 'event-loop-blocked' ? [event] : []))
    expect(told).toMatchObject([
      { leasesHeld: 3, leasesInDoubt: 0 },
      { leasesHeld: 3, leasesInDoubt: 3 },
    ])
    expect(told[0]!.blockedMs).toBeGreaterThan(1_000)
    expect(told[0]!.blockedMs).toBeLessThanOrEqual(2_500)
    expect(told[1]!.blockedMs).toBeGreaterThanOrEqual(FAILOVER_MS - 1_000)
    await clock.advanceAsync(3_000)
    expect(a!.keys).toEqual(['s1', 's2', 's3'])
    expect(a!.count('lease-lost')).toBe(0)
  })
})

test('whose stream is removed while the table is away is named by none of its rows when the table is back, and is not taken for dead', async () => {
  const row = { checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined, streamCreatedAt: undefined }
  for (const leaseKey of ['gone:s1', 'kept:s1', 'kept:s2', 'kept:s3', 'kept:s4'])
    await table.create({ ...row, leaseKey, streamId: leaseKey.slice(0, 4) })
  let isGone = false
  const reads = ({ streamId }: Pick<Lease, 'streamId'>): boolean => streamId === 'kept' || !isGone
  const a = await new TableWorker('a', table, clock, { drainMs: 0, reads }).start()
  workers.push(a)
  await clock.advanceAsync(SCAN_MS)
  expect(a.keys).toHaveLength(5)
  isGone = true
  a.network.outage = 'lost'
  void a.coordinator.giveUp(({ streamId }) => streamId === 'gone')
  await clock.advanceAsync(FAILOVER_MS * 1.2)
  expect(await table.read('gone:s1')).toMatchObject({ leaseOwner: 'a' })
  a.network.outage = undefined
  await clock.advanceAsync(FAILOVER_MS * 2)
  expect(await table.read('gone:s1')).toMatchObject({ leaseOwner: undefined })
  const b = await new TableWorker('b', table, clock, { drainMs: 0, reads }).start()
  workers.push(b)
  await clock.advanceAsync(FAILOVER_MS * 5)
  expect([a.keys.length, b.keys.length]).toEqual([2, 2])
  for (const leaseKey of ['kept:s5', 'kept:s6']) {
    await table.create({ ...row, leaseKey, streamId: 'kept' })
    await table.take((await table.read(leaseKey))!, 'a')
  }
  await clock.advanceAsync(FAILOVER_MS * 5)
  expect([a.keys.length, b.keys.length]).toEqual([3, 3])
})

test('whom a peer hands a lease of a removed stream, which it had asked for, gives it back though the peer has removed it as well', async () => {
  const row = { checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined, streamCreatedAt: undefined }
  for (const leaseKey of ['gone:s1', 'gone:s2', 'gone:s3', 'kept:s1'])
    await table.create({ ...row, leaseKey, streamId: leaseKey.slice(0, 4) })
  let isGone = false
  const reads = ({ streamId }: Pick<Lease, 'streamId'>): boolean => streamId === 'kept' || !isGone
  const a = await new TableWorker('a', table, clock, { drainMs: 5_000, reads }).start()
  workers.push(a)
  await clock.advanceAsync(SCAN_MS)
  const b = await new TableWorker('b', table, clock, { drainMs: 0, reads }).start()
  workers.push(b)
  const asked = async () => (await rows()).find(({ leaseOwner, streamId }) => streamId === 'gone' && leaseOwner === 'b')
  while ((await asked()) === undefined) await clock.advanceAsync(100)
  isGone = true
  b.network.next('withdrawHandoff', 'throttled')
  const left = ({ streamId }: Pick<Lease, 'streamId'>): boolean => streamId === 'gone'
  void a.coordinator.giveUp(left)
  void b.coordinator.giveUp(left)
  await clock.advanceAsync(FAILOVER_MS * 2)
  expect((await rows()).filter(left).map(({ leaseOwner }) => leaseOwner)).toEqual([undefined, undefined, undefined])
})
