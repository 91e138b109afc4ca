import { ManualClock } from '@shardwise/core/clock'
import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Producer } from './producer.js'
import type { ProducerOptions } from './producer-options.js'
import { RecordMaker } from './record-maker.js'
import { startedBench } from './testing/producer-bench.js'
import { type PutFault, SimulatedKinesis } from './testing/simulated-kinesis.js'
import type { PutInput, PutResult } from './user-record.js'

const KEYS = ['a', 'key-1', 'key-2', 'a-longer-key-than-others', 'é', '✈ and 😀', 'k'.repeat(70)]
const LONGEST_KEYS = ['😀'.repeat(256), 'k'.repeat(256), '😀'.repeat(257), 'k'.repeat(257), '']

type Step =
  | { readonly kind: 'records'; readonly count: number; readonly call: Call; readonly every: Rarity }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'flush' }
  | { readonly kind: 'split' }
  | { readonly kind: 'recreate' }
  | { readonly kind: 'fault'; readonly fault: PutFault }
/** `offer again`: whose outcome offers another record. */
type Call = 'put' | 'offer' | 'bare offer' | 'offer again' | 'putAll' | 'write'
/** What some of the records are. */
const RARITIES = [
  ...['nothing', 'nothing', 'explicit hash key', 'header', 'large', 'wrong key', 'longest key', 'no data', 'handed over'],
  ...['other stream', 'no stream'],
] as const
type Rarity = (typeof RARITIES)[number]

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('records' as const),
      count: fc.integer({ min: 1, max: 60 }),
      call: fc.constantFrom<Call[]>('put', 'offer', 'bare offer', 'offer again', 'putAll', 'write'),
      every: fc.constantFrom(...RARITIES),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0, 0.3, 4, 11, 120, 700, 1200, 31_000) }),
  },
  { weight: 2, arbitrary: fc.constantFrom<Step[]>({ kind: 'flush' }, { kind: 'split' }, { kind: 'recreate' }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fault' as const),
      fault: fc.constantFrom<PutFault[]>(
        { kind: 'lose' },
        { kind: 'refuse', places: [0, 3], code: 'ProvisionedThroughputExceededException' },
      ),
    }),
  },
)

/** With limits that are met now and then. */
const limits: fc.Arbitrary<Partial<ProducerOptions>> = fc.record({
  maxBufferedRecords: fc.constantFrom(7, 200, 200),
  aggregateMaxRecords: fc.constantFrom(undefined, 1, 2, 9),
  lingerMs: fc.constantFrom(undefined, 0, 5, 4000),
  shardMapRefreshMs: fc.constantFrom(undefined, 1000),
  ordering: fc.constantFrom('none', 'none', 'none', 'perKey'),
  aggregation: fc.constantFrom('shard', 'shard', 'shard', 'key', 'off'),
})

