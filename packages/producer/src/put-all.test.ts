import { ManualClock } from '@shardwise/core/clock'
import { InvalidOptionError } from '@shardwise/core/options'
import { seededRandom } from '@shardwise/core/random'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Producer } from './producer.js'
import { DeliveryFailedError, ProducerClosedError } from './producer-error.js'
import type { PutAllResult } from './put-all.js'
import { bench, startedBench } from './testing/producer-bench.js'
import { roomMadeByListener } from './testing/room-by-listener.js'
import { type PutFault, SimulatedKinesis } from './testing/simulated-kinesis.js'
import type { PutInput } from './user-record.js'

function recordsOf(...ids: readonly string[]): PutInput[] {
  return ids.map((id) => ({ partitionKey: id, data: Buffer.from(id) }))
}

/** Takes all results, and what the iteration throws. */
async function takeAll(results: AsyncIterable<PutAllResult>): Promise<{ taken: PutAllResult[]; thrown: unknown }> {
  const taken: PutAllResult[] = []
  try {
    for await (const result of results) taken.push(result)
  } catch (thrown) {
    return { taken, thrown }
  }
  return { taken, thrown: undefined }
}

/** The same, without waiting for its end. */
function watchAll(results: AsyncIterable<PutAllResult>): { ended: boolean; readonly taken: PutAllResult[] } {
  const seen: { ended: boolean; readonly taken: PutAllResult[] } = { ended: false, taken: [] }
  void (async () => {
    for await (const result of results) seen.taken.push(result)
    seen.ended = true
  })()
  return seen
}

/** An input whose end can be watched. It stays quiet after its records unless it ends. */
function watched(
  records: readonly PutInput[],
  end: 'done' | 'quiet' | Error,
): { read: number; returned: number } & AsyncIterable<PutInput> {
  const input = {
    read: 0,
    returned: 0,
    [Symbol.asyncIterator]: () => ({
      next(): Promise<IteratorResult<PutInput>> {
        const value = records[input.read]
        if (value !== undefined) {
          input.read++
          return Promise.resolve({ done: false, value })
        }
        if (end instanceof Error) return Promise.reject(end)
        return end === 'done' ? Promise.resolve({ done: true, value: undefined }) : new Promise(() => {})
      },
      return(): Promise<IteratorResult<PutInput>> {
        input.returned++
        return Promise.resolve({ done: true, value: undefined })
      },
    }),
  }
  return input
}

const BAD: PutInput = { partitionKey: '', data: Buffer.from('bad') }
const broken = new Error('the input broke')

