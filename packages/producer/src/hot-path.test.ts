import * as v8 from 'node:v8'
import { type Clock, ManualClock } from '@shardwise/core/clock'
import { expect, it, onTestFinished } from 'vitest'
import { Producer } from './producer.js'
import type { ProducerOptions } from './producer-options.js'
import { SimulatedKinesis } from './testing/simulated-kinesis.js'
import type { PutInput } from './user-record.js'

const RECORDS = 10_000
/** What a turn, a request or an aggregate may leave, however many records there are. */
const A_FEW = 20

/** Counts the timers that the producer sets. */
class CountingClock implements Clock {
  readonly inner: ManualClock = new ManualClock()
  timers = 0

  now(): number {
    return this.inner.now()
  }

  wallTime(): number {
    return this.inner.wallTime()
  }

  schedule(delayMs: number, run: () => void): ReturnType<Clock['schedule']> {
    this.timers++
    return this.inner.schedule(delayMs, run)
  }
}

async function started(options: Partial<ProducerOptions> = {}): Promise<{ producer: Producer; clock: CountingClock }> {
  const clock = new CountingClock()
  const kinesis = new SimulatedKinesis(clock.inner, { stream: 'flights', shards: 4 })
  const producer = new Producer({ stream: 'flights', kinesis, clock, ...options })
  const start = producer.start()
  await clock.inner.advanceAsync(100)
  await start
  onTestFinished(async () => {
    const closing = producer.close()
    await clock.inner.advanceAsync(60_000)
    await closing
    expect(clock.inner.pendingTimers).toBe(0)
  })
  return { producer, clock }
}

const records = (): PutInput[] =>
  Array.from({ length: RECORDS }, (_, i) => ({ partitionKey: `key-${i % 100}`, data: Buffer.alloc(100, i) }))

const count = (of: FunctionConstructor | ObjectConstructor): number => v8.queryObjects(of, { format: 'count' })

/** How many functions, and objects of all kinds, functions too, `act` leaves alive. */
function left(act: () => void): { readonly functions: number; readonly objects: number } {
  const [functions, objects] = [count(Function), count(Object)]
  act()
  return { functions: count(Function) - functions, objects: count(Object) - objects }
}

it.each([
  ['shard', 'none'],
  ['shard', 'perShard'],
  ['key', 'perKey'],
  ['off', 'none'],
] as const)('sets timers for requests and not for records: aggregation %s, ordering %s', async (aggregation, ordering) => {
  // A record every hundredth of a millisecond: all within one linger, and no two at the same moment.
  const { producer, clock } = await started({ aggregation, ordering, shardRatePercent: 1000 })
  clock.timers = 0
  for (const record of records()) {
    expect(producer.offer(record)).toBe(true)
    clock.inner.advance(0.01)
  }
  const flushed = producer.flush()
  await clock.inner.advanceAsync(30_000)
  await flushed
  const { delivered, requests } = producer.stats()
  expect(delivered).toBe(RECORDS)
  expect(requests).toBeLessThan(RECORDS / 100)
  expect(clock.timers).toBeLessThanOrEqual(4 * requests + A_FEW)
})

it('keeps no object of a record that is offered, and no function', async () => {
  const { producer } = await started()
  const given = records()
  const outcome = (): void => {}
  const { functions, objects } = left(() => {
    for (const record of given) producer.offer(record, outcome)
  })
  expect(producer.stats().bufferedRecords).toBe(RECORDS)
  expect(functions).toBeLessThan(A_FEW)
  // Those of aggregates, and of what their members have in common.
  expect(objects).toBeLessThan(RECORDS * 0.05)
})

it('keeps no object of a record with headers and an id either', async () => {
  const { producer } = await started({ recordIds: true })
  const headers = { source: 'gate' }
  const given = records().map((record) => ({ ...record, headers }))
  const { functions, objects } = left(() => {
    for (const record of given) producer.offer(record)
  })
  expect(producer.stats().bufferedRecords).toBe(RECORDS)
  expect(functions).toBeLessThan(A_FEW)
  expect(objects).toBeLessThan(RECORDS * 0.1)
})

it('keeps of a record of putAll its place among the results, and no function', async () => {
  const { producer, clock } = await started()
  const results = producer.putAll(records())
  let first: Promise<unknown> | undefined
  const { functions, objects } = left(() => {
    first = results.next()
  })
  expect(producer.stats().bufferedRecords).toBe(RECORDS)
  expect(functions).toBeLessThan(A_FEW)
  expect(objects).toBeLessThan(RECORDS * 1.05)
  const flushed = producer.flush()
  await clock.inner.advanceAsync(30_000)
  await Promise.all([flushed, first])
})

it('keeps of a put its promise and the one function that settles it', async () => {
  const { producer } = await started()
  const given = records()
  const puts: Promise<unknown>[] = []
  const { functions, objects } = left(() => {
    for (const record of given) puts.push(producer.put(record))
  })
  expect(producer.stats().bufferedRecords).toBe(RECORDS)
  expect(functions - RECORDS).toBeLessThan(A_FEW)
  expect(objects).toBeLessThan(RECORDS * 2.05)
})
