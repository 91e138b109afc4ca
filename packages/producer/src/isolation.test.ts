import { classifyFailure } from '@shardwise/core/service-error'
import { describe, expect, test } from 'vitest'
import { companyAfter, halves, mayBlameOne } from './isolation.js'
import { type Bench, bench, startedBench } from './testing/producer-bench.js'
import { named, type SimulatedKinesis } from './testing/simulated-kinesis.js'

test.each([
  ['InvalidArgumentException', true],
  ['ValidationException', true],
  ['SerializationException', true],
  ['RequestEntityTooLarge', true],
  ['UnknownOperationException', false],
  ['AccessDeniedException', false],
  ['KMSDisabledException', false],
  ['ServiceUnavailable', false],
])('%s may be about one record: %s', (name, blames) => {
  expect(mayBlameOne(classifyFailure(named(name)))).toBe(blames)
})

test('halves go on until there is one', () => {
  expect([500, 250, 3, 2, 1].map(companyAfter)).toEqual([250, 125, 1, 1, 1])
  expect([[1, 2, 3, 4, 5], [1, 2], [1], []].map(halves)).toEqual([
    [
      [1, 2, 3],
      [4, 5],
    ],
    [[1], [2]],
    [[1]],
    [[]],
  ])
})

/** Fails every request that holds a record whose payload begins with "bad". */
function refuseBad(kinesis: SimulatedKinesis): void {
  const putRecords = kinesis.putRecords.bind(kinesis)
  kinesis.putRecords = (input, options) => {
    const isBad = input.Records.some(({ Data }) => Buffer.from(Data).includes('bad'))
    kinesis.putFaults.unshift(isBad ? { kind: 'reject', name: 'InvalidArgumentException' } : undefined)
    return putRecords(input, options)
  }
}

describe('a request that is refused for one record', () => {
  test('fails that one alone, does not use up the attempts of the others, and costs few requests', async () => {
    const { clock, kinesis, producer, put } = bench({ aggregation: 'off', retry: { maxAttempts: 1 } })
    refuseBad(kinesis)
    const puts = Array.from({ length: 200 }, (_, i) => put(i === 121 ? 'bad' : `${i}`))
    await clock.advanceAsync(2000)
    const results = await Promise.all(puts)
    expect(results.splice(121, 1)).toMatchObject([{ reason: 'refused', written: 'no', serviceCode: 'InvalidArgumentException' }])
    expect(results.filter((result) => result instanceof Error)).toEqual([])
    expect(kinesis.requests.length).toBeLessThanOrEqual(20)
    expect(producer.stats()).toMatchObject({ delivered: 199, failed: 1, possibleDuplicates: 0 })
  })

  test('fails every guilty one, and none else', async () => {
    const { clock, kinesis, put } = bench({ aggregation: 'off' })
    refuseBad(kinesis)
    const puts = Array.from({ length: 100 }, (_, i) => put(i % 9 === 0 ? `bad ${i}` : `${i}`))
    await clock.advanceAsync(5000)
    const failed = (await Promise.all(puts)).flatMap((result, i) => (result instanceof Error ? [i] : []))
    expect(failed).toEqual(Array.from({ length: 12 }, (_, i) => i * 9))
  })

  test('within an aggregate, too', async () => {
    const { clock, kinesis, put } = bench()
    refuseBad(kinesis)
    const puts = Array.from({ length: 100 }, (_, i) => put(i === 77 ? 'bad' : `${i}`))
    await clock.advanceAsync(2000)
    const failed = (await Promise.all(puts)).flatMap((result, i) => (result instanceof Error ? [i] : []))
    expect(failed).toEqual([77])
    expect(kinesis.requests.length).toBeLessThanOrEqual(16)
  })

  test.each<['shard' | 'off']>([['shard'], ['off']])(
    'in order (aggregation %s): what was put before the guilty one is delivered, what was put behind it fails',
    async (aggregation) => {
      const { clock, kinesis, put } = bench({ ordering: 'perShard', aggregation })
      refuseBad(kinesis)
      const puts = Array.from({ length: 30 }, (_, i) => put(i === 17 ? 'bad' : `${i}`))
      await clock.advanceAsync(5000)
      const fates = (await Promise.all(puts)).map((result) => (result instanceof Error ? result.name : 'ok'))
      expect(fates).toEqual([...Array(17).fill('ok'), 'DeliveryFailedError', ...Array(12).fill('LaneHaltedError')])
      expect(kinesis.readable().map(({ id }) => id)).toEqual(Array.from({ length: 17 }, (_, i) => `${i}`))
    },
  )
})

test('what was refused as invalid has spent nothing of the rate: it was not written', async () => {
  const { clock, kinesis, producer, put } = await startedBench({ aggregation: 'off' })
  refuseBad(kinesis)
  const puts = Array.from({ length: 400 }, (_, i) => put(`bad ${i}`))
  // Each of them goes nine times or more: at a thousand a second that would be four seconds.
  await clock.advanceAsync(1500)
  expect(producer.stats()).toMatchObject({ failed: 400, bufferedRecords: 0 })
  expect(await Promise.all(puts)).toMatchObject(Array(400).fill({ reason: 'refused', written: 'no' }))
})

