import { describe, expect, test } from 'vitest'
import { bench, outcomes, startedBench } from './testing/producer-bench.js'
import { named } from './testing/simulated-kinesis.js'

const MINUTE = 60_000

describe('the shard map', () => {
  test('is listed about once a minute while records are put, and the traits every five', async () => {
    const { clock, kinesis, put } = await startedBench()
    const [lists, probes] = [kinesis.listShardsCalls, kinesis.describeCalls]
    for (let i = 0; i < 3600; i++) {
      void put(`${i}`)
      await clock.advanceAsync(1000)
    }
    // random() is a half: after 54 seconds, with the next put.
    expect(kinesis.listShardsCalls - lists).toBe(65)
    expect(kinesis.describeCalls - probes).toBe(13)
  })

  test('is not listed while nothing is put, and nothing is timed', async () => {
    const { clock, kinesis, put } = await startedBench()
    const done = put('a')
    await clock.advanceAsync(1000)
    await done
    const calls = kinesis.listShardsCalls + kinesis.describeCalls
    expect(clock.pendingTimers).toBe(0)
    await clock.advanceAsync(60 * MINUTE)
    expect(kinesis.listShardsCalls + kinesis.describeCalls).toBe(calls)
  })

  test('is not listed again with shardMapRefreshMs: 0', async () => {
    const { clock, kinesis, put } = await startedBench({ shardMapRefreshMs: 0 })
    const puts = [put('a')]
    await clock.advanceAsync(60 * MINUTE)
    puts.push(put('b'))
    await clock.advanceAsync(1000)
    expect([await outcomes(puts), kinesis.listShardsCalls]).toEqual([[0, 0], 1])
  })

  test('after silence the first records wait for it: a stream that was created anew meanwhile is not taken for the old one', async () => {
    const { clock, kinesis, put } = await startedBench({}, 2)
    const before = put('before')
    await clock.advanceAsync(1000)
    await before
    // With shards that hold fewer hash keys, of the same ids: an aggregate by the old map would be acknowledged where readers drop it.
    kinesis.recreate(4)
    await clock.advanceAsync(2 * MINUTE)
    const puts = [put('low', 5n), put('high', 2n ** 127n - 1n), put('higher', 2n ** 127n)]
    await clock.advanceAsync(1000)
    expect((await Promise.all(puts)).filter((result) => result instanceof Error)).toEqual([])
    expect(
      kinesis
        .readable()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(['high', 'higher', 'low'])
  })

  test.each<[string, number, Error | undefined]>([
    ['hangs', 3_600_000, undefined],
    ['fails', 10, named('LimitExceededException')],
  ])('after silence a listing that %s holds nothing up for longer than a second', async (_, latencyMs, error) => {
    const { clock, kinesis, put } = await startedBench()
    await clock.advanceAsync(5 * MINUTE)
    kinesis.latencyMs = latencyMs
    kinesis.controlFault = () => error
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(999)
    const held = kinesis.requests.length
    kinesis.latencyMs = 10
    await clock.advanceAsync(500)
    expect([await outcomes(puts), held]).toEqual([[0, 1], error === undefined ? 0 : 1])
  })

  test('without silence nothing waits for it', async () => {
    const { clock, kinesis, put } = await startedBench({ lingerMs: 0 })
    for (let i = 0; i < 60; i++) {
      void put(`${i}`)
      await clock.advanceAsync(1000)
    }
    kinesis.latencyMs = 3_600_000
    const puts = kinesis.requests.length
    void put('during the listing')
    await clock.advanceAsync(0)
    expect(kinesis.requests.length).toBe(puts + 1)
  })

  test('what expires while it waits fails as ever', async () => {
    const { clock, kinesis, put } = await startedBench({ recordTtlMs: 100 })
    await clock.advanceAsync(5 * MINUTE)
    kinesis.latencyMs = 3_600_000
    const lost = put('a')
    await clock.advanceAsync(20_000)
    expect(await lost).toMatchObject({ reason: 'expired' })
  })
})

test('a listing that hangs at the start is given up, and the next one serves those who are still alive', async () => {
  const { clock, kinesis, producer, put, events } = bench({ requestTimeoutMs: 3000, recordTtlMs: 10_000 })
  kinesis.latencyMs = 3_600_000
  const started = producer.start().catch((error: Error) => error)
  const first = put('a')
  await clock.advanceAsync(6500)
  expect(await started).toMatchObject({ name: 'StreamUnusableError', serviceCode: 'TimeoutError' })
  const second = put('b')
  await clock.advanceAsync(3600)
  expect(await first).toMatchObject({
    name: 'DeliveryFailedError',
    reason: 'expired',
    serviceCode: 'TimeoutError',
    written: 'no',
  })
  kinesis.latencyMs = 10
  await clock.advanceAsync(5000)
  expect(await second).toMatchObject({ subSequenceNumber: 0 })
  expect(events.find(({ type }) => type === 'shard-map-failed')).toMatchObject({ code: 'TimeoutError', retryable: true })
})

describe('where DescribeStreamSummary is denied', () => {
  const denied = (operation: string): Error | undefined =>
    operation === 'DescribeStreamSummary' ? named('AccessDeniedException') : undefined

  test.each<['partition-key' | 'auto', number, string[]]>([
    ['partition-key', 1, ['probe-denied', 'map-refreshed']],
    ['auto', 2, ['probe-denied', 'distribution-changed', 'map-refreshed']],
  ])('%s is assumed', async (distributionIfUnknown, kinesisRecords, told) => {
    const { clock, kinesis, put, producer, types } = bench({ distributionIfUnknown })
    kinesis.controlFault = denied
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(500)
    await Promise.all(puts)
    expect([producer.stats().kinesisRecords, types().slice(0, told.length)]).toEqual([kinesisRecords, told])
  })

  test('it is asked for now and then, in case permission comes', async () => {
    const { clock, kinesis, put, producer, types } = bench({ distributionIfUnknown: 'auto' })
    kinesis.controlFault = denied
    for (let i = 0; i < 20; i++) {
      if (i === 10) kinesis.controlFault = () => undefined
      void put(`${i}`)
      await clock.advanceAsync(MINUTE)
    }
    expect(types().filter((type) => type === 'probe-denied')).toHaveLength(1)
    expect(types().filter((type) => type === 'distribution-changed')).toHaveLength(2)
    const before = producer.stats().kinesisRecords
    const puts = [put('x'), put('y')]
    await clock.advanceAsync(2000)
    await Promise.all(puts)
    expect(producer.stats().kinesisRecords - before).toBe(1)
  })

  test('what was known before it was denied stays', async () => {
    const { clock, kinesis, put, types } = await startedBench({ distributionIfUnknown: 'auto' })
    kinesis.controlFault = denied
    for (let i = 0; i < 10; i++) {
      void put(`${i}`)
      await clock.advanceAsync(MINUTE)
    }
    expect(types()).toContain('probe-denied')
    expect(types()).not.toContain('distribution-changed')
  })
})
