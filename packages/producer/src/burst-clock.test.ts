import type { Clock } from '@shardwise/core/clock'
import { ManualClock } from '@shardwise/core/clock'
import { expect, test } from 'vitest'
import { BurstClock } from './burst-clock.js'

class CountingClock implements Clock {
  readonly inner: ManualClock = new ManualClock()
  readings = 0

  now(): number {
    this.readings++
    return this.inner.now()
  }

  wallTime(): number {
    return this.inner.wallTime()
  }

  schedule(delayMs: number, run: () => void): ReturnType<Clock['schedule']> {
    return this.inner.schedule(delayMs, run)
  }
}

test('reads the clock once for sixteen calls of a burst', () => {
  const clock = new CountingClock()
  const burst = new BurstClock(clock, 1000)
  for (let i = 0; i < 161; i++) expect(burst.moment.now).toBe(0)
  // The first call, of which nothing is known yet, and one for each sixteen.
  expect(clock.readings).toBe(11)
})

test('calls that are a millisecond apart each get their own time', () => {
  const clock = new CountingClock()
  const burst = new BurstClock(clock, 1000)
  for (let i = 0; i < 50; i++) {
    expect(burst.moment.now).toBe(clock.inner.now())
    clock.inner.advance(1)
  }
})

test.each<[string, (burst: BurstClock) => void | Promise<void>]>([
  ['an await', () => Promise.resolve()],
  ['a turn of the pipeline', (burst) => burst.forget()],
])('%s ends the burst: what comes then is not late', async (_, pause) => {
  const clock = new CountingClock()
  const burst = new BurstClock(clock, 1000)
  for (let i = 0; i < 3; i++) {
    burst.moment.now
    burst.moment.now
    await pause(burst)
    clock.inner.advance(5000)
    expect(burst.moment.now).toBe(clock.inner.now())
  }
})

test('time never goes back', () => {
  const clock = new CountingClock()
  const burst = new BurstClock(clock, 1000)
  let last = 0
  for (let i = 0; i < 100; i++) {
    const now = burst.moment.now
    expect(now).toBeGreaterThanOrEqual(last)
    last = now
    if (i % 7 === 0) burst.forget()
    clock.inner.advance(0.2)
  }
})
