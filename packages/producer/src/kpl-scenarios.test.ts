import { decodeAggregate } from '@shardwise/aggregation'
import { describe, expect, test } from 'vitest'
import { bench, outcomes, splitBench, startedBench } from './testing/producer-bench.js'
import type { SimulatedKinesis } from './testing/simulated-kinesis.js'

// What the KPL's own tests show of it (awslabs/amazon-kinesis-producer, aws/kinesis/core/test), shown of this producer, through its public
// side. Where a comment says so, the producer differs on purpose.

const HALF = 2n ** 127n

describe('what becomes of a request (retrier_test.cc)', () => {
  test('Success', async () => {
    const { clock, producer, put, types } = bench()
    const puts = [put('a'), put('b'), put('c')]
    await clock.advanceAsync(200)
    expect(await outcomes(puts)).toEqual([0, 1, 2])
    expect(types()).toEqual(['map-refreshed', 'request-sent', 'request-succeeded'])
    expect(producer.stats()).toMatchObject({ delivered: 3, kinesisRecords: 1, requests: 1, bufferedRecords: 0, bufferedBytes: 0 })
  })

  // The KPL dissolves what failed and packs it anew, with whatever has come since. Here it goes again byte for byte: cheaper, in its order, and
  // what is written twice is the same twice.
  test('RequestFailure: every record of the request goes again', async () => {
    const { clock, kinesis, put, types } = bench()
    kinesis.putFaults.push({ kind: 'reject', name: 'ServiceUnavailableException' })
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(500)
    const results = await Promise.all(puts)
    expect(results).toMatchObject([{ attempts: 2 }, { attempts: 2 }])
    expect(types()).toContain('request-failed')
    expect(kinesis.requests[1]).toEqual(kinesis.requests[0])
  })

  // As in the KPL. There the rate of the shard stays as it is: here it goes down (adaptive-rate.ts).
  test('Partial: what was refused goes again, the rest is done', async () => {
    const { clock, kinesis, producer, put } = bench({ aggregation: 'off' })
    kinesis.putFaults.push({ kind: 'refuse', places: [1], code: 'ProvisionedThroughputExceededException' })
    const puts = [put('a'), put('b'), put('c')]
    await clock.advanceAsync(500)
    expect(await Promise.all(puts)).toMatchObject([{ attempts: 1 }, { attempts: 2 }, { attempts: 1 }])
    expect(kinesis.requests.map((request) => request.Records.length)).toEqual([3, 1])
    expect(producer.stats()).toMatchObject({ throttled: 1, retries: 1, possibleDuplicates: 0 })
  })

  // The KPL acknowledges each member that fits. So do we, if all do.
  test('WrongShardButCorrectHashrange: all members fit the child they landed in', async () => {
    const { clock, kinesis, producer, put, types } = await splitBench()
    const puts = [put('a', 5n), put('b', 6n)]
    await clock.advanceAsync(500)
    expect(await Promise.all(puts)).toMatchObject([
      { shardId: 'shardId-000000000001', attempts: 1 },
      { shardId: 'shardId-000000000001', attempts: 1 },
    ])
    expect(types().filter((type) => type === 'map-refreshed')).toHaveLength(2)
    expect(producer.stats()).toMatchObject({ wrongShard: 0, possibleDuplicates: 0 })
    expect(kinesis.readable().map(({ id }) => id)).toEqual(['a', 'b'])
  })

  // The KPL acknowledges "a" and "c" here and sends "b" again: but readers by the KCL's rule drop the whole aggregate, so "a" and "c" would be
  // lost. Here all three go again, and those that read otherwise may see them twice.
  test('WrongShardAndWrongHashrange: one member outside, and all of them go again', async () => {
    const { clock, kinesis, producer, put, events } = await splitBench()
    const puts = [put('a', 5n), put('b', HALF), put('c', 6n)]
    await clock.advanceAsync(500)
    expect(await Promise.all(puts)).toMatchObject([
      { shardId: 'shardId-000000000001', subSequenceNumber: 0, attempts: 2 },
      { shardId: 'shardId-000000000002', subSequenceNumber: 0, attempts: 2 },
      { shardId: 'shardId-000000000001', subSequenceNumber: 1, attempts: 2 },
    ])
    expect(events.flatMap((event) => (event.type === 'wrong-shard' ? [event.outcome] : []))).toEqual(['undecided', 'resent'])
    expect(producer.stats()).toMatchObject({ wrongShard: 1, possibleDuplicates: 3 })
    expect(
      kinesis
        .readable()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(['a', 'b', 'c'])
  })

  // The KPL drops its map and predicts nothing until the new one is there. Here the old one stays in use meanwhile.
  test('InvalidateForFirstUserRecordOnly: many misplaced at once make one new map', async () => {
    const { clock, kinesis, put } = await splitBench({ aggregation: 'off' })
    const before = kinesis.listShardsCalls
    const puts = Array.from({ length: 50 }, (_, i) => put(`${i}`, BigInt(i)))
    await clock.advanceAsync(1000)
    expect(await outcomes(puts)).toEqual(Array(50).fill(0))
    expect(kinesis.listShardsCalls - before).toBeLessThanOrEqual(2)
  })

  // As in the KPL, but with an error of its own kind, that says that nothing was written.
  test('FailIfThrottled: what the quota refuses fails at once, and nothing else does', async () => {
    const { clock, kinesis, put } = bench({ aggregation: 'off', failIfThrottled: true })
    kinesis.putFaults.push(
      { kind: 'refuse', places: [0], code: 'ProvisionedThroughputExceededException' },
      { kind: 'refuse', places: [0], code: 'InternalFailure' },
    )
    const throttled = [put('a'), put('b')]
    await clock.advanceAsync(500)
    const failed = [put('c')]
    await clock.advanceAsync(1000)
    const code = 'ProvisionedThroughputExceededException'
    expect(await Promise.all([...throttled, ...failed])).toMatchObject([
      { name: 'DeliveryFailedError', reason: 'throttled', serviceCode: code, attempts: 1, written: 'no' },
      { attempts: 1 },
      { attempts: 2 },
    ])
  })

  // The KPL sends a lone record again whenever it landed elsewhere, though it cannot be in a wrong place: the service put it where its own key
  // belongs. Here it is delivered, and the map renewed.
  test('WrongShard: a record that travelled alone is where it belongs', async () => {
    const { clock, kinesis, producer, put, events } = await splitBench()
    const lone = put('a', HALF)
    await clock.advanceAsync(500)
    expect(await lone).toMatchObject({ shardId: 'shardId-000000000002', attempts: 1 })
    expect(events).toContainEqual(expect.objectContaining({ type: 'wrong-shard', outcome: 'delivered' }))
    expect([producer.stats().possibleDuplicates, kinesis.readable().map(({ id }) => id)]).toEqual([0, ['a']])
  })
})

describe('what waits for the rate of its shard (limiter_test.cc)', () => {
  const slow = { aggregation: 'off', shardRatePercent: 1, lingerMs: 0 } as const

  // The KPL orders them by deadline, which a retry changes. Here they go in the order in which they were put.
  test('Ordering: first come, first sent', async () => {
    const { clock, kinesis, put } = bench({ ...slow, recordTtlMs: 60_000 })
    const puts = Array.from({ length: 40 }, (_, i) => put(`${i}`))
    await clock.advanceAsync(10_000)
    await Promise.all(puts)
    // Ten a second, and eight at once.
    expect(kinesis.requests.length).toBeGreaterThan(10)
    expect(kinesis.readable().map(({ id }) => id)).toEqual(puts.map((_, i) => `${i}`))
  })

  // As in the KPL, which tells "Expired" of it without ever having sent it.
  test('Expiry: what has waited too long fails without having been sent', async () => {
    const { clock, kinesis, put } = bench({ ...slow, recordTtlMs: 1000 })
    const puts = Array.from({ length: 40 }, (_, i) => put(`${i}`))
    await clock.advanceAsync(5000)
    const results = await Promise.all(puts)
    const failed = results.filter((result) => result instanceof Error)
    for (const error of failed)
      expect(error).toMatchObject({ reason: 'expired', attempts: 0, written: 'no', serviceCode: undefined })
    expect([failed.length, kinesis.readable().length]).toEqual([40 - kinesis.readable().length, results.length - failed.length])
    expect(failed.length).toBeGreaterThan(15)
  })
})

describe('what goes together (reducer_test.cc)', () => {
  const sizes = (kinesis: SimulatedKinesis): number[] =>
    kinesis.requests.flatMap(({ Records }) => Records.map(({ Data }) => decodeAggregate(Data)?.length ?? 1))

  test('Count: an aggregate is full with its number of records', async () => {
    const { clock, kinesis, put } = await startedBench({ aggregateMaxRecords: 10 })
    const puts = Array.from({ length: 25 }, (_, i) => put(`${i}`))
    await clock.advanceAsync(500)
    await Promise.all(puts)
    expect(sizes(kinesis)).toEqual([10, 10, 5])
  })

  // The KPL estimates, packs too many, takes the latest out again and starts the next with them, which changes the order. Here a record that
  // does not fit is known not to before it is written.
  test('Size: an aggregate never exceeds its bytes, and the next starts with what did not fit', async () => {
    const { clock, kinesis, producer } = await startedBench({ aggregateMaxBytes: 1000 })
    const data = (i: number): Uint8Array => Buffer.from(`${i}`.padEnd(300, '.'))
    const puts = Array.from({ length: 7 }, (_, i) => producer.put({ partitionKey: 'k', data: data(i) }))
    await clock.advanceAsync(500)
    await Promise.all(puts)
    expect(sizes(kinesis)).toEqual([3, 3, 1])
    const records = kinesis.requests.flatMap(({ Records }) => Records)
    expect(Math.max(...records.map(({ Data }) => Data.byteLength))).toBeLessThanOrEqual(1000)
    expect(kinesis.readable().map(({ id }) => Number.parseInt(id, 10))).toEqual([0, 1, 2, 3, 4, 5, 6])
  })

  // The KPL's default of 100 ms is kept to, where it adds up to 25 ms of polling and 20 of collecting.
  test('Deadline: the first record says when', async () => {
    const { clock, kinesis, put } = await startedBench({ lingerMs: 100 })
    const puts = [put('a')]
    await clock.advanceAsync(60)
    puts.push(put('b'))
    await clock.advanceAsync(39)
    expect(kinesis.requests).toHaveLength(0)
    await clock.advanceAsync(1)
    expect(sizes(kinesis)).toEqual([2])
    await clock.advanceAsync(50)
    await Promise.all(puts)
  })

  test('a giant record goes alone and plain, as soon as it comes, and closes what was open before it', async () => {
    const { clock, kinesis, producer, put } = await startedBench({ lingerMs: 0 })
    const puts = [put('a'), put('b'), producer.put({ partitionKey: 'giant', data: new Uint8Array(500_000) }), put('c')]
    await clock.advanceAsync(500)
    await Promise.all(puts)
    expect(sizes(kinesis)).toEqual([2, 1, 1])
    expect(kinesis.requests.flatMap(({ Records }) => Records.map(({ PartitionKey }) => PartitionKey))[1]).toBe('giant')
  })
})

describe('where a record belongs (shard_map_test.cc, user_record_test.cc)', () => {
  // As in the KPL. The map itself: shard-map.test.ts of the core, by the KPL's numbers.
  test('three shards: both edges of each', async () => {
    const { clock, kinesis, producer } = await startedBench({ aggregation: 'off' }, 3)
    const { open } = kinesis.map()
    expect(open).toHaveLength(3)
    for (const { shardId, range } of open) {
      for (const hashKey of [range.start, range.end]) {
        const put = producer.put({ partitionKey: 'k', explicitHashKey: `${hashKey}`, data: Buffer.from('x') })
        await clock.advanceAsync(500)
        expect(await put).toMatchObject({ shardId, attempts: 1 })
      }
    }
    expect(producer.stats().wrongShard).toBe(0)
  })

  test('the hash of a partition key: MD5 as a number, most significant byte first', async () => {
    const { clock, kinesis, producer } = await startedBench()
    const puts = [1, 2].map((i) => producer.put({ partitionKey: 'abcd', data: Buffer.from(`${i}`) }))
    await clock.advanceAsync(500)
    await Promise.all(puts)
    expect(kinesis.requests[0]!.Records).toMatchObject([
      { PartitionKey: 'abcd', ExplicitHashKey: '301716283811389038011477436469853762335' },
    ])
  })
})
