import { describe, expect, test } from 'vitest'
import { type Layout, MixedWorld, openShards, roles } from './testing/mixed-world.js'
import type { SimulatedWorker } from './testing/simulated-world.js'
import { TABLE } from './testing/simulated-world.js'

const FAILOVER_MS = 10_000
const SHARDS = ['a', 'b', 'c', 'd', 'e', 'f']

function aTable(layout: Layout, options: { readonly shards?: readonly string[]; readonly index?: boolean } = {}): MixedWorld {
  const { shards = SHARDS, index = true } = options
  const world = new MixedWorld({ stream: openShards(...shards), failoverTimeMs: FAILOVER_MS, layout, index })
  for (const shard of shards) world.createLease(shard)
  world.setClientVersion('CLIENT_VERSION_3X')
  return world
}

function workerRow(world: MixedWorld, layout: Layout, workerId: string) {
  return layout === 'single-table' ? world.row(workerId) : world.db.row(`${TABLE}-WorkerMetricStats`, workerId)
}

function seconds(world: MixedWorld): number {
  return Math.floor(world.clock.wallTime() / 1_000)
}

function count(worker: SimulatedWorker, type: string): number {
  return worker.events.filter((event) => event.type === type).length
}

describe.each<Layout>(['three-tables', 'single-table'])('beside a leader of KCL 3.x, %s', (layout) => {
  test('a worker and nothing else: it gets its share by handoffs, with nothing delivered twice', async () => {
    const world = aTable(layout)
    world.addAssigned('j1')
    await world.pass(120_000)
    expect(world.count('j1')).toBe(6)

    const worker = world.addWorker()
    await world.pass(180_000)
    expect(roles(worker)[0]).toMatchObject({ role: 'worker', layout, clientVersion: 'CLIENT_VERSION_3X', javaWorkers: ['j1'] })
    expect([world.count('j1'), world.count('w0')]).toEqual([3, 3])
    expect(count(worker, 'lease-requested')).toBe(0)
    expect(world.deliveries).toBe([...world.delivered.values()].reduce((a, b) => a + b, 0))
    expect(world.problems).toEqual([])
    expect(world.javaErrors).toEqual([])
  })

  test('its row: alive, without utilisation, with the support code, every 30 seconds, where KCL keeps them', async () => {
    const world = aTable(layout)
    world.addAssigned('j1')
    await world.pass(60_000)
    world.addWorker()
    for (let i = 0; i < 8; i++) {
      await world.pass(10_000)
      const row = workerRow(world, layout, 'w0')
      expect(row).toMatchObject({ sts: { M: {} }, opr: { M: {} }, sup: { N: '1' } })
      expect(row!.slu).toEqual(row!.lut)
      expect(row!.entityType).toEqual(layout === 'single-table' ? { S: 'WORKER_METRIC_STATS' } : undefined)
      expect(seconds(world) - Number(row!.lut!.N)).toBeLessThanOrEqual(31)
    }
  })

  test('free leases are left to the leader', async () => {
    const world = aTable(layout)
    world.addAssigned('j1')
    await world.pass(60_000)
    const worker = world.addWorker()
    await world.pass(2_000)
    world.createLease('a', { leaseCounter: { N: '1000000' } })
    const takenBy = (): string | undefined => world.row('a')?.leaseOwner?.S
    await world.pass(4_000)
    expect(takenBy()).toBeUndefined()
    await world.pass(40_000)
    expect(takenBy()).toBeDefined()
    expect(count(worker, 'lease-requested')).toBe(0)
  })

  test('a handoff from us: drained, checkpointed and handed over, nothing twice', async () => {
    const world = aTable(layout)
    world.addAssigned('j1')
    await world.pass(30_000)
    const worker = world.addWorker()
    await world.pass(180_000)
    expect(world.count('w0')).toBe(3)
    world.addAssigned('j2')
    await world.pass(180_000)
    expect([world.count('j1'), world.count('j2'), world.count('w0')]).toEqual([2, 2, 2])
    expect(worker.events.filter((event) => event.type === 'lease-released' && event.to === 'j2')).toHaveLength(1)
    expect(world.deliveries).toBe([...world.delivered.values()].reduce((a, b) => a + b, 0))
    expect(world.problems).toEqual([])
  })

  test('at stop its row is gone before its leases are free, and the leader gives it none again', async () => {
    const world = aTable(layout)
    world.addAssigned('j1')
    await world.pass(30_000)
    const worker = world.addWorker()
    await world.pass(180_000)
    const stopped = worker.coordinator.stop()
    for (let i = 0; i < 50; i++) {
      await world.pass(100)
      if (world.count('w0') < 3) expect(workerRow(world, layout, 'w0')).toBeUndefined()
    }
    await stopped
    expect(world.count('w0')).toBe(0)
    for (let i = 0; i < 60; i++) {
      await world.pass(1_000)
      expect(world.count('w0')).toBe(0)
    }
    expect(world.count('j1')).toBe(6)
    expect(workerRow(world, layout, 'w0')).toBeUndefined()
  })

  test('the leader dies and another Java worker lives: it elects another, and we stay a worker', async () => {
    const world = aTable(layout)
    const first = world.addAssigned('j1')
    await world.pass(5_000)
    const second = world.addAssigned('j2')
    await world.pass(60_000)
    const worker = world.addWorker()
    await world.pass(120_000)
    ;(first.leads ? first : second).kill()
    await world.pass(300_000)
    expect(roles(worker).map(({ role }) => role)).toEqual(['worker'])
    expect([...world.owners().values()].map((each) => each.length).sort()).toEqual([3, 3])
    expect(world.problems).toEqual([])
  })

  test('all of Java dies: we assign within two minutes, and yield when one returns', async () => {
    const world = aTable(layout)
    const java = world.addAssigned('j1')
    await world.pass(60_000)
    const worker = world.addWorker()
    await world.pass(180_000)
    java.kill()
    await world.pass(120_000 + FAILOVER_MS)
    expect(roles(worker).at(-1)!.role).toBe('alone')
    expect(world.count('w0')).toBe(6)

    const back = world.addAssigned('j2')
    await world.pass(300_000)
    expect(back.leads).toBe(true)
    expect(roles(worker).at(-1)!.role).toBe('worker')
    expect([world.count('j2'), world.count('w0')]).toEqual([3, 3])
    expect(world.problems).toEqual([])
    expect(world.javaErrors).toEqual([])
  })

  test('Java has stopped before we start: within a minute or so everything is ours', async () => {
    const world = aTable(layout)
    const java = world.addAssigned('j1')
    await world.pass(60_000)
    await java.stop()
    world.addWorker()
    await world.pass(75_000)
    expect(world.count('w0')).toBe(6)
    expect(world.problems).toEqual([])
  })

  test('two of ours beside it know each other’s rows: they do not take each other for Java', async () => {
    const world = aTable(layout)
    const java = world.addAssigned('j1')
    const workers = [world.addWorker(), world.addWorker()]
    await world.pass(180_000)
    java.kill()
    await world.pass(150_000)
    expect(workers.map((worker) => roles(worker).at(-1)!.role)).toEqual(['alone', 'alone'])
    expect([world.count('w0'), world.count('w1')]).toEqual([3, 3])
  })

  test('only leases, and in a single table KCL’s own kinds of rows, are ever in the lease table', async () => {
    const world = aTable(layout)
    world.addAssigned('j1')
    world.addWorker()
    await world.pass(180_000)
    const kinds = new Set(world.db.rows(TABLE).map((row) => row.entityType?.S ?? (row.leaseCounter ? 'LEASE' : 'none')))
    const others = ['CLIENT_VERSION_MIGRATION', 'LEADER', 'WORKER_METRIC_STATS']
    expect([...kinds].sort()).toEqual(layout === 'single-table' ? [...others.slice(0, 2), 'LEASE', others[2]] : ['LEASE'])
  })

  test('without the index the table is scanned for what is assigned to us', async () => {
    const world = aTable(layout, { index: false })
    world.addAssigned('j1')
    await world.pass(60_000)
    world.addWorker()
    await world.pass(30_000)
    world.createLease('a', { leaseOwner: { S: 'w0' }, leaseCounter: { N: '5000000' } })
    await world.pass(5_000)
    expect(Number(world.row('a')!.leaseCounter!.N)).toBeGreaterThan(5_000_000)
    expect(world.row('a')!.swOwner).toEqual({ S: 'w0' })
  })
})

