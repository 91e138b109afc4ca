import { expect, it } from 'vitest'
import { AggregationError, BufferPool } from './index.js'

it('hands out the most recently released buffer, each to one taker', () => {
  const pool = new BufferPool({ bufferBytes: 10 })
  const [a, b] = [pool.acquire(), pool.acquire()]
  expect(a).not.toBe(b)
  expect(a.length).toBe(10)
  pool.release(a)
  pool.release(b)
  pool.release(a)
  expect(pool.idle).toBe(2)
  expect(pool.acquire()).toBe(b)
  expect(pool.acquire()).toBe(a)
  expect(pool.acquire()).not.toBe(a)
})

it('keeps no more than maxIdle', () => {
  const pool = new BufferPool({ bufferBytes: 10, maxIdle: 1 })
  const buffers = [pool.acquire(), pool.acquire()]
  for (const buffer of buffers) pool.release(buffer)
  expect(pool.idle).toBe(1)
  const none = new BufferPool({ bufferBytes: 10, maxIdle: 0 })
  none.release(none.acquire())
  expect(none.idle).toBe(0)
})

it.each([
  ['another size', new Uint8Array(9)],
  ['a view', new Uint8Array(20).subarray(0, 10)],
])('does not take %s', (_, buffer) => {
  expect(() => new BufferPool({ bufferBytes: 10 }).release(buffer)).toThrow(AggregationError)
})

it.each([
  [{ bufferBytes: 0 }, '`bufferBytes` must be a whole number from 1 to 1073741824, got 0'],
  [{ bufferBytes: 1.5 }, 'got 1.5'],
  [{ bufferBytes: undefined as never }, 'got undefined'],
  [{ bufferBytes: 10, maxIdle: -1 }, '`maxIdle` must be a whole number, 0 or more, got -1'],
])('refuses %j', (options, message) => {
  expect(() => new BufferPool(options)).toThrow(message)
})
