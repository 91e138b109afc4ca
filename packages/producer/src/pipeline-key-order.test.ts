import { describe, expect, test } from 'vitest'
import { MOST_HALTED_KEYS } from './halting.js'
import type { ProducerOptions } from './producer-options.js'
import { type Bench, outcomes, startedBench } from './testing/producer-bench.js'
import { named } from './testing/simulated-kinesis.js'
import type { PutResult } from './user-record.js'

const HALF = 2n ** 127n
const THROTTLED = 'ProvisionedThroughputExceededException'
const PLAIN = { ordering: 'perKey', aggregation: 'off', lingerMs: 0 } as const

/** Puts a record of the key whose payload is its id. */
function putting({ producer }: Bench): (key: string, id: string, at?: bigint) => Promise<PutResult | Error> {
  return (partitionKey, id, at) =>
    producer
      .put({ partitionKey, explicitHashKey: at?.toString(), data: Buffer.from(id) })
      .catch((error: Error) => error) as Promise<PutResult | Error>
}

/** What readers see of the records whose ids begin so. */
function ids({ kinesis }: Bench, beginning = ''): string[] {
  return kinesis
    .readable()
    .map(({ id }) => id)
    .filter((id) => id.startsWith(beginning))
}

describe('order of each key', () => {
  test('a record waits for the one of its key that is in flight to the parent, though it goes to the child; others do not', async () => {
    const bench = await startedBench(PLAIN, 2)
    const { clock, kinesis } = bench
    const put = putting(bench)
    kinesis.latencyMs = 2000
    kinesis.putFaults.push({ kind: 'refuse', places: [0], code: THROTTLED })
    const puts = [put('a', 'a1', 1n)]
    await clock.advanceAsync(1)
    kinesis.latencyMs = 10
    kinesis.split(0)
    // Lands elsewhere, which shows the split.
    puts.push(put('b', 'b1', HALF - 1n), put('a', 'a2', 1n))
    await clock.advanceAsync(500)
    puts.push(put('b', 'b2', HALF - 1n), put('a', 'a3', 1n))
    await clock.advanceAsync(500)
    expect(bench.producer.stats().openShards).toBe(3)
    expect([ids(bench), bench.producer.stats().queuedKinesisRecords]).toEqual([['b1', 'b2'], 2])
    await clock.advanceAsync(3000)
    expect(await outcomes(puts)).toEqual([0, 0, 0, 0, 0])
    expect(ids(bench, 'a')).toEqual(['a1', 'a2', 'a3'])
  })

  test('a lost answer: what may have been written is written again before the next of its key', async () => {
    const bench = await startedBench({ ...PLAIN, retry: { baseMs: 1000, maxMs: 1000 } })
    const put = putting(bench)
    bench.kinesis.putFaults.push({ kind: 'lose' })
    const puts = [put('a', 'a1'), put('a', 'a2')]
    await bench.clock.advanceAsync(200)
    expect(ids(bench)).toEqual(['a1'])
    await bench.clock.advanceAsync(2000)
    expect([await outcomes(puts), ids(bench)]).toEqual([
      [0, 0],
      ['a1', 'a1', 'a2'],
    ])
  })

  test('what comes back by parts keeps ahead of what its keys have queued', async () => {
    const bench = await startedBench({ ordering: 'perKey', lingerMs: 10 }, 1)
    const { clock, kinesis } = bench
    const put = putting(bench)
    kinesis.split(0)
    // One aggregate for both halves: it lies where readers drop it, and goes again as two.
    const puts = [put('a', 'a1', 1n), put('b', 'b1', HALF)]
    await clock.advanceAsync(11)
    kinesis.putFaults.push({ kind: 'refuse', places: [0, 1], code: 'InternalFailure' })
    puts.push(put('b', 'b2', HALF), put('a', 'a2', 1n))
    await clock.advanceAsync(2000)
    expect(bench.producer.stats().wrongShard).toBe(1)
    // Each key's second record was in an aggregate with the other's, and packed anew by the new map: alone.
    expect((await Promise.all(puts)).map((result) => result instanceof Error)).toEqual([false, false, false, false])
    expect([ids(bench, 'a'), ids(bench, 'b')]).toEqual([
      ['a1', 'a2'],
      ['b1', 'b2'],
    ])
  })

  test('a hot key holds up nobody, and what another key puts goes with it', async () => {
    const bench = await startedBench({ ...PLAIN, lingerMs: 5 })
    const put = putting(bench)
    const puts: Promise<PutResult | Error>[] = []
    for (let i = 0; i < 100; i++) puts.push(put('hot', `hot-${i}`), put(`key-${i}`, `other-${i}`))
    await bench.clock.advanceAsync(30)
    // One of the hot key for each round trip, all the others with the first.
    expect(ids(bench, 'other')).toHaveLength(100)
    expect(ids(bench, 'hot').length).toBeLessThan(4)
    await bench.clock.advanceAsync(5000)
    expect(await outcomes(puts)).toEqual(puts.map(() => 0))
    expect(ids(bench, 'hot')).toEqual(Array.from({ length: 100 }, (_, i) => `hot-${i}`))
  })

  test('does not linger for company while another record of its key waits behind it', async () => {
    const bench = await startedBench({ ...PLAIN, lingerMs: 1000 })
    const put = putting(bench)
    const puts = [put('a', 'a1')]
    await bench.clock.advanceAsync(100)
    expect(bench.kinesis.requests).toHaveLength(0)
    puts.push(put('b', 'b1'))
    expect(bench.kinesis.requests).toHaveLength(0)
    puts.push(put('a', 'a2'))
    await bench.clock.advanceAsync(0)
    expect(bench.kinesis.requests.map(({ Records }) => Records.map(({ PartitionKey }) => PartitionKey))).toEqual([['a', 'b']])
    await bench.clock.advanceAsync(2000)
    expect(await outcomes(puts)).toEqual([0, 0, 0])
  })

  test.each<[string, Partial<ProducerOptions>, number]>([
    ['perShard', { ordering: 'perShard' }, 500],
    ['perKey', { ordering: 'perKey' }, 10],
  ])('500 plain records of 50 keys in one shard, %s: %j takes %i requests', async (_, options, requests) => {
    const bench = await startedBench({ ...PLAIN, lingerMs: 1, ...options })
    const put = putting(bench)
    const started = bench.clock.now()
    const puts: Promise<PutResult | Error>[] = []
    for (let i = 0; i < 500; i++) puts.push(put(`key-${i % 50}`, `${i}`))
    let finishedAt = 0
    void Promise.all(puts).then(() => {
      finishedAt = bench.clock.now()
    })
    await bench.clock.advanceAsync(20_000)
    expect(bench.kinesis.requests).toHaveLength(requests)
    // A round trip takes 10 ms here, and with order by shard there is one for each record.
    expect(finishedAt - started).toBeGreaterThanOrEqual(requests * 10)
    expect(finishedAt - started).toBeLessThan(requests * 11 + 10)
  })
})

