import { ManualClock } from '@shardwise/core/clock'
import { EventSource } from '@shardwise/core/events'
import { expect, onTestFinished, test } from 'vitest'
import { Ledger } from './ledger.js'
import type { ProducerEvent } from './producer-events.js'
import { checkOptions, type ProducerOptions } from './producer-options.js'
import { Streams } from './streams.js'
import { SimulatedKinesis } from './testing/simulated-kinesis.js'
import { toUserRecord } from './user-record.js'

const NAMES = ['a', 'b', 'c', 'd', 'e']

interface StreamsBench {
  readonly clock: ManualClock
  readonly kinesis: SimulatedKinesis
  readonly streams: Streams
  /** The pipeline's stream for each record that was put, when it settled. */
  put(stream: string): Promise<string>
  /** Those whose pipeline is there. */
  kept(): string[]
}

function streamsBench(most: number, options: ProducerOptions = {}): StreamsBench {
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: 'a', shards: 1 })
  for (const name of NAMES.slice(1)) kinesis.create(name, 1)
  const settings = checkOptions({ clock, random: () => 0.5, ...options })
  const events = new EventSource<ProducerEvent>()
  const ledger = new Ledger({ maxBytes: settings.maxBufferedBytes, maxRecords: settings.maxBufferedRecords }, events)
  const streams = new Streams(settings, kinesis, events, ledger, undefined, most)
  onTestFinished(async () => {
    const flushed = streams.flush()
    await clock.advanceAsync(40_000)
    await flushed
    streams.stop()
    await clock.advanceAsync(0)
    expect(clock.pendingTimers).toBe(0)
  })
  return {
    ...{ clock, kinesis, streams },
    put: (stream) =>
      new Promise((resolve) => {
        const record = toUserRecord({ partitionKey: 'k', data: Buffer.from('x') })
        record.notify((error) => resolve(error?.name ?? 'put'), undefined)
        try {
          streams.of(stream).put(record)
        } catch (error) {
          resolve((error as Error).name)
        }
      }),
    kept: () => NAMES.filter((name) => streams.stats(name).accepted > 0),
  }
}

test('the pipelines that were used least lately make room for others, and their counts are kept', async () => {
  const { clock, kinesis, streams, put, kept } = streamsBench(3)
  for (const name of ['a', 'b', 'c', 'a']) {
    const done = put(name)
    await clock.advanceAsync(500)
    expect(await done).toBe('put')
  }
  expect(kept()).toEqual(['a', 'b', 'c'])
  const next = put('d')
  expect(kept()).toEqual(['a', 'c', 'd'])
  await clock.advanceAsync(500)
  expect(await next).toBe('put')
  expect(streams.stats(undefined)).toMatchObject({ accepted: 5, delivered: 5, bufferedRecords: 0, openShards: 3 })
  expect(kinesis.listShardsCalls).toBe(4)
  const again = put('b')
  await clock.advanceAsync(500)
  expect([await again, kinesis.listShardsCalls, kept()]).toEqual(['put', 5, ['a', 'b', 'd']])
})

test('one that has something to do stays, and their number goes down again when it can', async () => {
  const { clock, put, kept } = streamsBench(2, { lingerMs: 1000 })
  const puts = ['a', 'b', 'c', 'd'].map(put)
  expect(kept()).toEqual(['a', 'b', 'c', 'd'])
  await clock.advanceAsync(3000)
  expect(await Promise.all(puts)).toEqual(['put', 'put', 'put', 'put'])
  const last = put('e')
  expect(kept()).toEqual(['d', 'e'])
  await clock.advanceAsync(3000)
  await last
})

test('one with records in line for room stays', async () => {
  const { clock, put, kept, streams } = streamsBench(1, { maxBufferedRecords: 1 })
  const puts = ['a', 'b'].map(put)
  const third = put('c')
  expect([streams.stats('b').waitingForRoom, streams.stats('c').waitingForRoom]).toEqual([1, 1])
  await clock.advanceAsync(3000)
  expect(await Promise.all([...puts, third])).toEqual(['put', 'put', 'put'])
  expect(kept()).toEqual(['a', 'b', 'c'])
})

test('one that someone waits for to be loaded stays', async () => {
  const { clock, streams } = streamsBench(1)
  const [first, second] = [streams.of('a').load(), streams.of('b').load()]
  await clock.advanceAsync(100)
  await Promise.all([first, second])
})

test('one with a halt stays until it is told to resume', async () => {
  const { clock, kinesis, put, streams, kept } = streamsBench(1, { ordering: 'perShard' })
  kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
  const failed = put('a')
  await clock.advanceAsync(500)
  expect(await failed).toBe('DeliveryFailedError')
  const other = put('b')
  await clock.advanceAsync(500)
  expect([await other, await put('a')]).toEqual(['put', 'LaneHaltedError'])
  streams.resume('a')
  const third = put('c')
  expect(kept()).toEqual(['c'])
  await clock.advanceAsync(500)
  await third
})
