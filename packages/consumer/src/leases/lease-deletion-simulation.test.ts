import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type { Shard } from '@shardwise/core/shard-map'
import { describe, expect, test } from 'vitest'
import { MemoryLeaseStore } from './memory-lease-store.js'
import { type Stream, World } from './testing/simulated-world.js'

const FAILOVER_MS = 1_000
/** Each is another history. SHARDWISE_SEEDS runs more of them. */
const SEEDS = Array.from({ length: Number(process.env.SHARDWISE_SEEDS ?? 60) }, (_, i) => i + 1)
const LEFT = { start: 0n, end: MAX_HASH_KEY / 2n }
const RIGHT = { start: MAX_HASH_KEY / 2n + 1n, end: MAX_HASH_KEY }

/** Merged to one and split in two, five times, with a record or two in each shard: rows come, end and go while calls are on their way. */
const STREAM: Stream = new Map(
  Array.from({ length: 6 }, (_, round) => {
    const last = round === 5
    const before = round === 0 ? [] : [`m${round - 1}`]
    const shards = [
      { ...shardOf(`l${round}`, LEFT, before, last), records: last ? undefined : 1 },
      { ...shardOf(`r${round}`, RIGHT, before, last), records: last ? undefined : 2 },
    ]
    const merged = shardOf(`m${round}`, { start: 0n, end: MAX_HASH_KEY }, [`l${round}`, `r${round}`], false)
    return last ? shards : [...shards, { ...merged, records: 1 }]
  })
    .flat()
    .map((each) => [each.shard.shardId, each]),
)

function shardOf(
  shardId: string,
  range: Shard['range'],
  [parentShardId, adjacentParentShardId]: readonly string[],
  open: boolean,
): { readonly shard: Shard } {
  return {
    shard: {
      shardId,
      range,
      // The records of each shard are numbered from 1 on.
      startingSequenceNumber: '1',
      ...(parentShardId !== undefined && { parentShardId }),
      ...(adjacentParentShardId !== undefined && { adjacentParentShardId }),
      ...(!open && { endingSequenceNumber: '9' }),
    },
  }
}

/** Workers sleep, and calls are on their way, for up to fifteen failover times: many shards are read meanwhile. */
async function history(seed: number, finishedLeaseKeptMs: number): Promise<World> {
  const world = new World({
    seed,
    store: new MemoryLeaseStore(),
    stream: STREAM,
    failoverTimeMs: FAILOVER_MS,
    finishedLeaseKeptMs,
    auditWithinMs: FAILOVER_MS,
    lateWithinMs: FAILOVER_MS * 15,
  })
  for (let i = 0; i < 4; i++) world.addWorker()
  Object.assign(world.faults, { lost: 0.03, unanswered: 0.1, late: 0.15 })
  for (let step = 0; step < 40; step++) {
    const worker = world.workers[Math.floor(world.random() * world.workers.length)]!
    if (world.random() < 0.5 && !worker.paused) {
      worker.pause()
      world.clock.schedule(world.random() * FAILOVER_MS * 15, () => worker.resume())
    }
    await world.pass(world.random() * FAILOVER_MS * 2)
  }
  Object.assign(world.faults, { lost: 0, unanswered: 0, late: 0 })
  await world.pass(FAILOVER_MS * 80)
  const stopped = Promise.all(world.workers.map((worker) => worker.stop()))
  await world.pass(FAILOVER_MS * 5)
  await stopped
  return world
}

describe('finished leases are deleted while creates and deletions are late and workers asleep', () => {
  test.each(SEEDS)('history %d: all is read, parents first, what is finished goes, and nothing comes back', async (seed) => {
    const world = await history(seed, FAILOVER_MS * 20)
    expect(world.problems).toEqual([])
    for (const [shardId, { records }] of STREAM) {
      if (records !== undefined) expect(world.delivered.get(shardId), shardId).toBe(records)
    }
    const keys = (await world.store.list()).leases.map(({ leaseKey }) => leaseKey)
    expect(keys.sort()).toEqual(['l5', 'r5'])
  })

  test('the histories are hard enough: with deletions at once some rows come back', async () => {
    const problems: string[] = []
    for (let seed = 1; seed <= 40 && problems.length === 0; seed++) problems.push(...(await history(seed, 0)).problems)
    expect(problems.join()).toContain('went back')
  })
})
