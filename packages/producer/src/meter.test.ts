import type { Telemetry, TelemetryAttributes } from '@shardwise/core/telemetry'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { producerInstruments } from './instruments.js'
import { NO_SAMPLES, type StatisticSet } from './statistic-set.js'
import { splitBench, startedBench } from './testing/producer-bench.js'

const THROTTLED = 'ProvisionedThroughputExceededException'

function samples(...values: readonly number[]): StatisticSet {
  return {
    count: values.length,
    sum: values.reduce((sum, value) => sum + value, 0),
    min: Math.min(...values),
    max: Math.max(...values),
  }
}

interface Measured {
  readonly kind: string
  readonly name: string
  readonly value: number
  readonly attributes: TelemetryAttributes | undefined
}

function recording(): { readonly telemetry: Telemetry; readonly measured: Measured[] } {
  const measured: Measured[] = []
  const take =
    (kind: string): Telemetry['counter'] =>
    (name, value, attributes) =>
      void measured.push({ kind, name, value, attributes })
  return { measured, telemetry: { counter: take('counter')!, histogram: take('histogram')!, gauge: take('gauge')! } }
}

describe("the KPL's metrics", () => {
  test('of an aggregate that goes through at once', async () => {
    const { clock, producer, put } = await startedBench()
    const puts = [put('a')]
    await clock.advanceAsync(30)
    puts.push(put('bbb'), put('cc'))
    await clock.advanceAsync(200)
    await Promise.all(puts)
    const { metrics } = producer.stats()
    const bytes = metrics.KinesisRecordsDataPut.sum
    expect(metrics).toEqual({
      UserRecordsReceived: samples(1, 1, 1),
      UserRecordsPending: expect.objectContaining({ min: 0 }),
      UserRecordsPut: samples(1, 1, 1),
      UserRecordsDataPut: samples(1, 3, 2),
      KinesisRecordsPut: samples(1),
      KinesisRecordsDataPut: samples(bytes),
      ErrorsByCode: {},
      AllErrors: samples(0),
      RetriesPerRecord: samples(0, 0, 0),
      UserRecordExpired: NO_SAMPLES,
      BufferingTime: samples(100, 70, 70),
      RequestTime: samples(10),
      UserRecordsPerKinesisRecord: samples(3),
      KinesisRecordsPerPutRecordsRequest: samples(1),
      UserRecordsPerPutRecordsRequest: samples(3),
      LingerTime: samples(100),
      LimitTime: NO_SAMPLES,
      OrderTime: NO_SAMPLES,
      RetryTime: NO_SAMPLES,
    })
    expect(bytes).toBeGreaterThan(6)
  })

  test('of Kinesis records that are refused, and requests that fail', async () => {
    const { clock, kinesis, producer, put } = await startedBench({ aggregation: 'off' })
    kinesis.putFaults.push(
      { kind: 'refuse', places: [1], code: THROTTLED },
      { kind: 'refuse', places: [0], code: 'InternalFailure' },
      { kind: 'reject', name: 'ServiceUnavailableException' },
    )
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(5000)
    expect(await Promise.all(puts)).toMatchObject([{ attempts: 1 }, { attempts: 4 }])
    const { metrics } = producer.stats()
    expect(metrics).toMatchObject({
      UserRecordsPut: samples(1, 1),
      // Each answered attempt of each; the request that failed says nothing of its records.
      KinesisRecordsPut: samples(1, 1, 0, 0),
      AllErrors: samples(0, 0, 1, 1, 1),
      ErrorsByCode: {
        [THROTTLED]: samples(1),
        InternalFailure: samples(1),
        ServiceUnavailableException: samples(1),
      },
      RetriesPerRecord: samples(0, 3),
      RequestTime: samples(10, 10, 5, 10),
      KinesisRecordsPerPutRecordsRequest: samples(2, 1, 1, 1),
    })
    // They linger, then one goes again at once, since the first refusal is doubted, and after half of 200 and of 400 ms.
    expect(metrics.BufferingTime).toEqual(samples(100, 100, 0, 100, 200))
    expect(metrics.LimitTime).toEqual(NO_SAMPLES)
    expect(metrics.RetryTime).toEqual(samples(100, 200))
    expect(metrics.LingerTime).toEqual(samples(100, 100))
  })

  test('of an aggregate whose members are packed again', async () => {
    const { clock, producer, put, kinesis } = await splitBench()
    const puts = [put('low', 5n), put('high', 2n ** 127n)]
    await clock.advanceAsync(3000)
    expect(await Promise.all(puts)).toMatchObject([{ attempts: 2 }, { attempts: 2 }])
    expect(kinesis.readable()).toHaveLength(2)
    const { BufferingTime, LingerTime, RetriesPerRecord, UserRecordsPut, KinesisRecordsPut } = producer.stats().metrics
    expect([UserRecordsPut, RetriesPerRecord]).toEqual([samples(1, 1), samples(1, 1)])
    // The aggregate that landed outside its members' shard was taken by the service all the same.
    expect(KinesisRecordsPut).toEqual(samples(1, 1, 1))
    expect(LingerTime).toEqual(samples(100))
    expect(BufferingTime).toMatchObject({ count: 4, min: 0, max: 100 })
  })

  test('of records whose time to live has no end', async () => {
    const { clock, producer, put } = await startedBench({ recordTtlMs: Number.MAX_SAFE_INTEGER })
    await clock.advanceAsync(1_234_567)
    for (let i = 0; i < 1000; i++) void put('k')
    await clock.advanceAsync(1000)
    const { BufferingTime } = producer.stats().metrics
    expect(BufferingTime).toMatchObject({ count: 1000, sum: BufferingTime.max * 1000 })
    expect(Math.abs(BufferingTime.max - 110)).toBeLessThanOrEqual(2)
  })

  test('of records that expire or are refused for good', async () => {
    const { clock, kinesis, producer, put } = await startedBench({ recordTtlMs: 400, aggregation: 'off' })
    for (let i = 0; i < 20; i++) kinesis.putFaults.push({ kind: 'refuse', places: [0], code: THROTTLED })
    const late = put('late')
    await clock.advanceAsync(1000)
    kinesis.putFaults.length = 0
    kinesis.putFaults.push({ kind: 'reject', name: 'ValidationException' })
    const wrong = put('wrong')
    await clock.advanceAsync(1000)
    expect(await Promise.all([late, wrong])).toMatchObject([{ reason: 'expired' }, { reason: 'refused' }])
    const { UserRecordsPut, UserRecordExpired, RetriesPerRecord, ErrorsByCode } = producer.stats().metrics
    const refused = ErrorsByCode[THROTTLED]!.count
    expect(refused).toBeGreaterThan(1)
    expect([UserRecordsPut, UserRecordExpired]).toEqual([samples(0, 0), samples(1)])
    expect(RetriesPerRecord).toEqual(samples(refused - 1, 0))
  })

  test('of waits for the limit and for order', async () => {
    const { clock, producer, put } = await startedBench({ aggregation: 'off', ordering: 'perShard', lingerMs: 0 })
    const puts = Array.from({ length: 4 }, (_, i) => put(`${i}`))
    await clock.advanceAsync(1000)
    await Promise.all(puts)
    const { OrderTime, BufferingTime, LimitTime } = producer.stats().metrics
    expect(OrderTime).toEqual(samples(10, 10, 10))
    expect(BufferingTime).toEqual(samples(0, 10, 20, 30))
    expect(LimitTime).toEqual(NO_SAMPLES)
    const more = await startedBench({ aggregation: 'off' })
    const many = Array.from({ length: 1200 }, (_, i) => more.put(`${i}`))
    await more.clock.advanceAsync(3000)
    await Promise.all(many)
    const limited = more.producer.stats().metrics.LimitTime
    expect(limited.count).toBeGreaterThan(0)
    expect(limited.max).toBeLessThanOrEqual(1000)
  })
})

