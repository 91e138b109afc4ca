import { ManualClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { headersOf, recordIdOf } from '@shardwise/core/record-tags'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Producer } from './producer.js'
import { LaneHaltedError, StreamUnusableError } from './producer-error.js'
import type { ProducerOptions } from './producer-options.js'
import { named, type PutFault, SimulatedKinesis } from './testing/simulated-kinesis.js'
import type { PutResult } from './user-record.js'

type Step =
  | { readonly kind: 'put'; readonly count: number; readonly keySeed: number; readonly size: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'split' | 'merge'; readonly index: number }
  | { readonly kind: 'distribute'; readonly by: 'AUTO' | 'USER_PARTITION_KEY' }
  | { readonly kind: 'fault'; readonly fault: PutFault }
  | { readonly kind: 'blind'; readonly ms: number; readonly name: string }
  | { readonly kind: 'flush' }
  /** What follows is about this stream. */
  | { readonly kind: 'turn-to'; readonly stream: string }
  /** The stream is not there for a while. */
  | { readonly kind: 'missing'; readonly ms: number }

/** By the number of their shards. Without a step that turns to another all is about the first. */
const STREAMS = ['flights', 'gates', 'crews'] as const

const fault: fc.Arbitrary<PutFault> = fc.oneof(
  fc.record({
    kind: fc.constant('reject' as const),
    name: fc.constantFrom('ECONNRESET', 'InternalFailureException', 'ResourceNotFoundException', 'KMSDisabledException'),
  }),
  fc.record({ kind: fc.constantFrom('lose' as const, 'hang' as const) }),
  fc.record({
    kind: fc.constant('refuse' as const),
    places: fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 4 }),
    code: fc.constantFrom('ProvisionedThroughputExceededException', 'InternalFailure'),
  }),
)

const reshard: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('split' as const, 'merge' as const),
  index: fc.nat({ max: 20 }),
})
const distribute: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('distribute' as const),
  by: fc.constantFrom('AUTO' as const, 'USER_PARTITION_KEY' as const),
})

const ordinary: fc.WeightedArbitrary<Step>[] = [
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      count: fc.integer({ min: 1, max: 40 }),
      keySeed: fc.nat({ max: 1000 }),
      size: fc.constantFrom(10, 10, 60, 400),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 150 }) }) },
  { weight: 2, arbitrary: fault.map((given) => ({ kind: 'fault' as const, fault: given })) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('blind' as const),
      ms: fc.integer({ min: 1, max: 400 }),
      name: fc.constantFrom('LimitExceededException', 'AccessDeniedException', 'ResourceNotFoundException'),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'flush' as const }) },
]

const severally: fc.WeightedArbitrary<Step>[] = [
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('turn-to' as const), stream: fc.constantFrom<string[]>(...STREAMS) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('missing' as const), ms: fc.integer({ min: 1, max: 300 }) }) },
]

const HASH_KEYS = ['7', (2n ** 128n - 7n).toString()]

interface Put {
  readonly stream: string
  readonly id: string
  readonly partitionKey: string
  /** The partition key with the explicit hash key. */
  readonly key: string
  readonly headers: Readonly<Record<string, string>> | undefined
  settlements: number
  result: PutResult | undefined
  error: Error | undefined
}