/** Everything that can be seen of a producer that is given this. */
async function seen(steps: readonly Step[], options: Partial<ProducerOptions>): Promise<string[]> {
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: 'flights', shards: 3 })
  kinesis.create('others', 1)
  const producer = new Producer({
    ...{ stream: 'flights', kinesis, clock, random: () => 0.5, aggregateMaxBytes: 3000 },
    ...options,
  })
  const log: unknown[] = []
  producer.events.onAny((event) => log.push({ ...event, requestId: undefined }))
  const settled = (id: string, error: unknown, result: PutResult | undefined): void => {
    log.push([id, error instanceof Error ? `${error.name}: ${error.message}` : undefined, result])
  }
  let count = 0
  const next = (every: Rarity): { id: string; input: PutInput } => {
    const id = `record ${count++}`
    const isOne = count % 5 === 0
    const data = Uint8Array.from(
      Buffer.from(isOne && every === 'no data' ? '' : isOne && every === 'large' ? id.padEnd(1900) : id),
    )
    if (isOne && every === 'handed over') structuredClone(data.buffer, { transfer: [data.buffer] })
    const keys = isOne && every === 'longest key' ? LONGEST_KEYS : KEYS
    const input: PutInput = {
      partitionKey: isOne && every === 'wrong key' ? 'half \ud800' : keys[(count * 31) % keys.length]!,
      data,
      ...(isOne && every === 'other stream' ? { stream: 'others' } : {}),
      ...(isOne && every === 'no stream' ? { stream: 'no such name!' } : {}),
      ...(isOne && every === 'explicit hash key' ? { explicitHashKey: `${2n ** BigInt(count % 128)}` } : {}),
      ...(isOne && every === 'header' ? { headers: { n: id } } : {}),
    }
    return { id, input }
  }
  const putAll = async (given: readonly { id: string; input: PutInput }[]): Promise<void> => {
    let i = 0
    for await (const result of producer.putAll(given.map(({ input }) => input))) {
      if (result.status === 'fulfilled') settled(given[i++]!.id, undefined, result.value)
      else settled(given[i++]!.id, result.reason, undefined)
    }
  }
  const write = async (given: readonly { id: string; input: PutInput }[]): Promise<void> => {
    const writer = producer.writable().getWriter()
    const log = (id: string, end: Promise<void>): Promise<void> =>
      end.then(
        () => settled(id, undefined, undefined),
        (error) => settled(id, error, undefined),
      )
    const written = given.map(({ id, input }) => log(id, writer.write(input)))
    await Promise.all([...written, log('the stream', writer.close()), log('the end', writer.closed)])
  }
  const take = (call: 'put' | 'offer' | 'bare offer' | 'offer again', every: Rarity): void => {
    const { id, input } = next(every)
    if (call === 'put') {
      producer.put(input).then(
        (result) => settled(id, undefined, result),
        (error) => settled(id, error, undefined),
      )
      return
    }
    const outcome = (error: Error | undefined, result: PutResult | undefined): void => {
      settled(id, error, result)
      if (call === 'offer again') take('offer', every)
    }
    try {
      const isIn = producer.offer(input, call === 'bare offer' ? undefined : outcome)
      if (!isIn) log.push([id, 'full'])
    } catch (error) {
      settled(id, error, undefined)
    }
  }
  const started = producer.start()
  await clock.advanceAsync(100)
  await started
  const streams: Promise<void>[] = []
  for (const now of steps) {
    if (now.kind === 'records') {
      const { count, call, every } = now
      if (call === 'putAll' || call === 'write') {
        const given = Array.from({ length: count }, () => next(every))
        streams.push((call === 'putAll' ? putAll(given) : write(given)).catch((error) => settled(call, error, undefined)))
      } else for (let i = 0; i < count; i++) take(call, every)
    } else if (now.kind === 'wait') await clock.advanceAsync(now.ms)
    else if (now.kind === 'flush') void producer.flush()
    else if (now.kind === 'split') kinesis.split(0)
    else if (now.kind === 'recreate') kinesis.recreate(2)
    else kinesis.putFaults.push(now.fault)
    log.push(producer.stats(), [kinesis.listShardsCalls, kinesis.describeCalls])
  }
  const closed = producer.close()
  await clock.advanceAsync(100_000)
  await closed
  await Promise.all(streams)
  expect(clock.pendingTimers).toBe(0)
  const bytes = kinesis.requests.map(({ Records }) =>
    Records.map((entry) => ({ ...entry, Data: Buffer.from(entry.Data).toString('hex') })),
  )
  return [...log, ...bytes, producer.stats()].map((what) =>
    JSON.stringify(what, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
  )
}

/** Aggregates stay open for longer than the map is good for. */
const lingering: Partial<ProducerOptions> = { maxBufferedRecords: 200, lingerMs: 4000, shardMapRefreshMs: 1000 }
const some: Step = { kind: 'records', count: 20, call: 'offer', every: 'nothing' }
const after = (ms: number): Step => ({ kind: 'wait', ms })

test('a record that goes the short way and one that goes the long way cannot be told apart by anything that happens', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), limits, async (steps, options) => {
      // Its mere presence has every record go the long way.
      const telemetry = { inject: (): void => {} }
      const [short, long] = [await seen(steps, options), await seen(steps, { ...options, telemetry })]
      expect(short.find((line, i) => line !== long[i])).toBeUndefined()
      expect(short.length).toBe(long.length)
    }),
    {
      numRuns: 50,
      examples: [
        [[some, after(700), some, after(700), some, after(9)], lingering],
        [[some, after(1200), some, after(9), some], lingering],
      ],
    },
  )
})

