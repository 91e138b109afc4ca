import { ManualClock } from '@shardwise/core/clock'
import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type {
  CallOptions,
  GetRecordsInput,
  GetRecordsOutput,
  GetShardIteratorInput,
  KinesisPort,
  ShardListing,
} from '@shardwise/core/kinesis-port'
import { describe, expect, it, onTestFinished } from 'vitest'
import { LATEST, type Position, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { nearestMoment } from '../shared-moments.js'
import { ByteBudget } from './byte-budget.js'
import { PollingSource } from './polling-source.js'
import { ReadingPlace } from './reading-place.js'
import type { FetchedBatch, SourceEvent } from './record-source.js'

const T = Date.UTC(2026, 0, 1)
const MIB = 1024 * 1024
type Answer<T> = T | Error | 'silence'

/** Answers calls from lists, in order, and remembers what was asked. The last answer of a list repeats. */
class ScriptedPort implements KinesisPort {
  readonly iterators: GetShardIteratorInput[] = []
  readonly reads: GetRecordsInput[] = []
  /** What each read was given. */
  readonly patience: Omit<CallOptions, 'signal'>[] = []
  listings = 0
  onIterator: Answer<string>[] = []
  onRead: Answer<GetRecordsOutput>[] = []
  onList: Answer<ShardListing[]>[] = []

  async getShardIterator(input: GetShardIteratorInput, options?: CallOptions): Promise<{ ShardIterator: string }> {
    this.iterators.push(input)
    return { ShardIterator: await take(this.onIterator, `iterator-${this.iterators.length}`, options) }
  }
  async getRecords(input: GetRecordsInput, options?: CallOptions): Promise<GetRecordsOutput> {
    this.reads.push(input)
    const { signal: _signal, ...patience } = options ?? {}
    this.patience.push(patience)
    return await take(this.onRead, { Records: [], NextShardIterator: 'next', MillisBehindLatest: 0 }, options)
  }
  async listShards(): Promise<{ Shards: ShardListing[] }> {
    this.listings++
    return { Shards: await take(this.onList, []) }
  }
  putRecords(): never {
    throw new Error('A consumer does not write')
  }
  describeStreamSummary(): never {
    throw new Error('A source does not describe the stream')
  }
}

async function take<T>(answers: Answer<T>[], otherwise: T, options: CallOptions = {}): Promise<T> {
  const answer = answers.length > 1 ? answers.shift()! : (answers[0] ?? otherwise)
  if (answer === 'silence') return silence(options)
  if (answer instanceof Error) throw answer
  return answer
}

/** A call without an answer ends as a port ends it: when aborted. */
function silence({ signal }: CallOptions): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(failure('AbortError')), { once: true })
  })
}

function failure(name: string, message = 'said the service'): Error {
  return Object.assign(new Error(message), { name })
}

function records(...sequenceNumbers: string[]): GetRecordsOutput {
  return {
    Records: sequenceNumbers.map((SequenceNumber) => ({ SequenceNumber, PartitionKey: 'a', Data: new Uint8Array(10) })),
    NextShardIterator: `after-${sequenceNumbers.at(-1)}`,
    MillisBehindLatest: 60_000,
  }
}

const CHILDREN = [{ ShardId: 'child', ParentShards: ['shard'], HashKeyRange: { StartingHashKey: '0', EndingHashKey: '9' } }]
const LISTED_CHILD: ShardListing = {
  ShardId: 'child',
  ParentShardId: 'shard',
  HashKeyRange: { StartingHashKey: '0', EndingHashKey: String(MAX_HASH_KEY) },
  SequenceNumberRange: { StartingSequenceNumber: '1' },
}
const END: GetRecordsOutput = { Records: [], MillisBehindLatest: 0, ChildShards: CHILDREN }

