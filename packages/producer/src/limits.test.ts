import type { DescribeStreamSummaryOutput } from '@shardwise/core/kinesis-port'
import { describe, expect, test } from 'vitest'
import type { ProducerOptions } from './producer-options.js'
import { type Bench, bench, startedBench } from './testing/producer-bench.js'
import { SharedShard, type Writer } from './testing/shared-shard.js'

const KIB = 1024
const HALF = 2n ** 127n

const sum = (counts: readonly number[], from: number, to: number): number => {
  let total = 0
  for (let second = from; second < to; second++) total += counts[second] ?? 0
  return total
}
const perSecond = (writer: Writer, from: number, to: number): number => sum(writer.taken, from, to) / (to - from)
const refused = ({ sent, taken }: Writer, from: number, to: number): number => 1 - sum(taken, from, to) / sum(sent, from, to)

/** The service places the records of the stream itself. */
function turnAuto({ model }: SharedShard): void {
  const summary = model.call('DescribeStreamSummary', { StreamName: 'flights' }) as DescribeStreamSummaryOutput
  const { StreamARN } = summary.StreamDescriptionSummary!
  model.call('UpdateStreamMode', { StreamARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } })
  model.call('UpdateStreamRecordDistributionStrategy', { StreamARN, RecordDistributionStrategy: 'AUTO' })
}

describe('the shards are not sent more than they take, in every mode', () => {
  test.each<[string, Partial<ProducerOptions>, number]>([
    ['aggregated', {}, 4000],
    ['aggregated by key', { aggregation: 'key' }, 4000],
    ['plain', { aggregation: 'off' }, 200],
    ['plain, of many bytes', { aggregation: 'off' }, 4000],
    ['in order', { ordering: 'perShard' }, 4000],
  ])('%s', { timeout: 30_000 }, async (_, options, recordBytes) => {
    const shards = new SharedShard(1, 'tank', 2)
    const writer = shards.load({ offered: 4, recordBytes, options })
    await shards.run(20_000)
    const quotas = Math.max(perSecond(writer, 5, 20) / 1000, sum(writer.takenBytes, 5, 20) / (15 * KIB * KIB))
    // Keys fall unevenly into two shards, and one Kinesis record of a shard in flight does not fill it.
    expect(quotas).toBeGreaterThan(options.ordering === undefined ? 1.9 : 1.5)
    expect(refused(writer, 0, 20)).toBeLessThan(0.005)
    expect(writer.producer.stats().limited).toBeGreaterThan(0)
  })

  test('where the service places records itself: the quota of all shards', async () => {
    const shards = new SharedShard(1, 'tank', 3)
    turnAuto(shards)
    const writer = shards.load({ offered: 5, recordBytes: 200 })
    await shards.run(20_000)
    expect(perSecond(writer, 5, 20)).toBeGreaterThan(2900)
    expect(refused(writer, 0, 20)).toBeLessThan(0.005)
  })

  test('where the service places records itself, and others write too: what is left, in equal parts', {
    timeout: 30_000,
  }, async () => {
    const shards = new SharedShard(1, 'tank', 3)
    turnAuto(shards)
    const writers = [0, 1].map(() => shards.load({ offered: 3, recordBytes: 200 }))
    await shards.run(40_000)
    const [one, other] = writers.map((writer) => perSecond(writer, 10, 40)) as [number, number]
    expect(one + other).toBeGreaterThan(2700)
    expect(Math.min(one, other) / Math.max(one, other)).toBeGreaterThan(0.7)
    for (const writer of writers) expect(refused(writer, 10, 40)).toBeLessThan(0.05)
  })
})

describe('streamRate', () => {
  test.each<[string, Partial<ProducerOptions>, number, (writer: Writer) => number, number]>([
    ['records', { streamRate: { recordsPerSecond: 700 }, aggregation: 'off' }, 200, (writer) => perSecond(writer, 5, 20), 700],
    ['bytes', { streamRate: { bytesPerSecond: 500 * KIB } }, 2000, (writer) => sum(writer.takenBytes, 5, 20) / 15, 500 * KIB],
  ])('holds over all shards: %s', async (_, options, recordBytes, measure, limit) => {
    for (const auto of [false, true]) {
      const shards = new SharedShard(1, 'tank', 3)
      if (auto) turnAuto(shards)
      const writer = shards.load({ offered: 3, recordBytes, options })
      await shards.run(20_000)
      expect(measure(writer) / limit).toBeGreaterThan(0.97)
      expect(measure(writer) / limit).toBeLessThan(1.03)
    }
  })

  test('is shared out shard by shard: one with much to send does not hold up the others', async () => {
    const { kinesis, clock, put, producer } = await startedBench(
      { aggregation: 'off', lingerMs: 0, streamRate: { recordsPerSecond: 100 }, recordTtlMs: 600_000 },
      2,
    )
    for (let i = 0; i < 1000; i++) void put(`busy ${i}`, 1n)
    await clock.advanceAsync(3000)
    const before = kinesis.requests.length
    for (let i = 0; i < 30; i++) void put(`rare ${i}`, HALF + 1n)
    // While puts to the busy shard go on: they do not jump the line.
    for (let i = 0; i < 100; i++) {
      void put(`more ${i}`, 1n)
      await clock.advanceAsync(10)
    }
    const since = kinesis.requests.slice(before).flatMap(({ Records }) => Records.map(({ PartitionKey }) => PartitionKey!))
    expect(since.filter((key) => key.startsWith('rare'))).toHaveLength(30)
    expect(since.length).toBeLessThan(105)
    expect(since.length).toBeGreaterThan(90)
    expect(producer.stats().throttled).toBe(0)
  })
})

