import type { Shard } from '@shardwise/core/shard-map'
import { describe, expect, test } from 'vitest'
import { hasEnded } from './lease.js'
import type { JavaWorker } from './testing/java-worker-model.js'
import { type Layout, MixedWorld } from './testing/mixed-world.js'
import { isServed, type SimulatedShard, type SimulatedWorker } from './testing/simulated-world.js'

const FAILOVER_MS = 3_000
/** Each is another history. SHARDWISE_SEEDS runs more of them. */
const SEEDS = Array.from({ length: Number(process.env.SHARDWISE_SEEDS ?? 4) }, (_, i) => i + 1)
const EIGHTH = 1n << 125n

function shard(
  shardId: string,
  eighths: readonly [number, number],
  parents: readonly string[],
  records?: number,
): SimulatedShard {
  const range = { start: BigInt(eighths[0]) * EIGHTH, end: BigInt(eighths[1]) * EIGHTH - 1n }
  const [parentShardId, adjacentParentShardId] = parents
  const described: Shard = {
    shardId,
    range,
    startingSequenceNumber: '1',
    ...(parentShardId !== undefined && { parentShardId }),
    ...(adjacentParentShardId !== undefined && { adjacentParentShardId }),
    ...(records !== undefined && { endingSequenceNumber: '9' }),
  }
  return { shard: described, records }
}

/** a splits into d and e, b and c merge into f; g stays. */
const STREAM = new Map(
  [
    shard('a', [0, 2], [], 500),
    shard('b', [2, 4], [], 300),
    shard('c', [4, 6], [], 700),
    shard('d', [0, 1], ['a']),
    shard('e', [1, 2], ['a']),
    shard('f', [2, 6], ['b', 'c']),
    shard('g', [6, 8], []),
  ].map((each) => [each.shard.shardId, each]),
)

function addJava(world: MixedWorld, layout: Layout): void {
  const workerId = `j${world.java.length}`
  if (layout === 'leases-only') world.addTaker(workerId)
  else world.addAssigned(workerId)
}

/** Workers of both kinds come, are killed, stop, and sleep, on a bad network (of ours); then quiet until it must have recovered. */
async function history(world: MixedWorld, layout: Layout): Promise<readonly SimulatedWorker[]> {
  const { random, faults } = world
  const gone = new Set<SimulatedWorker | JavaWorker>()
  if (layout !== 'leases-only') world.setClientVersion('CLIENT_VERSION_3X')
  addJava(world, layout)
  addJava(world, layout)
  await world.pass(FAILOVER_MS * 3)
  world.addWorker()
  world.addWorker()
  Object.assign(faults, { lost: 0.03, unanswered: 0.06, late: 0.03 })
  for (let step = 0; step < 30; step++) {
    const ours = world.workers.filter((worker) => !gone.has(worker))
    const theirs = world.java.filter((worker) => worker.isRunning)
    const worker = ours[Math.floor(random() * ours.length)]!
    const chance = random()
    if (chance < 0.2) {
      worker.pause()
      world.clock.schedule(random() * FAILOVER_MS * 3, () => gone.has(worker) || worker.resume())
    } else if (chance < 0.3 && ours.length > 1) {
      gone.add(worker)
      worker.pause()
    } else if (chance < 0.4 && ours.length > 1 && !worker.paused) {
      gone.add(worker)
      void worker.stop()
    } else if (chance < 0.5 && ours.length < 4) world.addWorker()
    else if (chance < 0.62 && theirs.length > 0) theirs[Math.floor(random() * theirs.length)]!.kill()
    else if (chance < 0.75 && theirs.length < 3) addJava(world, layout)
    await world.pass(random() * FAILOVER_MS * 2)
  }
  Object.assign(faults, { lost: 0, unanswered: 0, late: 0 })
  for (const java of world.java) java.kill()
  await world.pass(FAILOVER_MS * 4)
  const alive = world.workers.filter((worker) => !gone.has(worker))
  for (const worker of alive) if (worker.paused) worker.resume()
  // A leader of Java's is known to be gone after its lock's time, and a shard may have all of its records still to be read then.
  await world.pass(400_000)
  return alive
}

describe.each<Layout>(['leases-only', 'three-tables', 'single-table'])('with Java’s workers on the table, %s', (layout) => {
  test.each(SEEDS)(
    'history %d: one of ours trusts, no checkpoint goes back, children after parents, all is read',
    async (seed) => {
      const world = new MixedWorld({ seed, stream: STREAM, failoverTimeMs: FAILOVER_MS, layout })
      const alive = await history(world, layout)
      expect(world.problems).toEqual([])
      expect(world.javaErrors).toEqual([])
      const { leases } = await world.store.list()
      const open = [...STREAM.values()].filter(({ records }) => records === undefined).map((each) => each.shard.shardId)
      expect(
        leases
          .filter((row) => !hasEnded(row))
          .map((row) => row.leaseKey)
          .sort(),
      ).toEqual(open)
      for (const row of leases) expect(isServed(world, row), `${row.leaseKey} of ${row.leaseOwner}`).toBe(true)
      await Promise.all([...alive.map((worker) => worker.stop()), world.pass(FAILOVER_MS * 4)])
      expect(world.problems).toEqual([])
    },
  )
})
