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

  it.each([
    { lease: 'of a lease in doubt up to a tick', isTrusted: false, longestMs: TICK_MS },
    { lease: 'of one that is trusted up to a quarter of it', isTrusted: true, longestMs: TICK_MS / 4 },
  ])('pauses longer after each failure, $lease, and begins anew after an answer', ({ isTrusted, longestMs }) => {
    const schedule = new WriteSchedule(FAILOVER_MS, 0)
    const pauses = Array.from({ length: 12 }, () => {
      schedule.failed(0, LEAST, isTrusted)
      return schedule.dueAt
    })
    expect(pauses.toSorted((a, b) => a - b)).toEqual(pauses)
    expect(pauses[0]).toBeLessThanOrEqual(50)
    expect(pauses.at(-1)).toBe(longestMs / 2)
    schedule.answered()
    schedule.failed(0, LEAST, isTrusted)
    expect(schedule.dueAt).toBe(pauses[0])
  })

  it.each([
    [1_000, 8],
    [4_000, 9],
    [10_000, 10],
    [600_000, 16],
  ])(
    'with a failover time of %i ms tries a trusted lease %i times between its renewal and the end of trust, where calls fail at once',
    (failoverTimeMs, least) => {
      const MOST = (): number => 1
      const schedule = new WriteSchedule(failoverTimeMs, 0)
      let attempts = 0
      for (let now = schedule.dueAt; now < failoverTimeMs * 0.9; now = schedule.dueAt) {
        attempts++
        schedule.sent(now)
        schedule.failed(now, MOST, true)
      }
      expect(attempts).toBe(least)
    },
  )

  it('does not shorten the pause after a failure for callers in a hurry, but for a deadline', () => {
    const schedule = new WriteSchedule(FAILOVER_MS, 0)
    schedule.failed(0, LEAST, true)
    const { dueAt } = schedule
    schedule.soon(1)
    expect(schedule.dueAt).toBe(dueAt)
    schedule.atOnce(2)
    expect(schedule.dueAt).toBe(2)
  })
})
