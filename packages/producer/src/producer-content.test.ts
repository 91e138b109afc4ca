import { decodeAggregate } from '@shardwise/aggregation'
import { type Codec, json } from '@shardwise/core/codec'
import { headersOf, recordIdOf } from '@shardwise/core/record-tags'
import type { Telemetry } from '@shardwise/core/telemetry'
import { describe, expect, test } from 'vitest'
import { Producer } from './producer.js'
import { ProducerClosedError } from './producer-error.js'
import type { ProducerOptions } from './producer-options.js'
import { bench, startedBench } from './testing/producer-bench.js'
import type { SimulatedKinesis } from './testing/simulated-kinesis.js'
import type { PutInput, PutResult } from './user-record.js'

const HALF = 2n ** 127n

/** What the Kinesis records of a request hold: members of aggregates, or undefined for a plain record. */
function membersSent(kinesis: SimulatedKinesis, request = 0): (number | undefined)[] {
  return kinesis.requests[request]!.Records.map(({ Data }) => decodeAggregate(Data)?.length)
}

function recordOf(id: string, extra: Omit<PutInput, 'partitionKey' | 'data'> = {}): PutInput {
  return { partitionKey: id, data: Buffer.from(id), ...extra }
}

function put(producer: Producer, input: PutInput): Promise<PutResult | Error> {
  return producer.put(input).catch((error: Error) => error)
}

const telemetry: Telemetry = {
  inject(carrier) {
    carrier.traceparent = '00-1-2-01'
  },
}

describe('a record with headers or an id', () => {
  test.each<[string, Partial<ProducerOptions>, Omit<PutInput, 'partitionKey' | 'data'>, (number | undefined)[]]>([
    ['shares an aggregate', {}, { headers: { a: '1' } }, [3]],
    ['has an envelope of its own where nothing is aggregated', { aggregation: 'off' }, { headers: { a: '1' } }, [1, 1, 1]],
    ['with an id, too', { aggregation: 'off', recordIds: true }, {}, [1, 1, 1]],
    ['and with trace context', { aggregation: 'off', telemetry }, {}, [1, 1, 1]],
    ['and without any of these it is plain', { aggregation: 'off' }, {}, [undefined, undefined, undefined]],
  ])('%s', async (_, options, extra, members) => {
    const { clock, producer, kinesis } = bench(options)
    const puts = ['a', 'b', 'c'].map((id) => put(producer, recordOf(id, extra)))
    await clock.advanceAsync(500)
    expect(await Promise.all(puts)).toMatchObject([{ attempts: 1 }, { attempts: 1 }, { attempts: 1 }])
    expect(membersSent(kinesis)).toEqual(members)
    expect(kinesis.readable().map(({ id }) => id)).toEqual(['a', 'b', 'c'])
  })

  test('alone at the end of the linger it has an envelope of one, and one without is plain', async () => {
    const { clock, producer, kinesis } = await startedBench({}, 2)
    void put(producer, recordOf('a', { explicitHashKey: '0', headers: { a: '1' } }))
    void put(producer, recordOf('b', { explicitHashKey: HALF.toString() }))
    await clock.advanceAsync(500)
    expect(membersSent(kinesis)).toEqual([1, undefined])
  })

  test('too large for an aggregate it has an envelope of its own size, up to what the stream takes', async () => {
    const { clock, producer, kinesis } = await startedBench({ aggregateMaxBytes: 100 })
    const large = (size: number): PutInput => ({ partitionKey: 'a', data: new Uint8Array(size), headers: { a: '12' } })
    const most = 1024 * 1024 - 43
    const puts = [101, 20_000, most, most + 1].map((size) => put(producer, large(size)))
    await clock.advanceAsync(5000)
    const [small, larger, largest, over] = await Promise.all(puts)
    expect([small, larger, largest]).toMatchObject([{ attempts: 1 }, { attempts: 1 }, { attempts: 1 }])
    expect(over).toMatchObject({ name: 'RecordRejectedError', field: 'data' })
    const sizes = kinesis.requests.flatMap(({ Records }) =>
      Records.map(({ Data, PartitionKey }) => Data.length + PartitionKey.length),
    )
    expect(Math.max(...sizes)).toBe(1024 * 1024)
    expect(kinesis.readable()).toHaveLength(3)
  })

  test('keeps its id through an answer that is lost and a reshard, alone and in company', async () => {
    for (const aggregation of ['shard', 'off'] as const) {
      const { clock, producer, kinesis } = await startedBench({ recordIds: true, aggregation })
      kinesis.putFaults.push({ kind: 'lose' })
      const puts = ['a', 'b', 'c'].map((id, i) =>
        put(producer, recordOf(id, { explicitHashKey: i === 1 ? '0' : HALF.toString() })),
      )
      await clock.advanceAsync(107)
      kinesis.split(0)
      await clock.advanceAsync(3000)
      for (const result of await Promise.all(puts)) expect(result).toMatchObject({ attempts: expect.any(Number) })
      const idsOf = new Map<string, Set<string>>()
      const occurrences = kinesis.readable()
      for (const { id, tags } of occurrences) idsOf.set(id, (idsOf.get(id) ?? new Set()).add(recordIdOf(tags)!))
      expect(occurrences.length).toBeGreaterThan(3)
      expect([...idsOf.values()].map((ids) => ids.size)).toEqual([1, 1, 1])
      expect(new Set([...idsOf.values()].flatMap((ids) => [...ids])).size).toBe(3)
    }
  })

  test('an envelope of one that lands where its readers drop it goes again', async () => {
    const { clock, producer, kinesis, events } = await startedBench({ recordIds: true }, 4)
    kinesis.distribute('AUTO')
    const puts = Array.from({ length: 20 }, (_, i) => put(producer, recordOf(`${i}`)))
    await clock.advanceAsync(5000)
    for (const result of await Promise.all(puts)) expect(result).toMatchObject({ attempts: expect.any(Number) })
    expect(events.filter((event) => event.type === 'wrong-shard' && event.outcome === 'resent').length).toBeGreaterThan(0)
    expect(new Set(kinesis.readable().map(({ id }) => id)).size).toBe(20)
  })
})