describe('the busiest shards', () => {
  test('are told with what they took, refused and have queued, the hottest first', async () => {
    const { clock, kinesis, producer, put } = await startedBench({ aggregation: 'off', lingerMs: 0 }, 2)
    expect(producer.stats().shards).toEqual([])
    const [low, high] = [0n, 2n ** 127n]
    for (let second = 0; second < 20; second++) {
      for (let i = 0; i < 100; i++) void put('x', low)
      void put('x', high)
      await clock.advanceAsync(1000)
    }
    const [first, second, ...others] = producer.stats().shards
    expect(others).toEqual([])
    expect(first).toMatchObject({ stream: 'flights', shardId: 'shardId-000000000000', queued: 0, throttledPerSecond: 0 })
    expect(first!.recordsPerSecond).toBeCloseTo(100, 0)
    expect(first!.utilization).toBeCloseTo(0.1, 2)
    expect(second!.recordsPerSecond).toBeCloseTo(1, 1)
    expect(second!.bytesPerSecond).toBeCloseTo(2, 1)
    // Refused records count for the shard they were meant for.
    for (let i = 0; i < 3; i++) kinesis.putFaults.push({ kind: 'refuse', places: [0], code: THROTTLED })
    void put('x', high)
    await clock.advanceAsync(1000)
    expect(producer.stats().shards[1]!.throttledPerSecond).toBeCloseTo(0.3, 1)
    // What is over is forgotten.
    await clock.advanceAsync(20_000)
    expect(producer.stats().shards).toEqual([])
  })

  test('are told with what waits for them, also while they take nothing', async () => {
    const { clock, kinesis, producer, put } = await startedBench({ aggregation: 'off', ordering: 'perShard', lingerMs: 0 }, 2)
    kinesis.putFaults.push({ kind: 'hang' })
    for (let i = 0; i < 5; i++) void put(`${i}`, 0n)
    await clock.advanceAsync(1000)
    expect(producer.stats().shards).toMatchObject([{ shardId: 'shardId-000000000000', recordsPerSecond: 0, queued: 4 }])
    // Closed shards are forgotten with the next map.
    kinesis.split(0)
    void put('x', 2n ** 127n)
    await clock.advanceAsync(30_000)
    expect(producer.stats().shards.map(({ shardId }) => shardId)).not.toContain('shardId-000000000000')
  })
})