describe('results', () => {
  test.each<[string, () => Iterable<PutInput> | AsyncIterable<PutInput>, readonly string[], unknown]>([
    ['of an array', () => recordsOf('a', 'b', 'c'), ['a', 'b', 'c'], undefined],
    ['of a generator', () => new Set(recordsOf('a', 'b')).values(), ['a', 'b'], undefined],
    ['of an async iterable', () => watched(recordsOf('a', 'b', 'c'), 'done'), ['a', 'b', 'c'], undefined],
    ['of nothing', () => [], [], undefined],
    [
      'of a refused record in its place',
      () => [...recordsOf('a'), BAD, ...recordsOf('b')],
      ['a', '!RecordRejectedError', 'b'],
      undefined,
    ],
    ['of something that is no record', () => [null as unknown as PutInput], ['!RecordRejectedError'], undefined],
    ['before the input throws', () => watched(recordsOf('a', 'b'), broken), ['a', 'b'], broken],
    ['of more than the buffer holds', () => recordsOf(...'abcdefghij'), [...'abcdefghij'], undefined],
  ])('%s', async (_, input, expected, thrown) => {
    const { clock, producer } = bench({ maxBufferedRecords: 4 })
    const all = takeAll(producer.putAll(input()))
    await clock.advanceAsync(5000)
    const told = await all
    expect(
      told.taken.map((result) => (result.status === 'fulfilled' ? result.record.partitionKey : `!${result.reason.name}`)),
    ).toEqual(expected)
    expect(told.thrown).toBe(thrown)
  })

  test('are in the order of the input, also when the first record settles last', async () => {
    const { clock, kinesis, producer } = bench({ aggregation: 'off' })
    kinesis.putFaults.push({ kind: 'refuse', places: [0], code: 'ProvisionedThroughputExceededException' })
    const all = takeAll(producer.putAll(recordsOf('a', 'b', 'c')))
    await clock.advanceAsync(1000)
    const { taken } = await all
    expect(taken).toMatchObject([
      { status: 'fulfilled', value: { attempts: 2 }, record: { partitionKey: 'a' } },
      { status: 'fulfilled', value: { attempts: 1 }, record: { partitionKey: 'b' } },
      { status: 'fulfilled', value: { attempts: 1 }, record: { partitionKey: 'c' } },
    ])
  })

  test('come in order to who asks for several at a time, whether they are there or not', async () => {
    const { clock, producer } = bench({ aggregation: 'off', maxBufferedRecords: 4 })
    const results = producer.putAll(recordsOf(...'abcdef'))
    const first = results.next()
    await clock.advanceAsync(1000)
    await first
    // b, c and d are there; e and f are not read before some of them are taken.
    const asked = Array.from({ length: 7 }, () => results.next())
    await clock.advanceAsync(3000)
    const told = (await Promise.all(asked)).map(({ done, value }) => (done === true ? 'done' : value.record.partitionKey))
    expect(told).toEqual([...'bcdef', 'done', 'done'])
  })

  test('that are there are told to nobody after the end that was asked for', async () => {
    for (const end of ['return', 'throw'] as const) {
      const { clock, producer } = bench()
      const results = producer.putAll(recordsOf(...'abc'))
      const first = results.next()
      await clock.advanceAsync(1000)
      await first
      const ended = results[end]!(broken).catch((thrown: unknown) => thrown)
      const after = results.next()
      await clock.advanceAsync(1000)
      expect(await ended).toEqual(end === 'throw' ? broken : { done: true, value: broken })
      expect([await after, await results.next()]).toEqual(Array(2).fill({ done: true, value: undefined }))
    }
  })

  test('that are there are not told after an abort', async () => {
    const { clock, producer } = bench()
    const abort = new AbortController()
    const results = producer.putAll(recordsOf(...'abc'), { signal: abort.signal })
    const first = results.next()
    await clock.advanceAsync(1000)
    await first
    abort.abort(broken)
    await expect(results.next()).rejects.toBe(broken)
    expect(await results.next()).toEqual({ done: true, value: undefined })
  })

  test('tell of a record that is not delivered, and go on', async () => {
    const { clock, kinesis, producer } = bench({ maxBufferedRecords: 1, recordTtlMs: 200 })
    kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
    const all = takeAll(producer.putAll(recordsOf('a', 'b')))
    await clock.advanceAsync(2000)
    const { taken } = await all
    expect(taken).toMatchObject([{ status: 'rejected', record: { partitionKey: 'a' } }, { status: 'fulfilled' }])
    expect(taken[0]).toHaveProperty('reason', expect.any(DeliveryFailedError))
  })
})

