import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Fleet, type FleetWorker } from './testing/fleet.js'

const FAILOVER_MS = 10_000

/** Issue and README: what a fleet of Shardwise workers promises, at default settings. [workers, shards] */
const FLEETS: readonly (readonly [number, number])[] = [
  [2, 1],
  [2, 3],
  [3, 10],
  [10, 7],
  [10, 100],
  [50, 50],
  [50, 500],
]

async function fleetOf(workers: number, shards: number, seed = 1): Promise<Fleet> {
  const fleet = new Fleet(seed)
  await fleet.settled(workers, shards)
  return fleet
}

function busiest(fleet: Fleet): FleetWorker {
  return fleet.alive.reduce((most, each) => (each.reads.length > most.reads.length ? each : most))
}

describe('fleet timing: the shards of a worker that crashed are read elsewhere within failoverTimeMs + 3 s', () => {
  test.each(FLEETS)('%d workers, %d shards', async (workers, shards) => {
    const fleet = await fleetOf(workers, shards)
    busiest(fleet).kill()
    expect(fleet.unread().length).toBeGreaterThan(0)
    const tookMs = await fleet.until(() => fleet.unread().length === 0)
    expect(tookMs).toBeLessThanOrEqual(FAILOVER_MS + 3_000)
    await fleet.end()
  })

  test('several at once', async () => {
    const fleet = await fleetOf(10, 100)
    for (const worker of fleet.workers.slice(2)) worker.kill()
    expect(await fleet.until(() => fleet.unread().length === 0)).toBeLessThanOrEqual(FAILOVER_MS + 3_000)
    await fleet.end()
  })
})

describe('fleet timing: a graceful stop hands over within 2 s', () => {
  test.each(FLEETS)('%d workers, %d shards', async (workers, shards) => {
    const fleet = await fleetOf(workers, shards)
    void busiest(fleet).stop()
    const tookMs = await fleet.until(() => fleet.unread().length === 0)
    expect(tookMs).toBeLessThanOrEqual(2_000)
    expect(fleet.count('lease-lost')).toBe(0)
    await fleet.end()
  })

  test('several at once, half of the fleet', async () => {
    const fleet = await fleetOf(10, 100)
    for (const worker of fleet.workers.slice(5)) void worker.stop()
    expect(await fleet.until(() => fleet.unread().length === 0)).toBeLessThanOrEqual(2_000 + 2_000)
    await fleet.end()
  })

  test('of the whole fleet leaves no owner behind, and a fleet that starts then has its shards at once', async () => {
    const fleet = await fleetOf(10, 100)
    await fleet.end()
    expect((await fleet.store.list()).leases.filter((lease) => lease.leaseOwner !== undefined)).toEqual([])
    fleet.join()
    expect(await fleet.until(() => fleet.unread().length === 0)).toBeLessThanOrEqual(500)
    await fleet.end()
  })

  test('a rolling deploy, one worker after the other: each shard moves once for each stop of its owner, and is not read for 1 s at most', async () => {
    const fleet = await fleetOf(4, 16)
    for (const worker of [...fleet.workers]) {
      fleet.join()
      await fleet.clock.advanceAsync(8_000)
      void worker.stop()
      expect(await fleet.until(() => fleet.unread().length === 0)).toBeLessThanOrEqual(2_000)
      await fleet.clock.advanceAsync(8_000)
    }
    expect(Math.max(...fleet.counts()) - Math.min(...fleet.counts())).toBeLessThanOrEqual(1)
    expect(fleet.count('lease-lost') + fleet.count('lease-handoff-forced')).toBe(0)
    await fleet.end()
  })
})

describe('fleet timing: a newcomer has its fair share within 5 s', () => {
  test.each<readonly [number, number]>([[1, 1], [1, 2], [1, 500], ...FLEETS])(
    '%d workers, %d shards',
    async (workers, shards) => {
      const fleet = await fleetOf(workers, shards)
      const newcomer = fleet.join()
      const fair = Math.floor(shards / (workers + 1))
      const tookMs = await fleet.until(() => newcomer.reads.length >= fair)
      expect(tookMs).toBeLessThanOrEqual(5_000)
      expect(fleet.count('lease-lost')).toBe(0)
      await fleet.end()
    },
  )
})

describe('fleet timing: the children of a split are read within 1 s of their parent’s end', () => {
  test.each<readonly [number, number]>([[1, 1], ...FLEETS])('%d workers, %d shards', async (workers, shards) => {
    const fleet = await fleetOf(workers, shards)
    const owner = busiest(fleet)
    await Promise.all([owner.endShard(owner.reads[0]!, ['left', 'right']), fleet.clock.advanceAsync(50)])
    const read = (): boolean => {
      const reads = new Set(fleet.alive.flatMap((worker) => worker.reads))
      return reads.has('left') && reads.has('right')
    }
    expect(50 + (await fleet.until(read))).toBeLessThanOrEqual(1_000)
    await fleet.end()
  })
})

describe('fleet timing: no lease moves while the fleet is balanced', () => {
  test.each([
    [1, 20, 60],
    [3, 10, 60],
    [8, 60, 60],
    [50, 500, 1],
  ])(
    '%d workers, %d shards, %d minutes',
    async (workers, shards, minutes) => {
      const fleet = await fleetOf(workers, shards)
      await fleet.clock.advanceAsync(minutes * 60_000)
      const events = fleet.workers.flatMap((worker) => worker.events)
      expect(events).toEqual([])
      expect(fleet.unread()).toEqual([])
      await fleet.end()
    },
    120_000,
  )
})

describe('fleet timing: a rebalance moves no more than one lease beyond what it must', () => {
  const cases = fc.record({
    workers: fc.integer({ min: 2, max: 12 }),
    shards: fc.integer({ min: 1, max: 60 }),
    event: fc.constantFrom<'join' | 'stop' | 'kill'>('join', 'stop', 'kill'),
    seed: fc.nat(),
  })

  test('random fleets: one joins, stops or dies', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ workers, shards, event, seed }) => {
        const fleet = await fleetOf(workers, shards, seed)
        const leaver = fleet.workers[seed % workers]!
        const must = event === 'join' ? Math.floor(shards / (workers + 1)) : leaver.reads.length
        if (event === 'join') fleet.join()
        else if (event === 'stop') void leaver.stop()
        else leaver.kill()
        await fleet.clock.advanceAsync(30_000)
        expect(fleet.unread()).toEqual([])
        const counts = fleet.counts()
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
        expect(fleet.count('lease-taken')).toBeLessThanOrEqual(must + 1)
        await fleet.end()
      }),
      { numRuns: 60 },
    )
  }, 120_000)
})
