import { ManualClock } from '@shardwise/core/clock'
import type { DescribeStreamSummaryOutput, KinesisPort, ListShardsInput, StreamSummary } from '@shardwise/core/kinesis-port'
import type { Shard } from '@shardwise/core/shard-map'
import { describe, expect, test } from 'vitest'
import { StreamView, type StreamViewOptions } from './stream-view.js'
import { listingOf } from './testing/known-stream.js'
import { shardOf } from './testing/records.js'
import { named } from './testing/simulated-kinesis.js'

const END = 2n ** 128n - 1n
const HALF = 2n ** 127n
const whole = shardOf('whole')
const halves = [shardOf('left', { start: 0n, end: HALF - 1n }), shardOf('right', { start: HALF, end: END })]
const ACTIVE: StreamSummary = { StreamName: 'flights', StreamStatus: 'ACTIVE', MaxRecordSizeInKiB: 2048 }

/** A view on a stream that answers at once, or when the gate opens. */
class Bench {
  now = 0
  shards: readonly Shard[] | Error = [whole]
  summary: StreamSummary | Error = ACTIVE
  /** Answers wait for it. They are as things are when they come. */
  gate: Promise<void> = Promise.resolve()
  /** Calls of the service, as they began: `describe`, `list open` or `list all`. */
  readonly calls: string[] = []
  /** What the listener was told, without `idle`. */
  readonly told: string[] = []
  readonly signals: AbortSignal[] = []
  idles = 0
  toldBeforeIdle: readonly string[] = []
  readonly view: StreamView

  constructor(options: Partial<StreamViewOptions> = {}) {
    const port: Partial<KinesisPort> = {
      describeStreamSummary: async (_, call): Promise<DescribeStreamSummaryOutput> => {
        this.#begin('describe', call?.signal)
        await this.gate
        if (this.summary instanceof Error) throw this.summary
        return { StreamDescriptionSummary: this.summary }
      },
      listShards: async ({ ShardFilter }: ListShardsInput, call) => {
        this.#begin(ShardFilter?.Type === 'AT_LATEST' ? 'list open' : 'list all', call?.signal)
        await this.gate
        if (this.shards instanceof Error) throw this.shards
        return { Shards: this.shards.map(listingOf) }
      },
    }
    const retry = { baseMs: 100, maxMs: 1000 }
    const times = { refreshMs: 0, timeoutMs: 10_000, retry, random: () => 0.5 }
    const settings = { name: 'flights', ordered: false, ...times, ...options }
    const ids = (shards: readonly Shard[] | undefined): string => shards?.map(({ shardId }) => shardId).join('+') ?? 'none'
    this.view = new StreamView(port as KinesisPort, { StreamName: 'flights' }, settings, () => ({
      mapChanged: (map, before) => this.told.push(`map ${ids(before?.open)} -> ${ids(map.open)}`),
      mapConfirmed: () => this.told.push('map confirmed'),
      traitsKnown: ({ maxRecordBytes, distribution }) => this.told.push(`traits ${maxRecordBytes} ${distribution}`),
      probeDenied: () => this.told.push('probe denied'),
      failed: (error, fatal) => this.told.push(`${fatal ? 'fatal' : 'failed'} ${error.serviceCode}`),
      idle: () => {
        this.idles++
        this.toldBeforeIdle = [...this.told]
      },
      now: () => this.now,
    }))
  }

  #begin(call: string, signal: AbortSignal | undefined): void {
    this.calls.push(call)
    if (signal !== undefined) this.signals.push(signal)
  }

  /** Answers wait until what this returns is called. */
  close(): () => void {
    const { promise, open } = gate()
    this.gate = promise
    return open
  }

  /** What was called and told since the last time, when all that needs no time has happened. */
  async since(): Promise<[calls: string[], told: string[]]> {
    await new ManualClock().advanceAsync(0)
    return [this.calls.splice(0), this.told.splice(0)]
  }
}

function gate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, open }
}

async function loaded(options: Partial<StreamViewOptions> = {}): Promise<Bench> {
  const bench = new Bench(options)
  bench.view.load(0)
  await bench.since()
  bench.now = 1000
  return bench
}

