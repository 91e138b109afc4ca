import { expect, test } from 'vitest'
import { ManualClock } from '../clock.js'
import { boundedCall } from './bounded-call.js'

const never = () => new Promise<never>(() => {})

test('passes through what the call gives, and leaves no timer and no listener', async () => {
  const clock = new ManualClock()
  const { signal } = new AbortController()
  const bounds = { name: 'Call', clock, timeoutMs: 10, signal }
  expect(await boundedCall(async () => 7, bounds)).toBe(7)
  await expect(boundedCall(() => Promise.reject(new Error('no')), bounds)).rejects.toThrow('no')
  const broken = (): Promise<never> => {
    throw new Error('at once')
  }
  await expect(boundedCall(broken, bounds)).rejects.toThrow('at once')
  expect(clock.pendingTimers).toBe(0)
})

test('rejects at the time limit although the call does not mind its signal', async () => {
  const clock = new ManualClock()
  let given: AbortSignal | undefined
  const call = boundedCall(
    (signal) => {
      given = signal
      return never()
    },
    { name: 'Call', clock, timeoutMs: 10, signal: undefined },
  )
  clock.advance(9)
  expect(given?.aborted).toBe(false)
  clock.advance(1)
  await expect(call).rejects.toMatchObject({ name: 'TimeoutError', message: 'Call had no complete answer within 10 ms' })
  expect(given?.aborted).toBe(true)
})

test('rejects with the abort, not with what the abort made the call reject with', async () => {
  const clock = new ManualClock()
  const controller = new AbortController()
  const call = boundedCall(
    (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('socket hang up')))),
    { name: 'Call', clock, timeoutMs: 10, signal: controller.signal },
  )
  controller.abort('why')
  await expect(call).rejects.toMatchObject({ name: 'AbortError', cause: 'why' })
  expect(clock.pendingTimers).toBe(0)
})

test('does not call at all with an aborted signal', async () => {
  const bounds = { name: 'Call', clock: new ManualClock(), timeoutMs: 10, signal: AbortSignal.abort('before') }
  await expect(boundedCall(() => expect.fail('called'), bounds)).rejects.toMatchObject({ name: 'AbortError', cause: 'before' })
})

test('its timer does not keep the process alive: the connection does', async () => {
  const given: unknown[] = []
  const clock = new ManualClock()
  const schedule = clock.schedule.bind(clock)
  const noting = Object.assign(clock, {
    schedule: (delayMs: number, run: () => void, options: unknown) => {
      given.push(options)
      return schedule(delayMs, run)
    },
  })
  await boundedCall(async () => 1, { name: 'Call', clock: noting, timeoutMs: 10, signal: undefined })
  expect(given).toEqual([{ background: true }])
})
