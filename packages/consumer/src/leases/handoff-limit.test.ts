import { expect, test } from 'vitest'
import { HandoffLimit } from './handoff-limit.js'

test('nothing was asked for: never', () => {
  const limit = new HandoffLimit(30_000)
  expect([limit.nextAt, limit.isCutOff, limit.isForced]).toEqual([Number.POSITIVE_INFINITY, false, false])
})

test('requested, cut off, forced a second later', () => {
  const limit = new HandoffLimit(30_000)
  limit.requested(5_000)
  limit.requested(20_000)
  expect([limit.nextAt, limit.isCutOff]).toEqual([35_000, false])
  expect(limit.pass(35_010)).toBe(30_010)
  expect([limit.nextAt, limit.isCutOff, limit.isForced]).toEqual([36_010, true, false])
  limit.requested(35_500)
  expect(limit.pass(36_010)).toBe(undefined)
  expect([limit.nextAt, limit.isCutOff, limit.isForced]).toEqual([Number.POSITIVE_INFINITY, true, true])
})

test('withdrawn in time: as if nobody had asked', () => {
  const limit = new HandoffLimit(30_000)
  limit.requested(5_000)
  limit.withdrawn()
  expect(limit.nextAt).toBe(Number.POSITIVE_INFINITY)
  limit.requested(20_000)
  limit.pass(50_000)
  limit.withdrawn()
  expect(limit.isCutOff).toBe(true)
})

test('forced at once', () => {
  const limit = new HandoffLimit(30_000)
  limit.force()
  limit.requested(1)
  expect([limit.nextAt, limit.isForced]).toEqual([Number.POSITIVE_INFINITY, true])
})
