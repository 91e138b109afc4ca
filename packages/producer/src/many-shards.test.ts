import { effectiveHashKey, inRange } from '@shardwise/core/hash-key'
import { expect, test } from 'vitest'
import { Dispatcher } from './dispatcher.js'
import { Meter } from './meter.js'
import { checkOptions } from './producer-options.js'
import { bench } from './testing/producer-bench.js'
import { entryOf, shardOf } from './testing/records.js'

const SHARDS = 10_000

test('ten thousand shards: listed page by page, predicted right, and open aggregates hold no buffer each', async () => {
  const { clock, kinesis, producer } = bench({ maxBufferedRecords: 1_000_000, shardRatePercent: 1000 }, SHARDS)
  const started = producer.start()
  await clock.advanceAsync(1000)
  await started
  // 1000 a page, the most that ListShards gives, each page asked for with the token alone.
  expect([kinesis.listShardsCalls, producer.stats().openShards]).toEqual([10, SHARDS])

  const width = 2n ** 128n / BigInt(SHARDS)
  const hashKey = (shard: number, offset: number): string => (BigInt(shard) * width + width / 2n + BigInt(offset)).toString()
  const put = (shard: number, offset: number): Promise<{ shardId: string }> =>
    producer.put({
      partitionKey: `${shard}`,
      explicitHashKey: hashKey(shard, offset),
      data: Buffer.from(`${shard} ${offset}`),
    })
  const before = process.memoryUsage()
  const puts = Array.from({ length: SHARDS }, (_, shard) => [put(shard, 0), put(shard, 1)]).flat()
  const after = process.memoryUsage()
  expect(producer.stats().openAggregates).toBe(SHARDS)
  // With a buffer of 51200 bytes each there would be 512 MB of them.
  expect((after.arrayBuffers - before.arrayBuffers) / 1e6).toBeLessThan(50)

  await clock.advanceAsync(2000)
  const results = await Promise.all(puts)
  expect(producer.stats()).toMatchObject({ delivered: 2 * SHARDS, kinesisRecords: SHARDS, wrongShard: 0, possibleDuplicates: 0 })
  const map = kinesis.map()
  const strays = results.filter(({ shardId }, i) => {
    const hashed = effectiveHashKey(`${i >> 1}`, hashKey(i >> 1, i & 1))
    return !inRange(hashed, map.get(shardId)!.range)
  })
  expect([strays, new Set(results.map(({ shardId }) => shardId)).size]).toEqual([[], SHARDS])
})

test('lanes that wait for their limit, for order or for their time are not asked in every turn', () => {
  const asked = { count: 0 }
  const meter = new Meter(checkOptions({ stream: 'flights' }))
  // Every look at a lane that is held back comes by here.
  meter.hold = () => {
    asked.count++
  }
  const dispatcher = new Dispatcher({ ordering: 'perShard', meter, random: () => 0 })
  const shards = Array.from({ length: SHARDS }, (_, i) =>
    shardOf(`shard ${i}`, { start: BigInt(i) * 100n, end: BigInt(i) * 100n + 99n }),
  )
  for (const shard of shards) dispatcher.requeue(entryOf(shard, { deadline: 0 }), 5000)
  dispatcher.releaseAll(0)
  expect([asked.count, dispatcher.wakeAt]).toEqual([SHARDS, 5000])
  for (let now = 1; now < 5000; now++) dispatcher.releaseAll(now)
  expect(asked.count).toBe(SHARDS)
  // A new entry is looked at, and nothing else.
  dispatcher.release(dispatcher.enqueue(entryOf(shards[7]!)), 4999)
  expect(asked.count).toBe(SHARDS + 1)

  let sent = 0
  dispatcher.releaseAll(5000)
  for (let request = dispatcher.takeDue(5000); request !== undefined; request = dispatcher.takeDue(5000)) {
    sent += request.length
    dispatcher.releaseAll(5000)
  }
  // The lane with two has one under way.
  expect([sent, asked.count, dispatcher.queued]).toEqual([SHARDS, SHARDS + 2, 1])
})