/** Runs the steps, closes, and checks every promise that the producer makes. */
async function run(steps: readonly Step[], seed: number, options: Partial<ProducerOptions>): Promise<void> {
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: STREAMS[0], shards: 3 })
  kinesis.create(STREAMS[1], 2)
  kinesis.create(STREAMS[2], 1)
  const [maxBufferedRecords, maxBufferedBytes] = [60, 1_048_576]
  const producer = new Producer({
    ...{ stream: 'flights', kinesis, clock, random: seededRandom(seed), aggregateMaxBytes: 700, lingerMs: 20 },
    ...{ maxBufferedRecords, maxBufferedBytes, maxRequestsInFlight: 3, requestTimeoutMs: 300, retry: { baseMs: 20, maxMs: 200 } },
    ...{ recordTtlMs: 3_600_000, ...options },
  })
  const puts: Put[] = []
  const flushes: Promise<void>[] = []
  let stream: string = STREAMS[0]
  /** How the control calls of a stream fail, and until when; then those and its puts, it being missing. */
  const blind = new Map<string | undefined, { readonly until: number; readonly by: string }>()
  const missingUntil = new Map<string | undefined, number>()
  const isMissing = (name: string | undefined): boolean => clock.now() < (missingUntil.get(name) ?? 0)
  kinesis.controlFault = (_, { StreamName }) => {
    const { until, by } = blind.get(StreamName) ?? { until: 0, by: '' }
    return isMissing(StreamName) ? named('ResourceNotFoundException') : clock.now() < until ? named(by) : undefined
  }
  kinesis.putFault = ({ StreamName }) =>
    isMissing(StreamName) ? { kind: 'reject', name: 'ResourceNotFoundException' } : kinesis.putFaults.shift()
  const checkBound = (): void => {
    const { bufferedRecords, bufferedBytes } = producer.stats()
    expect(bufferedRecords).toBeLessThanOrEqual(maxBufferedRecords)
    expect(bufferedBytes).toBeLessThanOrEqual(maxBufferedBytes)
    const each = STREAMS.map((name) => producer.stats(name).bufferedRecords)
    expect(each.reduce((sum, records) => sum + records)).toBe(bufferedRecords)
  }
  for (const step of steps) {
    if (step.kind === 'put') {
      for (let i = 0; i < step.count; i++) {
        const id = `${puts.length}`.padEnd(step.size, '.')
        const headers = options.recordIds === true && puts.length % 3 > 0 ? { put: `${puts.length}`, name: 'é' } : undefined
        const partitionKey = `key-${(step.keySeed + i * 7) % 23}`
        // Of every fifth key the records lie in two places, in each of them in order.
        const explicitHashKey = (step.keySeed + i * 7) % 5 === 0 ? HASH_KEYS[i % 2] : undefined
        const key = `${partitionKey} ${explicitHashKey}`
        const put: Put = { stream, id, partitionKey, key, headers, settlements: 0, result: undefined, error: undefined }
        puts.push(put)
        producer.put({ stream, partitionKey, explicitHashKey, data: Buffer.from(id), headers }).then(
          (result) => {
            put.settlements++
            put.result = result
          },
          (error: Error) => {
            put.settlements++
            put.error = error
          },
        )
      }
    } else if (step.kind === 'advance') await clock.advanceAsync(step.ms)
    else if (step.kind === 'split') kinesis.split(step.index, stream)
    else if (step.kind === 'merge') kinesis.merge(step.index, stream)
    else if (step.kind === 'distribute') kinesis.distribute(step.by, stream)
    else if (step.kind === 'fault') kinesis.putFaults.push(step.fault)
    else if (step.kind === 'blind') blind.set(stream, { until: clock.now() + step.ms, by: step.name })
    else if (step.kind === 'turn-to') stream = step.stream
    else if (step.kind === 'missing') missingUntil.set(stream, clock.now() + step.ms)
    else {
      const before = puts.length
      flushes.push(
        producer.flush().then(() => {
          expect(puts.slice(0, before).every((put) => put.settlements === 1)).toBe(true)
        }),
      )
    }
    checkBound()
  }
  let closed = false
  const closing = producer.close().then(() => {
    closed = true
  })
  for (let i = 0; i < 20_000 && !closed; i++) {
    await clock.advanceAsync(Math.max(1, (clock.nextTimerAt ?? clock.now()) - clock.now()))
    checkBound()
  }
  expect(closed, `close did not resolve: ${JSON.stringify(producer.stats())}`).toBe(true)
  await Promise.all([closing, ...flushes])
  expect(clock.pendingTimers).toBe(0)
  expect(producer.stats()).toMatchObject({ bufferedRecords: 0, bufferedBytes: 0, requestsInFlight: 0, queuedKinesisRecords: 0 })

  expect(puts.filter((put) => put.settlements !== 1)).toEqual([])
  const mayBeAuto = steps.some((step) => step.kind === 'distribute')
  for (const name of STREAMS) {
    const own = puts.filter((put) => put.stream === name)
    checkStream(own, kinesis.readable(name), mayBeAuto, options)
  }
  // Members of one key lie wherever their aggregate does.
  if (options.aggregation === 'key' && !mayBeAuto) expect(producer.stats().wrongShard).toBe(0)
}

