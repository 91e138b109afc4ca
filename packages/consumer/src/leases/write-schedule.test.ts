import { describe, expect, it } from 'vitest'
import { momentBefore } from '../shared-moments.js'
import { WriteSchedule } from './write-schedule.js'

const FAILOVER_MS = 9_000
const TICK_MS = FAILOVER_MS / 3
const LEAST = (): number => 0

describe('WriteSchedule', () => {
  it('is due a third of the failover time after the write before was sent', () => {
    const schedule = new WriteSchedule(FAILOVER_MS, 1_000)
    expect(schedule.dueAt).toBe(momentBefore(1_000 + TICK_MS, TICK_MS))
    schedule.sent(5_000)
    schedule.answered()
    expect(schedule.dueAt).toBe(momentBefore(5_000 + TICK_MS, TICK_MS))
  })

  it('is due at the same moment as others that were written at about the same time, and never later than a tick', () => {
    const dueAt = [6_000, 6_001, 6_040, 6_093].map((sentAt) => new WriteSchedule(FAILOVER_MS, sentAt).dueAt)
    expect(dueAt).toEqual([9_000, 9_000, 9_000, 9_000])
  })

  it('is due at once when there is something to write', () => {
    const schedule = new WriteSchedule(FAILOVER_MS, 0)
    schedule.soon(100)
    expect(schedule.dueAt).toBe(100)
  })

  it('pauses longer after each failure, up to a tick, and begins anew after an answer', () => {
    const schedule = new WriteSchedule(FAILOVER_MS, 0)
    const pauses = Array.from({ length: 12 }, () => {
      schedule.failed(0, LEAST)
      return schedule.dueAt
    })
    expect(pauses.toSorted((a, b) => a - b)).toEqual(pauses)
    expect(pauses[0]).toBeLessThanOrEqual(50)
    expect(pauses.at(-1)).toBeLessThanOrEqual(TICK_MS)
    expect(pauses.at(-1)).toBeGreaterThanOrEqual(TICK_MS / 2)
    schedule.answered()
    schedule.failed(0, LEAST)
    expect(schedule.dueAt).toBe(pauses[0])
  })

  it('does not shorten the pause after a failure for callers in a hurry, but for a deadline', () => {
    const schedule = new WriteSchedule(FAILOVER_MS, 0)
    schedule.failed(0, LEAST)
    const { dueAt } = schedule
    schedule.soon(1)
    expect(schedule.dueAt).toBe(dueAt)
    schedule.atOnce(2)
    expect(schedule.dueAt).toBe(2)
  })
})
