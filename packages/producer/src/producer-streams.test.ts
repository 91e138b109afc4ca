import { type Clock, ManualClock } from '@shardwise/core/clock'
import { InvalidOptionError } from '@shardwise/core/options'
import { describe, expect, test } from 'vitest'
import { Producer } from './producer.js'
import { ProducerClosedError, RecordRejectedError } from './producer-error.js'
import { type Bench, bench, startedBench } from './testing/producer-bench.js'
import { named, SimulatedKinesis } from './testing/simulated-kinesis.js'
import type { PutResult } from './user-record.js'

/** Puts a record whose id is its payload and its key. */
function put({ producer }: Bench, stream: string | undefined, id: string, size = id.length): Promise<PutResult | Error> {
  return producer.put({ stream, partitionKey: id, data: Buffer.from(id.padEnd(size, '.')) }).catch((error: Error) => error)
}

function withStreams(made: Bench, ...names: readonly string[]): Bench {
  for (const name of names) made.kinesis.create(name, 1)
  return made
}

const ids = ({ kinesis }: Bench, stream: string): string[] => kinesis.readable(stream).map(({ id }) => id.replace(/\.+$/, ''))

test('the age of the oldest record is that of the stream, and of all streams together the greatest', async () => {
  const { clock, kinesis, producer } = withStreams(await startedBench(), 'gates')
  expect(producer.stats().oldestRecordAgeMs).toBe(0)
  kinesis.putFaults.push({ kind: 'hang' })
  void producer.put({ partitionKey: 'k', data: Buffer.from('hangs') })
  await clock.advanceAsync(300)
  const later = producer.put({ partitionKey: 'k', data: Buffer.from('passes') })
  await clock.advanceAsync(50)
  expect(producer.stats('flights').oldestRecordAgeMs).toBe(350)
  expect(producer.stats('gates').oldestRecordAgeMs).toBe(0)
  void producer.put({ stream: 'gates', partitionKey: 'k', data: Buffer.from('waits') })
  await clock.advanceAsync(60)
  await later
  expect(['flights', 'gates', undefined].map((stream) => producer.stats(stream).oldestRecordAgeMs)).toEqual([410, 60, 410])
  await clock.advanceAsync(60_000)
  expect(producer.stats()).toMatchObject({ bufferedRecords: 0, oldestRecordAgeMs: 0 })
})

describe('which stream a record goes to', () => {
  test('its own, by name or ARN, or else that of the producer', async () => {
    const made = withStreams(bench(), 'gates', 'crews')
    const StreamARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/crews'
    const puts = [put(made, undefined, 'a'), put(made, 'gates', 'b'), put(made, StreamARN, 'c'), put(made, 'flights', 'd')]
    await made.clock.advanceAsync(1000)
    expect(await Promise.all(puts)).toMatchObject(Array(4).fill({ attempts: 1 }))
    expect([ids(made, 'flights'), ids(made, 'gates'), ids(made, 'crews')]).toEqual([['a', 'd'], ['b'], ['c']])
    expect(made.kinesis.requests.map(({ StreamName, StreamARN: arn }) => StreamName ?? arn)).toEqual([
      'flights',
      'gates',
      StreamARN,
    ])
    expect(new Set(made.events.map((event) => ('stream' in event ? event.stream : undefined)))).toEqual(
      new Set(['flights', 'gates', StreamARN]),
    )
  })

  test.each<[string, string | undefined, unknown, RegExp]>([
    ['none at all', undefined, undefined, /`stream` must be named: the producer has no stream of its own/],
    ['no name', 'flights', 'a b', /`stream` must be the name .* or the ARN of a stream, got "a b"/],
    ['no text', 'flights', 5, /`stream` must be .*, got 5/],
    ['an ARN of something else', 'flights', 'arn:aws:sqs:us-east-1:000000000000:stream/x', /`stream` must be/],
  ])('%s is refused', async (_, stream, given, message) => {
    const { producer } = bench({ stream })
    const input = { stream: given as string, partitionKey: 'k', data: Buffer.from('x') }
    expect(() => producer.offer(input)).toThrow(RecordRejectedError)
    await expect(producer.put(input)).rejects.toThrow(message)
    await expect(producer.put(input)).rejects.toMatchObject({ field: 'stream' })
    const writer = producer.writable().getWriter()
    writer.closed.catch(() => {})
    await expect(writer.write(input)).rejects.toThrow(message)
    for await (const result of producer.putAll([input]))
      expect(result).toMatchObject({ status: 'rejected', reason: { field: 'stream' } })
  })

  test('the other ways in go by it, too', async () => {
    const made = withStreams(bench(), 'gates')
    const { producer, clock } = made
    const input = (id: string): { stream: string; partitionKey: string; data: Uint8Array } => ({
      ...{ stream: 'gates', partitionKey: id, data: Buffer.from(id) },
    })
    expect(producer.offer(input('a'))).toBe(true)
    const all = producer.putAll([input('b'), { partitionKey: 'c', data: Buffer.from('c') }])
    const [first] = [all.next(), all.next(), all.next()]
    const writer = producer.writable().getWriter()
    void writer.write(input('d'))
    const closed = writer.close()
    producer.nodeWritable().end(input('e'))
    await clock.advanceAsync(1000)
    await Promise.all([first, closed])
    expect([ids(made, 'gates').sort(), ids(made, 'flights')]).toEqual([['a', 'b', 'd', 'e'], ['c']])
  })
})