function setUp(resumeFrom: Position = TRIM_HORIZON, startAt?: number) {
  const clock = new ManualClock({ wallTime: T })
  const port = new ScriptedPort()
  const events: SourceEvent[] = []
  const emit = (event: SourceEvent): void => void events.push(event)
  const stop = new AbortController()
  const budget = new ByteBudget(64 * MIB)
  const room = budget.join()
  const source = new PollingSource({
    port,
    room,
    stream: { StreamName: 'flights' },
    shardId: 'shard',
    place: new ReadingPlace({ shardId: 'shard', resumeFrom, startAt, emit }),
    idleTimeBetweenReadsMs: 500,
    maxRecordsPerRead: 10_000,
    clock,
    random: () => 0.5,
    emit,
    certain: async () => {},
  })
  /** The next batch, with as much time as it takes. */
  const next = async (limitMs = 600_000): Promise<FetchedBatch> => {
    let settled = false
    const batch = source.next(stop.signal).finally(() => {
      settled = true
    })
    batch.catch(() => {})
    await clock.advanceAsync(0)
    const end = clock.now() + limitMs
    while (!settled && clock.nextTimerAt !== undefined && clock.nextTimerAt <= end) {
      await clock.advanceAsync(clock.nextTimerAt - clock.now())
    }
    if (!settled) throw new Error(`No batch within ${limitMs} ms`)
    return batch
  }
  onTestFinished(() => expect(clock.pendingTimers).toBe(0))
  return { clock, port, budget, room, events, source, next, stop, types: () => events.map((event) => event.type) }
}

