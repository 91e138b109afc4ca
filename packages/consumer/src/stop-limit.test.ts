import { ManualClock } from '@shardwise/core/clock'
import { expect, it } from 'vitest'
import { ConsumerStoppingError } from './consumer-error.js'
import { StopLimit, type StopOptions } from './stop-limit.js'

const NEVER = Number.POSITIVE_INFINITY

it.each<{ name: string; calls: { at: number; timeoutMs?: number; abortAt?: number }[]; stoppedAt: number; expires: number }>([
  { name: 'no limit', calls: [{ at: 0 }], stoppedAt: 90_000, expires: NEVER },
  { name: 'a limit that is kept', calls: [{ at: 0, timeoutMs: 500 }], stoppedAt: 499, expires: NEVER },
  { name: 'a limit that passes', calls: [{ at: 0, timeoutMs: 500 }], stoppedAt: 700, expires: 500 },
  { name: 'no time at all', calls: [{ at: 0, timeoutMs: 0 }], stoppedAt: 700, expires: 0 },
  { name: 'no reaction', calls: [{ at: 0, timeoutMs: 500 }], stoppedAt: 9000, expires: 500 },
  { name: 'the signal before the time', calls: [{ at: 0, timeoutMs: 500, abortAt: 100 }], stoppedAt: 9000, expires: 100 },
  { name: 'the time before the signal', calls: [{ at: 0, timeoutMs: 500, abortAt: 800 }], stoppedAt: 9000, expires: 500 },
  { name: 'a signal that has aborted', calls: [{ at: 10, abortAt: 5 }], stoppedAt: 9000, expires: 10 },
  { name: 'a second call in a hurry', calls: [{ at: 0 }, { at: 300, timeoutMs: 50 }], stoppedAt: 9000, expires: 350 },
  {
    name: 'a second call with more patience',
    calls: [
      { at: 0, timeoutMs: 100 },
      { at: 50, timeoutMs: 900 },
    ],
    stoppedAt: 9000,
    expires: 100,
  },
])('$name', async ({ calls, stoppedAt, expires }) => {
  const clock = new ManualClock()
  const limit = new StopLimit(clock)
  const seen = { expired: NEVER, abandoned: NEVER }
  limit.expired.addEventListener('abort', () => {
    seen.expired = clock.now()
  })
  limit.abandoned.addEventListener('abort', () => {
    seen.abandoned = clock.now()
  })
  let stop = (): void => {}
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  clock.schedule(stoppedAt, stop)
  const waits: Promise<void>[] = []
  for (const { at, timeoutMs, abortAt } of calls) {
    const controller = new AbortController()
    if (abortAt !== undefined) clock.schedule(abortAt, () => controller.abort())
    const options: StopOptions = { timeoutMs, signal: abortAt === undefined ? undefined : controller.signal }
    clock.schedule(at, () => waits.push(limit.enforce(options, stopped)))
  }
  await clock.advanceAsync(stoppedAt)
  await clock.advanceAsync(0)
  await Promise.all(waits)
  expect(waits).toHaveLength(calls.length)
  expect(seen).toEqual({ expired: expires, abandoned: expires + 1000 <= stoppedAt ? expires + 1000 : NEVER })
  if (expires < NEVER) expect(limit.expired.reason).toBeInstanceOf(ConsumerStoppingError)
  expect(clock.pendingTimers).toBe(calls.filter(({ abortAt }) => abortAt !== undefined && abortAt > stoppedAt).length)
})
