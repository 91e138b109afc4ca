import { describe, expect, it } from 'vitest'
import type { Consumer } from './consumer.js'
import { MemoryLeaseStore } from './leases/memory-lease-store.js'
import { type SmallFleet, setUp } from './testing/small-fleet.js'

const MIB = 1024 * 1024

/** A second of every shard's write quota, and that second. Keys fall evenly on the shards. */
async function fill({ clock, model }: SmallFleet, shards: number, recordBytes: number): Promise<void> {
  const size = 2n ** 128n / BigInt(shards)
  for (let shard = 0; shard < shards; shard++) {
    for (let left = MIB; left >= recordBytes + 1; left -= recordBytes + 1) {
      const ExplicitHashKey = String(size * BigInt(shard))
      model.call('PutRecord', { StreamName: 'flights', PartitionKey: 'k', ExplicitHashKey, Data: new Uint8Array(recordBytes) })
    }
  }
  await clock.advanceAsync(1000)
}

function bufferedBytes(consumer: Consumer): number {
  return consumer.snapshot().shards.reduce((sum, { worker }) => sum + (worker?.bufferedBytes ?? 0), 0)
}

describe('Reading', () => {
  it('holds no more than maxBufferedBytes of all shards, and shards whose handlers hang do not keep the others waiting', async () => {
    const fleet = setUp(8)
    const { consumer, until, settled } = fleet
    for (let i = 0; i < 12; i++) await fill(fleet, 8, 65_535)
    const perShard = 12 * 16 - 12
    const one = consumer({ maxBufferedBytes: 16 * MIB })
    const handled = new Map<string, number>()
    let most = 0
    const hung = new Set<string>()
    const run = one.run({
      eachRecord: async ({ shardId }, { signal }) => {
        most = Math.max(most, bufferedBytes(one))
        if (Number(shardId.slice(-1)) < 5) {
          hung.add(shardId)
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        }
        handled.set(shardId, (handled.get(shardId) ?? 0) + 1)
      },
    })
    await until(() => hung.size === 5 && [...handled.values()].filter((count) => count >= perShard).length === 3)
    expect(most).toBeLessThanOrEqual(16 * MIB)
    expect(most).toBeGreaterThan(8 * MIB)
    expect(one.snapshot().shards.some(({ worker }) => worker?.waitingForMemory)).toBe(true)
    await settled(one.stop({ timeoutMs: 0 }))
    await run
  })

  it.each([
    {
      by: 'five reads a second',
      fills: 60,
      recordBytes: 10_240,
      maxRecordsPerRead: 40,
      seconds: 120,
      readsPerSecond: 5,
      least: 0.75,
    },
    {
      by: '2 MiB a second',
      fills: 90,
      recordBytes: 65_000,
      maxRecordsPerRead: 64,
      seconds: 300,
      readsPerSecond: 1 / 1.984,
      least: 0.6,
    },
  ])('shares a shard, limited by $by, with four other applications that are behind as well', async (limit) => {
    const fleet = setUp(1)
    const { clock, consumer, settled } = fleet
    const { maxRecordsPerRead, seconds, readsPerSecond } = limit
    for (let i = 0; i < limit.fills; i++) await fill(fleet, 1, limit.recordBytes)
    const applications = [1, 2, 3, 4, 5].map((i) => {
      const application = consumer({
        applicationName: `application-${i}`,
        leaseStore: new MemoryLeaseStore(),
        maxRecordsPerRead,
      })
      const counts = { records: 0, application, run: Promise.resolve() }
      counts.run = application.run({
        eachBatch: (records) => {
          counts.records += records.length
        },
      })
      return counts
    })
    await clock.advanceAsync(seconds * 1000)
    const records = applications.map((each) => each.records)
    const total = records.reduce((sum, count) => sum + count, 0)
    const jain = total ** 2 / (5 * records.reduce((sum, count) => sum + count ** 2, 0))
    const used = total / maxRecordsPerRead / readsPerSecond / seconds
    expect(jain).toBeGreaterThan(0.9)
    expect(used).toBeGreaterThan(limit.least)
    await settled(Promise.all(applications.flatMap(({ application, run }) => [application.stop(), run])))
  })
})