describe('PollingSource', () => {
  it('reads on from iterator to iterator', async () => {
    const { port, next } = setUp()
    port.onRead = [records('1', '2'), records('3')]
    expect((await next()).records.map((r) => r.SequenceNumber)).toEqual(['1', '2'])
    const second = await next()
    expect(second.records.map((r) => r.SequenceNumber)).toEqual(['3'])
    expect(second).toMatchObject({ bytes: 10, millisBehindLatest: 60_000, children: undefined })
    expect(port.iterators).toEqual([{ StreamName: 'flights', ShardId: 'shard', ShardIteratorType: 'TRIM_HORIZON' }])
    expect(port.reads).toEqual([
      { ShardIterator: 'iterator-1', Limit: 10_000 },
      { ShardIterator: 'after-2', Limit: 10_000 },
    ])
  })

  it('pauses when caught up, and keeps to five reads a second when behind', async () => {
    const { clock, port, next } = setUp()
    port.onRead = [records('1'), { Records: [], NextShardIterator: 'i', MillisBehindLatest: 0 }]
    await next()
    expect(clock.now()).toBe(0)
    await next()
    expect(clock.now()).toBe(200)
    await next()
    expect(clock.now()).toBe(nearestMoment(700, 500))
  })

  describe('an expired iterator', () => {
    it('goes on after the last fetched record', async () => {
      const { port, next, events } = setUp()
      port.onRead = [records('1', '2'), failure('ExpiredIteratorException'), records('3')]
      await next()
      expect((await next()).records[0]?.SequenceNumber).toBe('3')
      expect(port.iterators[1]).toMatchObject({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: '2' })
      expect(events).toEqual([{ type: 'iterator-expired', shardId: 'shard' }])
    })

    it('begins again where it began when nothing was fetched', async () => {
      const { port, next } = setUp(LATEST, T - 5000)
      port.onRead = [failure('ExpiredIteratorException'), records('3')]
      await next()
      expect(port.iterators).toHaveLength(2)
      expect(port.iterators[1]).toMatchObject({ ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(T - 5000) })
    })

    it('never asks for LATEST a second time, for that would skip records', async () => {
      const { port, next } = setUp(LATEST)
      port.onRead = [failure('ExpiredIteratorException'), records('3')]
      await next()
      expect(port.iterators[0]).toMatchObject({ ShardIteratorType: 'LATEST' })
      expect(port.iterators[1]).toMatchObject({ ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(T - 300_000) })
    })

    it('that expires at once, for ever, makes no busy loop', async () => {
      const { port, source, stop, clock } = setUp()
      port.onRead = [failure('ExpiredIteratorException')]
      const pending = expect(source.next(stop.signal)).rejects.toThrow('enough')
      await clock.advanceAsync(60_000)
      expect(port.reads.length).toBeGreaterThan(3)
      expect(port.reads.length).toBeLessThan(20)
      stop.abort(new Error('enough'))
      await pending
    })
  })

  it.each([
    { name: 'ProvisionedThroughputExceededException', event: 'read-throttled', most: 20 },
    { name: 'KMSThrottlingException', event: 'read-throttled', most: 20 },
    { name: 'InternalFailureException', event: 'read-failed', most: 20 },
    { name: 'AccessDeniedException', event: 'read-failed', most: 10 },
    { name: 'KMSAccessDeniedException', event: 'read-failed', most: 10 },
    { name: 'SomethingNobodyKnows', event: 'read-failed', most: 10 },
  ])('outlasts a minute of $name at the same place, without a busy loop', async ({ name, event, most }) => {
    const { port, next, types, source, stop, clock } = setUp()
    port.onRead = [records('1'), failure(name)]
    await next()
    const pending = source.next(stop.signal)
    await clock.advanceAsync(60_000)
    expect(new Set(types())).toEqual(new Set([event]))
    expect(port.reads.length).toBeGreaterThan(3)
    expect(port.reads.length).toBeLessThan(most)
    port.onRead = [records('2')]
    await clock.advanceAsync(60_000)
    expect((await pending).records[0]?.SequenceNumber).toBe('2')
    expect(port.reads.at(-1)).toEqual({ ShardIterator: 'after-1', Limit: 10_000 })
    expect(port.iterators).toHaveLength(1)
  })

  it('repeats a call that had no answer in time, and waits longer for the next', async () => {
    const { port, next, events } = setUp()
    port.onRead = [failure('TimeoutError'), failure('TimeoutError'), records('1')]
    expect((await next()).records[0]?.SequenceNumber).toBe('1')
    const failed = events.filter((event) => event.type === 'read-failed')
    expect(failed[0]).toMatchObject({ failure: { kind: 'timeout' }, attempt: 1 })
    const firstByteTimeoutMs = 10_000
    expect(port.patience).toEqual([10_000, 20_000, 30_000].map((timeoutMs) => ({ timeoutMs, firstByteTimeoutMs })))
  })

  it('asks for less after a read without an answer in time, says so, and asks for more again after quick ones', async () => {
    const { port, next, events } = setUp()
    const many = { ...records(...Array.from({ length: 20 }, (_, i) => `${i}`)) }
    port.onRead = [failure('TimeoutError'), failure('TimeoutError'), many]
    await next()
    expect(port.reads.map((read) => read.Limit)).toEqual([10_000, 5, 2])
    expect(events.filter((event) => event.type === 'read-size-reduced')).toEqual([
      { type: 'read-size-reduced', shardId: 'shard', timeoutMs: 10_000, maxRecords: 5 },
      { type: 'read-size-reduced', shardId: 'shard', timeoutMs: 20_000, maxRecords: 2 },
    ])
    await next()
    expect(port.reads.at(-1)?.Limit).toBe(40)
  })

  it('asks for as much as before when it was the iterator that did not come in time', async () => {
    const { port, next } = setUp()
    port.onIterator = [failure('TimeoutError'), 'iterator']
    await next()
    expect(port.reads[0]?.Limit).toBe(10_000)
  })

  it('ends at once when told to, in a call and in a pause', async () => {
    const { port, source, clock } = setUp()
    for (const answers of [['silence' as const], [failure('AccessDeniedException')]]) {
      port.onRead = answers
      const stop = new AbortController()
      const pending = source.next(stop.signal)
      const settled = expect(pending).rejects.toThrow('enough')
      await clock.advanceAsync(10)
      stop.abort(new Error('enough'))
      await settled
    }
  })

  describe('the end of a shard', () => {
    it('is told with its children', async () => {
      const { port, next } = setUp()
      port.onRead = [records('1'), END]
      expect((await next()).children).toBeUndefined()
      expect((await next()).children).toEqual(CHILDREN)
      expect(port.listings).toBe(0)
    })

    it('comes at once for a closed shard without records', async () => {
      const { port, next } = setUp()
      port.onRead = [END]
      expect(await next()).toMatchObject({ records: [], children: CHILDREN })
    })

    it('may come with the last records', async () => {
      const { port, next } = setUp()
      port.onRead = [{ ...records('1'), NextShardIterator: undefined, ChildShards: CHILDREN }]
      expect(await next()).toMatchObject({ records: [{ SequenceNumber: '1' }], children: CHILDREN })
    })

    it('without children delivers the records, then finds the children in the list of shards', async () => {
      const { port, next } = setUp()
      port.onRead = [{ ...records('1'), NextShardIterator: undefined }]
      const closed: ShardListing = { ShardId: 'shard', SequenceNumberRange: { EndingSequenceNumber: '1' } }
      port.onList = [[closed], [closed, { ...LISTED_CHILD, AdjacentParentShardId: 'other' }]]
      expect(await next()).toMatchObject({ records: [{ SequenceNumber: '1' }], children: undefined })
      expect(await next()).toEqual({
        records: [],
        bytes: 0,
        millisBehindLatest: 0,
        children: [{ ShardId: 'child', ParentShards: ['shard', 'other'], HashKeyRange: LISTED_CHILD.HashKeyRange }],
      })
      expect(port.listings).toBe(2)
      expect(port.reads).toHaveLength(1)
    })

    it('is not read out of an answer without records, which says nothing: what is left in a closed shard would be lost', async () => {
      const { port, next, events } = setUp()
      port.onList = [[{ ShardId: 'shard', SequenceNumberRange: { EndingSequenceNumber: '9' } }, LISTED_CHILD]]
      port.onRead = [records('1'), {}, { ...END, Records: [{ SequenceNumber: '2' }] }]
      expect((await next()).records).toHaveLength(1)
      expect(await next()).toMatchObject({ records: [{ SequenceNumber: '2' }], children: CHILDREN })
      expect(port.reads.map(({ ShardIterator }) => ShardIterator)).toEqual(['iterator-1', 'after-1', 'after-1'])
      expect(events).toMatchObject([
        { type: 'read-failed', failure: { message: expect.stringMatching('without a list of records') } },
      ])
    })

    it('of a shard that is still open was a slip: goes on after the last record', async () => {
      const { port, next } = setUp()
      port.onRead = [{ ...records('1'), NextShardIterator: undefined }, records('2')]
      port.onList = [[{ ShardId: 'shard', SequenceNumberRange: { StartingSequenceNumber: '0' } }]]
      await next()
      expect((await next()).records[0]?.SequenceNumber).toBe('2')
      expect(port.iterators[1]).toMatchObject({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: '1' })
    })
  })

  describe('what is gone', () => {
    it('a stream: asks again, slowly, and goes on where it was when the stream is back', async () => {
      const { port, next, clock, source, stop, events } = setUp()
      port.onRead = [records('1'), failure('ResourceNotFoundException'), records('2')]
      port.onList = [failure('ResourceNotFoundException', 'Stream flights not found')]
      port.onIterator = ['first', failure('ResourceNotFoundException')]
      await next()
      const pending = source.next(stop.signal)
      await clock.advanceAsync(600_000)
      expect(events.length).toBeGreaterThan(5)
      expect(events.length).toBeLessThan(25)
      expect(events[0]).toMatchObject({ type: 'stream-not-found', message: expect.stringContaining('Stream flights not found') })
      port.onIterator = ['again']
      await clock.advanceAsync(60_000)
      expect((await pending).records[0]?.SequenceNumber).toBe('2')
      expect(port.iterators.at(-1)).toMatchObject({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: '1' })
    })

    it('a shard that the stream has dropped: says so and goes on with its children, once it is sure', async () => {
      const { port, next, events } = setUp(sequencePosition('7'))
      port.onIterator = [failure('ResourceNotFoundException')]
      port.onList = [[LISTED_CHILD]]
      expect((await next()).children).toMatchObject([{ ShardId: 'child' }])
      expect(port.listings).toBe(3)
      expect(events.at(-1)).toMatchObject({ type: 'records-expired', reason: 'shard-trimmed', after: '7' })
    })

    it('not a shard that is in the list', async () => {
      const { port, next, types } = setUp()
      const not = failure('ResourceNotFoundException')
      port.onIterator = [not, not, not, not, not, 'found']
      port.onList = [[LISTED_CHILD], [LISTED_CHILD], [{ ShardId: 'shard' }, LISTED_CHILD], [LISTED_CHILD], [LISTED_CHILD]]
      port.onRead = [records('1')]
      expect((await next()).children).toBeUndefined()
      expect(new Set(types())).toEqual(new Set(['read-failed']))
    })

    it('the checkpoint: says so and goes on at the oldest record', async () => {
      const { port, next, events } = setUp(sequencePosition('7'))
      port.onIterator = [failure('InvalidArgumentException', 'StartingSequenceNumber 7 is invalid'), 'oldest']
      port.onRead = [records('9'), records('10')]
      expect(await next()).toMatchObject({ records: [{ SequenceNumber: '9' }], fromOldest: true })
      // Once: else a checkpoint that the handler has made since would be forgotten, and the shard could end without one.
      expect(await next()).toMatchObject({ records: [{ SequenceNumber: '10' }], fromOldest: false })
      expect(port.iterators[1]).toMatchObject({ ShardIteratorType: 'TRIM_HORIZON' })
      expect(events).toEqual([
        {
          type: 'records-expired',
          shardId: 'shard',
          reason: 'checkpoint-refused',
          after: '7',
          message: expect.stringContaining('after sequence number 7 may have left the stream unread'),
        },
      ])
    })

    it('the checkpointed record, which the service does not mention', async () => {
      const { port, next, events } = setUp(sequencePosition('7'))
      port.onRead = [{ Records: [], NextShardIterator: 'i', MillisBehindLatest: 5000 }, records('9'), records('10')]
      await next()
      await next()
      await next()
      expect(events).toMatchObject([{ type: 'records-expired', reason: 'checkpoint-trimmed', after: '7' }])
    })

    it('nothing, when the first record is the checkpointed one', async () => {
      const { port, next, events } = setUp(sequencePosition('7', 3))
      port.onRead = [records('7', '9')]
      const { records: read, fromOldest } = await next()
      expect([read.length, fromOldest]).toEqual([2, false])
      expect(events).toEqual([])
    })
  })

  describe('the room for what is read', () => {
    it('is taken by what came, and by nothing when a call failed', async () => {
      const { port, next, budget, room } = setUp()
      port.onRead = [failure('InternalFailureException'), records('1', '2')]
      await next()
      expect(budget.held).toBe(20)
      room.free(20)
      expect(budget.held).toBe(0)
    })

    it('short, for a shard that holds nothing: it asks for fewer records', async () => {
      const { port, next, budget, room } = setUp()
      const [hung] = Array.from({ length: 63 }, () => budget.join())
      await hung!.enter(64 * MIB, new AbortController().signal)
      port.onRead = [records('1', '2')]
      await next()
      room.free(20)
      await next()
      expect(port.reads.map(({ Limit }) => Limit)).toEqual([1, 10_000])
      const large = { SequenceNumber: '9', PartitionKey: 'a', Data: new Uint8Array(1000) }
      port.onRead = [{ Records: [large], NextShardIterator: 'i', MillisBehindLatest: 60_000 }]
      room.free(20)
      await next()
      room.free(1000)
      await next()
      expect(port.reads.at(-1)?.Limit).toBe(Math.floor(MIB / 2 / 1000))
    })

    it('used up: waits until some of it is freed, and ends at once when told to', async () => {
      const { port, source, clock, room } = setUp()
      await room.enter(64 * MIB, new AbortController().signal)
      room.settle(64 * MIB)
      const stop = new AbortController()
      const first = expect(source.next(stop.signal)).rejects.toThrow('enough')
      await clock.advanceAsync(60_000)
      expect([port.reads.length, room.waiting]).toEqual([0, true])
      stop.abort(new Error('enough'))
      await first
      const second = source.next(new AbortController().signal)
      await clock.advanceAsync(0)
      room.free(10 * MIB)
      port.onRead = [records('1')]
      expect((await second).records).toHaveLength(1)
    })
  })

  it('gets a new iterator when the service does not accept one, and does not go back for it', async () => {
    const { port, next, types } = setUp()
    port.onRead = [records('1'), failure('InvalidArgumentException', 'Invalid ShardIterator'), records('2')]
    await next()
    await next()
    expect(types()).toEqual(['read-failed'])
    expect(port.iterators[1]).toMatchObject({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: '1' })
  })
})