describe('reading', () => {
  test('begins with the first result that is asked for', async () => {
    const { clock, producer } = bench()
    const input = watched(recordsOf('a'), 'done')
    const results = producer.putAll(input)
    await clock.advanceAsync(1000)
    expect([input.read, producer.stats().accepted]).toEqual([0, 0])
    const first = results.next()
    await clock.advanceAsync(1000)
    expect(await first).toMatchObject({ done: false, value: { status: 'fulfilled' } })
    expect(await results.next()).toEqual({ done: true, value: undefined })
  })

  test('keeps no more results than the buffer holds records, however slow they are taken', async () => {
    const { clock, producer } = bench({ maxBufferedRecords: 5, maxBufferedBytes: 1_048_576 })
    const input = watched(recordsOf(...Array.from({ length: 50 }, (_, i) => `${i}`)), 'done')
    const results = producer.putAll(input)
    for (let taken = 0; taken < 50; taken++) {
      const next = results.next()
      await clock.advanceAsync(3000)
      expect(await next).toMatchObject({ done: false, value: { status: 'fulfilled', record: { partitionKey: `${taken}` } } })
      expect(input.read).toBeLessThanOrEqual(taken + 1 + 5)
    }
    expect((await results.next()).done).toBe(true)
  })

  test('goes on by portions of a sixteenth', async () => {
    const { clock, producer } = bench({ maxBufferedRecords: 64 })
    const input = watched(recordsOf(...Array.from({ length: 500 }, (_, i) => `${i}`)), 'done')
    const results = producer.putAll(input)
    const reads: number[] = []
    for (let taken = 1; taken <= 500; taken++) {
      const next = results.next()
      await clock.advanceAsync(taken === 1 ? 1000 : 0)
      // Only where nothing is left does time have to pass.
      if (taken % 64 === 1 && taken > 1) await clock.advanceAsync(1000)
      expect(await next).toMatchObject({ done: false, value: { status: 'fulfilled', record: { partitionKey: `${taken - 1}` } } })
      await clock.advanceAsync(0)
      reads.push(input.read)
    }
    expect(reads.slice(0, 9)).toEqual([64, 64, 64, 68, 68, 68, 68, 72, 72])
    expect((await results.next()).done).toBe(true)
  })

  test('fills the buffer again for who has nothing left to take, so that nothing lingers', async () => {
    const { clock, kinesis, producer } = await startedBench({ maxBufferedRecords: 100, lingerMs: 25_000, shardRatePercent: 1000 })
    const { taken } = watchAll(producer.putAll(recordsOf(...Array.from({ length: 1000 }, (_, i) => `${i}`))))
    await clock.advanceAsync(50 * kinesis.latencyMs)
    expect(taken.length).toBeGreaterThan(800)
  })

  test('holds the bound in bytes, with one record more', async () => {
    const { clock, producer } = bench({ maxBufferedBytes: 1_048_576 })
    const large = Array.from({ length: 12 }, (_, i) => ({ partitionKey: `${i}`, data: Buffer.alloc(300_000) }))
    const input = watched(large, 'done')
    const results = producer.putAll(input)
    const first = results.next()
    await clock.advanceAsync(3000)
    await first
    expect(input.read).toBe(5)
    const all = takeAll(results)
    await clock.advanceAsync(20_000)
    expect((await all).taken).toHaveLength(11)
  })

  test('has one record wait in line where others fill the buffer', async () => {
    const { clock, producer, put } = bench({ maxBufferedRecords: 3 })
    const puts = ['p', 'q', 'r'].map((id) => put(id))
    const all = takeAll(producer.putAll(recordsOf('a', 'b', 'c', 'd')))
    await clock.advanceAsync(10)
    expect(producer.stats()).toMatchObject({ bufferedRecords: 3, waitingForRoom: 1 })
    await clock.advanceAsync(5000)
    expect((await all).taken).toHaveLength(4)
    await Promise.all(puts)
  })

  test('lets others have their turn at the buffer, and takes its own', async () => {
    const { clock, producer, put } = bench({ maxBufferedRecords: 2 })
    const all = takeAll(producer.putAll(recordsOf('a', 'b', 'c', 'd')))
    const puts = ['p', 'q', 'r'].map((id) => put(id))
    await clock.advanceAsync(5000)
    expect((await all).taken.map(({ status }) => status)).toEqual(Array(4).fill('fulfilled'))
    expect(await Promise.all(puts)).toMatchObject([{ attempts: 1 }, { attempts: 1 }, { attempts: 1 }])
  })
})

test('goes on when a listener makes the room that a record was about to wait for', async () => {
  const { clock, producer, made } = roomMadeByListener()
  producer.offer(recordsOf('x')[0]!)
  const all = watchAll(producer.putAll(recordsOf('a', 'b', 'c')))
  await clock.advanceAsync(5000)
  expect([made(), all.ended, all.taken.map(({ status }) => status)]).toEqual([true, true, Array(3).fill('fulfilled')])
})