describe('what a leader assigns', () => {
  const layout = 'three-tables'

  async function besideLeader(shards: readonly string[]): Promise<{ world: MixedWorld; worker: SimulatedWorker }> {
    const world = aTable(layout, { shards })
    world.addAssigned('j1')
    await world.pass(60_000)
    const worker = world.addWorker()
    await world.pass(5_000)
    return { world, worker }
  }

  test('a child before its parents: kept and renewed, not read until they have ended', async () => {
    const { world, worker } = await besideLeader(['p', 'c'])
    world.createLease('p', { leaseOwner: { S: 'someone' }, leaseCounter: { N: '7' } })
    world.createLease('c', { leaseOwner: { S: 'w0' }, parentShardId: { SS: ['p'] } })
    await world.pass(9_000)
    expect(count(worker, 'lease-awaits-parents')).toBe(1)
    expect(Number(world.row('c')!.leaseCounter!.N)).toBeGreaterThan(2)
    expect(worker.held.filter(({ shardId }) => shardId === 'c')).toEqual([])
    world.db.put(TABLE, { ...world.row('p')!, checkpoint: { S: 'SHARD_END' } })
    await world.pass(3_000)
    expect(worker.held.filter(({ shardId }) => shardId === 'c')).toHaveLength(1)
  })

  test('a waiting child is given up when it is asked for, and at a stop', async () => {
    const { world, worker } = await besideLeader(['p', 'c', 'd'])
    world.createLease('p', { leaseOwner: { S: 'someone' }, leaseCounter: { N: '7' } })
    for (const child of ['c', 'd']) world.createLease(child, { leaseOwner: { S: 'w0' }, parentShardId: { SS: ['p'] } })
    await world.pass(5_000)
    world.db.put(TABLE, { ...world.row('c')!, leaseOwner: { S: 'j9' }, checkpointOwner: { S: 'w0' } })
    await world.pass(5_000)
    expect(world.row('c')).toMatchObject({ leaseOwner: { S: 'j9' } })
    expect(world.row('c')!.checkpointOwner).toBeUndefined()
    await Promise.all([worker.coordinator.stop(), world.pass(8_000)])
    expect(world.row('d')!.leaseOwner?.S).not.toBe('w0')
  })

  test('a lease at SHARD_END is left alone', async () => {
    const { world, worker } = await besideLeader(['a', 'x'])
    world.createLease('x', { leaseOwner: { S: 'w0' }, checkpoint: { S: 'SHARD_END' }, leaseCounter: { N: '3' } })
    await world.pass(8_000)
    expect(world.row('x')!.leaseCounter).toEqual({ N: '3' })
    expect(worker.held.map(({ shardId }) => shardId)).not.toContain('x')
  })

  test('the leader takes by force: our next write is refused, and no checkpoint of ours lands', async () => {
    const { world, worker } = await besideLeader(['a', 'b'])
    await world.pass(150_000)
    const [mine] = [...world.owners().get('w0')!]
    const row = world.row(mine!)!
    world.db.put(TABLE, { ...row, leaseOwner: { S: 'j9' }, leaseCounter: { N: `${Number(row.leaseCounter!.N) + 1}` } })
    const { checkpoint } = world.row(mine!)!
    await world.pass(5_000)
    expect(count(worker, 'lease-lost')).toBe(1)
    expect(world.row(mine!)!.checkpoint).toEqual(checkpoint)
  })

  test('KCL deletes a lease under us: lost, and nothing comes back', async () => {
    const { world, worker } = await besideLeader(['a', 'b'])
    await world.pass(150_000)
    const [mine] = [...world.owners().get('w0')!]
    world.db.remove(TABLE, mine!)
    await world.pass(5_000)
    expect(count(worker, 'lease-lost')).toBe(1)
    expect(world.row(mine!)).toBeUndefined()
  })
})