/** What was put to one stream, against what its readers see. */
function checkStream(
  puts: readonly Put[],
  readable: ReturnType<SimulatedKinesis['readable']>,
  mayBeAuto: boolean,
  options: Partial<ProducerOptions>,
): void {
  const places = new Set(
    readable.map((found) => `${found.id}|${found.shardId}|${found.sequenceNumber}|${found.subSequenceNumber}`),
  )
  for (const { id, result } of puts) {
    if (result === undefined) continue
    const { shardId, sequenceNumber, subSequenceNumber } = result
    expect(places, `acknowledged and unreadable: ${id}`).toContain(`${id}|${shardId}|${sequenceNumber}|${subSequenceNumber}`)
  }
  if (options.recordIds === true) checkTags(puts, readable, mayBeAuto)
  if (options.ordering === undefined) return
  // Where the service distributes, the records of a key lie in several shards, whose sequence numbers cannot be compared.
  if (!mayBeAuto) checkOrder(puts, readable)
  if (options.afterFailure === 'continue') expect(puts.filter((put) => put.error instanceof LaneHaltedError)).toEqual([])
  else checkHalts(puts, options.ordering === 'perKey')
}

/** Of acknowledged records of one key, the first occurrences stand in the order of putting. */
function checkOrder(puts: readonly Put[], readable: ReturnType<SimulatedKinesis['readable']>): void {
  const order = new Map(puts.map((put, i) => [put.id, i]))
  const seen = new Set<string>()
  const last = new Map<string, number>()
  for (const { id } of readable) {
    const { key, result } = puts[order.get(id)!]!
    if (seen.has(id) || result === undefined) continue
    seen.add(id)
    expect(order.get(id), `order of ${key}`).toBeGreaterThan(last.get(key) ?? -1)
    last.set(key, order.get(id)!)
  }
}

/** Every occurrence of a record has its headers, and the same id, which no other record has. The service's distribution costs the id. */
function checkTags(puts: readonly Put[], readable: ReturnType<SimulatedKinesis['readable']>, mayLose: boolean): void {
  const headers = new Map(puts.map((put) => [put.id, put.headers ?? {}]))
  const ids = new Map<string, string>()
  for (const { id, tags } of readable) {
    expect({ ...headersOf(tags) }, `headers of ${id}`).toEqual(headers.get(id))
    const recordId = recordIdOf(tags)
    if (recordId === undefined) {
      expect(mayLose, `${id} has no id`).toBe(true)
      continue
    }
    expect(ids.get(recordId) ?? id, `what has the id ${recordId}`).toBe(id)
    ids.set(recordId, id)
  }
  expect(new Set(ids.values()).size, 'one record, one id').toBe(ids.size)
}

/**
 * Nobody resumed, so after the first failed record of a key none of that key is acknowledged. By key, no record goes down for another key's
 * failure, unless the stream was lost.
 */
function checkHalts(puts: readonly Put[], byKey: boolean): void {
  const failed = new Set<string>()
  const wasLost = puts.some((put) => put.error instanceof StreamUnusableError)
  for (const { id, key, result, error } of puts) {
    if (result !== undefined) expect(failed, `${id} was acknowledged after a failure of ${key}`).not.toContain(key)
    else {
      if (byKey && !wasLost && error instanceof LaneHaltedError) expect(failed, `${id} was halted`).toContain(key)
      failed.add(key)
    }
  }
}

