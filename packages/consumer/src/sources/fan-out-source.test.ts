import { ManualClock, sleep } from '@shardwise/core/clock'
import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import { seededRandom } from '@shardwise/core/random'
import { classifyFailure, type ServiceFailure } from '@shardwise/core/service-error'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { LATEST, type Position, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { ByteBudget } from './byte-budget.js'
import { FanOutSource } from './fan-out-source.js'
import { PollingSource } from './polling-source.js'
import { ReadingPlace } from './reading-place.js'
import type { FetchedBatch, SourceEvent } from './record-source.js'
import { CHILDREN, failure, PushedShard } from './testing/pushed-shard.js'

const T = Date.UTC(2026, 0, 1)
const MIB = 1024 * 1024
const ARN = 'arn:aws:kinesis:us-east-1:123456789012:stream/flights/consumer/delays:1'
const STREAM = { StreamName: 'flights' }

interface Given {
  readonly resumeFrom?: Position
  readonly startAt?: number
  readonly fallback?: boolean
  readonly bytes?: number
  readonly seed?: number
}

function setUp({ resumeFrom = TRIM_HORIZON, startAt, fallback = false, bytes = 64 * MIB, seed = 1 }: Given = {}) {
  const clock = new ManualClock({ wallTime: T })
  const shard = new PushedShard(clock)
  const events: SourceEvent[] = []
  const stop = new AbortController()
  const room = new ByteBudget(bytes).join()
  const spokenAt: number[] = []
  const emit = (event: SourceEvent): void => {
    spokenAt.push(clock.now())
    events.push(event)
  }
  const random = seededRandom(seed)
  const place = new ReadingPlace({ shardId: 'shard', resumeFrom, startAt, emit })
  const lease = { ours: true, confirmed: 0, revalidate: async () => lease.ours }
  let waited = 0
  const registration = {
    consumer: ARN as string | Error,
    asked: 0,
    known: true,
    hindrance: undefined as ServiceFailure | undefined,
    arn: async () => {
      registration.asked++
      if (registration.consumer instanceof Error) throw registration.consumer
      return registration.consumer
    },
    confirm: async () => registration.known,
  }
  const shared = { stream: STREAM, shardId: 'shard', place, room, clock, random, emit, certain: async () => {} }
  const source = new FanOutSource({
    ...shared,
    port: shard,
    registration,
    control: shard as never,
    lease: {
      revalidate: () => lease.revalidate(),
      confirm: async () => {
        lease.confirmed++
        return lease.ours
      },
    },
    polling: fallback
      ? () => new PollingSource({ ...shared, port: shard as never, idleTimeBetweenReadsMs: 500, maxRecordsPerRead: 10_000 })
      : undefined,
    waits: () => waited++,
  })
  const delivered: string[] = []
  /** The next batch, with as much time as it takes. */
  const next = async (limitMs = 1_200_000): Promise<FetchedBatch> => {
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
    const got = await batch
    room.free(got.bytes)
    for (const { SequenceNumber } of got.records) delivered.push(SequenceNumber!)
    return got
  }
  /** Reads on until `count` records have come, through empty events. */
  const until = async (count: number): Promise<void> => {
    while (delivered.length < count) await next()
  }
  const type = <T extends SourceEvent['type']>(wanted: T) =>
    events.filter((event): event is Extract<SourceEvent, { readonly type: T }> => event.type === wanted)
  const written = (): string[] => shard.records.map(({ SequenceNumber }) => SequenceNumber!)
  onTestFinished(async () => {
    stop.abort(new Error('over'))
    await clock.advanceAsync(0)
    expect(shard.open).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })
  return {
    clock,
    spokenAt,
    shard,
    room,
    place,
    lease,
    waited: () => waited,
    registration,
    events,
    type,
    source,
    next,
    until,
    stop,
    delivered,
    written,
  }
}

describe('FanOutSource', () => {
  it.each([
    { name: 'trim horizon', given: {}, position: { Type: 'TRIM_HORIZON' } },
    {
      name: 'a checkpoint, which may be in mid-aggregate: AT',
      given: { resumeFrom: sequencePosition('110', 3) },
      position: { Type: 'AT_SEQUENCE_NUMBER', SequenceNumber: '110' },
    },
    {
      name: 'latest, as fixed in the lease',
      given: { resumeFrom: LATEST, startAt: T - 5_000 },
      position: { Type: 'AT_TIMESTAMP', Timestamp: new Date(T - 5_000) },
    },
    { name: 'latest of a row that KCL made', given: { resumeFrom: LATEST }, position: { Type: 'LATEST' } },
  ])('subscribes from $name', async ({ given, position }) => {
    const { shard, next } = setUp(given)
    shard.write(1)
    await next()
    expect(shard.inputs).toEqual([{ ConsumerARN: ARN, ShardId: 'shard', StartingPosition: position }])
  })

  it('brings events as batches, in order, and empty ones too, which tell that the shard is alive', async () => {
    const { shard, next, source } = setUp()
    shard.write(5)
    expect(await next()).toMatchObject({ records: { length: 3 }, bytes: 30, millisBehindLatest: 1_000, children: undefined })
    expect(await next()).toMatchObject({ records: { length: 2 }, bytes: 20, millisBehindLatest: 0 })
    expect(await next()).toMatchObject({ records: [], bytes: 0, millisBehindLatest: 0 })
    expect([shard.inputs.length, source.retrieval]).toEqual([1, 'fan-out'])
  })

  it('scenario 29: normal 5-min completion: subscribes at once from the continuation, without a gap or a repetition', async () => {
    const { clock, shard, next, until, type, delivered, written } = setUp()
    shard.write(2)
    await until(2)
    shard.pass()
    while (clock.now() < 300_000) await next()
    shard.write(4)
    await until(6)
    expect(delivered).toEqual(written())
    expect(shard.inputs).toHaveLength(2)
    expect(shard.inputs[1]!.StartingPosition.Type).toBe('AFTER_SEQUENCE_NUMBER')
    // Later than the last record: where the service says it has come to.
    expect(Number(shard.inputs[1]!.StartingPosition.SequenceNumber)).toBeGreaterThan(Number(written()[1]))
    expect(type('subscription-ended')).toMatchObject([
      { reason: 'completed', lastedMs: 300_000, retryInMs: 0, failure: undefined },
    ])
    expect(type('read-failed')).toEqual([])
  })

  it.each(['0', '105'])('never goes back, whatever a quiet subscription says that it has come to: %s', async (continuation) => {
    const { shard, until, next, delivered, written } = setUp()
    if (continuation !== '0') {
      shard.write(1)
      await until(1)
    }
    shard.continuation = () => continuation
    await next()
    shard.live!.end()
    shard.write(1)
    await until(delivered.length + 1)
    expect(delivered).toEqual(written())
    expect(shard.inputs[1]!.StartingPosition).toEqual(
      continuation === '0' ? { Type: 'TRIM_HORIZON' } : { Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: '110' },
    )
  })

  it('scenario 29: error before first event: begins again where it began', async () => {
    const { shard, next, type } = setUp({ resumeFrom: LATEST, startAt: T - 5_000 })
    shard.refusals = [failure('InternalFailureException'), failure('ResourceInUseException')]
    shard.write(1)
    await next()
    expect(new Set(shard.inputs.map(({ StartingPosition }) => StartingPosition.Type))).toEqual(new Set(['AT_TIMESTAMP']))
    expect(type('read-failed')).toMatchObject([
      { attempt: 1, failure: { kind: 'internal' } },
      { attempt: 2, failure: { kind: 'in-use' } },
    ])
    expect(shard.provoked).toBe(0)
  })

  it('never asks for LATEST a second time, for that would skip records', async () => {
    const { clock, shard, next, until, delivered, written } = setUp({ resumeFrom: LATEST })
    await next()
    shard.live!.break(failure('ECONNRESET'))
    await clock.advanceAsync(0)
    shard.write(1)
    await until(1)
    expect(shard.inputs.map(({ StartingPosition }) => StartingPosition.Type)).toEqual(['LATEST', 'AFTER_SEQUENCE_NUMBER'])
    expect(delivered).toEqual(written())
  })

  it('nor when it ended before it said anything', async () => {
    const { shard, next } = setUp({ resumeFrom: LATEST })
    const subscribe = shard.subscribeToShard.bind(shard)
    shard.subscribeToShard = async (...call) => {
      const subscription = await subscribe(...call)
      if (shard.inputs.length === 1) shard.live!.break(failure('InternalFailureException'))
      return subscription
    }
    await next()
    expect(shard.inputs.map(({ StartingPosition }) => StartingPosition)).toEqual([
      { Type: 'LATEST' },
      { Type: 'AT_TIMESTAMP', Timestamp: new Date(T - 300_000) },
    ])
  })

  it('scenario 29: ReadTimeout: a stream that says nothing for 35 s is left, and read on elsewhere', async () => {
    const { clock, shard, until, type, delivered, written } = setUp()
    shard.write(2)
    await until(2)
    shard.live!.stalled = true
    shard.write(2)
    const since = clock.now()
    await until(4)
    expect(clock.now() - since).toBeGreaterThanOrEqual(35_000)
    expect(clock.now() - since).toBeLessThan(50_000)
    expect(type('subscription-ended')).toMatchObject([{ reason: 'stalled', failure: { kind: 'timeout' } }])
    expect(delivered).toEqual(written())
    expect(shard.subscriptions.map(({ closed }) => closed)).toEqual([true, false])
  })

  it('scenario 29: order under back-pressure: nothing is pulled while the handler is busy, for ten minutes, and all comes in order', async () => {
    const { clock, shard, next, until, type, delivered, written } = setUp()
    shard.write(2)
    await until(2)
    const { asked } = shard.live!
    shard.write(20)
    // Nobody asks for the next batch. That is no stall of the service.
    await clock.advanceAsync(600_000)
    expect(shard.subscriptions.map((subscription) => subscription.asked)).toEqual([asked])
    expect(clock.pendingTimers).toBe(0)
    shard.close()
    while ((await next()).children === undefined);
    expect(delivered).toEqual(written())
    // Meanwhile the service has ended it.
    expect(type('subscription-ended').map(({ reason }) => reason)).toEqual(['completed'])
  })

  it('waits with the next event until there is room for it', async () => {
    const { clock, shard, room, source, stop, next } = setUp({ bytes: 4 * MIB })
    shard.write(8)
    await next()
    const other = await room.enter(4 * MIB, stop.signal)
    room.settle(other)
    const { asked } = shard.live!
    let settled = false
    const pending = source.next(stop.signal).finally(() => {
      settled = true
    })
    await clock.advanceAsync(120_000)
    expect([settled, shard.live!.asked, room.waiting]).toEqual([false, asked, true])
    room.free(other)
    await clock.advanceAsync(0)
    expect((await pending).records).toHaveLength(3)
  })

  it('scenario 29: stale-flow: what a subscription says that was left behind changes nothing', async () => {
    const { clock, shard, until, delivered, written } = setUp()
    shard.write(1)
    await until(1)
    const former = shard.live!
    former.stalled = true
    shard.write(1)
    await until(2)
    // It comes to life, with what has been read elsewhere by now.
    former.over = false
    former.stalled = false
    former.index = 0
    former.wake()
    shard.write(3)
    await clock.advanceAsync(1_000)
    await until(5)
    expect(delivered).toEqual(written())
    former.close()
  })

  it('leaves out what a subscription brings a second time, and says so', async () => {
    const { shard, until, type, delivered, written } = setUp()
    shard.write(4)
    await until(4)
    shard.live!.index = 2
    shard.write(1)
    await until(5)
    expect(delivered).toEqual(written())
    expect(type('records-repeated')).toMatchObject([{ records: 2 }])
  })

  describe('the end of the shard', () => {
    it('is told with its children, and with the last records', async () => {
      const { shard, next } = setUp()
      shard.write(2)
      shard.close()
      expect(await next()).toMatchObject({ records: { length: 2 }, children: CHILDREN })
    })

    it('scenario 29: restart at SHARD_END: who begins behind the last record is told the end at once', async () => {
      const { shard, next } = setUp({ resumeFrom: sequencePosition('120') })
      shard.write(2)
      shard.close()
      expect(await next()).toMatchObject({ records: [{ SequenceNumber: '120' }], children: CHILDREN })
    })

    it('without children: the records come, then the children from the list of shards', async () => {
      const { shard, next, type } = setUp()
      shard.write(2)
      shard.close()
      shard.tellsChildren = false
      const closed = { ShardId: 'shard', SequenceNumberRange: { EndingSequenceNumber: '130' } }
      shard.listings = [[closed], [closed, { ShardId: 'child', ParentShardId: 'shard' }]]
      expect(await next()).toMatchObject({ records: { length: 2 }, children: undefined })
      expect(await next()).toMatchObject({ records: [], children: [{ ShardId: 'child' }] })
      expect([type('read-failed').length, shard.inputs.length]).toEqual([1, 1])
    })

    it('is not read out of an event without records, which says nothing', async () => {
      const { shard, next, delivered, events } = setUp()
      shard.write(3)
      await next()
      shard.write(1)
      shard.close()
      const said = shard.live!
      vi.spyOn(said, 'next').mockResolvedValueOnce({})
      const { children } = await next()
      expect(children).toEqual(CHILDREN)
      expect([delivered.length, said.closed]).toEqual([4, true])
      expect(events.map(({ type }) => type)).toEqual(['subscription-started', 'subscription-ended', 'subscription-started'])
    })

    it('of a shard that is still open was a slip: goes on after the last record', async () => {
      const { shard, next, until, delivered, written } = setUp()
      shard.write(2)
      shard.close()
      shard.tellsChildren = false
      shard.listings = [[{ ShardId: 'shard', SequenceNumberRange: { StartingSequenceNumber: '0' } }]]
      await next()
      shard.closed = false
      shard.write(1)
      await until(3)
      expect(delivered).toEqual(written())
      expect(shard.inputs).toHaveLength(2)
    })
  })

  describe('what is gone', () => {
    it('scenario 29: ResourceNotFound: a shard that the stream has dropped, once it is sure', async () => {
      const { shard, next, events } = setUp({ resumeFrom: sequencePosition('7') })
      shard.refusesAll = failure('ResourceNotFoundException')
      const HashKeyRange = { StartingHashKey: '0', EndingHashKey: String(MAX_HASH_KEY) }
      const SequenceNumberRange = { StartingSequenceNumber: '1' }
      shard.listings = [[{ ShardId: 'child', ParentShardId: 'shard', HashKeyRange, SequenceNumberRange }]]
      expect((await next()).children).toMatchObject([{ ShardId: 'child' }])
      expect(shard.inputs).toHaveLength(3)
      expect(events.at(-1)).toMatchObject({ type: 'records-expired', reason: 'shard-trimmed', after: '7' })
    })

    it('scenario 29: ResourceNotFound: not a shard that is in the list', async () => {
      const { shard, until, type } = setUp()
      const not = failure('ResourceNotFoundException')
      shard.refusals = [not, not, not, not]
      shard.write(1)
      await until(1)
      expect(type('records-expired')).toEqual([])
      expect(type('read-failed')).toHaveLength(4)
    })

    it('the stream: says so, and asks again, slowly', async () => {
      const { clock, shard, source, stop, type } = setUp()
      shard.refusesAll = failure('ResourceNotFoundException')
      shard.listings = [failure('ResourceNotFoundException', 'Stream flights not found')]
      const pending = source.next(stop.signal)
      pending.catch(() => {})
      await clock.advanceAsync(600_000)
      expect(type('stream-not-found').length).toBeGreaterThan(5)
      expect(type('stream-not-found').length).toBeLessThan(25)
    })

    it('the stream consumer: subscribes with the one that is registered in its place', async () => {
      const { shard, registration, until, type, delivered, written } = setUp()
      shard.write(1)
      await until(1)
      shard.live!.break(failure('ResourceNotFoundException', 'Consumer not found'))
      registration.known = false
      registration.consumer = `${ARN}2`
      shard.write(1)
      await until(2)
      expect(shard.inputs.map(({ ConsumerARN }) => ConsumerARN)).toEqual([ARN, `${ARN}2`])
      expect(delivered).toEqual(written())
      expect(type('subscription-ended')).toMatchObject([{ reason: 'failed', failure: { kind: 'not-found' } }])
    })

    it('the checkpoint: says so and goes on at the oldest record', async () => {
      const { shard, next, events } = setUp({ resumeFrom: sequencePosition('7') })
      shard.refusals = [failure('InvalidArgumentException', 'StartingSequenceNumber 7 is invalid')]
      shard.write(4)
      expect(await next()).toMatchObject({ records: { length: 3 }, fromOldest: true })
      expect(await next()).toMatchObject({ records: { length: 1 }, fromOldest: false })
      expect(events[0]).toMatchObject({ type: 'records-expired', reason: 'checkpoint-refused', after: '7' })
      expect([shard.inputs.length, shard.provoked]).toEqual([2, 0])
    })

    it('an invalid argument that is not about the place is no reason to begin anew', async () => {
      const { shard, next, type } = setUp({ resumeFrom: sequencePosition('110') })
      shard.refusals = [failure('InvalidArgumentException', 'ConsumerARN has a wrong format')]
      shard.write(1)
      expect(await next()).toMatchObject({ fromOldest: false })
      expect(type('records-expired')).toEqual([])
      expect(shard.inputs[1]!.StartingPosition.SequenceNumber).toBe('110')
    })

    it('the checkpointed record, also when empty events come first', async () => {
      const { shard, next, until, events } = setUp({ resumeFrom: sequencePosition('7') })
      await next()
      shard.write(1)
      await until(1)
      expect(events).toMatchObject([
        { type: 'subscription-started' },
        { type: 'records-expired', reason: 'checkpoint-trimmed', after: '7' },
      ])
    })
  })

  describe('somebody else subscribes to the shard', () => {
    it('asks whose lease it is before it subscribes again, and leaves the other one its time', async () => {
      const { clock, shard, lease, until, type, delivered, written } = setUp()
      shard.write(1)
      await until(1)
      shard.takeOver()
      const since = clock.now()
      shard.write(1)
      await until(2)
      expect(lease.confirmed).toBe(1)
      expect(clock.now() - since).toBeGreaterThanOrEqual(5_000)
      expect(type('subscription-ended')).toMatchObject([{ reason: 'taken-over', failure: { kind: 'in-use' } }])
      expect([shard.provoked, delivered]).toEqual([0, written()])
    })

    it('does not subscribe, at the start neither, while the lease is in doubt, and says that it waits for it', async () => {
      const { clock, shard, lease, source, stop, waited } = setUp()
      lease.ours = false
      shard.write(1)
      const pending = source.next(stop.signal)
      await clock.advanceAsync(60_000)
      expect(shard.inputs).toEqual([])
      expect(waited()).toBeGreaterThan(5)
      lease.ours = true
      await clock.advanceAsync(5_000)
      expect((await pending).records).toHaveLength(1)
    })

    it('asks once, however long the answer takes, and says all the while that it waits for it', async () => {
      const { clock, shard, lease, source, stop, waited } = setUp()
      let asked = 0
      let answer = (_: boolean): void => {}
      lease.revalidate = () => {
        asked++
        return new Promise((resolve) => {
          answer = resolve
        })
      }
      shard.write(1)
      const pending = source.next(stop.signal)
      await clock.advanceAsync(600_000)
      expect([asked, shard.inputs.length, waited()]).toEqual([1, 0, 121])
      answer(true)
      await clock.advanceAsync(0)
      expect((await pending).records).toHaveLength(1)
    })

    it('ends at once when told to while it waits for the answer', async () => {
      const { clock, lease, source, stop } = setUp()
      lease.revalidate = () => new Promise(() => {})
      const pending = source.next(stop.signal)
      await clock.advanceAsync(1_000)
      stop.abort(new Error('enough'))
      await expect(pending).rejects.toThrow('enough')
      expect(clock.pendingTimers).toBe(0)
    })

    it('asks for the lease after it has waited for the stream consumer', async () => {
      const { clock, shard, lease, registration, source, stop } = setUp()
      shard.write(1)
      registration.arn = async () => {
        if (clock.now() < 20_000) await sleep(clock, 20_000)
        return ARN
      }
      const pending = source.next(stop.signal)
      await clock.advanceAsync(10_000)
      lease.ours = false
      await clock.advanceAsync(50_000)
      expect(shard.inputs).toEqual([])
      lease.ours = true
      await clock.advanceAsync(5_000)
      expect((await pending).records).toHaveLength(1)
    })

    it('does not subscribe any more when the lease is not ours', async () => {
      const { clock, shard, lease, source, stop, until } = setUp()
      shard.write(1)
      await until(1)
      shard.takeOver()
      lease.ours = false
      const pending = source.next(stop.signal)
      pending.catch(() => {})
      await clock.advanceAsync(120_000)
      expect(shard.inputs).toHaveLength(1)
      stop.abort(new Error('lost'))
      await expect(pending).rejects.toThrow('lost')
    })
  })

  it.each([
    'InternalFailureException',
    'LimitExceededException',
    'ResourceInUseException',
    'KMSThrottlingException',
    'KMSAccessDeniedException',
    'AccessDeniedException',
    'SomethingNobodyKnows',
  ])('outlasts ten minutes of %s at the same place, without a busy loop, and says so often enough', async (name) => {
    const { clock, spokenAt, shard, source, stop, until, delivered, written } = setUp()
    shard.write(1)
    await until(1)
    shard.live!.break(failure(name))
    shard.refusesAll = failure(name)
    shard.write(1)
    const pending = source.next(stop.signal)
    await clock.advanceAsync(600_000)
    expect(shard.inputs.length).toBeGreaterThan(8)
    expect(shard.inputs.length).toBeLessThan(90)
    shard.refusesAll = undefined
    await clock.advanceAsync(60_000)
    delivered.push(...(await pending).records.map(({ SequenceNumber }) => SequenceNumber!))
    await until(2)
    expect(delivered).toEqual(written())
    expect(shard.provoked).toBe(0)
    // After two minutes of silence the worker would take this source for dead.
    expect(Math.max(...spokenAt.map((at, i) => at - (spokenAt[i - 1] ?? at)))).toBeLessThan(75_000)
  })

  it('ends at once when told to: while it subscribes, waits, and pulls; and closes the subscription', async () => {
    for (const refusals of [['silence' as const], [failure('AccessDeniedException')], []]) {
      const { clock, shard, source } = setUp()
      shard.refusals = refusals
      const stop = new AbortController()
      let settled = 0
      const read = async (): Promise<void> => {
        for (;;) await source.next(stop.signal)
      }
      const settling = expect(read().finally(() => settled++)).rejects.toThrow('enough')
      await clock.advanceAsync(500)
      stop.abort(new Error('enough'))
      await clock.advanceAsync(0)
      expect([settled, shard.open, clock.pendingTimers]).toEqual([1, 0, 0])
      await settling
    }
  })

  it('closes the subscription when told to while nobody asks for anything, and can be asked again', async () => {
    const { shard, source, clock, next, delivered, written } = setUp()
    const stop = new AbortController()
    shard.write(1)
    const batch = source.next(stop.signal)
    await clock.advanceAsync(0)
    delivered.push(...(await batch).records.map(({ SequenceNumber }) => SequenceNumber!))
    stop.abort(new Error('halt'))
    expect(shard.open).toBe(0)
    shard.write(1)
    while (delivered.length < 2) await next()
    expect(delivered).toEqual(written())
    expect(shard.provoked).toBe(0)
  })

  describe('fallbackToPolling', () => {
    it('reads by polling while it may not subscribe, and returns by itself', async () => {
      const { clock, shard, source, next, until, type, delivered, written } = setUp({ fallback: true })
      shard.refusesAll = failure('AccessDeniedException')
      shard.write(4)
      await until(4)
      expect(clock.now()).toBeLessThan(1_000)
      expect([source.retrieval, shard.inputs.length]).toEqual(['polling', 1])
      expect(type('fan-out-suspended')).toMatchObject([{ failure: { kind: 'access-denied' } }])
      for (let i = 0; i < 10; i++) {
        while (clock.now() < i * 60_000) await next()
        shard.write(2)
        await until(4 + 2 * (i + 1))
      }
      expect(shard.inputs.length).toBeLessThan(10)
      shard.refusesAll = undefined
      while (source.retrieval === 'polling') await next()
      const { reads } = shard
      shard.write(5)
      await until(29)
      expect(delivered).toEqual(written())
      expect(shard.reads).toBe(reads)
      expect(type('fan-out-resumed')).toHaveLength(1)
      shard.close()
      expect((await next()).children).toEqual(CHILDREN)
    })

    it('again and again: each time it goes on where the other has come to', async () => {
      const { shard, source, next, until, delivered, written } = setUp({ fallback: true })
      for (let round = 1; round <= 4; round++) {
        shard.refusesAll = failure('AccessDeniedException')
        shard.live?.break(failure('AccessDeniedException'))
        shard.write(5)
        await until(delivered.length + 5)
        expect(source.retrieval).toBe('polling')
        shard.refusesAll = undefined
        while (source.retrieval === 'polling') await next()
        shard.write(5)
        await until(10 * round)
      }
      expect(delivered).toEqual(written())
      expect(shard.provoked).toBe(0)
    })

    it('does so when there is no stream consumer to subscribe with', async () => {
      const { clock, shard, registration, until, delivered, written } = setUp({ fallback: true })
      registration.consumer = failure('LimitExceededException', 'too many consumers')
      shard.write(2)
      await until(2)
      expect([clock.now() < 1_000, shard.inputs.length, delivered]).toEqual([true, 0, written()])
    })

    it('does so when the stream consumer has been waited for, and says why it cannot be used', async () => {
      const { clock, shard, registration, until, type } = setUp({ fallback: true })
      registration.arn = () => new Promise(() => {})
      registration.hindrance = classifyFailure(failure('ResourceInUseException', 'The stream consumer is DELETING'))
      shard.write(2)
      await until(2)
      expect(clock.now()).toBeLessThan(31_000)
      expect(type('fan-out-suspended')).toMatchObject([
        { failure: { kind: 'in-use', message: 'The stream consumer is DELETING' } },
      ])
    })

    it('an attempt that is accepted and says nothing holds up reading for ten seconds at most', async () => {
      const { clock, shard, source, until, type, delivered, written } = setUp({ fallback: true })
      shard.refusesAll = failure('AccessDeniedException')
      shard.write(1)
      await until(1)
      shard.refusesAll = undefined
      shard.isMute = true
      let longest = 0
      while (shard.subscriptions.length === 0) {
        const since = clock.now()
        shard.write(1)
        await until(delivered.length + 1)
        longest = Math.max(longest, clock.now() - since)
      }
      expect(longest).toBeGreaterThanOrEqual(10_000)
      expect(longest).toBeLessThan(11_000)
      expect([source.retrieval, type('subscription-ended').map(({ reason }) => reason)]).toEqual(['polling', ['stalled']])
      expect(delivered).toEqual(written())
    })

    it('is not in a hurry where a subscription fails once', async () => {
      const { shard, source, until, type } = setUp({ fallback: true })
      shard.write(1)
      await until(1)
      shard.live!.break(failure('ECONNRESET'))
      shard.write(1)
      await until(2)
      expect([source.retrieval, shard.reads, type('fan-out-suspended').length]).toEqual(['fan-out', 0, 0])
    })

    it('ends a war of two that take the shard from each other', async () => {
      const { clock, shard, source, next, lease } = setUp({ fallback: true })
      while (clock.now() < 120_000 && source.retrieval === 'fan-out') {
        if (shard.live !== undefined && shard.live.asked > 1) shard.takeOver()
        await next()
      }
      expect(source.retrieval).toBe('polling')
      expect(lease.confirmed).toBe(3)
      expect(shard.provoked).toBe(0)
    })

    it('is told the end of the shard while it polls', async () => {
      const { shard, next } = setUp({ fallback: true })
      shard.refusesAll = failure('AccessDeniedException')
      shard.write(1)
      shard.close()
      expect(await next()).toMatchObject({ records: { length: 1 }, children: CHILDREN })
    })
  })

  it('property: whatever happens to subscriptions, each record comes exactly once, in order, and the end after the last', async () => {
    const errors = fc.constantFrom(
      'InternalFailureException',
      'LimitExceededException',
      'AccessDeniedException',
      'KMSDisabledException',
      'ResourceNotFoundException',
      'ECONNRESET',
      'TimeoutError',
    )
    const happening = fc.oneof(
      fc.record({ do: fc.constant('write' as const), count: fc.integer({ min: 0, max: 9 }) }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 400_000 }) }),
      fc.record({ do: fc.constant('break' as const), name: errors }),
      fc.record({ do: fc.constant('refuse' as const), name: errors, times: fc.integer({ min: 1, max: 6 }) }),
      fc.constant({ do: 'hang' as const }),
      fc.constant({ do: 'stall' as const }),
      fc.constant({ do: 'end' as const }),
      fc.constant({ do: 'take-over' as const }),
      fc.constant({ do: 'repeat' as const }),
      fc.constant({ do: 'throttle' as const }),
      fc.constant({ do: 'pass' as const }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(happening, { maxLength: 25 }),
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1, max: 1_000_000 }),
        async (script, fallback, tellsChildren, seed) => {
          const { clock, shard, source, stop, room, registration, delivered, written } = setUp({ fallback, seed })
          let rivals = 0
          let ended = false
          shard.tellsChildren = tellsChildren
          const read = async (): Promise<void> => {
            for (;;) {
              const { records, bytes, children } = await source.next(stop.signal)
              room.free(bytes)
              delivered.push(...records.map(({ SequenceNumber }) => SequenceNumber!))
              ended = children !== undefined
              if (ended) return
            }
          }
          const reading = read()
          reading.catch(() => {})
          for (const step of script) {
            await clock.advanceAsync(step.do === 'wait' ? step.ms : 10)
            if (step.do === 'write') shard.write(step.count)
            else if (step.do === 'pass') shard.pass()
            else if (step.do === 'break') shard.live?.break(failure(step.name))
            else if (step.do === 'refuse') for (let i = 0; i < step.times; i++) shard.refusals.push(failure(step.name))
            else if (step.do === 'hang') shard.refusals.push('silence')
            else if (step.do === 'end') shard.live?.end()
            else if (step.do === 'throttle')
              shard.readFailure = shard.readFailure ? undefined : failure('ProvisionedThroughputExceededException')
            else if (step.do === 'stall' && shard.live !== undefined) shard.live.stalled = true
            else if (step.do === 'repeat' && shard.live !== undefined) shard.live.index = Math.max(0, shard.live.index - 3)
            else if (step.do === 'take-over') {
              rivals++
              shard.takeOver()
            }
          }
          registration.known = true
          shard.readFailure = undefined
          shard.refusals = []
          shard.write(3)
          shard.close()
          for (let i = 0; i < 4_000 && !ended; i++) await clock.advanceAsync(1_000)
          expect(ended).toBe(true)
          expect(delivered).toEqual(written())
          // Who finds the shard taken a moment ago may ask a few times within these five seconds.
          expect(shard.provoked).toBeLessThanOrEqual(6 * rivals)
        },
      ),
      { numRuns: 300 },
    )
  })
})
