import { describe, expect, test } from 'vitest'
import { MixedWorld, openShards, roles } from './testing/mixed-world.js'
import { type SimulatedShard, TABLE } from './testing/simulated-world.js'

const FAILOVER_MS = 10_000
const SHARDS = ['a', 'b', 'c', 'd', 'e', 'f']

function aTable(
  options: { readonly shards?: readonly string[]; readonly layout?: 'leases-only' | 'three-tables' } = {},
): MixedWorld {
  const { shards = SHARDS, layout = 'leases-only' } = options
  const world = new MixedWorld({ stream: openShards(...shards), failoverTimeMs: FAILOVER_MS, layout })
  for (const shard of shards) world.createLease(shard)
  return world
}

/** Rows in which a handoff is pending, looked for after each second. */
async function passWatching(world: MixedWorld, ms: number, look: () => void): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    await world.pass(1_000)
    look()
  }
}

describe('beside workers of KCL 2.x', () => {
  test('a newcomer takes its share from live owners, one by one, and no lease moves any more', async () => {
    const world = aTable()
    world.addTaker('j1')
    await world.pass(60_000)
    expect(world.count('j1')).toBe(6)

    const worker = world.addWorker()
    await world.pass(5_000)
    expect(world.count('w0')).toBeLessThanOrEqual(2)
    await world.pass(60_000)
    expect([world.count('j1'), world.count('w0')]).toEqual([3, 3])
    expect(roles(worker).map(({ role, layout, javaWorkers }) => ({ role, layout, javaWorkers }))).toEqual([
      { role: 'taker', layout: 'leases-only', javaWorkers: ['j1'] },
    ])

    const taken = worker.events.filter(({ type }) => type === 'lease-taken').length
    await world.pass(300_000)
    expect(worker.events.filter(({ type }) => type === 'lease-taken')).toHaveLength(taken)
    expect([world.count('j1'), world.count('w0')]).toEqual([3, 3])
    expect(world.javaErrors).toEqual([])
    expect(world.problems).toEqual([])
  })

  test('a 2.x owner is never asked for a handoff: it would renew for ever', async () => {
    const world = aTable()
    world.addTaker('j1')
    await world.pass(60_000)
    world.addWorker()
    world.addWorker()
    const asked = new Set<string>()
    await passWatching(world, 120_000, () => {
      for (const row of world.db.rows(TABLE)) if (row.checkpointOwner !== undefined) asked.add(row.checkpointOwner.S!)
    })
    expect([...asked].filter((owner) => owner.startsWith('j'))).toEqual([])
    expect([world.count('j1'), world.count('w0'), world.count('w1')]).toEqual([2, 2, 2])
    expect(world.problems).toEqual([])
  })

  test('it takes from us: we stop within a scan, and no checkpoint of ours lands after it', async () => {
    const world = aTable()
    const worker = world.addWorker()
    await world.pass(20_000)
    expect(world.count('w0')).toBe(6)
    world.addTaker('j1')
    await world.pass(180_000)
    expect([world.count('j1'), world.count('w0')]).toEqual([3, 3])
    const lost = worker.events.filter(({ type }) => type === 'lease-lost')
    expect(lost).toHaveLength(3)
    // Of all that both have delivered, the overlaps are those of three takes.
    expect(world.problems).toEqual([])
    expect(world.javaErrors).toEqual([])
  })

  test('what is no lease never goes into its table', async () => {
    const world = aTable()
    world.addTaker('j1')
    world.addWorker()
    await world.pass(200_000)
    expect(world.db.rows(TABLE).filter((row) => row.leaseCounter === undefined)).toEqual([])
    expect(world.javaErrors).toEqual([])
  })

  test('leases at SHARD_END, which it counts and takes, make no lease move to and fro', async () => {
    const ended = ['x1', 'x2', 'x3', 'x4', 'x5']
    const stream = openShards(...SHARDS)
    const [{ shard }] = [...stream.values()] as [SimulatedShard]
    for (const shardId of ended) stream.set(shardId, { shard: { ...shard, shardId, endingSequenceNumber: '9' }, records: 0 })
    // Long enough for what they might do: afterwards either side cleans them up.
    const world = new MixedWorld({ stream, failoverTimeMs: FAILOVER_MS, layout: 'leases-only', finishedLeaseKeptMs: 1e9 })
    for (const shard of SHARDS) world.createLease(shard)
    for (const shard of ended) world.createLease(shard, { checkpoint: { S: 'SHARD_END' } })
    const worker = world.addWorker()
    world.addTaker('j1')
    await world.pass(200_000)
    const moves = (): number => worker.events.filter(({ type }) => type === 'lease-taken' || type === 'lease-lost').length
    const before = moves()
    await world.pass(300_000)
    expect(moves()).toBe(before)
    expect([...world.owners().values()].flat()).toHaveLength(6)
    expect(world.problems).toEqual([])
  })

  test('the leases of one that died, or was stopped, are taken after the failover time', async () => {
    const world = aTable()
    const java = world.addTaker('j1')
    world.addWorker()
    await world.pass(120_000)
    java.kill()
    await world.pass(FAILOVER_MS + 3_000)
    expect(world.count('w0')).toBe(6)
    expect(world.problems).toEqual([])
  })

  test('we stop: it goes on where we ended, with nothing delivered twice', async () => {
    const world = aTable()
    const worker = world.addWorker()
    await world.pass(20_000)
    await Promise.all([worker.coordinator.stop(), world.pass(5_000)])
    world.addTaker('j1')
    await world.pass(25_000)
    expect(world.count('j1')).toBe(6)
    expect(world.deliveries).toBe([...world.delivered.values()].reduce((a, b) => a + b, 0))
    expect(world.problems).toEqual([])
  })
})

