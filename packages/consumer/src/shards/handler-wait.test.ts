import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { HandlerWait } from './handler-wait.js'

function setUp(isHandling = true) {
  const stop = new AbortController()
  const said: string[] = []
  const wait = new HandlerWait({
    stopLimit: { abandoned: stop.signal },
    isHandling: () => isHandling,
    onAbandoned: () => said.push('abandoned'),
  })
  return { stop, said, wait, listeners: () => getEventListeners(stop.signal, 'abort').length }
}

const never = (): Promise<never> => new Promise(() => {})

test('is as the work, however often, with one listener, and none in the end', async () => {
  const { wait, listeners } = setUp()
  for (const result of [true, false, true]) {
    expect(await wait.until(Promise.resolve(result))).toBe(result)
    expect(listeners()).toBe(1)
  }
  await expect(wait.until(Promise.reject(new Error('no')))).rejects.toThrow('no')
  wait.end()
  expect(listeners()).toBe(0)
})

test('gives up all that it waits for, and says so once', async () => {
  const { wait, stop, said } = setUp()
  await wait.until(Promise.resolve(true))
  const waits = [wait.until(never()), wait.until(never())]
  stop.abort()
  expect(await Promise.all(waits)).toEqual([false, false])
  expect([said, wait.isAbandoned]).toEqual([['abandoned'], true])
})

test.each([
  [true, false],
  [false, true],
])('after that: records in hand %s, so it gives what the work gives: %s', async (isHandling, expected) => {
  const { wait, stop } = setUp(isHandling)
  stop.abort()
  expect(await wait.until(Promise.resolve(true))).toBe(expected)
})