describe('the end before the end', () => {
  test('break closes the input, and what was put is delivered', async () => {
    const { clock, kinesis, producer } = bench()
    const input = watched(recordsOf('a', 'b', 'c'), 'quiet')
    const left = (async () => {
      for await (const _ of producer.putAll(input)) break
    })()
    await clock.advanceAsync(1000)
    await left
    expect([input.read, input.returned]).toEqual([3, 1])
    expect(kinesis.readable()).toHaveLength(3)
  })

  test('break waits for a generator to clean up, unless it is being read', async () => {
    const { clock, producer } = bench({ maxBufferedRecords: 1 })
    let cleaned = false
    async function* input(): AsyncGenerator<PutInput> {
      try {
        for (;;) yield* recordsOf('a')
      } finally {
        await Promise.resolve()
        cleaned = true
      }
    }
    const results = producer.putAll(input())
    const first = results.next()
    await clock.advanceAsync(1000)
    await first
    const left = results.return!()
    await clock.advanceAsync(1000)
    await left
    expect(cleaned).toBe(true)
  })

  test.each<[string, 'before' | 'between' | 'quiet']>([
    ['before the first result nothing is read', 'before'],
    ['while records are on their way they are delivered', 'between'],
    ['while the input is quiet the wait ends', 'quiet'],
  ])('abort: %s', async (_, when) => {
    const { clock, kinesis, producer } = bench()
    const abort = new AbortController()
    const reason = new Error('enough')
    const input = watched(recordsOf('a', 'b'), 'quiet')
    if (when === 'before') abort.abort(reason)
    const all = takeAll(producer.putAll(input, { signal: abort.signal }))
    await clock.advanceAsync(when === 'quiet' ? 1000 : 10)
    abort.abort(reason)
    const { taken, thrown } = await all
    expect(thrown).toBe(reason)
    await clock.advanceAsync(1000)
    const read = when === 'before' ? 0 : 2
    expect([taken.length, input.read, input.returned, kinesis.readable().length]).toEqual([
      when === 'quiet' ? 2 : 0,
      read,
      1,
      read,
    ])
  })

  test('abort while a result is looked at stops the reading', async () => {
    const { clock, producer } = bench()
    const abort = new AbortController()
    let [read, cleaned] = [0, false]
    async function* input(): AsyncGenerator<PutInput> {
      try {
        for (const record of recordsOf('a', 'b', 'c', 'd', 'e')) {
          await new Promise<void>((resolve) => void clock.schedule(200, resolve))
          read++
          yield record
        }
      } finally {
        cleaned = true
      }
    }
    const results = producer.putAll(input(), { signal: abort.signal })
    const first = results.next()
    await clock.advanceAsync(350)
    expect(await first).toMatchObject({ value: { record: { partitionKey: 'a' } } })
    abort.abort(broken)
    await clock.advanceAsync(2000)
    // The read that was under way comes back, and is not put.
    expect([read, cleaned, producer.stats().accepted]).toEqual([2, true, 1])
    await expect(results.next()).rejects.toBe(broken)
  })

  test('abort does not wait for a generator that is quiet', async () => {
    const { clock, producer } = bench()
    async function* input(): AsyncGenerator<PutInput> {
      yield* recordsOf('a')
      await new Promise(() => {})
    }
    const abort = new AbortController()
    const all = takeAll(producer.putAll(input(), { signal: abort.signal }))
    await clock.advanceAsync(1000)
    abort.abort(broken)
    expect(await all).toMatchObject({ taken: [{ status: 'fulfilled' }], thrown: broken })
  })

  test('a producer that closes delivers what was put, and ends the reading', async () => {
    const { clock, producer } = bench({ maxBufferedRecords: 2 })
    const input = watched(recordsOf(...'abcdefgh'), 'quiet')
    const all = takeAll(producer.putAll(input))
    await clock.advanceAsync(10)
    const closed = producer.close()
    await clock.advanceAsync(3000)
    await closed
    const { taken, thrown } = await all
    expect(thrown).toBeInstanceOf(ProducerClosedError)
    expect(taken.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
    expect([input.read, input.returned]).toEqual([3, 1])
  })

  test.each([
    ['records', undefined, {}],
    ['records', { length: 1 }, {}],
    ['signal', [], { signal: {} }],
  ])('refuses a wrong %s (%o)', (option, records, options) => {
    const { producer } = bench()
    const call = (): unknown => producer.putAll(records as never, options as never)
    expect(call).toThrow(InvalidOptionError)
    expect(call).toThrow(`\`${option}\` must be`)
  })
})

const fault: fc.Arbitrary<PutFault | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.record({
    kind: fc.constant('reject' as const),
    name: fc.constantFrom('ECONNRESET', 'KMSDisabledException', 'ValidationException'),
  }),
  fc.record({ kind: fc.constantFrom('lose' as const, 'hang' as const, 'miscount' as const) }),
  fc.record({
    kind: fc.constant('refuse' as const),
    places: fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 4 }),
    code: fc.constantFrom('ProvisionedThroughputExceededException', 'InternalFailure'),
  }),
)