/** When each request was sent, and how many Kinesis records it had. */
function requests({ clock, producer }: Bench): [at: number, records: number][] {
  const sent: [number, number][] = []
  const from = clock.now()
  producer.events.on('request-sent', ({ kinesisRecords }) => sent.push([clock.now() - from, kinesisRecords]))
  return sent
}

describe('collection', () => {
  test('requests take requestMaxRecords', async () => {
    const bench = await startedBench({ aggregation: 'off', requestMaxRecords: 3 })
    const sent = requests(bench)
    for (let i = 0; i < 8; i++) void bench.put(`${i}`)
    expect(sent).toEqual([
      [0, 3],
      [0, 3],
    ])
    await bench.clock.advanceAsync(1000)
    expect(sent.slice(2)).toEqual([[100, 2]])
  })

  test('requests take requestMaxBytes, and a larger record goes alone', async () => {
    const bench = await startedBench({ aggregation: 'off', requestMaxBytes: 10_000 })
    const sizes = bench.producer.events
    const bytes: number[] = []
    sizes.on('request-sent', (event) => bytes.push(event.bytes))
    for (const size of [4000, 4000, 4000, 20_000, 4000]) {
      void bench.producer.put({ partitionKey: 'k', data: new Uint8Array(size) })
    }
    await bench.clock.advanceAsync(1000)
    expect(bytes).toEqual([8002, 4001, 20_001, 4001])
  })

  test('a request goes early when one shard has 256 KiB in it, not when several have as much together', async () => {
    const bench = await startedBench({ aggregation: 'off', lingerMs: 1000 }, 2)
    const sent = requests(bench)
    const put = (at: bigint, KiB: number): void =>
      void bench.producer.put({ partitionKey: 'k', explicitHashKey: `${at}`, data: new Uint8Array(KiB * KIB) })
    for (const at of [1n, HALF]) put(at, 200)
    await bench.clock.advanceAsync(300)
    expect(sent).toEqual([])
    put(1n, 60)
    expect(sent).toEqual([[300, 3]])
    await bench.clock.advanceAsync(5000)
  })

  test('a busy shard does not keep the others out of the requests', async () => {
    const bench = await startedBench({ aggregation: 'off', requestMaxRecords: 20, maxRequestsInFlight: 1 }, 3)
    const { kinesis, put, clock } = bench
    for (let i = 0; i < 300; i++) void put(`busy ${i}`, 1n)
    for (const at of [2n ** 126n * 2n, 2n ** 128n - 1n]) void put(`rare ${at}`, at)
    // One request was under way when they came, and one was full.
    await clock.advanceAsync(25)
    const seen = kinesis.requests.slice(0, 3).flatMap(({ Records }) => Records.map(({ PartitionKey }) => PartitionKey!))
    expect(seen.filter((key) => key.startsWith('rare'))).toHaveLength(2)
    await clock.advanceAsync(5000)
  })

  test.each([1, 2, 5])('no more than maxRequestsInFlight are under way: %d', async (maxRequestsInFlight) => {
    const bench = await startedBench({ aggregation: 'off', requestMaxRecords: 10, maxRequestsInFlight }, 3)
    let most = 0
    bench.producer.events.onAny(() => {
      most = Math.max(most, bench.producer.stats().requestsInFlight)
    })
    const puts = Array.from({ length: 200 }, (_, i) => bench.put(`${i}`))
    expect(bench.producer.stats().requestsInFlight).toBe(maxRequestsInFlight)
    await bench.clock.advanceAsync(5000)
    await Promise.all(puts)
    expect(most).toBe(maxRequestsInFlight)
  })
})