test('the keys that are put most', async () => {
  const { clock, producer, put } = await startedBench({ hottestKeys: 2 })
  for (let i = 0; i < 60; i++) void put(i % 2 === 0 ? 'ORD' : `gate ${i % 6}`)
  await clock.advanceAsync(1000)
  const [first, second, ...others] = producer.stats().hottestKeys
  expect(first).toEqual({ stream: 'flights', partitionKey: 'ORD', share: 0.5, atLeast: 0.5 })
  expect(second).toMatchObject({ share: 1 / 6 })
  expect(others).toEqual([])
  const off = await startedBench({ hottestKeys: 0 })
  void off.put('ORD')
  expect(off.producer.stats().hottestKeys).toEqual([])
})

describe('telemetry', () => {
  test('tells all that is in the list and nothing else, as the kind that the list says, without a partition key', async () => {
    const { telemetry, measured } = recording()
    const { clock, kinesis, producer, put } = await startedBench({ telemetry, recordTtlMs: 2000 }, 2)
    kinesis.putFaults.push(
      { kind: 'refuse', places: [0], code: THROTTLED },
      { kind: 'reject', name: 'ServiceUnavailableException' },
    )
    const puts = ['personal one', 'personal two', 'personal three'].map((key) => put(key))
    await clock.advanceAsync(1900)
    kinesis.putFaults.push({ kind: 'reject', name: 'ValidationException' })
    puts.push(put('personal four'))
    await clock.advanceAsync(2000)
    await Promise.all(puts)
    await producer.close()
    expect([...new Set(measured.map(({ kind, name }) => `${kind} ${name}`))].sort()).toEqual(
      Object.entries(producerInstruments)
        .map(([name, { kind }]) => `${kind} ${name}`)
        .sort(),
    )
    expect(JSON.stringify(measured)).not.toContain('personal')
    for (const { name, attributes } of measured) {
      expect(attributes).toMatchObject({ stream: 'flights' })
      const known = producerInstruments[name as keyof typeof producerInstruments].attributes
      expect(['stream', ...known]).toEqual(expect.arrayContaining(Object.keys(attributes!)))
    }
    const sum = (name: string, where: TelemetryAttributes = {}): number =>
      measured
        .filter((one) => one.name === name && Object.entries(where).every(([key, value]) => one.attributes?.[key] === value))
        .reduce((total, { value }) => total + value, 0)
    expect(sum('shardwise.producer.user_records.received')).toBe(4)
    expect(sum('shardwise.producer.user_records.put')).toBe(3)
    expect(sum('shardwise.producer.user_records.failed', { reason: 'refused' })).toBe(1)
    expect(sum('shardwise.producer.errors', { code: THROTTLED })).toBe(1)
    expect(sum('shardwise.producer.errors', { code: 'ValidationException' })).toBe(1)
    expect(sum('shardwise.producer.kinesis_records.data')).toBe(producer.stats().metrics.KinesisRecordsDataPut.sum)
    expect(sum('shardwise.producer.user_records.data')).toBe(producer.stats().metrics.UserRecordsDataPut.sum)
    for (const name of ['put', 'data']) {
      const ofShards = measured.filter((one) => one.name === `shardwise.producer.kinesis_records.${name}`)
      for (const { attributes } of ofShards) expect(attributes?.shardId).toMatch(/^shardId-/)
    }
  })

  test('is told at once that nothing is pending any more, or something again', async () => {
    const told: number[] = []
    const { clock, kinesis, put } = await startedBench({ telemetry: { gauge: (_, value) => void told.push(value) } })
    for (let round = 0; round < 5; round++) {
      if (round === 4) kinesis.putFaults.push({ kind: 'hang' })
      for (let i = 0; i < 5; i++) void put('k')
      await clock.advanceAsync(105)
      expect([round, told.at(-1)]).toEqual([round, 5])
      await clock.advanceAsync(10)
      expect([round, told.at(-1)]).toEqual([round, round === 4 ? 5 : 0])
    }
    expect(told.length).toBeLessThan(12)
  })

  test('is called for Kinesis records and requests, never for each user record', async () => {
    const calls = async (userRecords: number): Promise<number> => {
      const { telemetry, measured } = recording()
      const { clock, kinesis, put } = await startedBench({ telemetry })
      // Failures of many records are one call, too.
      kinesis.putFaults.push({ kind: 'reject', name: 'ValidationException' })
      for (let round = 0; round < 2; round++) {
        for (let i = 0; i < userRecords; i++) void put('k')
        await clock.advanceAsync(1000)
      }
      return measured.length
    }
    expect(await calls(500)).toBe(await calls(2))
  })
})