describe('StreamView', () => {
  test('loads traits and map once, however often it is asked', async () => {
    const bench = new Bench()
    expect([bench.view.isReady, bench.view.nextAt]).toEqual([false, undefined])
    bench.view.load(0)
    bench.view.load(0)
    expect(await bench.since()).toEqual([
      ['describe', 'list open'],
      [`traits ${2048 * 1024} partition-key`, 'map none -> whole'],
    ])
    expect(bench.toldBeforeIdle).toHaveLength(2)
    bench.view.load(0)
    expect([bench.view.isReady, bench.view.nextAt, bench.idles]).toEqual([true, undefined, 1])
    expect(await bench.since()).toEqual([[], []])
    expect(bench.view.isOpen(bench.view.shard('whole')!)).toBe(true)
  })

  test.each<[string, (view: StreamView) => void, string[], string[]]>([
    ['a newer map', (view) => view.refresh(1000), ['list open'], ['map whole -> left+right']],
    ['closed shards too', (view) => view.refresh(1000, true), ['list all'], ['map whole -> left+right']],
    ['traits', (view) => view.probe(1000), ['describe'], ['traits 1048576 partition-key']],
    [
      'traits and map',
      (view) => view.probe(1000, true),
      ['describe', 'list open'],
      ['traits 1048576 partition-key', 'map whole -> left+right'],
    ],
  ])('renews what is asked for: %s', async (_, ask, calls, told) => {
    const bench = await loaded()
    bench.shards = halves
    bench.summary = { StreamStatus: 'ACTIVE' }
    ask(bench.view)
    expect(await bench.since()).toEqual([calls, told])
  })

  test('a listing that shows nothing new confirms', async () => {
    const bench = await loaded()
    bench.view.refresh(1000)
    expect(await bench.since()).toEqual([['list open'], ['map confirmed']])
  })

  test('what is asked for while a call runs is asked once more after it, and not at once', async () => {
    const bench = await loaded()
    const open = bench.close()
    bench.view.refresh(1000)
    bench.view.refresh(1000, true)
    bench.view.refresh(1000)
    expect([await bench.since(), bench.view.nextAt]).toEqual([[['list open'], []], 11_000])
    bench.shards = halves
    open()
    expect(await bench.since()).toEqual([[], ['map whole -> left+right']])
    expect(bench.view.nextAt).toBe(1100)
    bench.view.tick(1099)
    expect(await bench.since()).toEqual([[], []])
    bench.view.tick(1100)
    expect(await bench.since()).toEqual([['list all'], ['map confirmed']])
  })

  test('the pause grows with calls that fail or change nothing, up to its limit, and ends when one does', async () => {
    const bench = await loaded()
    const pauses: number[] = []
    for (const fails of [true, false, true, true, true, true]) {
      bench.shards = fails ? named('InternalFailureException') : [whole]
      bench.view.refresh(bench.now)
      await bench.since()
      bench.view.refresh(bench.now)
      pauses.push(bench.view.nextAt! - bench.now)
      bench.now = bench.view.nextAt!
    }
    // Half of [0, baseMs * 2^n) on top of its other half, at least 100.
    expect(pauses).toEqual([100, 150, 300, 600, 750, 750])
    bench.shards = halves
    bench.view.tick(bench.now)
    await bench.since()
    bench.view.refresh(bench.now)
    expect(bench.view.nextAt! - bench.now).toBe(100)
  })

  test.each<[string, Partial<Pick<Bench, 'shards' | 'summary'>>, boolean, string[]]>([
    ['no such stream', { summary: named('ResourceNotFoundException') }, false, ['fatal ResourceNotFoundException']],
    ['throttled', { summary: named('LimitExceededException') }, false, ['failed LimitExceededException']],
    ['in creation', { summary: { ...ACTIVE, StreamStatus: 'CREATING' } }, false, ['failed StreamCreating']],
    ['being deleted', { summary: { ...ACTIVE, StreamStatus: 'DELETING' } }, false, ['fatal StreamDeleting']],
    ['no description of a stream', { summary: { StreamName: 'flights' } }, false, ['fatal ERR_SHARDWISE_STREAM_DESCRIPTION']],
    [
      'placed by the service, and order is promised',
      { summary: { ...ACTIVE, RecordDistributionStrategy: 'AUTO' } },
      true,
      ['fatal AutoDistribution'],
    ],
    [
      'placed by the service, and no order is promised',
      { summary: { ...ACTIVE, RecordDistributionStrategy: 'AUTO' } },
      false,
      ['traits 2097152 auto', 'map none -> whole'],
    ],
    [
      'a probe that is not permitted',
      { summary: named('AccessDeniedException') },
      true,
      ['probe denied', 'traits 1048576 undefined', 'map none -> whole'],
    ],
    [
      'a listing that is not permitted',
      { shards: named('AccessDeniedException') },
      false,
      ['traits 2097152 partition-key', 'fatal AccessDeniedException'],
    ],
    [
      'a listing with a hole',
      { shards: [halves[0]!] },
      false,
      ['traits 2097152 partition-key', 'failed ERR_SHARDWISE_SHARD_LISTING'],
    ],
  ])('at the first load: %s', async (_, stream, ordered, told) => {
    const bench = Object.assign(new Bench({ ordered }), stream)
    bench.view.load(0)
    expect((await bench.since())[1]).toEqual(told)
    // What may pass is asked for again, what cannot is not.
    expect(bench.view.nextAt !== undefined).toBe(told.some((word) => word.startsWith('failed')))
    expect(bench.idles).toBe(1)
  })

  test('asks again only for what failed, closed shards too if they were wanted', async () => {
    const bench = await loaded()
    bench.shards = named('InternalFailureException')
    bench.view.refresh(1000, true)
    await bench.since()
    bench.view.probe(1000)
    bench.shards = halves
    bench.now = bench.view.nextAt!
    bench.view.tick(bench.now)
    expect((await bench.since())[0]).toEqual(['describe', 'list all'])

    const fresh = new Bench()
    fresh.shards = named('InternalFailureException')
    fresh.view.load(0)
    await fresh.since()
    fresh.shards = halves
    fresh.view.tick(fresh.view.nextAt!)
    expect(await fresh.since()).toEqual([['list open'], ['map none -> left+right']])
  })

  test('a probe that failed is tried again, and a listing that comes after the stream was forgotten is dropped', async () => {
    const bench = await loaded()
    bench.summary = named('InternalFailureException')
    bench.view.probe(1000)
    await bench.since()
    bench.summary = ACTIVE
    bench.now = bench.view.nextAt!
    bench.view.tick(bench.now)
    expect(await bench.since()).toEqual([['describe'], ['traits 2097152 partition-key']])

    bench.now += 5000
    const open = bench.close()
    bench.view.refresh(bench.now)
    bench.view.forget()
    bench.shards = halves
    open()
    expect([await bench.since(), bench.view.map]).toEqual([[['list open'], []], undefined])
  })

  test('a failure leaves the map that there is', async () => {
    const bench = await loaded()
    const { map } = bench.view
    for (const error of ['InternalFailureException', 'AccessDeniedException']) {
      bench.shards = named(error)
      bench.view.refresh(bench.now)
      await bench.since()
      bench.now += 5000
    }
    expect([bench.view.map, bench.view.isReady, bench.view.nextAt]).toEqual([map, true, undefined])
  })

  test.each<[string, StreamSummary | Error]>([
    ['an answer', ACTIVE],
    ['a failure', named('ResourceNotFoundException')],
  ])(
    '%s that comes after the stream was forgotten is dropped, and the load that was asked for since follows it',
    async (_, summary) => {
      const bench = Object.assign(await loaded(), { summary })
      const open = bench.close()
      bench.view.probe(1000, true)
      await bench.since()
      bench.view.forget()
      expect([bench.view.map, bench.view.traits, bench.view.shard('whole'), bench.view.isReady]).toEqual([
        ...[undefined, undefined, undefined],
        false,
      ])
      bench.view.load(1000)
      open()
      expect([await bench.since(), bench.idles, bench.view.isReady]).toEqual([[[], []], 2, false])
      Object.assign(bench, { shards: halves, summary: ACTIVE })
      bench.view.tick(bench.view.nextAt!)
      expect((await bench.since())[1]).toEqual(['traits 2097152 partition-key', 'map none -> left+right'])
    },
  )

  test('after stop nothing is told and nothing asked', async () => {
    const bench = await loaded()
    const open = bench.close()
    bench.view.refresh(1000)
    await bench.since()
    bench.view.stop()
    open()
    bench.shards = halves
    expect([await bench.since(), bench.signals.at(-1)!.aborted, bench.idles]).toEqual([[[], []], true, 1])
    bench.view.refresh(5000)
    bench.view.probe(5000)
    expect(await bench.since()).toEqual([[], []])
  })
})