const resharding = fc.array(fc.oneof(...ordinary, { weight: 2, arbitrary: reshard }), { minLength: 1, maxLength: 40 })
const switching = fc.array(fc.oneof(...ordinary, { weight: 2, arbitrary: distribute }), { minLength: 1, maxLength: 40 })
const several = fc.array(fc.oneof(...ordinary, ...severally, { weight: 2, arbitrary: reshard }), { minLength: 1, maxLength: 60 })
const severalSwitching = fc.array(fc.oneof(...ordinary, ...severally, { weight: 2, arbitrary: distribute }), {
  minLength: 1,
  maxLength: 60,
})
/** For each of the modes below. Fresh sequences with every run of the tests; thousands when something in the pipeline changes. */
const runs = Number(process.env.SHARDWISE_PROPERTY_RUNS ?? 50)

describe('whatever happens, every put settles once, what is acknowledged is readable, and the buffer keeps its bound', () => {
  test.each<[string, Partial<ProducerOptions>, fc.Arbitrary<Step[]>?]>([
    ['aggregated', {}],
    ['plain', { aggregation: 'off' }],
    ['aggregated with headers', { recordIds: true }],
    ['plain with headers', { recordIds: true, aggregation: 'off' }],
    ['aggregated by key', { aggregation: 'key' }],
    ['aggregated by key with headers', { aggregation: 'key', recordIds: true }],
    ['aggregated in order', { ordering: 'perShard' }],
    ['aggregated by key in order', { ordering: 'perShard', aggregation: 'key' }],
    ['plain in order', { ordering: 'perShard', aggregation: 'off' }],
    ['in order with records that expire', { ordering: 'perShard', recordTtlMs: 250 }],
    ['in order of each key, aggregated', { ordering: 'perKey' }],
    ['in order of each key, aggregated by key', { ordering: 'perKey', aggregation: 'key' }],
    ['in order of each key, plain', { ordering: 'perKey', aggregation: 'off' }],
    ['in order of each key, aggregated, with records that expire', { ordering: 'perKey', recordTtlMs: 250 }],
    [
      'in order of each key, aggregated by key, with records that expire',
      { ordering: 'perKey', aggregation: 'key', recordTtlMs: 250 },
    ],
    ['in order of each key, plain, with records that expire', { ordering: 'perKey', aggregation: 'off', recordTtlMs: 250 }],
    ['in order past failures', { ordering: 'perShard', afterFailure: 'continue', recordTtlMs: 250 }],
    ['in order past failures, plain', { ordering: 'perShard', afterFailure: 'continue', recordTtlMs: 250, aggregation: 'off' }],
    ['in order of each key past failures', { ordering: 'perKey', afterFailure: 'continue', recordTtlMs: 250 }],
    [
      'in order of each key past failures, by key',
      { ordering: 'perKey', afterFailure: 'continue', recordTtlMs: 250, aggregation: 'key' },
    ],
    [
      'in order of each key past failures, plain',
      { ordering: 'perKey', afterFailure: 'continue', recordTtlMs: 250, aggregation: 'off' },
    ],
    ['aggregated with records that expire', { recordTtlMs: 250 }],
    ['aggregated on a stream that the service takes over at times', {}, switching],
    ['with headers on a stream that the service takes over at times', { recordIds: true }, switching],
    ['aggregated by key on a stream that the service takes over at times', { aggregation: 'key' }, switching],
    ['in order of each key on a stream that the service takes over at times', { ordering: 'perKey' }, switching],
    ['in order on a stream that the service takes over at times', { ordering: 'perShard' }, switching],
    ['three streams', {}, several],
    ['three streams in order', { ordering: 'perShard' }, several],
    ['three streams in order of each key', { ordering: 'perKey' }, several],
    ['three streams with records that expire', { recordTtlMs: 250 }, several],
    ['three streams that the service takes over at times', {}, severalSwitching],
  ])('%s', { timeout: 240_000 }, async (_, options, steps = resharding) => {
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), (given, seed) => run(given, seed, options)),
      { numRuns: runs },
    )
  })
})
