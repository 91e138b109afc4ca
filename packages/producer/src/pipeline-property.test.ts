import { ManualClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { headersOf, recordIdOf } from '@shardwise/core/record-tags'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Producer } from './producer.js'
import { DeliveryFailedError, LaneHaltedError, StreamUnusableError } from './producer-error.js'
import type { ProducerOptions } from './producer-options.js'
import { ShardLanes } from './shard-lanes.js'
import { named, type PutFault, SimulatedKinesis } from './testing/simulated-kinesis.js'
import type { UndeliveredRecord } from './undelivered.js'
import type { PutInput, PutOutcome, PutResult } from './user-record.js'

type Step =
  | { readonly kind: 'put'; readonly count: number; readonly keySeed: number; readonly size: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'split' | 'merge'; readonly index: number }
  | { readonly kind: 'distribute'; readonly by: 'AUTO' | 'USER_PARTITION_KEY' }
  | { readonly kind: 'fault'; readonly fault: PutFault }
  | { readonly kind: 'blind'; readonly ms: number; readonly name: string }
  | { readonly kind: 'flush' }
  | { readonly kind: 'resume' }
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

/** What differs beside the producer's options. */
interface Circumstances {
  readonly steps?: fc.Arbitrary<Step[]>
  /** Kinesis holds its quotas, and all records are this many times as large. */
  readonly bulk?: number
  /** Kinesis calls every such record invalid, and with it each request that it is in. */
  readonly poison?: number
  /** The caller resumes as soon as anything halts. */
  readonly resumesAtOnce?: boolean
  /** There is a hook for undelivered records, which takes its time and puts some again. */
  readonly hook?: boolean
}

/** In the payload of a poisonous record. */
const POISON = 'poison'
const HASH_KEYS = ['7', (2n ** 128n - 7n).toString()]

interface Put {
  readonly stream: string
  readonly id: string
  readonly partitionKey: string
  /** The partition key with the explicit hash key. */
  readonly key: string
  readonly headers: Readonly<Record<string, string>> | undefined
  /** How often the caller had resumed when it was put, and when it failed. */
  readonly era: number
  readonly isOfHook: boolean
  failedInEra: number
  settlements: number
  result: PutResult | undefined
  error: Error | undefined
}

interface Offered extends PutInput {
  readonly settle: (error: Error | undefined, result: PutResult | undefined) => void
}
const told: PutOutcome<Offered> = (error, result, { settle }) => settle(error, result)
const toldToo: PutOutcome<Offered> = (...outcome) => told(...outcome)

