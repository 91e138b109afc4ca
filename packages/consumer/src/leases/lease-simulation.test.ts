import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type { Shard } from '@shardwise/core/shard-map'
import { afterAll, describe, expect, test } from 'vitest'
import { MemoryLeaseStore } from './memory-lease-store.js'
import { isServed, type Stream, World } from './testing/simulated-world.js'

const FAILOVER_MS = 3_000
/** Each is another history. SHARDWISE_SEEDS runs more of them. */
const SEEDS = Array.from({ length: Number(process.env.SHARDWISE_SEEDS ?? 100) }, (_, i) => i + 1)

/** `from` and `to`: the eighths of the hash space that it has. */
function shard(shardId: string, [from, to]: readonly [number, number], parents: readonly string[] = []): Shard {
  const eighth = (MAX_HASH_KEY + 1n) / 8n
  return {
    shardId,
    range: { start: BigInt(from) * eighth, end: BigInt(to) * eighth - 1n },
    // The records of each shard are numbered from 1 on.
    startingSequenceNumber: '1',
    ...(parents[0] !== undefined && { parentShardId: parents[0] }),
    ...(parents[1] !== undefined && { adjacentParentShardId: parents[1] }),
  }
}

function closed(shard: Shard): Shard {
  return { ...shard, endingSequenceNumber: '999' }
}

/** a splits into d and e; b and c merge into f; e and f merge into g, which needs the ends of both branches; h stays. */
const STREAM: Stream = new Map(
  [
    { shard: closed(shard('a', [0, 2])), records: 120 },
    { shard: closed(shard('b', [2, 4])), records: 60 },
    { shard: closed(shard('c', [4, 6])), records: 150 },
    { shard: shard('d', [0, 1], ['a']), records: undefined },
    { shard: closed(shard('e', [1, 2], ['a'])), records: 40 },
    { shard: closed(shard('f', [2, 6], ['b', 'c'])), records: 30 },
    { shard: shard('g', [1, 6], ['e', 'f']), records: undefined },
    { shard: shard('h', [6, 8]), records: undefined },
  ].map((each) => [each.shard.shardId, each]),
)
const OPEN = [...STREAM].filter(([, { records }]) => records === undefined).map(([shardId]) => shardId)

function aWorld(seed: number, store = new MemoryLeaseStore()): World {
  return new World({ seed, store, stream: STREAM, failoverTimeMs: FAILOVER_MS })
}

/** Two minutes in which everything goes wrong, then quiet until it must have recovered. */
async function history(world: World, immortal: ReadonlySet<object> = new Set()): Promise<void> {
  const { random, faults } = world
  if (world.workers.length === 0) for (let i = 0; i < 3; i++) world.addWorker()
  Object.assign(faults, { lost: 0.05, unanswered: 0.08, late: 0.04, hangs: 0.2, stalls: 0.002 })
  for (let step = 0; step < 40; step++) {
    const alive = world.workers.filter((worker) => !gone.has(worker))
    const worker = alive[Math.floor(random() * alive.length)]!
    const chance = random()
    if (chance < 0.3) {
      worker.pause()
      world.clock.schedule(random() * FAILOVER_MS * 3, () => gone.has(worker) || worker.resume())
    } else if (chance < 0.4 && alive.length > 2 && !immortal.has(worker)) {
      // SIGKILL: as a pause without end.
      gone.add(worker)
      worker.pause()
    } else if (chance < 0.5 && alive.length > 2 && !worker.paused && !immortal.has(worker)) {
      gone.add(worker)
      void worker.stop()
    } else if (chance < 0.65 && alive.length < 5) world.addWorker()
    else if (chance < 0.72) {
      faults.outage = true
      world.clock.schedule(random() * FAILOVER_MS * 2, () => {
        faults.outage = false
      })
    }
    await world.pass(random() * FAILOVER_MS * 2)
  }
  Object.assign(faults, { lost: 0, unanswered: 0, late: 0, outage: false, hangs: 0, stalls: 0 })
  await world.pass(FAILOVER_MS * 3)
  for (const worker of world.workers) if (!gone.has(worker) && worker.paused) worker.resume()
  await world.pass(FAILOVER_MS * 20)
}