test.each<[string, (producer: Producer, records: PutInput[]) => void]>([
  ['offer', (producer, records) => void records.map((record) => producer.offer(record))],
  ['put', (producer, records) => void records.map((record) => producer.put(record))],
  ['putAll', (producer, records) => void producer.putAll(records).next()],
  [
    'nodeWritable',
    (producer, records) => {
      const stream = producer.nodeWritable()
      for (const record of records) stream.write(record)
    },
  ],
])('all but the first and the last record of an aggregate go the short way, by %s', async (_, putAll) => {
  const { clock, producer } = await startedBench({ aggregateMaxRecords: 100 })
  const make = vi.spyOn(RecordMaker.prototype, 'make')
  onTestFinished(() => make.mockRestore())
  putAll(
    producer,
    Array.from({ length: 1000 }, (_, i) => ({ partitionKey: `${i}`, data: Buffer.from(`${i}`) })),
  )
  await clock.advanceAsync(5000)
  expect(producer.stats().delivered).toBe(1000)
  expect(make.mock.calls.length).toBe(20)
})

test('the buffer takes what it has room for to the byte, and not one more', async () => {
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: 'flights', shards: 1 })
  const producer = new Producer({ stream: 'flights', kinesis, clock, maxBufferedBytes: 1024 * 1024 })
  const started = producer.start()
  await clock.advanceAsync(100)
  await started
  const offer = (bytes: number): boolean => producer.offer({ partitionKey: 'k', data: new Uint8Array(bytes - 1) })
  expect(offer(1024 * 1024 - 20)).toBe(true)
  expect([offer(5), offer(10), offer(6), offer(5), offer(2)]).toEqual([true, true, false, true, false])
  expect(producer.stats()).toMatchObject({ bufferedRecords: 4, bufferedBytes: 1024 * 1024 })
  const closed = producer.close()
  await clock.advanceAsync(1000)
  await closed
  expect(producer.stats()).toMatchObject({ bufferedRecords: 0, bufferedBytes: 0, delivered: 4 })
})

test('who waits for room is not overtaken by what is small enough for an open aggregate', async () => {
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: 'flights', shards: 1 })
  const producer = new Producer({ stream: 'flights', kinesis, clock, maxBufferedBytes: 1024 * 1024 })
  const started = producer.start()
  await clock.advanceAsync(100)
  await started
  const offer = (bytes: number): boolean => producer.offer({ partitionKey: 'k', data: new Uint8Array(bytes) })
  expect([offer(1_000_000), offer(1000), offer(1000)]).toEqual([true, true, true])
  const waiting = producer.put({ partitionKey: 'k', data: new Uint8Array(100_000) })
  expect([offer(1000), producer.stats().waitingForRoom]).toEqual([false, 1])
  await clock.advanceAsync(1000)
  await waiting
  await producer.close()
})

test('times out no sooner and no later: a record that joins an aggregate of others has a time to live of its own', async () => {
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: 'flights', shards: 1 })
  const producer = new Producer({ stream: 'flights', kinesis, clock, random: () => 0.5, recordTtlMs: 3000, lingerMs: 2000 })
  const started = producer.start()
  await clock.advanceAsync(100)
  await started
  kinesis.putFault = () => ({ kind: 'reject', name: 'InternalFailure' })
  const failedAt: number[] = []
  const start = clock.now()
  for (let i = 0; i < 4; i++) {
    const offeredAt = clock.now()
    producer.offer({ partitionKey: 'k', data: Buffer.from(`${i}`) }, () => failedAt.push(clock.now() - offeredAt))
    await clock.advanceAsync(100)
  }
  await clock.advanceAsync(10_000 - (clock.now() - start))
  expect(failedAt).toHaveLength(4)
  for (const ms of failedAt) expect(Math.abs(ms - 3000)).toBeLessThanOrEqual(10)
  await producer.close()
})