describe('lingerMs bounds the time from put to ready-to-send (decision 6)', () => {
  test.each<[string, Partial<ProducerOptions>, number]>([
    ['aggregated', { lingerMs: 70 }, 70],
    ['by key', { lingerMs: 70, aggregation: 'key' }, 70],
    ['plain', { lingerMs: 70, aggregation: 'off' }, 70],
    ['in order', { lingerMs: 70, ordering: 'perShard' }, 70],
    ['not at all', { lingerMs: 0 }, 0],
  ])('%s: to several shards at several times, and the first goes with its deadline', async (_, options, within) => {
    const bench = await startedBench(options, 3)
    const { clock, producer, kinesis } = bench
    const waits: number[] = []
    const putAt = new Map<string, number>()
    producer.events.on('request-sent', () => {
      const { Records } = kinesis.requests.at(-1)!
      for (const { PartitionKey } of Records) waits.push(clock.now() - putAt.get(PartitionKey!)!)
    })
    for (let i = 0; i < 60; i++) {
      putAt.set(`${i}`, clock.now())
      void bench.put(`${i}`)
      await clock.advanceAsync(7)
    }
    await clock.advanceAsync(1000)
    // The outer key is that of the aggregate's first member: the one that has waited longest.
    expect(waits.length).toBeGreaterThan(0)
    expect(Math.max(...waits)).toBe(within)
    expect(producer.stats().delivered).toBe(60)
  })

  test('what waits for a limit waits on top, and is counted', async () => {
    const bench = await startedBench({ aggregation: 'off', lingerMs: 50 })
    const sent = requests(bench)
    const done: number[] = []
    const from = bench.clock.now()
    for (let i = 0; i < 1000; i++) void bench.put(`${i}`).then(() => done.push(bench.clock.now() - from))
    await bench.clock.advanceAsync(2000)
    // 800 may go at once: 500 fill a request, and the rest goes with what the limit lets through meanwhile.
    expect(sent[0]).toEqual([0, 500])
    expect(sent[1]![0]).toBe(50)
    expect(sent[1]![1]).toBeLessThanOrEqual(350)
    // The other 200 at 1000 a second.
    expect(done).toHaveLength(1000)
    expect(done.at(-1)).toBeGreaterThan(200)
    expect(done.at(-1)).toBeLessThan(250)
    expect(bench.producer.stats().limited).toBeGreaterThan(0)
  })
})

