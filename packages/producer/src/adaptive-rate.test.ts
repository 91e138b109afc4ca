import { describe, expect, test } from 'vitest'
import { AdaptiveRate } from './adaptive-rate.js'

const SMALL = 0
const LARGE = 0.05
const longest = (): number => 1
const shortest = (): number => 0

/** After one throttle at the time 0 of what was sent before. */
function throttled(cost: number, most = 1): AdaptiveRate {
  const rate = new AdaptiveRate(most)
  rate.throttled(-10, 0, cost, shortest)
  return rate
}

describe('AdaptiveRate', () => {
  test.each([1, 0.3, 4])('starts at the most, %d', (most) => {
    const rate = new AdaptiveRate(most)
    expect([rate.at(0), rate.at(1e6)]).toEqual([most, most])
  })

  test.each<[string, number, number, number, number, number]>([
    ['small entries', SMALL, 0.8, 100, 200, 0.86],
    ['large entries', LARGE, 0.6, 200, 400, 0.6 + 0.06 / 2 ** 1.5],
    ['still larger ones', 10, 0.6, 200, 400, 0.6 + 0.06 / 2 ** 1.5],
  ])('a throttle of %s takes away, and pauses; then the rate creeps up', (_, cost, left, least, most, later) => {
    const [short, long] = [new AdaptiveRate(1), new AdaptiveRate(1)]
    expect(short.throttled(0, 50, cost, shortest)).toBe(true)
    expect(long.throttled(0, 50, cost, longest)).toBe(true)
    expect([short.opensAt, long.opensAt]).toEqual([50 + least, 50 + most])
    expect([short.at(50), short.at(2050)]).toEqual([expect.closeTo(left, 9), expect.closeTo(later, 9)])
  })

  test('one decrease a round trip: what was sent before the last, or in the pause after it, says nothing new', () => {
    const rate = throttled(SMALL)
    for (const [sentAt, now] of [
      [-10, 1],
      [0, 20],
      [99, 120],
    ] as const) {
      expect(rate.throttled(sentAt, now, SMALL, longest)).toBe(false)
    }
    expect([rate.opensAt, rate.at(120)]).toEqual([100, expect.closeTo(0.8036, 9)])
    expect(rate.throttled(100, 120, SMALL, longest)).toBe(true)
    expect([rate.opensAt, rate.at(120)]).toEqual([320, expect.closeTo(0.8036 * 0.8, 9)])
  })

  test('however often it is throttled, it goes on at the floor, or at the most where that is less', () => {
    for (const [most, floor] of [
      [1, 0.02],
      [4, 0.02],
      [0.01, 0.01],
    ] as const) {
      const rate = new AdaptiveRate(most)
      for (let now = 0; now < 60_000; now += 300) rate.throttled(now, now + 10, LARGE, shortest)
      expect(rate.at(60_000)).toBeGreaterThanOrEqual(floor)
      expect(rate.at(60_000)).toBeLessThan(floor + 0.01)
    }
  })

  test.each([
    ['small', SMALL, 12],
    ['large', LARGE, 18],
  ])('from the floor to the whole quota when no throttle comes any more: %s entries', (_, cost, seconds) => {
    const rate = new AdaptiveRate(1)
    for (let now = 0; now < 60_000; now += 300) rate.throttled(now, now + 10, cost, shortest)
    const reached = Array.from({ length: 60 }, (_, i) => rate.at(60_000 + i * 1000)).indexOf(1)
    expect(reached).toBeGreaterThan(seconds / 2)
    expect(reached).toBeLessThanOrEqual(seconds)
  })

  test('how often it is asked, by those who read stats() for instance, makes no difference', () => {
    for (const end of [5000, 9000, 10_000]) {
      const [often, seldom] = [throttled(LARGE), throttled(LARGE)]
      for (const rate of [often, seldom]) rate.throttled(200, 200, LARGE, shortest)
      for (let now = 200; now <= end; now += 7) often.at(now)
      expect(often.at(end)).toBeCloseTo(seldom.at(end), 9)
      expect(seldom.at(end)).toBeLessThan(1)
    }
  })
})