describe('start', () => {
  test("looks at the stream that it names, or at the producer's own", async () => {
    const { producer, clock, kinesis, types } = withStreams(bench(), 'gates')
    for (const stream of [undefined, 'gates']) {
      const started = producer.start(stream)
      await clock.advanceAsync(100)
      await started
    }
    expect([kinesis.listShardsCalls, types()]).toEqual([2, ['map-refreshed', 'map-refreshed']])
    const missing = expect(producer.start('crews')).rejects.toMatchObject({ name: 'StreamUnusableError', stream: 'crews' })
    await clock.advanceAsync(100)
    await missing
    await expect(producer.start('a b')).rejects.toThrow(InvalidOptionError)
    await expect(bench({ stream: undefined }).producer.start()).rejects.toThrow(/`stream` must be/)
  })
})

describe('one buffer for all streams', () => {
  test('its bounds hold over all of them, and the line is one', async () => {
    const made = withStreams(bench({ maxBufferedRecords: 3 }), 'gates', 'crews')
    const { producer, clock } = made
    const settled: string[] = []
    const puts = ['flights', 'gates', 'gates', 'crews', 'flights', 'gates', 'crews'].map((stream, i) =>
      put(made, stream, `${i}`).then(() => settled.push(`${i}`)),
    )
    const counts = (stream?: string): number[] => {
      const { bufferedRecords, waitingForRoom } = producer.stats(stream)
      return [bufferedRecords, waitingForRoom]
    }
    expect([counts(), counts('flights'), counts('gates'), counts('crews'), counts('unknown')]).toEqual([
      [3, 4],
      [1, 1],
      [2, 1],
      [0, 2],
      [0, 0],
    ])
    expect(producer.offer({ stream: 'crews', partitionKey: 'x', data: Buffer.from('x') })).toBe(false)
    await clock.advanceAsync(3000)
    await Promise.all(puts)
    expect(settled.sort()).toEqual(['0', '1', '2', '3', '4', '5', '6'])
    expect(made.types().filter((type) => type.startsWith('backpressure'))).toEqual(['backpressure-on', 'backpressure-off'])
  })

  test('the line is served in its order, whichever stream makes the room', async () => {
    const made = withStreams(await startedBench({ maxBufferedRecords: 1, lingerMs: 0 }), 'gates')
    const order: string[] = []
    const streams = ['flights', 'gates', 'flights', 'gates', 'gates', 'flights']
    const puts = streams.map((stream, i) => put(made, stream, `${i}`).then(() => order.push(`${i}`)))
    await made.clock.advanceAsync(5000)
    await Promise.all(puts)
    expect(order).toEqual(['0', '1', '2', '3', '4', '5'])
  })

  test('keeps the order of a stream that takes in several at once, also when its own time to send is over', async () => {
    const manual = new ManualClock()
    let behindMs = 0
    // The process is busy: time has passed that no timer has told of yet.
    const clock: Clock = {
      now: () => manual.now() + behindMs,
      wallTime: () => manual.wallTime(),
      schedule: (delayMs, run) => manual.schedule(delayMs, run),
    }
    const kinesis = new SimulatedKinesis(manual, { stream: 'flights', shards: 1 })
    const limits = { maxBufferedRecords: 4, aggregateMaxBytes: 700, lingerMs: 30, ordering: 'perShard' } as const
    kinesis.create('gates', 1)
    const made = bench({ clock, kinesis, ...limits })
    const { producer } = made
    await Promise.all([producer.start(), producer.start('gates'), manual.advanceAsync(100)])
    // Two in an aggregate that goes at once, because another record waits behind it.
    const puts = [
      put(made, 'flights', 'a'),
      put(made, 'flights', 'b'),
      put(made, 'flights', 'c', 300_000),
      put(made, 'gates', 'x'),
    ]
    puts.push(put(made, 'gates', 'y', 1000), put(made, 'gates', 'z', 1000), put(made, 'gates', 'w'))
    expect(producer.stats().waitingForRoom).toBe(3)
    await manual.advanceAsync(5)
    behindMs = 100
    await manual.advanceAsync(1000)
    expect(await Promise.all(puts)).toMatchObject(Array(7).fill({ attempts: 1 }))
    expect(kinesis.readable('gates').map(({ id }) => id.replace(/\.+$/, ''))).toEqual(['x', 'y', 'z', 'w'])
    await Promise.all([producer.close(), manual.advanceAsync(1000)])
  })

  test('a flush ends when what was put before has settled in all streams, and hurries what stands in line, too', async () => {
    const made = withStreams(
      await startedBench({ maxBufferedRecords: 2, lingerMs: 30_000, recordTtlMs: 60_000 }),
      'gates',
      'crews',
    )
    const { clock, producer } = made
    const puts = [put(made, 'flights', 'a'), put(made, 'gates', 'b'), put(made, 'crews', 'c'), put(made, 'gates', 'd')]
    let flushed = false
    const flushing = producer.flush().then(() => {
      flushed = true
    })
    const later = put(made, 'crews', 'e')
    await clock.advanceAsync(500)
    expect([flushed, producer.stats().bufferedRecords]).toEqual([true, 1])
    await flushing
    expect(await Promise.all(puts)).toMatchObject(Array(4).fill({ attempts: 1 }))
    await clock.advanceAsync(31_000)
    expect(await later).toMatchObject({ attempts: 1 })
  })

  test('a stream that stands still holds the others up only while it fills the buffer, and no longer than its records live', async () => {
    const made = withStreams(bench({ maxBufferedRecords: 4, recordTtlMs: 2000, lingerMs: 10 }), 'gates')
    made.kinesis.controlFault = (_, { StreamName }) => (StreamName === 'flights' ? named('LimitExceededException') : undefined)
    const stuck = [1, 2, 3].map((i) => put(made, 'flights', `stuck ${i}`))
    for (let i = 0; i < 5; i++) {
      const one = put(made, 'gates', `${i}`)
      await made.clock.advanceAsync(100)
      expect(await one).toMatchObject({ attempts: 1 })
    }
    const last = put(made, 'flights', 'stuck 4')
    const behind = put(made, 'gates', 'behind')
    await made.clock.advanceAsync(1000)
    expect(made.producer.stats()).toMatchObject({ bufferedRecords: 4, waitingForRoom: 1 })
    await made.clock.advanceAsync(1000)
    expect(await behind).toMatchObject({ attempts: 1 })
    await made.clock.advanceAsync(1000)
    expect((await Promise.all([...stuck, last])).map(String)).toEqual(Array(4).fill(expect.stringMatching(/recordTtlMs/)))
  })
})

