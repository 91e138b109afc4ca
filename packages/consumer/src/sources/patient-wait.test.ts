import { ManualClock } from '@shardwise/core/clock'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PatientWait } from './patient-wait.js'

let clock: ManualClock
let wait: PatientWait
beforeEach(() => {
  clock = new ManualClock()
  wait = new PatientWait(clock)
})
afterEach(() => {
  wait.end()
  expect(clock.pendingTimers).toBe(0)
})

const { signal } = new AbortController()
const never = (): Promise<never> => new Promise(() => {})
const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

test('gives what the call gives', async () => {
  expect(await wait.for(100, async () => 7, signal)).toBe(7)
  expect(await outcome(wait.for(100, () => Promise.reject('no'), signal))).toBe('no')
  const broken = (): Promise<never> => {
    throw new Error('at once')
  }
  expect(await outcome(wait.for(100, broken, signal))).toMatchObject({ message: 'at once' })
})

test('the limit is that of each wait, whenever it begins', async () => {
  await wait.for(100, async () => 1, signal)
  clock.advance(60)
  const second = outcome(wait.for(100, never, signal))
  let isOver = false
  void second.then(() => {
    isOver = true
  })
  await clock.advanceAsync(99)
  expect(isOver).toBe(false)
  clock.advance(1)
  expect(await second).toMatchObject({ name: 'TimeoutError', message: 'No answer within 100 ms' })
})

test('nobody waits while the timer rings: the next wait has a timer all the same', async () => {
  await wait.for(100, async () => 1, signal)
  clock.advance(500)
  expect(clock.pendingTimers).toBe(0)
  const next = outcome(wait.for(100, never, signal))
  clock.advance(100)
  expect(await next).toMatchObject({ name: 'TimeoutError' })
})

test('one timer for many waits', async () => {
  for (let i = 0; i < 5; i++) {
    await wait.for(100, async () => i, signal)
    expect(clock.pendingTimers).toBe(1)
  }
})

test('a shorter limit than the last wait had holds', async () => {
  await wait.for(1_000, async () => 1, signal)
  const short = outcome(wait.for(100, never, signal))
  clock.advance(100)
  expect(await short).toMatchObject({ message: 'No answer within 100 ms' })
})

test('ends with the reason of the signal, also of another than the last wait had, and of one that had aborted', async () => {
  await wait.for(100, async () => 1, signal)
  const controller = new AbortController()
  const waiting = outcome(wait.for(100, never, controller.signal))
  controller.abort('why')
  expect(await waiting).toBe('why')
  expect(clock.pendingTimers).toBe(0)
  expect(await outcome(wait.for(100, never, controller.signal))).toBe('why')
})

test('a call that settles after it was given up does not end the next wait', async () => {
  let settle = (): void => {}
  const call = (): Promise<void> =>
    new Promise((resolve) => {
      settle = resolve
    })
  const late = outcome(wait.for(100, call, signal))
  clock.advance(100)
  expect(await late).toMatchObject({ name: 'TimeoutError' })
  const next = outcome(wait.for(100, never, signal))
  settle()
  await clock.advanceAsync(100)
  expect(await next).toMatchObject({ name: 'TimeoutError' })
})