describe('a failure in the order of keys', () => {
  test('of an aggregate of many keys: each halts, and what was packed with their records goes on', async () => {
    const bench = await startedBench({ ordering: 'perKey', lingerMs: 10 })
    const { clock, kinesis, events, producer } = bench
    const put = putting(bench)
    kinesis.latencyMs = 200
    kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
    const puts = [put('a', 'a1'), put('b', 'b1')]
    await clock.advanceAsync(20)
    kinesis.latencyMs = 10
    puts.push(put('c', 'c1'), put('a', 'a2'), put('d', 'd1'))
    await clock.advanceAsync(20)
    puts.push(put('d', 'd2'), put('b', 'b2'))
    await clock.advanceAsync(20)
    // Still open when the failure comes.
    const open = [put('c', 'c2'), put('b', 'b3')]
    await clock.advanceAsync(150)
    const names = await outcomes(puts)
    expect(names.map((name) => (typeof name === 'string' ? name : 'delivered'))).toEqual([
      ...['DeliveryFailedError', 'DeliveryFailedError', 'delivered', 'LaneHaltedError', 'delivered', 'delivered'],
      'LaneHaltedError',
    ])
    expect((await outcomes(open)).map((name) => typeof name)).toEqual(['number', 'string'])
    expect([ids(bench, 'c'), ids(bench, 'd'), ids(bench, 'a')]).toEqual([['c1', 'c2'], ['d1', 'd2'], []])
    const halts = events.filter((event) => event.type === 'lane-halted')
    expect(halts.map(({ partitionKey, explicitHashKey }) => [partitionKey, explicitHashKey])).toEqual([
      ['a', undefined],
      ['b', undefined],
    ])
    const refused = (await put('a', 'a3')) as Error
    expect(refused).toMatchObject({ name: 'LaneHaltedError', partitionKey: 'a', written: 'no', cause: halts[0]!.cause })
    producer.resume()
    const again = put('a', 'a1')
    await clock.advanceAsync(500)
    expect([await outcomes([again]), ids(bench, 'a')]).toEqual([[0], ['a1']])
  })

  test.each<['halt' | 'continue', string[], string[]]>([
    ['halt', ['DeliveryFailedError', 'delivered', 'LaneHaltedError', 'LaneHaltedError', 'delivered'], ['b1', 'b2']],
    ['continue', ['DeliveryFailedError', 'delivered', 'delivered', 'delivered', 'delivered'], ['b1', 'a2', 'a3', 'b2']],
  ])('a record that expires in an aggregate: %s', async (afterFailure, expected, read) => {
    const bench = await startedBench({ ordering: 'perKey', lingerMs: 100, recordTtlMs: 1000, afterFailure })
    const { clock, kinesis } = bench
    const put = putting(bench)
    kinesis.latencyMs = 950
    kinesis.putFaults.push({ kind: 'refuse', places: [0], code: 'InternalFailure' })
    const puts = [put('a', 'a1')]
    await clock.advanceAsync(90)
    puts.push(put('b', 'b1'), put('a', 'a2'))
    await clock.advanceAsync(500)
    kinesis.latencyMs = 10
    puts.push(put('a', 'a3'), put('b', 'b2'))
    await clock.advanceAsync(5000)
    expect((await outcomes(puts)).map((name) => (typeof name === 'string' ? name : 'delivered'))).toEqual(expected)
    expect(ids(bench)).toEqual(read)
  })

  test.each<Partial<ProducerOptions>>([
    { ordering: 'perKey' },
    { ordering: 'perKey', afterFailure: 'continue' },
    { ordering: 'perShard', afterFailure: 'continue' },
  ])('what a listener puts when a record fails goes behind what was packed with that: %j', async (options) => {
    const bench = await startedBench({ lingerMs: 100, recordTtlMs: 1000, aggregateMaxRecords: 2, ...options })
    const { clock, kinesis, producer } = bench
    const put = putting(bench)
    const late: Promise<PutResult | Error>[] = []
    producer.events.on('record-failed', () => late.push(put('b', 'b2'), put('b', 'b3')))
    kinesis.latencyMs = 950
    kinesis.putFaults.push({ kind: 'refuse', places: [0], code: 'InternalFailure' })
    const puts = [put('a', 'a1')]
    await clock.advanceAsync(90)
    puts.push(put('b', 'b1'))
    await clock.advanceAsync(500)
    kinesis.latencyMs = 10
    await clock.advanceAsync(3000)
    expect(await outcomes(puts)).toEqual(['DeliveryFailedError', 0])
    expect((await Promise.all(late)).map((result) => result instanceof Error)).toEqual([false, false])
    expect(ids(bench)).toEqual(['b1', 'b2', 'b3'])
  })

  test('a stream that cannot be used halts every key', async () => {
    const bench = await startedBench(PLAIN)
    const { clock, kinesis, producer, events } = bench
    const put = putting(bench)
    kinesis.controlFault = () => named('AccessDeniedException')
    kinesis.putFaults.push({ kind: 'reject', name: 'ResourceNotFoundException' })
    const puts = [put('a', 'a1'), put('b', 'b1')]
    await clock.advanceAsync(2000)
    puts.push(put('c', 'c1'))
    await clock.advanceAsync(2000)
    puts.push(put('d', 'd1'))
    expect(await outcomes(puts)).toEqual(['DeliveryFailedError', 0, 'StreamUnusableError', 'LaneHaltedError'])
    const halts = events.filter((event) => event.type === 'lane-halted')
    expect(halts.map(({ partitionKey, startingHashKey }) => partitionKey ?? startingHashKey)).toEqual(['a', 0n])
    kinesis.controlFault = () => undefined
    producer.resume()
    const again = put('c', 'c1')
    await clock.advanceAsync(2000)
    expect(await outcomes([again])).toEqual([0])
  })

  test('more halted keys than can be told apart halt everything, and say so', { timeout: 60_000 }, async () => {
    const bench = await startedBench({ ...PLAIN, lingerMs: 10 })
    const { clock, kinesis, producer, events } = bench
    const data = Buffer.from('x')
    const { putRecords } = kinesis
    kinesis.putRecords = async () => {
      throw named('KMSDisabledException')
    }
    for (let i = 0; i <= MOST_HALTED_KEYS; i++) producer.offer({ partitionKey: `key-${i}`, data })
    await clock.advanceAsync(20_000)
    kinesis.putRecords = putRecords
    const halts = events.filter((event) => event.type === 'lane-halted')
    expect(halts).toHaveLength(MOST_HALTED_KEYS + 1)
    expect(halts.at(-1)).toMatchObject({ partitionKey: undefined, startingHashKey: 0n })
    const refused = (await putting(bench)('never seen', 'x')) as Error
    expect(refused.name).toBe('LaneHaltedError')
    expect(refused.message).toMatch(/10000 keys have halted and then one more, so that now all do/)
    producer.resume()
    const again = putting(bench)('never seen', 'x')
    await clock.advanceAsync(1000)
    expect(await outcomes([again])).toEqual([0])
  })
})