describe('on a stream that the service distributes', () => {
  test('headers are refused at put when that is known, and ids and trace context left out', async () => {
    const made = bench({ recordIds: true, telemetry })
    const { clock, producer, kinesis } = made
    kinesis.distribute('AUTO')
    const started = producer.start()
    await clock.advanceAsync(100)
    await started
    const offered = (): boolean => producer.offer(recordOf('x', { headers: { a: '1' } }))
    expect(offered).toThrow(expect.objectContaining({ name: 'RecordRejectedError', field: 'headers' }))
    const puts = [put(producer, recordOf('a')), put(producer, recordOf('b', { recordId: 'mine' }))]
    await clock.advanceAsync(500)
    expect(await Promise.all(puts)).toMatchObject([{ attempts: 1 }, { attempts: 1 }])
    expect(membersSent(kinesis)).toEqual([undefined, undefined])
  })

  test('what waited for the stream to be known is refused then, and nothing else', async () => {
    const { clock, producer, kinesis } = bench()
    kinesis.distribute('AUTO')
    const puts = [put(producer, recordOf('a', { headers: { a: '1' } })), put(producer, recordOf('b'))]
    await clock.advanceAsync(500)
    expect(await Promise.all(puts)).toMatchObject([{ name: 'RecordRejectedError', field: 'headers' }, { attempts: 1 }])
    expect(producer.stats()).toMatchObject({ bufferedRecords: 0, bufferedBytes: 0 })
  })

  test('what was sent before the switch showed fails with what may have become of it', async () => {
    const { clock, producer, kinesis } = await startedBench({ aggregation: 'off' }, 4)
    kinesis.distribute('AUTO')
    const puts = Array.from({ length: 12 }, (_, i) => put(producer, recordOf(`${i}`, { headers: { a: '1' } })))
    await clock.advanceAsync(5000)
    const results = await Promise.all(puts)
    const failed = results.filter((result) => result instanceof Error)
    expect(failed.length).toBeGreaterThan(0)
    for (const error of failed) {
      expect(error).toMatchObject({
        name: 'DeliveryFailedError',
        ...{ reason: 'refused', written: 'unknown', attempts: 1, serviceCode: 'HeadersRefused' },
        cause: { name: 'RecordRejectedError', field: 'headers' },
      })
    }
    // Those that landed right by chance are there with their headers.
    const readable = kinesis.readable()
    const delivered = results.flatMap((result, i) => (result instanceof Error ? [] : [`${i}`]))
    expect(readable.map(({ id }) => id)).toEqual(expect.arrayContaining(delivered))
    for (const { tags } of readable) expect({ ...headersOf(tags) }).toEqual({ a: '1' })
  })
})

