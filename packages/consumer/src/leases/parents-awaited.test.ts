import { ManualClock } from '@shardwise/core/clock'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TRIM_HORIZON } from '../checkpoints/position.js'
import { MemoryLeaseStore } from './memory-lease-store.js'
import { FAILOVER_MS, TableWorker } from './testing/table-worker.js'

let clock: ManualClock
let table: MemoryLeaseStore
let parents: TableWorker
let children: TableWorker

/** A lease that a leader of KCL's has assigned before its parents' end goes from worker to worker like any other. */
async function offerChild(to: string): Promise<void> {
  await table.create({
    leaseKey: 'child',
    checkpoint: TRIM_HORIZON,
    parentShardIds: ['parent'],
    range: undefined,
    startAt: undefined,
  })
  await table.take((await table.read('child'))!, 'earlier')
  await table.handOver((await table.read('child'))!, 'earlier', { to, offer: true })
}

beforeEach(async () => {
  clock = new ManualClock()
  table = new MemoryLeaseStore()
  await table.create({ leaseKey: 'parent', checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined })
  parents = await new TableWorker('a', table, clock).start()
  await clock.advanceAsync(2_000)
  expect(parents.keys).toEqual(['parent'])
  await offerChild('b')
  children = await new TableWorker('b', table, clock).start()
  await clock.advanceAsync(2_000)
})

afterEach(async () => {
  const stopped = Promise.all([parents.coordinator.stop(), children.coordinator.stop()])
  await clock.advanceAsync(FAILOVER_MS * 3)
  await stopped
  expect(clock.pendingTimers).toBe(0)
})

describe('a lease that is handed to us before its parents have ended', () => {
  test('is kept and renewed, its shard is read after their end', async () => {
    await clock.advanceAsync(FAILOVER_MS * 3)
    expect(children.keys).toEqual([])
    expect(await table.read('child')).toMatchObject({ leaseOwner: 'b', shardwiseOwner: 'b' })
    expect(children.events).toContainEqual({ type: 'lease-awaits-parents', leaseKey: 'child', parentShardIds: ['parent'] })

    const ended = parents.held.get('parent')!.endShard([])
    await clock.advanceAsync(2_000)
    await ended
    expect(children.keys).toEqual(['child'])
    expect(children.count('lease-awaits-parents')).toBe(1)
  })

  test('is given up at once by a stop, also when the table does not answer for its parents', async () => {
    children.network.next('read', 'late')
    await clock.advanceAsync(2_000)
    const stopped = children.coordinator.stop()
    let done = false
    void stopped.then(() => {
      done = true
    })
    await clock.advanceAsync(1_000)
    expect(done).toBe(true)
    expect((await table.read('child'))?.leaseOwner).not.toBe('b')
  })

  test('waits also while the row of its parent’s name is that of a former stream, at whose end it stands', async () => {
    const created = { checkpoint: TRIM_HORIZON, range: undefined, startAt: undefined }
    await table.create({ ...created, leaseKey: 'former', parentShardIds: [], streamCreatedAt: 1_000 })
    const { lease: taken } = await table.take((await table.read('former'))!, 'earlier')
    const { lease: former } = await table.end(taken!, 'earlier', [])
    await table.create({ ...created, leaseKey: 'present', parentShardIds: ['former'], streamCreatedAt: 60_000 })
    await table.take((await table.read('present'))!, 'earlier')
    await table.handOver((await table.read('present'))!, 'earlier', { to: 'b', offer: true })
    await clock.advanceAsync(FAILOVER_MS * 3)
    expect(children.keys).not.toContain('present')
    await table.delete(former!)
    await clock.advanceAsync(FAILOVER_MS)
    expect(children.keys).toContain('present')
  })
})