describe('2.x on its way to 3.x and back', () => {
  test('UPGRADE_FROM_2X: still a taker, with a worker row, since 3.x waits for the rows of all owners', async () => {
    const world = aTable({ layout: 'three-tables' })
    world.setClientVersion('CLIENT_VERSION_UPGRADE_FROM_2X')
    world.addTaker('j1')
    const worker = world.addWorker()
    await world.pass(90_000)
    expect(roles(worker).at(-1)).toMatchObject({ role: 'taker', layout: 'three-tables' })
    const [row] = world.db.rows(`${TABLE}-WorkerMetricStats`)
    expect(row).toMatchObject({ wid: { S: 'w0' }, sup: { N: '1' }, sts: { M: {} }, opr: { M: {} } })
    expect(row!.slu).toEqual(row!.lut)
    expect([world.count('j1'), world.count('w0')]).toEqual([3, 3])
    expect(world.javaErrors).toEqual([])
  })

  test('the version goes to 3.x under a leader, and back: taker, worker, taker', async () => {
    const world = aTable({ layout: 'three-tables' })
    world.setClientVersion('CLIENT_VERSION_UPGRADE_FROM_2X')
    const old = world.addTaker('j1')
    const worker = world.addWorker()
    await world.pass(90_000)
    old.kill()
    const java = world.addAssigned('j2')
    world.setClientVersion('CLIENT_VERSION_3X_WITH_ROLLBACK')
    await world.pass(180_000)
    expect(roles(worker).at(-1)).toMatchObject({ role: 'worker', clientVersion: 'CLIENT_VERSION_3X_WITH_ROLLBACK' })
    expect([world.count('j2'), world.count('w0')]).toEqual([3, 3])
    await java.stop()
    world.setClientVersion('CLIENT_VERSION_2X')
    world.addTaker('j3')
    await world.pass(180_000)
    expect(roles(worker).at(-1)).toMatchObject({ role: 'taker', clientVersion: 'CLIENT_VERSION_2X' })
    expect([world.count('j3'), world.count('w0')]).toEqual([3, 3])
    expect(world.problems).toEqual([])
    expect(world.javaErrors).toEqual([])
  })
})

describe('Shardwise alone', () => {
  test('pays three reads a minute, writes no row, and says nothing', async () => {
    const world = aTable()
    const worker = world.addWorker()
    await world.pass(600_000)
    const reads = world.db.calls.filter((call) => call.startsWith('GetItem'))
    expect(reads.length).toBeGreaterThanOrEqual(3 * 10)
    expect(reads.length).toBeLessThanOrEqual(3 * 14)
    expect(world.db.calls.filter((call) => call.startsWith('Scan ') && !call.endsWith(TABLE))).toEqual([])
    expect(roles(worker)).toEqual([])
    await Promise.all([worker.coordinator.stop(), world.pass(10_000)])
    expect(world.db.calls.filter((call) => call.startsWith('DeleteItem'))).toEqual([])
  })
})