describe('a codec', () => {
  interface Delay {
    readonly flight: string
    readonly minutes: number
  }

  test('serves every way in, and the outcome has the very object', async () => {
    const { clock, kinesis } = bench()
    const producer = new Producer({ stream: 'flights', kinesis, clock, codec: json<Delay>() })
    const delay = (flight: string): PutInput<Delay> => ({ partitionKey: flight, data: { flight, minutes: 5 } })
    const told: unknown[] = []
    const offered = { ...delay('offer'), row: 7 }
    producer.offer(offered, (error, _, record) => told.push(error, record.row, record === offered))
    const sent = producer.put(delay('put'))
    const all: unknown[] = []
    const reading = (async () => {
      const inputs = [delay('putAll'), { partitionKey: 'bad', data: undefined as unknown as Delay }]
      for await (const { status, record } of producer.putAll(inputs)) all.push(status, record.data?.flight)
    })()
    const writer = producer.writable().getWriter()
    void writer.write(delay('writable'))
    producer.nodeWritable().write(delay('nodeWritable'))
    await clock.advanceAsync(500)
    await Promise.all([sent, reading, writer.close()])
    expect(told).toEqual([undefined, 7, true])
    expect(all).toEqual(['fulfilled', 'putAll', 'rejected', undefined])
    const flights = kinesis.readable().map(({ id, partitionKey }) => [JSON.parse(id) as Delay, partitionKey])
    const names = ['offer', 'put', 'putAll', 'writable', 'nodeWritable']
    expect(flights.sort()).toEqual(names.map((flight) => [{ flight, minutes: 5 }, flight]).sort())
    const closing = producer.close()
    await clock.advanceAsync(1000)
    await closing
  })

  test('that refuses leaves nothing behind', async () => {
    const { clock, kinesis } = bench()
    const producer = new Producer<unknown>({ stream: 'flights', kinesis, clock, codec: json() })
    expect(await producer.put({ partitionKey: 'a', data: undefined }).catch((error: Error) => error)).toMatchObject({
      name: 'RecordRejectedError',
      field: 'data',
      cause: { name: 'TypeError' },
    })
    expect(() => producer.offer({ partitionKey: 'a', data: () => {} })).toThrow(/refused by the codec/)
    expect(producer.stats()).toMatchObject({ accepted: 0, bufferedRecords: 0, bufferedBytes: 0 })
    await producer.close()
  })

  test.each<[string, (producer: Producer<number>) => Promise<unknown>]>([
    ['put', (producer) => producer.put({ partitionKey: 'a', data: 1 })],
    ['offer', async (producer) => producer.offer({ partitionKey: 'a', data: 1 })],
    ['putAll', (producer) => producer.putAll([{ partitionKey: 'a', data: 1 }]).next()],
    ['writable', (producer) => producer.writable().getWriter().write({ partitionKey: 'a', data: 1 })],
  ])('that closes the producer in the middle of a put is told so, and nothing is left that never settles: %s', async (_, act) => {
    const { clock, kinesis } = bench()
    let closing: Promise<void> | undefined
    const { encode, decode } = json<number>()
    const codec: Codec<number> = {
      encode(value, context) {
        closing ??= producer.close()
        return encode(value, context)
      },
      decode,
    }
    const producer = new Producer({ stream: 'flights', kinesis, clock, codec })
    const acting = act(producer).catch((error: unknown) => error)
    await clock.advanceAsync(1000)
    await closing
    const outcome = await Promise.race([acting, 'pending'])
    const refusal = outcome instanceof Error ? outcome : (outcome as { value?: { reason?: unknown } }).value?.reason
    expect(refusal).toBeInstanceOf(ProducerClosedError)
    expect(producer.stats()).toMatchObject({ accepted: 0, bufferedRecords: 0 })
  })

  test('decides the type of the data', () => {
    const typed = new Producer({ stream: 'flights', codec: json<Delay>() })
    const plain = new Producer({ stream: 'flights' })
    // @ts-expect-error it takes a Delay
    const wrong: PutInput = undefined as unknown as Parameters<typeof typed.put>[0]
    const right: PutInput = undefined as unknown as Parameters<typeof plain.put>[0]
    expect([wrong, right]).toEqual([undefined, undefined])
  })
})
