import { InvalidOptionError } from '@shardwise/core/options'
import { describe, expect, test, vi } from 'vitest'
import type { Producer } from './producer.js'
import { DeliveryFailedError, ProducerClosedError, RecordRejectedError } from './producer-error.js'
import { bench, startedBench } from './testing/producer-bench.js'
import type { PutInput, PutResult } from './user-record.js'
import type { WaitOptions } from './wait.js'

describe.each<[string, (producer: Producer, options: WaitOptions) => Promise<void>]>([
  ['flush', (producer, options) => producer.flush(options)],
  ['close', (producer, options) => producer.close(options)],
])('%s with a signal', (name, wait) => {
  const reason = new Error('the deadline')

  test.each<[string, boolean]>([
    ['that aborts while it waits', false],
    ['that has aborted', true],
  ])('%s rejects with the reason, and the delivery goes on at once', async (_, before) => {
    const { clock, producer, put, kinesis } = bench({ lingerMs: 60_000, recordTtlMs: 100_000 })
    const sent = put('a')
    const abort = new AbortController()
    if (before) abort.abort(reason)
    const waited = expect(wait(producer, { signal: abort.signal })).rejects.toBe(reason)
    await clock.advanceAsync(10)
    abort.abort(reason)
    await waited
    expect(kinesis.readable()).toEqual([])
    await clock.advanceAsync(50)
    expect(await sent).toMatchObject({ attempts: 1 })
    if (name === 'flush')
      expect(await Promise.all([put('b'), clock.advanceAsync(60_100)])).toMatchObject([{ attempts: 1 }, undefined])
    else {
      expect(await put('b')).toBeInstanceOf(ProducerClosedError)
      await producer.close()
      expect(clock.pendingTimers).toBe(0)
    }
  })

  test('that does not abort resolves, and nothing listens any more', async () => {
    const { clock, producer, put } = bench()
    void put('a')
    const { signal } = new AbortController()
    const removed = vi.spyOn(signal, 'removeEventListener')
    const added = vi.spyOn(signal, 'addEventListener')
    const waited = wait(producer, { signal })
    await clock.advanceAsync(500)
    await waited
    expect([added.mock.calls.length, removed.mock.calls[0]?.[1]]).toEqual([1, added.mock.calls[0]?.[1]])
  })

  test('that is none, or stands in place of the options, does nothing', async () => {
    const { producer, put, clock } = bench()
    await expect(wait(producer, { signal: 5 as never })).rejects.toThrow(InvalidOptionError)
    for (const given of [new AbortController().signal, null, 100]) {
      await expect(wait(producer, given as never)).rejects.toThrow(/`options` must be an object such as \{ signal \}/)
      for (const open of [() => producer.putAll([], given as never), () => producer.writable(given as never)]) {
        expect(open).toThrow(InvalidOptionError)
      }
    }
    const sent = put('a')
    await clock.advanceAsync(500)
    expect(await sent).toMatchObject({ attempts: 1 })
  })
})

