import { type Clock, ManualClock } from '@shardwise/core/clock'
import { expect, onTestFinished, test } from 'vitest'
import { Producer } from './producer.js'
import type { ProducerOptions } from './producer-options.js'
import { SimulatedKinesis } from './testing/simulated-kinesis.js'
import type { PutResult } from './user-record.js'

/**
 * The clock of a process that is suspended, as a function between two calls or a laptop: the world goes on, but no timer of the process
 * runs. When it goes on, those that are late run first, in their order, and then what had come for it meanwhile.
 */
class SuspendedClock implements Clock {
  readonly #world: ManualClock
  #isSuspended = false
  #late: (() => void)[] = []

  constructor(world: ManualClock) {
    this.#world = world
  }

  now(): number {
    return this.#world.now()
  }

  wallTime(): number {
    return this.#world.wallTime()
  }

  schedule(delayMs: number, run: () => void): { cancel(): void } {
    let isCancelled = false
    const fire = (): void => {
      if (isCancelled) return
      if (this.#isSuspended) this.#late.push(fire)
      else run()
    }
    const timer = this.#world.schedule(delayMs, fire)
    return {
      cancel: () => {
        isCancelled = true
        timer.cancel()
      },
    }
  }

  suspend(ms: number): void {
    this.#isSuspended = true
    this.#world.advance(ms)
    this.#isSuspended = false
    for (const fire of this.#late.splice(0)) fire()
  }
}

const SUSPENDED_MS = 5 * 60_000

function benchOf(options: ProducerOptions): {
  readonly clock: ManualClock
  readonly kinesis: SimulatedKinesis
  readonly producer: Producer
  put(id: string, stream?: string): Promise<PutResult | Error>
  suspend(): Promise<void>
} {
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: 'flights', shards: 1 })
  kinesis.create('gates', 1)
  const process = new SuspendedClock(clock)
  const producer = new Producer({ stream: 'flights', kinesis, clock: process, random: () => 0.5, ...options })
  onTestFinished(async () => {
    const closing = producer.close()
    await clock.advanceAsync(40_000)
    await closing
    expect(clock.pendingTimers).toBe(0)
  })
  return {
    ...{ clock, kinesis, producer },
    put: (id, stream) => producer.put({ stream, partitionKey: id, data: Buffer.from(id) }).catch((error: Error) => error),
    suspend: async () => {
      process.suspend(SUSPENDED_MS)
      await clock.advanceAsync(0)
    },
  }
}

test('a request under way is given up and its records are sent again, in every stream', async () => {
  const { clock, kinesis, producer, put, suspend } = benchOf({ lingerMs: 0, recordTtlMs: 2 * SUSPENDED_MS })
  await Promise.all([producer.start(), producer.start('gates'), clock.advanceAsync(100)])
  const puts = [put('a'), put('b', 'gates')]
  await clock.advanceAsync(2)
  expect(producer.stats().requestsInFlight).toBe(2)
  const flushed = producer.flush()
  await suspend()
  await clock.advanceAsync(1000)
  await flushed
  expect(await Promise.all(puts)).toMatchObject([{ attempts: 2 }, { attempts: 2 }])
  // The first attempts were written, only too late to hear of it.
  expect(producer.stats()).toMatchObject({ requestsFailed: 2, possibleDuplicates: 2, delivered: 2 })
  expect([kinesis.readable(), kinesis.readable('gates')].map((found) => found.map(({ id }) => id))).toEqual([
    ['a', 'a'],
    ['b', 'b'],
  ])
})

test('the time that a process is suspended counts: what lived too long says whether it may have been written', async () => {
  const { clock, producer, put, suspend } = benchOf({ lingerMs: 10_000, recordTtlMs: 30_000 })
  await Promise.all([producer.start(), clock.advanceAsync(100)])
  const underWay = put('a')
  const flushed = producer.flush()
  await clock.advanceAsync(2)
  const lingering = put('b')
  await suspend()
  const later = put('c')
  await flushed
  await clock.advanceAsync(20_000)
  expect(await Promise.all([underWay, lingering, later])).toMatchObject([
    { name: 'DeliveryFailedError', reason: 'expired', written: 'unknown', attempts: 1 },
    { name: 'DeliveryFailedError', reason: 'expired', written: 'no', attempts: 0 },
    { attempts: 1 },
  ])
})

test('what was flushed before is safe, and what is put after goes by a stream that may have changed', async () => {
  const { clock, kinesis, producer, put, suspend } = benchOf({ recordTtlMs: 30_000 })
  const before = put('a')
  const flushed = producer.flush()
  await clock.advanceAsync(200)
  await flushed
  kinesis.split(0)
  await suspend()
  const after = ['b', 'c', 'd', 'e'].map((id) => put(id))
  const again = producer.flush()
  await clock.advanceAsync(5000)
  await again
  expect(await Promise.all([before, ...after])).toMatchObject(Array(5).fill({ sequenceNumber: expect.any(String) }))
  expect(new Set(kinesis.readable().map(({ id }) => id))).toEqual(new Set(['a', 'b', 'c', 'd', 'e']))
})
