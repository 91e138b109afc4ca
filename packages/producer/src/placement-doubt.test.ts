import { describe, expect, test } from 'vitest'
import type { ProducerOptions } from './producer-options.js'
import { type Bench, outcomes, startedBench } from './testing/producer-bench.js'
import { named, type SimulatedKinesis } from './testing/simulated-kinesis.js'

const HALF = 2n ** 127n
const END = 2n ** 128n - 1n

/** Whatever the stream says of itself, records land in the half that does not hold their hash keys. */
function ignoreKeys(kinesis: SimulatedKinesis): void {
  const { putRecords } = kinesis
  kinesis.putRecords = (input, options) => {
    const Records = input.Records.map((entry) => {
      const hashKey = BigInt(entry.ExplicitHashKey ?? '0')
      return { ...entry, ExplicitHashKey: (hashKey ^ HALF).toString() }
    })
    return putRecords.call(kinesis, { ...input, Records }, options)
  }
}

/** As AUTO does. */
function goAuto(kinesis: SimulatedKinesis): void {
  ignoreKeys(kinesis)
  const describeStream = kinesis.describeStreamSummary.bind(kinesis)
  kinesis.describeStreamSummary = async (input, options) => {
    const { StreamDescriptionSummary: summary } = await describeStream(input, options)
    return { StreamDescriptionSummary: { ...summary!, RecordDistributionStrategy: 'AUTO' } }
  }
}

/** By now the stream may be asked again at once. */
async function benchOf(options: Partial<ProducerOptions> = {}, shards = 2): Promise<Bench> {
  const made = await startedBench({ recordIds: true, lingerMs: 0, ...options }, shards)
  await made.clock.advanceAsync(500)
  return made
}

