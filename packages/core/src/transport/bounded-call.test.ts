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
    ({ signal }) => {
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

const bounds: [string, number | undefined, number | undefined, number, string][] = [
  ['never begins', 10, undefined, 10, 'Call had no answer within 10 ms'],
  ['begins late', 10, 11, 10, 'Call had no answer within 10 ms'],
  ['begins in time, and is never complete', 10, 9, 30, 'Call had no complete answer within 30 ms'],
  ['begins at once, and is never complete', 10, 0, 30, 'Call had no complete answer within 30 ms'],
  ['never begins, without a limit for that', undefined, undefined, 30, 'Call had no complete answer within 30 ms'],
  ['begins, without a limit for that', undefined, 9, 30, 'Call had no complete answer within 30 ms'],
  ['never begins, with a limit beyond that of all', 40, undefined, 30, 'Call had no complete answer within 30 ms'],
]
test.each(bounds)('an answer that %s is given up in time', async (_what, firstByteTimeoutMs, begunAt, endsAt, message) => {
  const clock = new ManualClock()
  const call = boundedCall(
    ({ begun }) => {
      if (begunAt !== undefined) clock.schedule(begunAt, begun)
      return never()
    },
    { name: 'Call', clock, timeoutMs: 30, firstByteTimeoutMs, signal: undefined },
  )
  const ended = call.catch((error: Error) => ({ at: clock.now(), name: error.name, message: error.message }))
  for (let at = 0; at < 50; at++) await clock.advanceAsync(1)
  expect(await ended).toEqual({ at: endsAt, name: 'TimeoutError', message })
  expect(clock.pendingTimers).toBe(0)
})

test('rejects with the abort, not with what the abort made the call reject with', async () => {
  const clock = new ManualClock()
  const controller = new AbortController()
  const call = boundedCall(
    ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('socket hang up')))),
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
