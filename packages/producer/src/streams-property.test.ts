import { ManualClock } from '@shardwise/core/clock'
import { EventSource } from '@shardwise/core/events'
import { seededRandom } from '@shardwise/core/random'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Ledger } from './ledger.js'
import type { ProducerEvent } from './producer-events.js'
import { checkOptions, type ProducerOptions } from './producer-options.js'
import { Streams } from './streams.js'
import { named, type PutFault, SimulatedKinesis } from './testing/simulated-kinesis.js'
import { toUserRecord } from './user-record.js'

const NAMES = ['a', 'b', 'c', 'd', 'e']
const KEPT = 2
const FAULTS: readonly (PutFault | undefined)[] = [
  ...[undefined, undefined, undefined, { kind: 'lose' }, { kind: 'hang' }, { kind: 'miscount' }],
  { kind: 'reject', name: 'KMSDisabledException' },
  { kind: 'reject', name: 'ResourceNotFoundException' },
  { kind: 'refuse', places: [0, 1], code: 'ProvisionedThroughputExceededException' },
] as const

/**
 * Few streams are kept and the buffer is small, so that all of them make room for one another. Listeners and outcomes call back in the middle of
 * everything, and what they put has listeners and outcomes, too.
 */
async function run(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const chance = (probability: number): boolean => random() < probability
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: NAMES[0]!, shards: 2 })
  for (const name of NAMES.slice(1)) kinesis.create(name, 1)
  const maxBufferedRecords = 1 + Math.floor(random() * 8)
  const options: ProducerOptions = {
    ...{ clock, random, maxBufferedRecords, aggregateMaxBytes: 200, requestTimeoutMs: 100, retry: { baseMs: 5, maxMs: 50 } },
    ordering: pick(['none', 'perShard', 'perKey']),
    aggregation: pick(['shard', 'key', 'off']),
    lingerMs: pick([0, 20, 100]),
    recordTtlMs: pick([200, 3000]),
    maxRequestsInFlight: pick([1, 2, 3]),
  }
  const settings = checkOptions(options)
  const events = new EventSource<ProducerEvent>()
  const ledger = new Ledger({ maxBytes: settings.maxBufferedBytes, maxRecords: maxBufferedRecords }, events)
  const streams = new Streams(settings, kinesis, events, ledger, undefined, KEPT)
  const settlements: number[] = []
  const waits: Promise<unknown>[] = []
  let isOver = false
  let depth = 0

  const putOne = (stream: string): void => {
    const data = Buffer.alloc(pick([1, 50, 150]))
    const record = toUserRecord({ partitionKey: `k${Math.floor(random() * 3)}`, data })
    const id = settlements.push(0) - 1
    const settled = (): void => {
      settlements[id]!++
      if (chance(0.3)) act()
    }
    record.notify(settled, undefined)
    try {
      const pipeline = streams.of(stream)
      if (chance(0.6)) pipeline.put(record)
      // Turned away: nothing is told of it, as of one that is refused.
      else if (!pipeline.offer(record)) settled()
    } catch {
      settled()
    }
  }
  const failedToLoad = (error: Error): void => {
    if (!isOver) expect(error.name).toBe('StreamUnusableError')
  }
  const act = (): void => {
    if (isOver || depth > 3 || settlements.length > 150) return
    depth++
    const [stream, what] = [pick(NAMES), random()]
    if (what < 0.7) putOne(stream)
    else if (what < 0.8) waits.push(streams.flush())
    else if (what < 0.85) waits.push(ledger.ready().catch(() => {}))
    else if (what < 0.95) waits.push(streams.of(stream).load().catch(failedToLoad))
    else streams.resume(pick([stream, undefined]))
    depth--
    expect(ledger.records).toBeLessThanOrEqual(maxBufferedRecords)
  }
  events.onAny(() => {
    if (chance(0.15)) act()
  })
  kinesis.putFault = () => (isOver ? undefined : pick(FAULTS))
  const denials = ['LimitExceededException', 'AccessDeniedException', 'ResourceNotFoundException']
  kinesis.controlFault = () => (!isOver && chance(0.3) ? named(pick(denials)) : undefined)

  for (let i = 0; i < 60; i++) {
    act()
    if (chance(0.5)) await clock.advanceAsync(Math.floor(random() * 120))
    if (chance(0.05)) kinesis.split(0, pick(NAMES))
  }
  isOver = true
  let isFlushed = false
  waits.push(
    streams.flush().then(() => {
      isFlushed = true
    }),
  )
  for (let i = 0; i < 5000 && !isFlushed; i++) await clock.advanceAsync(Math.max(1, (clock.nextTimerAt ?? 0) - clock.now()))
  expect(isFlushed, `the flush did not end: ${JSON.stringify(streams.stats(undefined))}`).toBe(true)
  expect(settlements.filter((times) => times !== 1)).toEqual([])
  expect([ledger.isEmpty, ledger.records, ledger.bytes, ledger.waiting]).toEqual([true, 0, 0, 0])
  streams.stop()
  await clock.advanceAsync(0)
  // Also for streams that nobody had put to.
  await Promise.all(waits)
  expect(clock.pendingTimers).toBe(0)
  const { accepted, delivered, failed } = streams.stats(undefined)
  expect(delivered + failed).toBe(accepted)
}

test('whatever listeners and outcomes do in the middle, each record settles once, and every wait ends', {
  timeout: 120_000,
}, async () => {
  await fc.assert(fc.asyncProperty(fc.nat(), run), { numRuns: Number(process.env.SHARDWISE_PROPERTY_RUNS ?? 150) })
})