describe('what cannot be seen', () => {
  test('KCL’s tables may not be read: live Java owners are left alone, what is free is taken, and it is said', async () => {
    const world = aTable('three-tables')
    world.db.deny(`${TABLE}-CoordinatorState`)
    for (const shard of SHARDS.slice(0, 3)) world.createLease(shard, { leaseOwner: { S: 'j1' }, leaseCounter: { N: '1' } })
    let counter = 1
    const worker = world.addWorker()
    for (let i = 0; i < 40; i++) {
      await world.pass(2_000)
      counter++
      for (const shard of SHARDS.slice(0, 3)) {
        world.createLease(shard, { leaseOwner: { S: 'j1' }, leaseCounter: { N: `${counter}` } })
      }
    }
    expect(world.owners().get('w0')).toEqual(['d', 'e', 'f'])
    const said = worker.events.filter((event) => event.type === 'lease-store-failed' && event.operation === 'kcl-probe')
    expect(said).toHaveLength(1)
    expect(world.db.calls.filter((call) => call === `GetItem ${TABLE}-CoordinatorState`).length).toBeLessThanOrEqual(3)
    expect(roles(worker).map(({ role, layout: seen }) => [role, seen])).toEqual([['alone', undefined]])
    expect(world.db.rows(`${TABLE}-WorkerMetricStats`)).toEqual([])
  })

  test('the tables are merged while we run: the row goes on in the lease table, and not before', async () => {
    const world = aTable('three-tables')
    world.addAssigned('j1')
    await world.pass(60_000)
    const worker = world.addWorker()
    await world.pass(60_000)
    expect(world.row('w0')).toBeUndefined()
    // KCL copies its rows, then writes COMPLETE to both.
    const state = `${TABLE}-CoordinatorState`
    const complete = { tm: { S: 'TABLE_MIGRATION_STATUS_COMPLETE' } }
    for (const row of world.db.rows(state)) {
      const { key, ...rest } = row
      world.db.put(TABLE, {
        leaseKey: key!,
        ...rest,
        entityType: { S: key!.S === 'Leader' ? 'LEADER' : 'CLIENT_VERSION_MIGRATION' },
      })
    }
    world.db.put(state, { key: { S: 'TableMigration3.5' }, ...complete })
    world.db.put(TABLE, { leaseKey: { S: 'TableMigration3.5' }, ...complete, entityType: { S: 'TABLE_MIGRATION' } })
    await world.pass(65_000)
    expect(world.row('w0')).toMatchObject({ entityType: { S: 'WORKER_METRIC_STATS' } })
    expect(roles(worker).at(-1)).toMatchObject({ layout: 'single-table' })
  })
})
