import { describe, expect, test } from 'vitest'
import { AdaptiveRate } from './adaptive-rate.js'

const SMALL = 0.001
const LARGE = 0.05
const longest = (): number => 1
const shortest = (): number => 0

/** After one throttle at the time 0 that was believed: too much is refused for a doubt. */
function throttled(cost: number, most = 1): AdaptiveRate {
  const rate = new AdaptiveRate(most)
  for (let i = 0; i < 200; i++) rate.throttled(Number.NEGATIVE_INFINITY, -60, cost, shortest)
  expect(rate.throttled(-10, 0, cost, shortest)).toBe(true)
  return rate
}

/** Down at the floor, at 60 s. */
function atTheFloor(cost: number, most = 1): AdaptiveRate {
  const rate = throttled(cost, most)
  for (let now = 300; now < 60_000; now += 300) rate.throttled(now, now + 10, cost, shortest)
  return rate
}

/** A refusal and, at once, the same of the probe. Returns whether the first, and the second, lowered the rate. */
function refusedTwice(rate: AdaptiveRate, now: number, cost: number): [boolean, boolean] {
  return [rate.throttled(now - 20, now, cost, shortest), rate.throttled(now, now + 20, cost, shortest)]
}

describe('AdaptiveRate', () => {
  test.each([1, 0.3, 4])('starts at the most, %d', (most) => {
    const rate = new AdaptiveRate(most)
    expect([rate.at(0), rate.at(1e6)]).toEqual([most, most])
  })

  test.each<[string, number, number, number, number, number]>([
    ['small entries', SMALL, 0.15, 100, 200, 0.022],
    ['large entries', LARGE, 0.35, 200, 400, 0.0056],
    ['still larger ones', 10, 0.35, 200, 400, 0.0056],
  ])(
    'the first throttle takes away three fifths; the next of %s less; each pauses, then the rate creeps up',
    (_, cost, part, least, most, a) => {
      const [short, long] = [throttled(cost), throttled(cost)]
      expect(short.at(0)).toBeCloseTo(0.4, 9)
      expect(short.throttled(1000, 1000, cost, shortest)).toBe(true)
      expect(long.throttled(1000, 1000, cost, longest)).toBe(true)
      expect([short.opensAt, long.opensAt]).toEqual([expect.closeTo(1000 + least, -1), expect.closeTo(1000 + most, -1)])
      const left = (0.4 + a) * (1 - part)
      expect(short.at(1000)).toBeCloseTo(left, 2)
      expect(short.at(3000) - short.at(1000)).toBeCloseTo(0, 9)
    },
  )

  test.each([
    [0.3, 0.35],
    [0.2, 0.25],
    [0.1, 0.2],
  ])('at the rate %d a throttle of large entries takes the part %d of it', (from, part) => {
    const rate = throttled(LARGE, from / 0.4)
    expect(rate.at(500)).toBeCloseTo(from + 0.0028, 9)
    rate.throttled(500, 500, LARGE, shortest)
    expect(rate.at(500) / (from + 0.0028)).toBeCloseTo(1 - part, 2)
  })

  test('one decrease a round trip: what was sent before the last, or in the pause after it, says nothing new', () => {
    const rate = throttled(SMALL)
    const { opensAt } = rate
    for (const [sentAt, now] of [
      [-10, 1],
      [0, 20],
      [opensAt - 1, opensAt + 20],
    ] as const) {
      expect(rate.throttled(sentAt, now, SMALL, longest)).toBe(false)
    }
    const before = rate.at(opensAt + 20)
    expect(before).toBeCloseTo(0.4 + 0.022 * ((opensAt + 20) / 1000), 3)
    expect(rate.throttled(opensAt, opensAt + 20, SMALL, longest)).toBe(true)
    expect(rate.at(opensAt + 20)).toBeCloseTo(before * 0.85, 2)
  })

  test('however often it is throttled, it goes on at the floor, or at the most where that is less', () => {
    for (const [most, floor] of [
      [1, 0.02],
      [4, 0.02],
      [0.01, 0.01],
    ] as const) {
      expect(atTheFloor(LARGE, most).at(60_000)).toBeGreaterThanOrEqual(floor)
      expect(atTheFloor(LARGE, most).at(60_000)).toBeLessThan(floor + 0.01)
    }
  })

  test.each([
    ['small', SMALL, 11],
    ['large', LARGE, 25],
  ])('from the floor to the whole quota when no throttle comes any more: %s entries', (_, cost, seconds) => {
    const rate = atTheFloor(cost)
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

  describe('a refusal out of nothing', () => {
    test.each([
      ['small', SMALL, 5],
      ['large', LARGE, 2],
    ])('is asked about with %s entries, and what is taken then clears the shard', (_, cost, probes) => {
      const rate = new AdaptiveRate(1)
      expect(rate.throttled(0, 20, cost, shortest)).toBe(false)
      // The others of its request, and what was on its way.
      expect(rate.throttled(0, 20, cost, shortest)).toBe(false)
      expect(rate.throttled(15, 35, cost, shortest)).toBe(false)
      expect(Array.from({ length: probes + 1 }, () => rate.probes())).toEqual([...Array(probes).fill(true), false])
      // Not what was sent before the refusal was known.
      rate.accepted(15, cost)
      for (let i = 0; i < 20; i++) rate.accepted(21, cost)
      expect([rate.at(60), rate.opensAt]).toEqual([1, Number.NEGATIVE_INFINITY])
      // The next is a new doubt.
      expect(refusedTwice(rate, 10_000, cost)).toEqual([false, true])
      expect(rate.at(10_020)).toBeCloseTo(0.4, 9)
    })

    test('is believed if something of what is sent next is refused, too: alone, behind what is taken, or before it', () => {
      const alone = new AdaptiveRate(1)
      expect(refusedTwice(alone, 20, SMALL)).toEqual([false, true])
      expect(alone.probes()).toBe(false)
      const behind = new AdaptiveRate(1)
      behind.throttled(0, 20, SMALL, shortest)
      behind.accepted(21, SMALL)
      expect(behind.throttled(21, 40, SMALL, shortest)).toBe(true)
      const before = new AdaptiveRate(1)
      before.throttled(0, 20, SMALL, shortest)
      expect(before.throttled(21, 40, SMALL, shortest)).toBe(true)
      before.accepted(21, SMALL)
      expect([behind.at(40), before.at(40)]).toEqual([expect.closeTo(0.4, 9), expect.closeTo(0.4, 9)])
    })

    test.each<[string, number, number, number]>([
      ['who sends few entries a second', 0.3, LARGE, 20],
      ['who is far away', 1, SMALL, 61],
    ])('is believed at once by one %s', (_, most, cost, tookMs) => {
      expect(new AdaptiveRate(most).throttled(0, tookMs, cost, shortest)).toBe(true)
      expect(new AdaptiveRate(1).throttled(0, 60, cost, shortest)).toBe(false)
    })

    test('is believed at once where much was refused of late, until as much has been taken', () => {
      const rate = throttled(SMALL)
      for (let i = 0; i < 50; i++) rate.accepted(1000, SMALL)
      expect(rate.throttled(2000, 2000, SMALL, shortest)).toBe(true)
      for (let i = 0; i < 500; i++) rate.accepted(3000, SMALL)
      expect(rate.throttled(4000, 4000, SMALL, shortest)).toBe(false)
    })

    test('ends a calm all the same', () => {
      const rate = throttled(SMALL)
      for (let i = 0; i < 500; i++) rate.accepted(1000, SMALL)
      rate.at(8000)
      expect(rate.throttled(7990, 8000, SMALL, shortest)).toBe(false)
      const before = rate.at(8000)
      expect(rate.at(9000) - before).toBeCloseTo(0.0217, 3)
      const later = rate.at(15_000)
      expect(rate.at(16_000) - later).toBeGreaterThan(0.03)
    })
  })
})
