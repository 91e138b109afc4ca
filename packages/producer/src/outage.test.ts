import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import type { ProducerOptions } from './producer-options.js'
import { startedBench } from './testing/producer-bench.js'
import { named } from './testing/simulated-kinesis.js'

const MINUTE = 60_000
const [MAX_RECORDS, MAX_BYTES] = [500, 1_048_576]

/** What Kinesis does while it is down: to every request, or to some. */
const OUTAGES = {
  refuses: { kind: 'reject', name: 'ECONNRESET' },
  fails: { kind: 'reject', name: 'InternalFailureException' },
  throttles: { kind: 'reject', name: 'ProvisionedThroughputExceededException' },
  hangs: { kind: 'hang' },
} as const

describe('ten minutes without Kinesis, while records are offered all the time', () => {
  test.each<[keyof typeof OUTAGES, Partial<ProducerOptions>]>([
    ['refuses', {}],
    ['fails', { aggregation: 'off' }],
    ['throttles', { ordering: 'perShard', afterFailure: 'continue' }],
    ['hangs', {}],
    ['refuses', { recordTtlMs: 3_600_000 }],
  ])('it %s (%j): everything stays bounded, and what is alive afterwards is delivered', async (outage, options) => {
    const made = await startedBench({ maxBufferedRecords: MAX_RECORDS, maxBufferedBytes: MAX_BYTES, lingerMs: 20, ...options }, 4)
    const { clock, kinesis, producer } = made
    made.events.length = 0
    let isDown = true
    kinesis.putFault = () => {
      // What has been sent is not what this test keeps.
      kinesis.requests.length = 0
      return isDown ? OUTAGES[outage] : undefined
    }
    kinesis.controlFault = () => (isDown ? named('ECONNRESET') : undefined)

    const fates = { delivered: 0, expired: 0, other: 0 }
    let accepted = 0
    const outcome = (error: Error | undefined): void => {
      if (error === undefined) fates.delivered++
      else if ('reason' in error && error.reason === 'expired') fates.expired++
      else fates.other++
    }
    const offer = (i: number): void => {
      const data = Buffer.from(`${i}`.padEnd(100 + ((i * 37) % 5000), '.'))
      while (producer.offer({ partitionKey: `key ${i % 97}`, data }, outcome)) accepted++
    }
    let mostTimers = 0
    // What fills the buffer comes and expires together, every 30 s: the end must not be just then.
    for (let i = 0; i < 620; i++) {
      offer(i)
      await clock.advanceAsync(500)
      made.events.length = 0
      const stats = producer.stats()
      expect(stats.bufferedRecords).toBeLessThanOrEqual(MAX_RECORDS)
      expect(stats.bufferedBytes).toBeLessThanOrEqual(MAX_BYTES)
      expect(stats.requestsInFlight).toBeLessThanOrEqual(24)
      expect(stats.queuedKinesisRecords + stats.openAggregates).toBeLessThanOrEqual(MAX_RECORDS)
      mostTimers = Math.max(mostTimers, clock.pendingTimers)
    }
    // Its own, and one or two of each request in the simulated service.
    expect(mostTimers).toBeLessThanOrEqual(60)
    // Long before the end the buffer was full of what cannot be sent, and records made room by expiring, if they may.
    const alive = producer.stats().bufferedRecords
    expect(alive).toBeGreaterThan(MAX_RECORDS / 4)
    expect([fates.delivered, fates.other]).toEqual([0, 0])
    expect(fates.expired + alive).toBe(accepted)

    isDown = false
    const closing = producer.close()
    await clock.advanceAsync(60 * MINUTE)
    await closing
    expect(fates.delivered + fates.expired).toBe(accepted)
    // Those that had some life left.
    expect(fates.delivered).toBeGreaterThan(alive / 2)
    expect(producer.stats()).toMatchObject({
      bufferedRecords: 0,
      bufferedBytes: 0,
      requestsInFlight: 0,
      queuedKinesisRecords: 0,
    })
  })
})

test('five thousand attempts of the same records leave nothing behind', async () => {
  const { clock, kinesis, producer, put, events } = await startedBench({
    ...{ recordTtlMs: 36_000_000, retry: { baseMs: 1, maxMs: 1 }, lingerMs: 0, aggregation: 'off', maxRequestsInFlight: 1 },
    ...{ shardRatePercent: 1000, requestMaxRecords: 1 },
  })
  let attempts = 0
  let isDown = true
  kinesis.latencyMs = 1
  kinesis.putFault = ({ Records }) => {
    attempts += Records.length
    // Neither what was sent nor what was told is what this test keeps.
    kinesis.requests.length = 0
    events.length = 0
    return isDown ? { kind: 'reject', name: 'ECONNRESET' } : undefined
  }
  const stuck = Array.from({ length: 50 }, (_, i) => put(`stuck ${i}`))
  const heapAt = async (count: number): Promise<number> => {
    while (attempts < count) await clock.advanceAsync(10)
    return heapInUse()
  }
  await heapAt(1000)
  const before = await heapAt(2000)
  const after = await heapAt(7000)
  // Each attempt is a request of its own. Two hundred bytes left of each would be a megabyte.
  expect(after - before).toBeLessThan(500_000)
  const { bufferedRecords, queuedKinesisRecords, requestsInFlight } = producer.stats()
  expect([bufferedRecords, requestsInFlight <= 1, queuedKinesisRecords <= 50]).toEqual([50, true, true])
  expect(clock.pendingTimers).toBeLessThanOrEqual(4)
  isDown = false
  await clock.advanceAsync(5000)
  expect((await Promise.all(stuck)).filter((result) => result instanceof Error)).toEqual([])
})

/** After a collection of garbage, which needs no flag of the process. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed
}