describe('streams do not disturb one another', () => {
  test('a missing stream fails its own records at once', async () => {
    const made = withStreams(bench(), 'gates')
    const puts = [put(made, 'crews', 'a'), put(made, 'gates', 'b'), put(made, undefined, 'c')]
    await made.clock.advanceAsync(500)
    expect(await Promise.all(puts)).toMatchObject([
      { name: 'StreamUnusableError', stream: 'crews' },
      { attempts: 1 },
      { attempts: 1 },
    ])
  })

  test('close delivers what others have while one is throttled until its records expire', async () => {
    const made = withStreams(bench({ recordTtlMs: 1000 }), 'gates')
    const { clock, kinesis, producer } = made
    kinesis.putFault = ({ StreamName, Records }) =>
      StreamName === 'gates'
        ? { kind: 'refuse', places: Records.map((_, i) => i), code: 'ProvisionedThroughputExceededException' }
        : undefined
    const puts = [put(made, 'gates', 'a'), put(made, 'flights', 'b')]
    let closed = false
    const closing = producer.close().then(() => {
      closed = true
    })
    await clock.advanceAsync(500)
    expect([await puts[1], closed]).toEqual([expect.objectContaining({ attempts: 1 }), false])
    await clock.advanceAsync(1000)
    expect([await puts[0], closed]).toEqual([
      expect.objectContaining({
        name: 'DeliveryFailedError',
        stream: 'gates',
        serviceCode: 'ProvisionedThroughputExceededException',
      }),
      true,
    ])
    await closing
    expect(await put(made, 'crews', 'late')).toBeInstanceOf(ProducerClosedError)
    expect(producer.stats('gates')).toMatchObject({ failed: 1, delivered: 0 })
    expect(producer.stats()).toMatchObject({ failed: 1, delivered: 1 })
  })

  test('halts are those of a stream, and so is resume when told', async () => {
    const made = withStreams(bench({ ordering: 'perShard', aggregation: 'off' }), 'gates')
    const { clock, kinesis, producer } = made
    kinesis.putFault = () => ({ kind: 'reject', name: 'KMSDisabledException' })
    const both = async (): Promise<unknown[]> => {
      const puts = ['flights', 'gates'].map((stream) => put(made, stream, 'k'))
      await clock.advanceAsync(1000)
      return (await Promise.all(puts)).map((result) => (result instanceof Error ? result.name : 'put'))
    }
    expect(await both()).toEqual(['DeliveryFailedError', 'DeliveryFailedError'])
    kinesis.putFault = () => undefined
    expect(await both()).toEqual(['LaneHaltedError', 'LaneHaltedError'])
    producer.resume('gates')
    expect(await both()).toEqual(['LaneHaltedError', 'put'])
    producer.resume()
    expect(await both()).toEqual(['put', 'put'])
  })
})

test('a producer that has not begun has nothing to tell, and one without a stream of its own can be made', async () => {
  const producer = new Producer({})
  expect(producer.stats()).toMatchObject({ accepted: 0, bufferedRecords: 0 })
  expect(producer.stats('flights')).toEqual(producer.stats())
  await producer.close()
  expect(producer.stats()).toMatchObject({ accepted: 0 })
})