describe('a full buffer', () => {
  const record = (id: string, stream = 'flights') => ({ stream, partitionKey: id, data: Buffer.from(id) })
  const full = { maxBufferedRecords: 4, lingerMs: 60_000, recordTtlMs: 100_000 }

  test.each<[string, Partial<ProducerOptions>]>([
    ['aggregated', {}],
    ['plain', { aggregation: 'off' }],
    ['aggregated by key', { aggregation: 'key' }],
    ['in order', { ordering: 'perShard' }],
  ])('of which all waits for company leaves at once when more is put: %s', async (_, options) => {
    const { clock, kinesis, producer } = await startedBench({ ...full, ...options }, 2)
    for (const id of ['a', 'b', 'c', 'd']) expect(producer.offer(record(id))).toBe(true)
    await clock.advanceAsync(1000)
    expect(kinesis.requests).toHaveLength(0)
    expect(producer.offer(record('e'))).toBe(false)
    const ready = producer.ready()
    await clock.advanceAsync(2 * kinesis.latencyMs)
    await ready
    expect([producer.offer(record('e')), kinesis.requests.length > 0]).toEqual([true, true])
  })

  test('of other streams, too, and also for a put that waits in line', async () => {
    const { clock, kinesis, producer } = await startedBench(full)
    kinesis.create('gates', 1)
    kinesis.create('crews', 1)
    const started = Promise.all([producer.start('gates'), producer.start('crews')])
    await clock.advanceAsync(100)
    await started
    for (const [id, stream] of [
      ['a', 'flights'],
      ['b', 'gates'],
      ['c', 'flights'],
      ['d', 'gates'],
    ] as const)
      producer.offer(record(id, stream))
    const late = producer.put(record('e', 'crews'))
    expect(kinesis.requests.map(({ StreamName }) => StreamName)).toEqual(['flights', 'gates'])
    await clock.advanceAsync(kinesis.latencyMs)
    expect([producer.stats().waitingForRoom, producer.stats('crews').bufferedRecords]).toEqual([0, 1])
    void producer.flush()
    await clock.advanceAsync(kinesis.latencyMs)
    expect(await late).toMatchObject({ attempts: 1 })
  })

  test('what lingers waits on while something is under way, which makes room, and then for no longer', async () => {
    const { clock, kinesis, producer } = await startedBench({ ...full, maxBufferedRecords: 6 })
    for (const id of ['a', 'b', 'c']) producer.offer(record(id))
    void producer.flush()
    for (const id of ['d', 'e', 'f']) producer.offer(record(id))
    expect(producer.offer(record('g'))).toBe(false)
    expect(kinesis.requests).toHaveLength(1)
    await clock.advanceAsync(kinesis.latencyMs)
    for (const id of ['g', 'h', 'i']) expect(producer.offer(record(id))).toBe(true)
    expect(kinesis.requests).toHaveLength(1)
    expect(producer.offer(record('j'))).toBe(false)
    expect(kinesis.requests).toHaveLength(2)
    await clock.advanceAsync(kinesis.latencyMs)
    expect(producer.stats()).toMatchObject({ bufferedRecords: 0, kinesisRecords: 2 })
  })

  test('what lingers waits on while something of another stream is under way', async () => {
    const { clock, kinesis, producer } = await startedBench(full)
    kinesis.create('gates', 1)
    const started = producer.start('gates')
    await clock.advanceAsync(100)
    await started
    producer.offer(record('a', 'gates'))
    void producer.flush()
    for (const id of ['b', 'c', 'd']) producer.offer(record(id))
    expect([producer.offer(record('e')), kinesis.requests.length]).toEqual([false, 1])
    await clock.advanceAsync(kinesis.latencyMs)
    expect([producer.offer(record('e')), producer.stats('flights').bufferedRecords, kinesis.requests.length]).toEqual([
      true,
      4,
      1,
    ])
  })

  test('what lingers waits on in the middle of an answer that makes room', async () => {
    const { clock, kinesis, producer } = await startedBench({ ...full, maxBufferedRecords: 3 }, 2)
    const offered: boolean[] = []
    const again = (): void => {
      // The other Kinesis record of the same answer has not settled yet.
      for (const id of ['x', 'y']) offered.push(producer.offer(record(id)))
    }
    const at = (hashKey: bigint) => ({ explicitHashKey: `${hashKey}` })
    producer.offer({ ...record('a'), ...at(0n) }, () => again())
    producer.offer({ ...record('b'), ...at(HALF) })
    void producer.flush()
    producer.offer(record('c'))
    await clock.advanceAsync(kinesis.latencyMs)
    expect([offered, kinesis.requests.length]).toEqual([[true, false], 1])
    expect(producer.stats()).toMatchObject({ bufferedRecords: 2, requestsInFlight: 0 })
  })

  test('putAll, which puts no more than there is room for, does not wait for company either', async () => {
    const { clock, kinesis, producer } = await startedBench(full)
    const results: unknown[] = []
    const done = (async () => {
      for await (const { status } of producer.putAll(Array.from({ length: 10 }, (_, i) => record(`${i}`)))) results.push(status)
    })()
    await clock.advanceAsync(5 * kinesis.latencyMs)
    expect(results.length).toBeGreaterThanOrEqual(8)
    void producer.flush()
    await clock.advanceAsync(kinesis.latencyMs)
    await done
    expect(results).toEqual(new Array(10).fill('fulfilled'))
  })

  test('by its bytes', async () => {
    const { clock, kinesis, producer } = await startedBench({
      ...full,
      maxBufferedRecords: 1000,
      maxBufferedBytes: 1024 * KIB,
      aggregation: 'off',
    })
    const large = (id: string) => ({ partitionKey: id, data: Buffer.alloc(200 * KIB) })
    producer.offer({ partitionKey: 'a', data: Buffer.alloc(100) })
    expect([producer.offer(large('b')), kinesis.requests.length]).toEqual([true, 0])
    expect([producer.offer({ partitionKey: 'c', data: Buffer.alloc(900 * KIB) }), kinesis.requests.length]).toEqual([false, 1])
    await clock.advanceAsync(kinesis.latencyMs)
    expect(producer.stats().bufferedRecords).toBe(0)
  })

  test('before the stream is known waits for that', async () => {
    const { clock, kinesis, producer } = bench(full)
    for (const id of ['a', 'b', 'c', 'd']) producer.offer(record(id))
    expect(producer.offer(record('e'))).toBe(false)
    await clock.advanceAsync(100)
    expect([kinesis.requests.length, producer.stats().bufferedRecords]).toEqual([1, 0])
  })

  test('is not cut into small pieces while a shard is held back', async () => {
    const { clock, kinesis, producer } = await startedBench(full, 2)
    kinesis.putFault = () => ({ kind: 'refuse', places: [0], code: 'ProvisionedThroughputExceededException' })
    producer.offer(record('a'))
    void producer.flush()
    const isHeldBack = (): boolean => producer.stats().requestsInFlight === 0 && producer.stats().queuedKinesisRecords === 1
    for (let waited = 0; !isHeldBack() && waited < 1000; waited++) await clock.advanceAsync(1)
    const { length } = kinesis.requests
    for (const id of ['b', 'c', 'd']) expect(producer.offer(record(id))).toBe(true)
    expect([producer.offer(record('e')), isHeldBack(), kinesis.requests.length]).toEqual([false, true, length])
  })
})