test('whatever happens, the sums agree with the counts', async () => {
  const faults = fc.constantFrom(
    undefined,
    { kind: 'refuse', places: [0, 2], code: THROTTLED } as const,
    { kind: 'refuse', places: [1], code: 'InternalFailure' } as const,
    { kind: 'reject', name: 'ServiceUnavailableException' } as const,
    { kind: 'reject', name: 'ValidationException' } as const,
    { kind: 'lose' } as const,
    { kind: 'hang' } as const,
    { kind: 'miscount' } as const,
  )
  const rounds = fc.array(fc.record({ puts: fc.integer({ min: 0, max: 20 }), fault: faults, split: fc.boolean() }), {
    maxLength: 12,
  })
  await fc.assert(
    fc.asyncProperty(rounds, fc.constantFrom<'shard' | 'off'>('shard', 'off'), async (sequence, aggregation) => {
      const { clock, kinesis, producer, put } = await startedBench({ aggregation, recordTtlMs: 3000, requestTimeoutMs: 500 }, 2)
      for (const { puts, fault, split } of sequence) {
        if (split && kinesis.map().open.length < 6) kinesis.split(0)
        kinesis.putFaults.push(fault)
        for (let i = 0; i < puts; i++) void put(`key ${i}`)
        await clock.advanceAsync(150)
      }
      await clock.advanceAsync(10_000)
      const { metrics, accepted, delivered, failed, requests, kinesisRecords, bufferedRecords } = producer.stats()
      expect(bufferedRecords).toBe(0)
      expect(metrics.UserRecordsReceived.sum).toBe(accepted)
      expect(metrics.UserRecordsPut).toMatchObject({ count: delivered + failed, sum: delivered })
      expect(metrics.UserRecordsDataPut.count).toBe(delivered)
      expect(metrics.RetriesPerRecord.count).toBe(delivered + failed)
      expect(metrics.RequestTime.count).toBe(requests)
      expect(metrics.KinesisRecordsPerPutRecordsRequest).toMatchObject({ count: requests, sum: kinesisRecords })
      expect(metrics.UserRecordsPerPutRecordsRequest.sum).toBe(metrics.UserRecordsPerKinesisRecord.sum)
      // Every attempt of every user record was buffered before it, and every attempt but the first is a retry.
      expect(metrics.BufferingTime.count).toBe(metrics.UserRecordsPerKinesisRecord.sum)
      expect(metrics.KinesisRecordsDataPut.count).toBe(metrics.KinesisRecordsPut.sum)
      const byCode = Object.values(metrics.ErrorsByCode).reduce((sum, set) => sum + set.sum, 0)
      expect(metrics.AllErrors.sum).toBe(byCode)
      for (const set of [metrics.BufferingTime, metrics.LingerTime, metrics.LimitTime, metrics.OrderTime, metrics.RetryTime]) {
        expect(set.min).toBeGreaterThanOrEqual(0)
        expect(set.sum).toBeGreaterThanOrEqual(set.count * set.min - 1e-6)
        expect(set.sum).toBeLessThanOrEqual(set.count * set.max + 1e-6)
      }
      expect(metrics.LingerTime.max).toBeLessThanOrEqual(100)
      const closing = producer.close()
      await clock.advanceAsync(1000)
      await closing
    }),
    { numRuns: 60 },
  )
})