const scenario = fc.record({
  count: fc.integer({ min: 0, max: 60 }),
  bad: fc.array(fc.nat({ max: 59 }), { maxLength: 5 }),
  isAsync: fc.boolean(),
  paceMs: fc.constantFrom(0, 0, 7, 60),
  takeMs: fc.constantFrom(0, 0, 11, 150),
  stopAfter: fc.option(fc.integer({ min: 1, max: 60 })),
  faults: fc.array(fault, { maxLength: 12 }),
  maxBufferedRecords: fc.integer({ min: 1, max: 12 }),
  ordering: fc.constantFrom('none' as const, 'perShard' as const),
  aggregation: fc.constantFrom('shard' as const, 'off' as const),
  recordTtlMs: fc.constantFrom(150, 3_600_000),
  seed: fc.nat(),
})

test('every record that is read yields one true result in its place, whatever fails, and the bounds hold', {
  timeout: 120_000,
}, async () => {
  const check = async (given: typeof scenario extends fc.Arbitrary<infer S> ? S : never): Promise<void> => {
    const { count, bad, isAsync, paceMs, takeMs, stopAfter, maxBufferedRecords, ordering, aggregation, recordTtlMs } = given
    const clock = new ManualClock()
    const kinesis = new SimulatedKinesis(clock, { stream: 'flights', shards: 2 })
    kinesis.putFaults.push(...given.faults)
    const producer = new Producer({
      ...{ stream: 'flights', kinesis, clock, random: seededRandom(given.seed), lingerMs: 20, requestTimeoutMs: 300 },
      ...{ maxBufferedRecords, ordering, aggregation, recordTtlMs, retry: { baseMs: 20, maxMs: 200 } },
    })
    const pause = (ms: number): Promise<void> => new Promise((resolve) => clock.schedule(ms, resolve))
    const inputs = Array.from({ length: count }, (_, i) => ({
      partitionKey: bad.includes(i) ? '' : `key-${i % 7}`,
      data: Buffer.from(`${i}`),
    }))
    let [read, closedInput] = [0, false]
    function* inTurn(): Generator<PutInput> {
      try {
        for (const input of inputs) {
          read++
          yield input
        }
      } finally {
        closedInput = true
      }
    }
    async function* paced(): AsyncGenerator<PutInput> {
      for (const input of inTurn()) {
        if (paceMs > 0) await pause(paceMs)
        yield input
      }
    }
    const taken: PutAllResult[] = []
    let done = false
    const checkBounds = (): void => {
      const { bufferedRecords, waitingForRoom } = producer.stats()
      expect(bufferedRecords).toBeLessThanOrEqual(maxBufferedRecords)
      expect(waitingForRoom).toBeLessThanOrEqual(1)
      expect(read - taken.length).toBeLessThanOrEqual(maxBufferedRecords + 1)
    }
    const consuming = (async () => {
      for await (const result of producer.putAll(isAsync ? paced() : inTurn())) {
        checkBounds()
        taken.push(result)
        if (taken.length === stopAfter) break
        if (takeMs > 0) await pause(takeMs)
      }
    })().finally(() => {
      done = true
    })
    for (let i = 0; i < 20_000 && !done; i++) {
      await clock.advanceAsync(Math.max(1, (clock.nextTimerAt ?? clock.now()) - clock.now()))
      checkBounds()
    }
    expect(done, `hangs: ${JSON.stringify(producer.stats())}`).toBe(true)
    await consuming
    expect(taken.map(({ record }) => record)).toEqual(inputs.slice(0, Math.min(count, stopAfter ?? count)))
    const closing = producer.close()
    await clock.advanceAsync(3_700_000)
    await closing
    expect(clock.pendingTimers).toBe(0)
    expect(closedInput).toBe(true)
    expect(producer.stats()).toMatchObject({ bufferedRecords: 0, bufferedBytes: 0, waitingForRoom: 0 })
    const places = new Set(kinesis.readable().map((found) => `${found.id}|${found.sequenceNumber}|${found.subSequenceNumber}`))
    for (const [i, result] of taken.entries()) {
      if (bad.includes(i)) expect(result).toHaveProperty('reason.name', 'RecordRejectedError')
      if (result.status === 'fulfilled') {
        expect(places).toContain(`${i}|${result.value.sequenceNumber}|${result.value.subSequenceNumber}`)
      }
    }
  }
  await fc.assert(fc.asyncProperty(scenario, check), { numRuns: Number(process.env.SHARDWISE_PROPERTY_RUNS ?? 150) })
})