describe('after a record that landed where its hash key cannot lie', () => {
  test('nothing goes without its id and headers while the stream, created anew with other shards, is asked', async () => {
    const { clock, kinesis, producer, types } = await benchOf({ lingerMs: 20 })
    kinesis.recreate(1)
    const puts: Promise<unknown>[] = []
    for (let i = 0; i < 100; i++) {
      puts.push(producer.put({ partitionKey: `key-${i}`, data: Buffer.from(`${i}`), headers: { put: `${i}` } }))
      await clock.advanceAsync(5)
    }
    await clock.advanceAsync(2000)
    await Promise.all(puts)
    const found = new Map(kinesis.readable().map(({ id, tags }) => [id, tags.length]))
    expect([found.size, new Set(found.values())]).toEqual([100, new Set([2])])
    expect(types()).not.toContain('distribution-changed')
    expect(producer.stats().wrongShard).toBeGreaterThan(0)
  })

  test('nothing is sent until the stream has said that it ignores keys, and all plain then', async () => {
    const { clock, kinesis, put, types } = await benchOf({ lingerMs: 4 })
    goAuto(kinesis)
    kinesis.putFaults.push(undefined, { kind: 'refuse', places: [0], code: 'InternalFailure' })
    const puts = [put('misplaced', 1n)]
    await clock.advanceAsync(2)
    puts.push(put('refused', HALF))
    await clock.advanceAsync(10)
    puts.push(put('packed', 1n))
    kinesis.latencyMs = 200
    await clock.advanceAsync(2)
    expect([types().includes('wrong-shard'), kinesis.requests.length]).toEqual([true, 2])
    puts.push(put('put', 2n), put('put too', HALF))
    await clock.advanceAsync(199)
    expect([types().includes('distribution-changed'), kinesis.requests.length]).toEqual([false, 2])
    await clock.advanceAsync(1000)
    expect(await outcomes(puts)).toEqual([0, 0, 0, 0, 0])
    expect(kinesis.requests.slice(2).map(({ Records }) => Records.length)).toEqual([5])
  })

  test.each<[string, number, Error | undefined]>([
    ['is denied', 10, named('AccessDeniedException')],
    ['fails', 10, named('LimitExceededException')],
    ['fails for good', 10, named('ValidationException')],
    ['hangs', 3_600_000, undefined],
  ])('where the question %s, keys are taken for ignored within a second', async (_, latencyMs, error) => {
    const { clock, kinesis, put, events } = await benchOf()
    goAuto(kinesis)
    kinesis.controlFault = (operation) => (operation === 'DescribeStreamSummary' ? error : undefined)
    const puts = [put('a', 1n), put('b', 2n)]
    await clock.advanceAsync(6)
    kinesis.latencyMs = latencyMs
    await clock.advanceAsync(4)
    puts.push(put('c', 3n))
    await clock.advanceAsync(999)
    expect(events.filter(({ type }) => type === 'distribution-changed')).toEqual([])
    kinesis.latencyMs = 10
    await clock.advanceAsync(11)
    expect(await outcomes(puts)).toEqual([0, 0, 0])
    expect(events.filter(({ type }) => type === 'distribution-changed')).toMatchObject([{ distribution: 'auto' }])
  })

  test('where the question fails, a listing that shows the stream created anew is answer enough', async () => {
    const { clock, kinesis, put, types } = await benchOf()
    kinesis.recreate(1)
    kinesis.controlFault = (operation) => (operation === 'DescribeStreamSummary' ? named('LimitExceededException') : undefined)
    const puts = [put('a', HALF), put('b', END)]
    await clock.advanceAsync(2500)
    expect(await Promise.all(puts)).toMatchObject([{ attempts: 2 }, { attempts: 2 }])
    expect(types()).not.toContain('distribution-changed')
    expect(kinesis.readable().filter(({ tags }) => tags.length === 0)).toEqual([])
  })

  test('what expires while it waits fails in its time, and the others go', async () => {
    const { clock, kinesis, put } = await benchOf({ recordTtlMs: 400, requestTimeoutMs: 5000 })
    goAuto(kinesis)
    kinesis.latencyMs = 250
    const first = put('a', 1n)
    await clock.advanceAsync(130)
    kinesis.latencyMs = 3_600_000
    await clock.advanceAsync(130)
    const second = put('b', 2n)
    let isSettled = false
    void first.then(() => {
      isSettled = true
    })
    await clock.advanceAsync(139)
    const before = isSettled
    await clock.advanceAsync(1)
    expect([before, isSettled]).toEqual([false, true])
    expect(await first).toMatchObject({ reason: 'expired', attempts: 1, written: 'unknown' })
    kinesis.latencyMs = 10
    await clock.advanceAsync(100)
    expect(await second).toMatchObject({ attempts: 1 })
  })

  test('headers, which then cannot travel, fail: those of what was sent without a promise that it was not written', async () => {
    const { clock, kinesis, producer } = await benchOf()
    goAuto(kinesis)
    const put = () =>
      producer
        .put({ partitionKey: 'a', explicitHashKey: '1', data: Buffer.from('a'), headers: { a: '1' } })
        .catch((error) => error)
    const puts = [put()]
    await clock.advanceAsync(10)
    puts.push(put())
    await clock.advanceAsync(100)
    expect(await Promise.all(puts)).toMatchObject([
      { name: 'DeliveryFailedError', reason: 'refused', written: 'unknown' },
      { name: 'RecordRejectedError', field: 'headers' },
    ])
  })

  test.each([
    [300, 990],
    [1500, 3000],
  ])('a listing that is %d ms out of date is followed by others, and ids are kept', async (staleMs, enoughMs) => {
    const { clock, kinesis, put, types } = await benchOf()
    const outdated = kinesis.model.call('ListShards', { StreamName: 'flights' })
    const listShards = kinesis.listShards.bind(kinesis)
    const until = clock.now() + staleMs
    kinesis.recreate(1)
    kinesis.listShards = async (input, options) => {
      const listing = await listShards(input, options)
      return clock.now() < until ? outdated : listing
    }
    const puts = [put('a', HALF)]
    await clock.advanceAsync(enoughMs)
    expect(await outcomes(puts)).toEqual([0])
    expect(types()).not.toContain('distribution-changed')
    expect(kinesis.readable().filter(({ tags }) => tags.length === 0)).toEqual([])
  })

  test.each(['flush', 'close'] as const)('%s waits for it', async (method) => {
    const { clock, kinesis, producer, put } = await benchOf({ lingerMs: 10_000, recordTtlMs: 60_000 })
    goAuto(kinesis)
    const puts = [put('a', 1n), put('b', 2n)]
    const flushed = producer.flush()
    await clock.advanceAsync(10)
    puts.push(put('c', 3n))
    const ended = producer[method]()
    await clock.advanceAsync(100)
    await Promise.all([flushed, ended])
    expect(await outcomes(puts)).toEqual([0, 0, 0])
  })

  test('keys that are ignored though the stream says otherwise are noticed in the end, and nothing is lost', async () => {
    const { clock, kinesis, put, types } = await benchOf({ retry: { baseMs: 10, maxMs: 50 } })
    ignoreKeys(kinesis)
    const puts = [put('a', 1n), put('b', 2n)]
    await clock.advanceAsync(5000)
    expect(await outcomes(puts)).toEqual([0, 0])
    expect(types()).toContain('distribution-changed')
  })

  test('an answer of the former stream, after the map of the new one, is no sign', async () => {
    const { clock, kinesis, producer, put, types } = await benchOf({}, 1)
    kinesis.latencyMs = 500
    const late = put('a', END)
    await clock.advanceAsync(260)
    kinesis.latencyMs = 10
    kinesis.recreate(2)
    kinesis.putFaults.push({ kind: 'reject', name: 'ResourceNotFoundException' })
    const puts = [put('b', END)]
    await clock.advanceAsync(10)
    puts.push(put('c', END))
    await clock.advanceAsync(229)
    expect([await outcomes(puts), producer.stats().openShards]).toEqual([['DeliveryFailedError', 0], 2])
    // Where no key of the new stream's can lie: its shard of that id has only half as many.
    const retried = new Promise((resolve) => producer.events.on('record-retried', resolve))
    await clock.advanceAsync(1)
    expect(await retried).toMatchObject({ code: 'WrongShard' })
    const requests = kinesis.requests.length
    void put('d', 1n)
    await clock.advanceAsync(0)
    expect(kinesis.requests.length).toBe(requests + 1)
    await clock.advanceAsync(100)
    expect([await outcomes([late]), types().includes('distribution-changed')]).toEqual([[0], false])
  })

  test('where order is promised nothing waits: the stream says whether it can be kept', async () => {
    const { clock, kinesis, put, types } = await benchOf({ ordering: 'perShard' })
    goAuto(kinesis)
    void put('a', 1n)
    await clock.advanceAsync(10)
    kinesis.latencyMs = 100
    void put('b', HALF)
    await clock.advanceAsync(1)
    expect(kinesis.requests.flatMap(({ Records }) => Records.map(({ PartitionKey }) => PartitionKey))).toContain('b')
    await clock.advanceAsync(5000)
    expect(types()).toContain('stream-unusable')
  })
})
