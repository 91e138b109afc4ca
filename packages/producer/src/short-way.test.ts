import { ManualClock } from '@shardwise/core/clock'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Producer } from './producer.js'
import type { ProducerOptions } from './producer-options.js'
import { type PutFault, SimulatedKinesis } from './testing/simulated-kinesis.js'
import type { PutInput, PutResult } from './user-record.js'

const KEYS = ['a', 'key-1', 'key-2', 'a-longer-key-than-others', 'é', '✈ and 😀', 'k'.repeat(70)]

type Step =
  | { readonly kind: 'records'; readonly count: number; readonly call: 'put' | 'offer' | 'bare offer'; readonly every: Rarity }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'flush' }
  | { readonly kind: 'split' }
  | { readonly kind: 'recreate' }
  | { readonly kind: 'fault'; readonly fault: PutFault }
/** What some of the records are. */
type Rarity = 'nothing' | 'explicit hash key' | 'header' | 'large' | 'wrong key' | 'no data'

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('records' as const),
      count: fc.integer({ min: 1, max: 120 }),
      call: fc.constantFrom('put', 'offer', 'bare offer'),
      every: fc.constantFrom<Rarity[]>('nothing', 'nothing', 'explicit hash key', 'header', 'large', 'wrong key', 'no data'),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0, 0.3, 4, 11, 120, 31_000) }) },
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

/** Everything that can be seen of a producer that is given this. */
async function seen(steps: readonly Step[], options: Partial<ProducerOptions>): Promise<string[]> {
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: 'flights', shards: 3 })
  const producer = new Producer({
    ...{ stream: 'flights', kinesis, clock, random: () => 0.5, maxBufferedRecords: 500, aggregateMaxBytes: 3000 },
    ...options,
  })
  const log: unknown[] = []
  producer.events.onAny((event) => log.push({ ...event, requestId: undefined }))
  const settled = (id: string, error: unknown, result: PutResult | undefined): void => {
    log.push([id, error instanceof Error ? `${error.name}: ${error.message}` : undefined, result])
  }
  let count = 0
  const take = (call: string, every: Rarity): void => {
    const id = `record ${count++}`
    const isOne = count % 5 === 0
    const input: PutInput = {
      partitionKey: isOne && every === 'wrong key' ? 'half \ud800' : KEYS[(count * 31) % KEYS.length]!,
      data: Buffer.from(isOne && every === 'no data' ? '' : isOne && every === 'large' ? id.padEnd(1900) : id),
      ...(isOne && every === 'explicit hash key' ? { explicitHashKey: `${2n ** BigInt(count % 128)}` } : {}),
      ...(isOne && every === 'header' ? { headers: { n: id } } : {}),
    }
    if (call === 'put') {
      producer.put(input).then(
        (result) => settled(id, undefined, result),
        (error) => settled(id, error, undefined),
      )
      return
    }
    try {
      const isIn = producer.offer(input, call === 'offer' ? (error, result) => settled(id, error, result) : undefined)
      if (!isIn) log.push([id, 'full'])
    } catch (error) {
      settled(id, error, undefined)
    }
  }
  const started = producer.start()
  await clock.advanceAsync(100)
  await started
  for (const now of steps) {
    if (now.kind === 'records') for (let i = 0; i < now.count; i++) take(now.call, now.every)
    else if (now.kind === 'wait') await clock.advanceAsync(now.ms)
    else if (now.kind === 'flush') void producer.flush()
    else if (now.kind === 'split') kinesis.split(0)
    else if (now.kind === 'recreate') kinesis.recreate(2)
    else kinesis.putFaults.push(now.fault)
    log.push(producer.stats())
  }
  const closed = producer.close()
  await clock.advanceAsync(100_000)
  await closed
  expect(clock.pendingTimers).toBe(0)
  const bytes = kinesis.requests.map(({ Records }) =>
    Records.map((entry) => ({ ...entry, Data: Buffer.from(entry.Data).toString('hex') })),
  )
  return [...log, ...bytes, producer.stats()].map((what) =>
    JSON.stringify(what, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
  )
}

test('a record that goes the short way and one that goes the long way cannot be told apart by anything that happens', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      // Its mere presence has every record go the long way.
      const telemetry = { inject: (): void => {} }
      const [short, long] = [await seen(steps, {}), await seen(steps, { telemetry })]
      expect(short.find((line, i) => line !== long[i])).toBeUndefined()
      expect(short.length).toBe(long.length)
    }),
    { numRuns: 60 },
  )
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