const gone = new WeakSet<object>()

/** Acquisitions that found a prepared checkpoint, over all histories: what is told of them must have come to pass. */
let found = 0

afterAll(() => {
  expect(found).toBeGreaterThanOrEqual(Math.floor(SEEDS.length / 4))
})

describe('many workers, a bad network, pauses, kills and stops', () => {
  test.each(SEEDS)('history %d: one trusts, no checkpoint goes back, children after parents, all is read once', async (seed) => {
    const world = aWorld(seed)
    await history(world)
    expect(world.problems).toEqual([])
    found += world.prepared.found

    const { leases } = await world.store.list()
    for (const [shardId, { records }] of STREAM) {
      if (records !== undefined) expect(world.delivered.get(shardId), shardId).toBe(records)
    }
    // What is finished has been deleted, oldest first, and nothing has brought it back.
    expect(leases.map((row) => row.leaseKey).sort()).toEqual(OPEN)
    for (const row of leases) {
      expect(isServed(world, row), `${row.leaseKey} is read by somebody: ${JSON.stringify(row.leaseOwner)}`).toBe(true)
    }
    const alive = world.workers.filter((worker) => !gone.has(worker))
    const counts = alive.map((worker) => worker.held.filter((lease) => lease.isOurs()).length)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)

    // All stop in order: no row names an owner, and nothing is left running.
    await Promise.all([...alive.map((worker) => worker.stop()), world.pass(FAILOVER_MS * 4)])
    const owners = (await world.store.list()).leases.flatMap((row) => row.leaseOwner ?? [])
    expect(owners.filter((owner) => alive.some((worker) => worker.id === owner))).toEqual([])
    expect(world.problems).toEqual([])
  })
})

describe('two streams of one table, read by workers with different streams, which change', () => {
  const STREAMS = ['1:x:5', '1:y:5']
  const seeds = SEEDS.slice(0, Math.ceil(SEEDS.length / 2))

  test.each(seeds)('history %d: as of one stream, and nobody takes what it does not read', async (seed) => {
    const world = new World({
      seed,
      store: new MemoryLeaseStore(),
      stream: STREAM,
      streamIds: STREAMS,
      failoverTimeMs: FAILOVER_MS,
    })
    const { random, clock } = world
    // Somebody always reads both.
    const steady = new Set([world.addWorker(), world.addWorker()])
    for (const streamId of STREAMS) world.addWorker([streamId])
    const change = (): void => {
      const changing = world.workers.filter((worker) => !steady.has(worker) && !gone.has(worker))
      const worker = changing[Math.floor(random() * changing.length)]
      const streamId = STREAMS[Math.floor(random() * STREAMS.length)]!
      worker?.change(streamId)
    }
    for (let i = 0; i < 30; i++) clock.schedule(i * FAILOVER_MS + random() * FAILOVER_MS, change)
    await history(world, steady)
    expect(world.problems).toEqual([])

    const { leases } = await world.store.list()
    for (const id of STREAMS) {
      for (const [shardId, { records }] of STREAM) {
        if (records !== undefined) expect(world.delivered.get(`${id}:${shardId}`), shardId).toBe(records)
      }
    }
    expect(leases.map((row) => row.leaseKey).sort()).toEqual(STREAMS.flatMap((id) => OPEN.map((key) => `${id}:${key}`)))
    for (const row of leases) {
      expect(isServed(world, row), `${row.leaseKey} is read by somebody: ${row.leaseOwner}`).toBe(true)
    }
    const alive = world.workers.filter((worker) => !gone.has(worker))
    const counts = new Map(alive.map((worker) => [worker.id, worker.held.filter((lease) => lease.isOurs()).length]))
    for (const { streamId, leaseOwner } of leases) {
      const least = Math.min(...alive.filter(({ reads }) => reads.has(streamId)).map(({ id }) => counts.get(id)!))
      expect(counts.get(leaseOwner!)! - least).toBeLessThan(2)
    }
    await Promise.all([...alive.map((worker) => worker.stop()), world.pass(FAILOVER_MS * 4)])
    expect(world.problems).toEqual([])
  })
})