describe("a stream's record size that is lowered meanwhile", () => {
  const MIB = 1024 * 1024
  const KEY = { partitionKey: 'k' }

  async function wideBench(aggregateMaxBytes: number, ordering: 'none' | 'perShard' = 'none'): Promise<Bench> {
    const made = bench({ aggregateMaxBytes, ordering, lingerMs: 50 })
    resize(made.kinesis, 8 * 1024)
    const started = made.producer.start()
    await made.clock.advanceAsync(100)
    await started
    return made
  }

  function resize({ model }: SimulatedKinesis, MaxRecordSizeInKiB: number): void {
    const summary = model.call('DescribeStreamSummary', { StreamName: 'flights' }) as {
      StreamDescriptionSummary: { StreamARN: string }
    }
    model.call('UpdateMaxRecordSize', { StreamARN: summary.StreamDescriptionSummary.StreamARN, MaxRecordSizeInKiB })
  }

  test.each<['none' | 'perShard']>([['none'], ['perShard']])(
    'aggregates that are too large now are packed anew by the new one (ordering %s)',
    async (ordering) => {
      const { clock, kinesis, producer, put } = await wideBench(4 * MIB, ordering)
      resize(kinesis, 1024)
      const data = (i: number): Buffer => Buffer.alloc(300_000, `${i}.`)
      const large = Array.from({ length: 12 }, (_, i) => producer.put({ ...KEY, data: data(i) }))
      const small = put('small')
      await clock.advanceAsync(25_000)
      expect(await Promise.all([...large, small])).toHaveLength(13)
      const sizes = kinesis.requests.flatMap(({ Records }) => Records.map(({ Data }) => Data.byteLength))
      expect(sizes.some((size) => size > MIB)).toBe(true)
      expect(sizes.at(-1)).toBeLessThan(MIB)
      expect(kinesis.readable().map(({ id }) => id)).toHaveLength(13)
    },
  )

  test('a record that is too large now fails, those beside it do not, and the next one is refused when it is put', async () => {
    const { clock, kinesis, producer, put } = await wideBench(50_000)
    resize(kinesis, 1024)
    const data = Buffer.alloc(2 * MIB)
    const large = producer.put({ ...KEY, data }).catch((error: Error) => error)
    const others = Array.from({ length: 50 }, (_, i) => put(`${i}`))
    await clock.advanceAsync(3000)
    expect(await large).toMatchObject({ name: 'DeliveryFailedError', reason: 'refused', written: 'no' })
    expect((await Promise.all(others)).filter((result) => result instanceof Error)).toEqual([])
    expect(await producer.put({ ...KEY, data }).catch((error: Error) => error)).toMatchObject({ name: 'RecordRejectedError' })
  })

  test('what is queued is packed anew as soon as the new one is known', async () => {
    const { clock, kinesis, producer } = await wideBench(4 * MIB)
    // One request at a time would do; the shard's own limit of 1 MiB/s holds the rest back.
    const puts = Array.from({ length: 40 }, (_, i) => producer.put({ ...KEY, data: Buffer.alloc(300_000, `${i}.`) }))
    await clock.advanceAsync(300)
    const before = kinesis.requests.length
    resize(kinesis, 1024)
    await clock.advanceAsync(25_000)
    expect(await Promise.all(puts)).toHaveLength(40)
    const refused = kinesis.requests.slice(before).filter(({ Records }) => Records.some(({ Data }) => Data.byteLength > MIB))
    // Those that went before the answer to the question for the size, which was asked at the first refusal.
    expect(refused.length).toBeLessThanOrEqual(3)
  })

  test('known to nobody, because the probe is denied: aggregates are halved until they fit', async () => {
    const { clock, kinesis, producer } = await wideBench(4 * MIB)
    kinesis.controlFault = (operation) => (operation === 'DescribeStreamSummary' ? named('AccessDeniedException') : undefined)
    const putRecords = kinesis.putRecords.bind(kinesis)
    // Less than any stream has, and less than the 1 MiB that is assumed.
    kinesis.putRecords = (input, options) => {
      const isLarge = input.Records.some(({ Data }) => Data.byteLength > 200_000)
      kinesis.putFaults.unshift(isLarge ? { kind: 'reject', name: 'InvalidArgumentException' } : undefined)
      return putRecords(input, options)
    }
    const puts = Array.from({ length: 20 }, (_, i) => producer.put({ ...KEY, data: Buffer.alloc(90_000, `${i}.`) }))
    await clock.advanceAsync(20_000)
    expect(await Promise.all(puts)).toHaveLength(20)
  })
})

test('a call that is wrong fails all of its records, and is not tried in parts', async () => {
  const { clock, kinesis, put } = await startedBench({ aggregation: 'off' })
  kinesis.putFaults.push({ kind: 'reject', name: 'UnknownOperationException' })
  const puts = Array.from({ length: 10 }, (_, i) => put(`${i}`))
  await clock.advanceAsync(1000)
  expect((await Promise.all(puts)).every((result) => result instanceof Error)).toBe(true)
  expect(kinesis.requests).toHaveLength(1)
})
