import { EventSource } from '@shardwise/core/events'
import type { PutRecordsResult } from '@shardwise/core/kinesis-port'
import { classifyFailure } from '@shardwise/core/service-error'
import type { Shard } from '@shardwise/core/shard-map'
import { describe, expect, test, vi } from 'vitest'
import { Account } from './account.js'
import { Dispatcher } from './dispatcher.js'
import type { Entry } from './entry.js'
import { Fallout } from './fallout.js'
import { Halting } from './halting.js'
import { Ledger } from './ledger.js'
import { Meter } from './meter.js'
import { Packer } from './packer.js'
import { DeliveryFailedError, LaneHaltedError, StreamUnusableError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import { checkOptions, type ProducerOptions } from './producer-options.js'
import { ProducerCounters } from './producer-stats.js'
import type { RequestOutcome } from './request-sender.js'
import { Settler } from './settler.js'
import { KnownStream } from './testing/known-stream.js'
import { recordOf, shardOf } from './testing/records.js'
import { named } from './testing/simulated-kinesis.js'
import type { UserRecord } from './user-record.js'

const END = 2n ** 128n - 1n
const HALF = 2n ** 127n
const whole = shardOf('whole')
const [left, right] = [shardOf('left', { start: 0n, end: HALF - 1n }), shardOf('right', { start: HALF, end: END })]
const written = (ShardId: string): PutRecordsResult => ({ ShardId, SequenceNumber: '9' })

/** The way back, with the real parts around it, and the test in place of pipeline, service and clock. Records live for 1000 ms. */
class Bench {
  readonly stream: KnownStream
  readonly events = new EventSource<ProducerEvent>()
  readonly told: ProducerEvent[] = []
  readonly counters = new ProducerCounters()
  readonly halting: Halting
  readonly account: Account
  readonly packer: Packer
  readonly dispatcher: Dispatcher
  readonly settler: Settler
  readonly parked: string[] = []
  /** What became of each record: its place, or the error's name and whether it may have been written. */
  readonly fates: Record<string, string> = {}
  readonly errors: Record<string, Error> = {}

  constructor(options: Partial<ProducerOptions>, ...shards: readonly Shard[]) {
    this.stream = new KnownStream(...shards)
    const settings = checkOptions({ recordTtlMs: 1000, random: () => 0.5, ...options, stream: 'flights' })
    const { events, counters } = this
    const view = this.stream.view
    events.onAny((event) => this.told.push(event))
    const ledger = new Ledger({ maxBytes: 1_000_000, maxRecords: 100 }, events)
    this.account = new Account(settings.stream, ledger, { put: () => true, offer: () => true, admitLate() {}, turn() {} })
    this.packer = new Packer(settings, view)
    this.packer.adapt([])
    const meter = new Meter(settings)
    this.dispatcher = new Dispatcher({ ordering: settings.ordering, meter, random: settings.random })
    const { account, packer, dispatcher } = this
    this.halting = new Halting({ settings, events, packer, dispatcher, view })
    this.settler = new Settler({
      ...{ settings, events, counters, account, packer, dispatcher, halting: this.halting, view, meter },
      undelivered: undefined,
      park: (records) => this.parked.push(...records.map((record) => record.partitionKey)),
      mayPack: () => view.isReady,
      misplaced: () => this.parked.push('misplaced'),
    })
  }

  /** An accepted record. */
  record(key: string, hashKey: bigint, expiresAt = 1000): UserRecord {
    const record = Object.assign(recordOf(key, 10, hashKey.toString()), { expiresAt })
    record.outcome = (error, result) => {
      if (error === undefined) {
        const { shardId, subSequenceNumber, attempts } = result!
        this.fates[key] = `${shardId} ${subSequenceNumber}, attempt ${attempts}`
        return
      }
      this.errors[key] = error
      const fate = error instanceof DeliveryFailedError || error instanceof LaneHaltedError ? ` ${error.written}` : ''
      this.fates[key] = `${error.name}${fate}`
    }
    this.account.take(record)
    return record
  }

  queue(...records: readonly UserRecord[]): void {
    for (const entry of this.packer.pack(records, 0, new Fallout())) this.dispatcher.enqueue(entry)
  }

  /** What goes now, of that which may. */
  send(now = 0): Entry[] {
    this.dispatcher.releaseAll(now)
    this.dispatcher.hurry(now)
    const entries = this.dispatcher.takeDue(now) ?? []
    for (const entry of entries) entry.attempts++
    return entries
  }

  answer(entries: readonly Entry[], now: number, ...results: readonly PutRecordsResult[]): void {
    this.end(entries, now, { kind: 'answered', results })
  }

  end(entries: readonly Entry[], now: number, outcome: RequestOutcome): void {
    this.settler.complete({ id: 1, entries, sentAt: 0 }, outcome, now)
  }

  /** Why a record of this hash key would be refused. */
  haltedAt(hashKey: bigint): unknown {
    return this.halting.refusalOf(recordOf('any', 10, hashKey.toString()))?.cause
  }

  types(): string[] {
    return this.told.map((event) => event.type)
  }
}

/** One aggregate of a record in each half of the only shard, under way. */
function flying(options: Partial<ProducerOptions> = {}, expiries: readonly [number, number] = [1000, 1000]): [Bench, Entry[]] {
  const bench = new Bench(options, whole)
  bench.queue(bench.record('low', 5n, expiries[0]), bench.record('high', HALF, expiries[1]))
  return [bench, bench.send()]
}

const failed = (name: string): RequestOutcome => ({ kind: 'failed', failure: classifyFailure(named(name)), cause: named(name) })
const answered = (result: PutRecordsResult): RequestOutcome => ({ kind: 'answered', results: [result] })
const refusal = (ErrorCode: string): RequestOutcome => answered({ ErrorCode, ErrorMessage: 'm' })

describe('Settler', () => {
  test.each<[string, RequestOutcome, string, string[]]>([
    ['delivered', answered(written('whole')), 'whole', ['request-succeeded']],
    [
      'throttled',
      refusal('ProvisionedThroughputExceededException'),
      'again, not written',
      ['request-succeeded', 'throttled', 'record-retried'],
    ],
    ['failed inside', refusal('InternalFailure'), 'again, perhaps written', ['request-succeeded', 'record-retried']],
    ['an unknown error of the entry', refusal('Surprise'), 'again, perhaps written', ['request-succeeded', 'record-retried']],
    ['no key for it', refusal('KMSDisabledException'), 'refused no', ['request-succeeded', 'record-failed', 'record-failed']],
    ['neither place nor error', answered({}), 'again, perhaps written', ['request-succeeded', 'record-retried']],
    ['the request is throttled', failed('ThrottlingException'), 'again, not written', ['request-failed', 'record-retried']],
    ['the answer is lost', failed('ECONNRESET'), 'again, perhaps written', ['request-failed', 'record-retried']],
    [
      'the call is wrong',
      failed('UnknownOperationException'),
      'refused no',
      ['request-failed', 'record-failed', 'record-failed'],
    ],
    [
      'an unknown error of the request',
      failed('Surprise'),
      'refused unknown',
      ['request-failed', 'record-failed', 'record-failed'],
    ],
    [
      'results that cannot be told apart',
      { kind: 'miscounted', results: 3 },
      'malformed-response unknown',
      ['request-failed', 'record-failed', 'record-failed'],
    ],
  ])('%s', (name, outcome, fate, types) => {
    const [bench, entries] = flying()
    // What is throttled so far away is not doubted.
    bench.end(entries, name === 'throttled' ? 100 : 10, outcome)
    expect([bench.types(), bench.counters.requestsFailed]).toEqual([types, outcome.kind === 'answered' ? 0 : 1])
    const again = fate.startsWith('again')
    expect([bench.dispatcher.queued, bench.counters.retries, bench.account.records]).toEqual(again ? [1, 1, 2] : [0, 0, 0])
    if (again) {
      // The very same bytes, half of the first back-off of 100 ms later; a throttled shard has a pause instead.
      const [early, at] = bench.counters.throttled > 0 ? [250, 300] : [59, 60]
      expect([bench.send(early), bench.send(at)]).toEqual([[], entries])
      expect(entries[0]!.mayBeWritten).toBe(fate === 'again, perhaps written')
      bench.answer(entries, at + 10, written('whole'))
      expect(bench.counters.possibleDuplicates).toBe(fate === 'again, perhaps written' ? 2 : 0)
      expect(bench.fates).toEqual({ low: 'whole 0, attempt 2', high: 'whole 1, attempt 2' })
    } else if (fate === 'whole') {
      expect(bench.fates).toEqual({ low: 'whole 0, attempt 1', high: 'whole 1, attempt 1' })
      expect([bench.counters.delivered, bench.counters.failed, bench.counters.possibleDuplicates]).toEqual([2, 0, 0])
    } else {
      const [reason, mayBe] = fate.split(' ')
      expect([bench.errors.low, bench.errors.high]).toMatchObject([
        { reason, written: mayBe, attempts: 1 },
        { reason, written: mayBe, attempts: 1 },
      ])
      expect([bench.counters.delivered, bench.counters.failed]).toEqual([0, 2])
    }
    expect([bench.account.isEmpty, bench.dispatcher.queued]).toEqual([true, 0])
  })

  test.each<[string, PutRecordsResult, boolean]>([
    ['is delivered', written('whole'), true],
    ['fails', { ErrorCode: 'ValidationException', ErrorMessage: 'm' }, true],
    ['goes again', { ErrorCode: 'InternalFailure', ErrorMessage: 'm' }, false],
  ])('the bytes of what %s', (_, result, areFree) => {
    const [bench, entries] = flying()
    bench.answer(entries, 10, result)
    if (areFree) expect(() => entries[0]!.wire).toThrow('has ended')
    else expect(entries[0]!.wire.Data.byteLength).toBeGreaterThan(0)
  })

  test('counts each result of a request for itself, and only the throttled ones as throttled', () => {
    const bench = new Bench({ aggregation: 'off' }, whole)
    bench.queue(...['a', 'b', 'c', 'd'].map((key) => bench.record(key, 5n)))
    const quota = { ErrorCode: 'ProvisionedThroughputExceededException' }
    bench.answer(bench.send(), 10, quota, written('whole'), {}, { ErrorCode: 'InternalFailure' })
    expect(bench.told[0]).toEqual({
      type: 'request-succeeded',
      stream: 'flights',
      requestId: 1,
      tookMs: 10,
      refusedKinesisRecords: 3,
    })
    expect([bench.counters.throttled, bench.counters.retries, bench.counters.delivered]).toEqual([1, 3, 1])
    expect(bench.fates).toEqual({ b: 'whole 0, attempt 1' })
  })

  test('an aggregate in a child that holds one member goes again at once, packed by the new map', () => {
    const [bench, entries] = flying()
    bench.stream.list(left, right)
    bench.packer.adapt([])
    bench.dispatcher.changeMap(bench.stream.view.map)
    bench.answer(entries, 10, written('left'))
    expect(bench.told.slice(1)).toMatchObject([
      { type: 'wrong-shard', predictedShardId: 'whole', shardId: 'left', userRecords: 2, outcome: 'resent' },
      { type: 'record-retried', code: 'WrongShard', throttled: false, userRecords: 2, attempts: 1, delayMs: 0 },
    ])
    // The map is newer than the request already.
    expect(bench.stream.refreshes).toEqual([])
    const again = bench.send(10)
    expect(again.map(({ shardId, records }) => [shardId, records.length])).toEqual([
      ['left', 1],
      ['right', 1],
    ])
    bench.answer(again, 20, written('left'), written('right'))
    expect(bench.fates).toEqual({ low: 'left 0, attempt 2', high: 'right 0, attempt 2' })
    expect([bench.counters.wrongShard, bench.counters.possibleDuplicates]).toEqual([1, 2])
  })

  test('where no map explains it, what landed outside its shard is packed anew, and waits from the second time on', () => {
    const bench = new Bench({}, left, right)
    bench.queue(bench.record('a', 5n), bench.record('b', 6n))
    const first = bench.send()
    bench.answer(first, 10, written('right'))
    const second = bench.send(10)
    bench.answer(second, 10, written('right'))
    expect([second.length, second[0] === first[0], bench.send(109).length, bench.send(110).length]).toEqual([1, false, 0, 1])
  })

  test('an unknown shard is looked for, also when the predicted one has closed', () => {
    const [bench, entries] = flying()
    bench.stream.list(left, right)
    bench.answer(entries, 10, written('new'))
    expect(bench.stream.refreshes).toEqual([[10, false]])
  })

  test.each<[string, PutRecordsResult]>([
    ['delivered', written('left')],
    ['failed for good', { ErrorCode: 'KMSDisabledException' }],
  ])('with order kept, the next of the shard goes when the one before has %s', (_, result) => {
    const bench = new Bench({ ordering: 'perShard' }, left, right)
    bench.queue(bench.record('first', 5n))
    const entries = bench.send()
    bench.answer(entries, 10, result)
    bench.queue(bench.record('next', 5n))
    expect(bench.send(10)).toHaveLength(1)
  })

  test.each<[string, (bench: Bench) => void, Record<string, string>]>([
    ['all fit', (bench) => bench.stream.list(shardOf('new')), { low: 'new 0, attempt 1', high: 'new 1, attempt 1' }],
    ['one does not', (bench) => bench.stream.list(right, shardOf('new', left.range)), {}],
  ])('an aggregate in an unknown shard waits for the map, which says that %s', (_, list, fates) => {
    const [bench, entries] = flying()
    bench.answer(entries, 10, written('new'))
    expect([bench.settler.held, bench.settler.nextExpiry, bench.stream.refreshes]).toEqual([1, 1000, [[10, false]]])
    bench.settler.judgeHeld(20)
    // Now with the closed shards: it may have closed since.
    expect([bench.settler.held, bench.stream.refreshes.at(-1), bench.fates]).toEqual([1, [20, true], {}])
    list(bench)
    bench.packer.adapt([])
    bench.settler.judgeHeld(30)
    expect([bench.settler.held, bench.settler.nextExpiry, bench.fates]).toEqual([0, undefined, fates])
    expect(bench.dispatcher.queued).toBe(Object.keys(fates).length === 0 ? 2 : 0)
  })

  test('a held aggregate is given up when its last member expires, its fate unknown', () => {
    const [bench, entries] = flying({}, [500, 900])
    bench.answer(entries, 10, written('new'))
    for (const [expiries, next] of [
      [[400, 950], 900],
      [[890, 899], 899],
    ] as const) {
      bench.queue(...expiries.map((expiresAt) => bench.record(`until ${expiresAt}`, 5n, expiresAt)))
      bench.answer(bench.send(), 10, written('new'))
      expect(bench.settler.nextExpiry).toBe(next)
    }
    bench.settler.judgeHeld(898)
    expect(bench.fates).toEqual({})
    bench.settler.judgeHeld(900)
    expect(bench.settler.nextExpiry).toBe(950)
    expect(bench.fates).toMatchObject({ low: 'DeliveryFailedError unknown', high: 'DeliveryFailedError unknown' })
    expect(bench.errors.low).toMatchObject({ reason: 'expired', serviceCode: 'UnknownShard' })
  })

  test.each<[string, 'none' | 'perShard', number, Record<string, string>, string[], number]>([
    ['before any expires all go', 'none', 499, {}, ['record-retried'], 2],
    [
      'the late one fails, the other goes',
      'none',
      500,
      { low: 'DeliveryFailedError no' },
      ['record-failed', 'records-expired', 'record-retried'],
      1,
    ],
    [
      'after the last has expired all fail',
      'none',
      900,
      { low: 'DeliveryFailedError no', high: 'DeliveryFailedError no' },
      ['record-failed', 'record-failed', 'records-expired'],
      0,
    ],
    ['with order kept, before any expires all go', 'perShard', 499, {}, ['record-retried'], 2],
    [
      'with order kept the late one takes the other down with it, and none is said to go again',
      'perShard',
      500,
      { low: 'DeliveryFailedError no', high: 'LaneHaltedError no' },
      ['record-failed', 'record-failed', 'records-expired', 'lane-halted'],
      0,
    ],
  ])('a throttled aggregate, when its members expire apart: %s', (_, ordering, now, fates, types, again) => {
    const [bench, entries] = flying({ ordering }, [500, 900])
    bench.answer(entries, now, { ErrorCode: 'ProvisionedThroughputExceededException' })
    expect([bench.fates, bench.types().slice(1)]).toEqual([fates, ['throttled', ...types]])
    expect([bench.account.records, bench.counters.retries]).toEqual([again, again > 0 ? 1 : 0])
    const retried = bench.told.find((event) => event.type === 'record-retried')
    expect([retried?.userRecords ?? 0, Math.round(retried?.delayMs ?? 153)]).toEqual([again, 153])
  })

  test.each<[string, RequestOutcome, boolean]>([
    ['an entry over the quota', { kind: 'answered', results: [{ ErrorCode: 'ProvisionedThroughputExceededException' }] }, true],
    ['an entry that failed inside', { kind: 'answered', results: [{ ErrorCode: 'InternalFailure' }] }, false],
    ['a request over the quota', failed('ProvisionedThroughputExceededException'), true],
    ['a request that KMS throttled', failed('KMSThrottlingException'), false],
    ['too many requests for the account', failed('ThrottlingException'), false],
    ['no answer', failed('TimeoutError'), false],
  ])('what slows the shard down: %s', (_, outcome, slows) => {
    const [bench, entries] = flying({}, [500, 900])
    const slowed = vi.spyOn(bench.dispatcher, 'throttled')
    bench.end(entries, 10, outcome)
    expect(slowed.mock.calls).toEqual(slows ? [[entries[0], 0, 10]] : [])
    expect(bench.told.find((event) => event.type === 'record-retried')?.throttled).toBe(slows)
  })

  test('with order kept, a failure takes down what is queued for its shard and nothing else, and is announced last', () => {
    const bench = new Bench({ ordering: 'perShard' }, left, right)
    bench.queue(bench.record('first', 5n))
    const entries = bench.send()
    bench.queue(bench.record('queued', 5n), bench.record('elsewhere', HALF))
    const completed: Entry[] = []
    bench.packer.add(bench.record('open', 6n), 0, completed)
    bench.packer.add(bench.record('open elsewhere', END), 0, completed)
    bench.end(entries, 10, failed('ValidationException'))
    expect(bench.fates).toEqual({
      first: 'DeliveryFailedError no',
      queued: 'LaneHaltedError no',
      open: 'LaneHaltedError no',
    })
    expect([bench.errors.queued!.cause, bench.errors.open!.cause]).toEqual([bench.errors.first, bench.errors.first])
    expect([bench.haltedAt(0n), bench.haltedAt(HALF)]).toEqual([bench.errors.first, undefined])
    expect(bench.told.at(-1)).toMatchObject({
      type: 'lane-halted',
      shardId: 'left',
      startingHashKey: 0n,
      endingHashKey: HALF - 1n,
    })
    expect(bench.send(10).flatMap((entry) => entry.records.map((record) => record.partitionKey))).toContain('elsewhere')
  })

  test.each<[string, Shard[], Shard[], object]>([
    ['a merge, all of the new shard', [left, right], [whole], { shardId: 'whole', startingHashKey: 0n, endingHashKey: END }],
    ['a split, all of the old one', [whole], [left, right], { shardId: undefined, startingHashKey: 0n, endingHashKey: END }],
  ])('with order kept, a failure after %s halts', (_, before, after, halted) => {
    const bench = new Bench({ ordering: 'perShard' }, ...before)
    bench.queue(bench.record('a', HALF))
    const entries = bench.send()
    bench.stream.list(...after)
    bench.end(entries, 10, failed('ValidationException'))
    expect(bench.told.at(-1)).toMatchObject({ type: 'lane-halted', ...halted })
  })

  test.each<[Partial<ProducerOptions>, string[]]>([
    [{ ordering: 'perShard', afterFailure: 'continue' }, []],
    [{ ordering: 'perKey', afterFailure: 'continue' }, []],
    [{ ordering: 'perKey' }, ['lane-halted']],
  ])('of an aggregate only the late member fails, and the other goes on ahead of what is queued: %j', (options, halts) => {
    const [bench, entries] = flying(options, [500, 900])
    bench.queue(bench.record('high', HALF))
    bench.end(entries, 500, failed('InternalFailure'))
    expect(bench.fates).toEqual({ low: 'DeliveryFailedError unknown' })
    expect(bench.types().slice(1)).toEqual(['record-failed', 'records-expired', ...halts, 'record-retried'])
    const [halt] = bench.told.filter((event) => event.type === 'lane-halted')
    if (halts.length > 0) {
      expect(halt).toMatchObject({
        partitionKey: 'low',
        explicitHashKey: '5',
        shardId: undefined,
        startingHashKey: 5n,
        endingHashKey: 5n,
      })
    }
    expect([bench.haltedAt(5n), bench.haltedAt(HALF)]).toEqual([undefined, undefined])
    // One of the key at a time: first what was packed with the late one.
    const again = bench.send(700)
    expect(again.map((entry) => entry.expiresAt)).toEqual([900])
    bench.answer(again, 710, written('whole'))
    expect(bench.send(710).map((entry) => entry.expiresAt)).toEqual([1000])
  })

  test.each<[Partial<ProducerOptions>, string]>([
    [{ ordering: 'perShard' }, 'LaneHaltedError no'],
    [{ ordering: 'perShard', afterFailure: 'continue' }, 'whole 0, attempt 1'],
    [{ ordering: 'perKey' }, 'whole 0, attempt 1'],
    [{ ordering: 'perKey', afterFailure: 'continue' }, 'whole 0, attempt 1'],
  ])('a record of another key, queued behind one that is refused for good: %j', (options, fate) => {
    const bench = new Bench(options, whole)
    bench.queue(bench.record('refused', 5n))
    const entries = bench.send()
    bench.queue(bench.record('behind', 6n))
    bench.end(entries, 10, failed('ValidationException'))
    const next = bench.send(10)
    if (next.length > 0) bench.answer(next, 20, written('whole'))
    expect(bench.fates).toEqual({ refused: 'DeliveryFailedError no', behind: fate })
    expect(bench.types().includes('lane-halted')).toBe(options.afterFailure === undefined)
  })

  test('without order a failure is that of its own records alone', () => {
    const bench = new Bench({}, left, right)
    bench.queue(bench.record('first', 5n))
    const entries = bench.send()
    bench.queue(bench.record('queued', 5n))
    bench.end(entries, 10, failed('ValidationException'))
    expect([bench.fates, bench.haltedAt(0n) ?? bench.haltedAt(END), bench.dispatcher.queued]).toEqual([
      { first: 'DeliveryFailedError no' },
      undefined,
      1,
    ])
  })

  test('without a map, what goes again waits for one in its order', () => {
    const [bench, entries] = flying()
    bench.stream.forget()
    bench.answer(entries, 10, { ErrorCode: 'InternalFailure' })
    expect([bench.parked, bench.dispatcher.queued, bench.account.records]).toEqual([['low', 'high'], 0, 2])
  })

  test('what was written where its key does not lead says that keys are ignored', () => {
    const bench = new Bench({}, left, right)
    bench.queue(bench.record('a', 5n))
    bench.answer(bench.send(), 10, written('right'))
    // A plain record is readable wherever it lies.
    expect([bench.fates, bench.parked]).toEqual([{ a: 'right 0, attempt 1' }, ['misplaced']])
    expect(bench.told.at(-1)).toMatchObject({ type: 'wrong-shard', predictedShardId: 'left', outcome: 'delivered' })
  })

  test('packing again leaves out what its caller has spoilt', () => {
    const bench = new Bench({}, whole)
    const [spoilt, sound] = [bench.record('spoilt', 5n), bench.record('sound', 6n)]
    structuredClone(spoilt.data.buffer, { transfer: [spoilt.data.buffer as ArrayBuffer] })
    bench.settler.queueAnew([spoilt, sound], 0)
    expect(bench.send().flatMap((entry) => entry.records)).toEqual([sound])
    expect([bench.fates, bench.account.records]).toEqual([{ spoilt: 'DeliveryFailedError no' }, 1])
  })

  test('what expires for want of a map says why there was none', () => {
    const bench = new Bench({ ordering: 'perShard' })
    bench.settler.loadError = new StreamUnusableError('flights', 'AccessDenied', 'not permitted')
    bench.settler.expireUnsent([bench.record('a', 5n)], 0)
    expect(bench.errors.a).toMatchObject({ reason: 'expired', serviceCode: 'AccessDenied', attempts: 0 })
    expect(bench.errors.a!.message).toMatch(/never sent: Stream flights cannot be written to: not permitted$/)
    // Which shard it is for is not known either.
    expect([bench.haltedAt(0n), bench.haltedAt(END)]).toEqual([bench.errors.a, bench.errors.a])
    const tried = bench.record('tried', 5n)
    tried.lastFailure = { code: 'InternalFailure', message: 'm', cause: undefined }
    bench.settler.expireUnsent([tried], 0)
    expect(bench.errors.tried).toMatchObject({ serviceCode: 'InternalFailure' })
  })

  test.each<['none' | 'perShard', string[], number]>([
    ['none', ['a'], 0],
    ['perShard', [], 0],
    ['perShard', ['a'], 1],
  ])('a stream that cannot be used, with ordering %s and %j accepted', (ordering, keys, halts) => {
    const bench = new Bench({ ordering })
    const error = new StreamUnusableError('flights', 'StreamDeleting', 'gone')
    bench.settler.refuse(
      keys.map((key) => bench.record(key, 5n)),
      error,
    )
    expect(Object.values(bench.errors)).toEqual(keys.map(() => error))
    expect([bench.haltedAt(0n), bench.haltedAt(END)]).toEqual(halts === 0 ? [undefined, undefined] : [error, error])
    expect(bench.types().filter((type) => type === 'lane-halted')).toHaveLength(halts)
    if (halts > 0) expect(bench.types().at(-1)).toBe('lane-halted')
  })
})