/** Runs the steps, closes, and checks every promise that the producer makes. */
async function run(
  steps: readonly Step[],
  seed: number,
  options: Partial<ProducerOptions>,
  { bulk, poison, resumesAtOnce, hook }: Circumstances,
): Promise<void> {
  const lanesBefore = lanes.size
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: STREAMS[0], shards: 3, quotas: bulk !== undefined })
  kinesis.create(STREAMS[1], 2)
  kinesis.create(STREAMS[2], 1)
  const [maxBufferedRecords, maxBufferedBytes] = [60, 1_048_576]
  const producer = new Producer({
    ...{ stream: 'flights', kinesis, clock, random: seededRandom(seed), aggregateMaxBytes: 700, lingerMs: 20 },
    ...{ maxBufferedRecords, maxBufferedBytes, maxRequestsInFlight: 3, requestTimeoutMs: 300, retry: { baseMs: 20, maxMs: 200 } },
    ...{ recordTtlMs: 3_600_000, ...options, onUndelivered: hook ? (records) => take(records) : undefined },
  })
  const puts: Put[] = []
  let era = 0
  const byId = new Map<string, Put>()
  producer.events.on('record-failed', ({ data, error }) => {
    const id = Buffer.from(data).toString()
    // What was put before the caller resumed, and waited for room, may go down after that for the gap of before: it makes no new one.
    if (!(error instanceof LaneHaltedError)) byId.get(id)!.failedInEra = era
    if (!ofHook.has(id)) failed.push(id)
  })
  if (resumesAtOnce) {
    producer.events.on('lane-halted', () => {
      era++
      producer.resume()
    })
  }
  /** Accepted and failed; those that the hook had; those that it put itself. */
  const failed: string[] = []
  const handed: string[] = []
  const ofHook = new Set<string>()
  const take = async (records: readonly UndeliveredRecord[]): Promise<void> => {
    const ids = records.map(({ data }) => Buffer.from(data).toString())
    expect(ids.filter((id) => byId.get(id)!.settlements > 0)).toEqual([])
    await new Promise<void>((resolve) => clock.schedule(15, resolve))
    for (const [i, id] of ids.entries()) {
      handed.push(id)
      if (i % 3 === 0) await put({ partitionKey: records[i]!.partitionKey, stream: records[i]!.stream, size: 10, ofHook: true })
    }
  }
  const put = ({
    stream,
    partitionKey,
    explicitHashKey,
    size,
    ofHook: isOfHook = false,
  }: {
    readonly stream: string
    readonly partitionKey: string
    readonly explicitHashKey?: string | undefined
    readonly size: number
    readonly ofHook?: boolean
  }): Promise<void> => {
    const n = puts.length
    const id = `${n}${poison !== undefined && n % poison === 3 ? POISON : ''}`.padEnd(size * (bulk ?? 1), '.')
    const headers = options.recordIds === true && n % 3 > 0 ? { put: `${n}`, name: 'é' } : undefined
    const made: Put = {
      ...{ stream, id, partitionKey, key: `${partitionKey} ${explicitHashKey}`, headers, era, isOfHook, failedInEra: era },
      ...{ settlements: 0, result: undefined, error: undefined },
    }
    puts.push(made)
    byId.set(id, made)
    if (isOfHook) ofHook.add(id)
    const settle = (error: Error | undefined, result: PutResult | undefined): void => {
      made.settlements++
      made.error = error
      made.result = result
    }
    const input = { stream, partitionKey, explicitHashKey, data: Buffer.from(id), headers, settle }
    // Members of an aggregate that differ in how they settle; what finds no room waits as a put.
    if (!isOfHook && n % 7 < 3) {
      try {
        if (producer.offer(input, n % 7 < 2 ? told : toldToo)) return Promise.resolve()
      } catch (error) {
        settle(error as Error, undefined)
        return Promise.resolve()
      }
    }
    return producer.put(input).then(
      (result) => settle(undefined, result),
      (error: Error) => settle(error, undefined),
    )
  }
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
  kinesis.putFault = ({ StreamName, Records }) => {
    if (isMissing(StreamName)) return { kind: 'reject', name: 'ResourceNotFoundException' }
    if (Records.some(({ Data }) => Buffer.from(Data).includes(POISON)))
      return { kind: 'reject', name: 'InvalidArgumentException' }
    return kinesis.putFaults.shift()
  }
  const checkBound = (): void => {
    const { bufferedRecords, bufferedBytes } = producer.stats()
    if (!hook) expect(bufferedRecords).toBeLessThanOrEqual(maxBufferedRecords)
    if (!hook) expect(bufferedBytes).toBeLessThanOrEqual(maxBufferedBytes)
    const each = STREAMS.map((name) => producer.stats(name).bufferedRecords)
    expect(each.reduce((sum, records) => sum + records)).toBe(bufferedRecords)
  }
  for (const step of steps) {
    if (step.kind === 'put') {
      for (let i = 0; i < step.count; i++) {
        const partitionKey = `key-${(step.keySeed + i * 7) % 23}`
        // Of every fifth key the records lie in two places, in each of them in order.
        const explicitHashKey = (step.keySeed + i * 7) % 5 === 0 ? HASH_KEYS[i % 2] : undefined
        void put({ stream, partitionKey, explicitHashKey, size: step.size })
      }
    } else if (step.kind === 'resume') {
      era++
      producer.resume()
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

  expect([...lanes].slice(lanesBefore).filter((made) => !made.isEmpty)).toEqual([])
  lanes.clear()
  if (hook) expect(handed).toEqual(failed)
  expect(puts.filter((put) => put.settlements !== 1)).toEqual([])
  for (const { id, error } of puts) {
    const isPoisonous = id.includes(POISON)
    if (isPoisonous) expect(error, `${id} was delivered`).toBeDefined()
    else if (error instanceof DeliveryFailedError && error.reason === 'refused')
      expect(error.serviceCode, id).not.toBe('InvalidArgumentException')
  }
  const mayBeAuto = steps.some((step) => step.kind === 'distribute')
  const merges = steps.some((step) => step.kind === 'merge')
  for (const name of STREAMS) {
    const own = puts.filter((put) => put.stream === name)
    checkStream(own, kinesis.readable(name), { mayBeAuto, merges }, options)
  }
  // Members of one key lie wherever their aggregate does.
  if (options.aggregation === 'key' && !mayBeAuto) expect(producer.stats().wrongShard).toBe(0)
}

/** What was put to one stream, against what its readers see. */
function checkStream(
  puts: readonly Put[],
  readable: ReturnType<SimulatedKinesis['readable']>,
  { mayBeAuto, merges }: { readonly mayBeAuto: boolean; readonly merges: boolean },
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
  if (!mayBeAuto) checkOrder(puts, readable, (put) => put.key)
  // See the option `ordering`.
  const byShard = options.ordering === 'perShard' && options.aggregation !== 'key' && !mayBeAuto && !merges
  if (byShard) checkOrder(puts, readable, (_, shardId) => shardId)
  if (options.afterFailure === 'continue') expect(puts.filter((put) => put.error instanceof LaneHaltedError)).toEqual([])
  else checkHalts(puts, options.ordering === 'perKey')
}

/** Of acknowledged records of one line, a key or a shard, the first occurrences stand in the order of putting. */
function checkOrder(
  puts: readonly Put[],
  readable: ReturnType<SimulatedKinesis['readable']>,
  lineOf: (put: Put, shardId: string) => string,
): void {
  const order = new Map(puts.map((put, i) => [put.id, i]))
  const seen = new Set<string>()
  const last = new Map<string, number>()
  for (const { id, shardId } of readable) {
    const put = puts[order.get(id)!]!
    // What the hook puts goes before what waits for room.
    if (seen.has(id) || put.result === undefined || put.isOfHook) continue
    seen.add(id)
    const line = lineOf(put, shardId)
    expect(order.get(id), `order of ${line}`).toBeGreaterThan(last.get(line) ?? -1)
    last.set(line, order.get(id)!)
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
 * After a failed record of a key none of that key is acknowledged that was put before the caller resumed. By key, no record goes down for another key's
 * failure, unless the stream was lost.
 */
function checkHalts(puts: readonly Put[], byKey: boolean): void {
  const failed = new Map<string, number>()
  const wasLost = puts.some((put) => put.error instanceof StreamUnusableError)
  const broken = new Set(puts.flatMap(({ key, error }) => (error && !(error instanceof LaneHaltedError) ? [key] : [])))
  for (const { id, key, result, error, era, failedInEra, isOfHook } of puts) {
    const last = failed.get(key) ?? -1
    // What the hook puts goes before what waits for room, and so before the failure of that.
    if (result !== undefined && isOfHook) continue
    if (result !== undefined) expect(era, `${id} was acknowledged after a failure of ${key}`).toBeGreaterThan(last)
    else {
      if (byKey && !wasLost && error instanceof LaneHaltedError) expect(broken, `${id} was halted`).toContain(key)
      failed.set(key, Math.max(last, failedInEra))
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
const resume: fc.Arbitrary<Step> = fc.constant({ kind: 'resume' })
const resuming = fc.array(fc.oneof(...ordinary, { weight: 1, arbitrary: reshard }, { weight: 1, arbitrary: resume }), {
  minLength: 1,
  maxLength: 40,
})
/** Throttles are answers of the model. */
const BEYOND = { shardRatePercent: 1000, aggregateMaxBytes: 20_000, recordTtlMs: 5000 } as const
const FEW = { failIfThrottled: true, retry: { baseMs: 20, maxMs: 200, maxAttempts: 2 } } as const
/** For each of the modes below. Fresh sequences with every run of the tests; thousands when something in the pipeline changes. */
const runs = Number(process.env.SHARDWISE_PROPERTY_RUNS ?? 50)

/** All that anything went through since they were last looked at. */
const lanes = new Set<ShardLanes>()
const { enqueue } = ShardLanes.prototype
beforeAll(() => {
  ShardLanes.prototype.enqueue = function (entry) {
    lanes.add(this)
    return enqueue.call(this, entry)
  }
})
afterAll(() => {
  ShardLanes.prototype.enqueue = enqueue
})

describe('whatever happens, every put settles once, what is acknowledged is readable, and the buffer keeps its bound', () => {
  test.each<[string, Partial<ProducerOptions>, Circumstances?]>([
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
    ['aggregated on a stream that the service takes over at times', {}, { steps: switching }],
    ['with headers on a stream that the service takes over at times', { recordIds: true }, { steps: switching }],
    ['aggregated by key on a stream that the service takes over at times', { aggregation: 'key' }, { steps: switching }],
    ['in order of each key on a stream that the service takes over at times', { ordering: 'perKey' }, { steps: switching }],
    ['in order on a stream that the service takes over at times', { ordering: 'perShard' }, { steps: switching }],
    ['three streams', {}, { steps: several }],
    ['three streams in order', { ordering: 'perShard' }, { steps: several }],
    ['three streams in order of each key', { ordering: 'perKey' }, { steps: several }],
    ['three streams with records that expire', { recordTtlMs: 250 }, { steps: several }],
    ['three streams that the service takes over at times', {}, { steps: severalSwitching }],
    ['in order for callers who resume', { ordering: 'perShard', recordTtlMs: 250 }, { steps: resuming }],
    ['in order of each key for callers who resume', { ordering: 'perKey', recordTtlMs: 250 }, { steps: resuming }],
    ['in order for those who resume at once', { ordering: 'perShard', recordTtlMs: 250 }, { resumesAtOnce: true }],
    [
      'in order of each key for those who resume at once',
      { ordering: 'perKey', recordTtlMs: 250, aggregation: 'off' },
      { resumesAtOnce: true },
    ],
    ['beyond the quotas', BEYOND, { bulk: 400 }],
    ['in order beyond the quotas', { ...BEYOND, ordering: 'perShard' }, { bulk: 400 }],
    ['in order of each key beyond the quotas', { ...BEYOND, ordering: 'perKey', aggregation: 'off' }, { bulk: 400 }],
    ["at the stream's own rate", { streamRate: { recordsPerSecond: 5 } }],
    ["in order at the stream's own rate", { streamRate: { recordsPerSecond: 5 }, ordering: 'perShard', recordTtlMs: 1000 }],
    [
      "in order of each key at the stream's own rate",
      { streamRate: { recordsPerSecond: 5 }, ordering: 'perKey', recordTtlMs: 1000 },
    ],
    ['with few attempts', FEW],
    ['in order with few attempts', { ...FEW, ordering: 'perShard' }],
    ['in order of each key with few attempts, past failures', { ...FEW, ordering: 'perKey', afterFailure: 'continue' }],
    ['with invalid records', {}, { poison: 29 }],
    ['in order past invalid records', { ordering: 'perShard', afterFailure: 'continue' }, { poison: 29 }],
    ['in order of each key with invalid records', { ordering: 'perKey' }, { poison: 29 }],
    ['with a hook for what fails', { recordTtlMs: 250 }, { hook: true }],
    ['in order of each key with a hook and few attempts', { ...FEW, ordering: 'perKey' }, { hook: true, poison: 29 }],
    ['in order with a hook for what fails', { ordering: 'perShard', recordTtlMs: 250 }, { hook: true }],
  ])('%s', { timeout: 240_000 }, async (_, options, circumstances = {}) => {
    await fc.assert(
      fc.asyncProperty(circumstances.steps ?? resharding, fc.nat(), (given, seed) => run(given, seed, options, circumstances)),
      { numRuns: runs },
    )
  })
})