describe('the outcome of an offered record', () => {
  type Told = [error: Error | undefined, result: PutResult | undefined, record: PutInput]

  function recordOf(id: string): PutInput {
    return { partitionKey: id, data: Buffer.from(id) }
  }

  test('comes once, with the result or the error and the very record', async () => {
    const { clock, kinesis, producer, types } = bench({ aggregation: 'off' })
    kinesis.putFaults.push({ kind: 'refuse', places: [1], code: 'KMSDisabledException' })
    const told: Told[] = []
    const outcome = (...args: Told): void => void told.push(args)
    const records = ['a', 'b', 'c'].map(recordOf)
    for (const record of records) expect(producer.offer(record, outcome)).toBe(true)
    expect(told).toEqual([])
    await clock.advanceAsync(2000)
    expect(told.map(([error, result, record]) => [error?.name, result?.attempts, records.indexOf(record)])).toEqual([
      [undefined, 1, 0],
      ['DeliveryFailedError', undefined, 1],
      [undefined, 1, 2],
    ])
    expect(told[1]![0]).toBeInstanceOf(DeliveryFailedError)
    expect(types().filter((type) => type === 'record-failed')).toHaveLength(1)
    expect(told[0]![1]).toEqual({
      shardId: 'shardId-000000000000',
      sequenceNumber: expect.any(String),
      subSequenceNumber: 0,
      attempts: 1,
    })
  })

  test('does not come when the record was not taken', async () => {
    const { clock, producer } = bench({ maxBufferedRecords: 1 })
    const outcome = vi.fn()
    expect(producer.offer(recordOf('a'))).toBe(true)
    expect(producer.offer(recordOf('b'), outcome)).toBe(false)
    expect(() => producer.offer(recordOf(''), outcome)).toThrow(RecordRejectedError)
    expect(() => producer.offer(recordOf('c'), 5 as never)).toThrow(InvalidOptionError)
    await clock.advanceAsync(1000)
    expect(outcome).not.toHaveBeenCalled()
  })

  test('may throw: the others settle, and the error comes out as an uncaught one', async () => {
    const { clock, producer, put } = bench()
    const uncaught: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => uncaught.push(error))
    try {
      const before = put('a')
      producer.offer(recordOf('b'), (_error, _result, { partitionKey }) => {
        throw new Error(partitionKey)
      })
      const after = put('c')
      await clock.advanceAsync(500)
      expect(await Promise.all([before, after])).toMatchObject([{ attempts: 1 }, { attempts: 1 }])
      expect(uncaught).toMatchObject([{ message: 'b' }])
      expect(producer.stats()).toMatchObject({ delivered: 3, bufferedRecords: 0 })
    } finally {
      process.removeAllListeners('uncaughtException')
      for (const listener of listeners) process.on('uncaughtException', listener)
    }
  })

  test('may offer the next record', async () => {
    const { clock, kinesis, producer } = bench({ maxBufferedRecords: 2, ordering: 'perShard' })
    let [next, refused] = [0, 0]
    const outcome = (): void => {
      while (next < 20) {
        if (!producer.offer(recordOf(`${next}`), outcome)) {
          refused++
          return
        }
        next++
      }
    }
    outcome()
    await clock.advanceAsync(20_000)
    expect(kinesis.readable().map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
    expect([refused > 0, producer.stats().delivered]).toEqual([true, 20])
  })
})

test('what a listener puts while the producer closes is refused, and does not hang', async () => {
  const { clock, producer, put } = await startedBench({ lingerMs: 1000 })
  const late: Promise<unknown>[] = []
  producer.events.on('request-sent', () => void late.push(put('late')))
  const early = put('early')
  const closed = producer.close()
  await clock.advanceAsync(1000)
  await closed
  expect(await early).toMatchObject({ attempts: 1 })
  expect(await Promise.all(late)).toEqual([expect.any(ProducerClosedError)])
})

test.each([
  ['off', 'throttled'],
  ['shard', 'throttled'],
  ['off', 'unanswered'],
  ['shard', 'unanswered'],
] as const)(
  'with aggregation %s, what is tried again because it was %s lingers no more: a flush waits for the retry alone',
  async (aggregation, why) => {
    const { clock, kinesis, put, producer } = await startedBench({ lingerMs: 60_000, recordTtlMs: 120_000, aggregation })
    const code = 'ProvisionedThroughputExceededException'
    kinesis.putFaults.push(why === 'throttled' ? { kind: 'refuse', places: [0], code } : { kind: 'hang' })
    const [sent, flushed] = [put('a'), producer.flush()]
    await clock.advanceAsync(why === 'throttled' ? 1000 : 11_000)
    expect(producer.stats()).toMatchObject({ delivered: 1, retries: 1 })
    await flushed
    expect(await sent).toMatchObject({ attempts: 2 })
  },
)