describe('renewal', () => {
  // With jitter of a half: a tenth earlier than the 60 seconds.
  const RENEWED_AT = 54_000

  test('the map is stale a while after each listing, never when it is not to be renewed, and never before there is one', async () => {
    expect(new Bench({ refreshMs: 60_000 }).view.staleAt).toBe(Number.POSITIVE_INFINITY)
    expect((await loaded()).view.staleAt).toBe(Number.POSITIVE_INFINITY)
    const bench = await loaded({ refreshMs: 60_000 })
    expect(bench.view.staleAt).toBe(RENEWED_AT)
    bench.now = 30_000
    bench.view.refresh(bench.now)
    await bench.since()
    expect(bench.view.staleAt).toBe(30_000 + RENEWED_AT)
  })

  test('it is listed once, and stale again when that has ended', async () => {
    const bench = await loaded({ refreshMs: 60_000 })
    bench.now = 70_000
    bench.view.renew(70_000)
    expect([bench.view.staleAt, bench.view.isRenewing]).toEqual([Number.POSITIVE_INFINITY, true])
    expect(await bench.since()).toEqual([['list open'], ['map confirmed']])
    expect([bench.view.staleAt, bench.view.isRenewing, bench.view.nextAt]).toEqual([70_000 + RENEWED_AT, false, undefined])
  })

  test('every fifth listing is followed by a probe, which tells nothing new and calls for nothing', async () => {
    const bench = await loaded({ refreshMs: 60_000 })
    const calls: string[] = []
    for (let i = 1; i <= 10; i++) {
      bench.now += 60_000
      bench.view.renew(bench.now)
      calls.push(...(await bench.since())[0])
      bench.now += 200
      bench.view.tick(bench.now)
      calls.push(...(await bench.since())[0])
    }
    // The first of the five was the loading.
    expect(calls.map((call) => call[0]).join('')).toBe('lllldllllldl')
    // A refresh that is called for now goes as soon as after the first.
    bench.view.refresh(bench.now)
    await bench.since()
    expect(bench.view.nextAt).toBeUndefined()
    bench.view.refresh(bench.now)
    expect(bench.view.nextAt! - bench.now).toBeLessThanOrEqual(100)
  })

  test.each<[string, Error, number]>([
    ['for now', named('LimitExceededException'), 750],
    ['for good', named('AccessDeniedException'), 60_000],
  ])('one that fails %s leaves the map, and is asked for by the next put after a while', async (_, error, after) => {
    const bench = await loaded({ refreshMs: 60_000 })
    bench.shards = error
    bench.now = 70_000
    bench.view.renew(70_000)
    expect((await bench.since())[0]).toEqual(['list open'])
    expect([bench.view.isReady, bench.view.nextAt, bench.view.staleAt]).toEqual([true, undefined, 70_000 + after])
  })

  test('one that is called for as well is tried again until it succeeds', async () => {
    const bench = await loaded({ refreshMs: 60_000 })
    bench.shards = named('LimitExceededException')
    bench.now = 70_000
    const open = bench.close()
    bench.view.renew(70_000)
    bench.view.refresh(70_000, true)
    open()
    await bench.since()
    expect(bench.view.nextAt).toBe(70_100)
  })
})

test('a probe that tells nothing new does not shorten the waits', async () => {
  const bench = await loaded()
  const waits: number[] = []
  for (let i = 0; i < 5; i++) {
    bench.view.probe(bench.now)
    await bench.since()
    bench.view.probe(bench.now)
    waits.push(bench.view.nextAt! - bench.now)
    bench.now = bench.view.nextAt!
    bench.view.tick(bench.now)
    await bench.since()
    bench.now += 5000
  }
  expect(waits).toEqual([100, 300, 750, 750, 750])
})

test('that probing is denied is told once, and again after it was permitted', async () => {
  const bench = await loaded()
  const told: string[] = []
  for (const summary of [
    named('AccessDeniedException'),
    named('AccessDeniedException'),
    ACTIVE,
    named('AccessDeniedException'),
  ]) {
    bench.summary = summary
    bench.now += 10_000
    bench.view.probe(bench.now)
    told.push(...(await bench.since())[1].filter((what) => what === 'probe denied'))
  }
  expect(told).toHaveLength(2)
})

test.each([['describe'], ['list open']])('a call that is not answered (%s) ends in time, and another is made', async (call) => {
  const bench = new Bench({ timeoutMs: 3000 })
  const never = new Promise<void>(() => {})
  if (call === 'describe') bench.gate = never
  bench.view.load(0)
  if (call !== 'describe') bench.gate = never
  expect((await bench.since())[0].at(-1)).toBe(call)
  expect(bench.view.nextAt).toBe(3000)
  bench.now = 2999
  bench.view.tick(2999)
  expect(bench.signals.at(-1)!.aborted).toBe(false)
  bench.now = 3000
  bench.view.tick(3000)
  expect((await bench.since())[1]).toEqual(['failed TimeoutError'])
  expect([bench.signals.at(-1)!.aborted, bench.view.nextAt]).toEqual([true, 3100])
  bench.gate = Promise.resolve()
  bench.now = 3100
  bench.view.tick(3100)
  await bench.since()
  expect(bench.view.isReady).toBe(true)
})
