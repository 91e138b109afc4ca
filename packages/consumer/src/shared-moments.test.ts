import { describe, expect, it } from 'vitest'
import { momentBefore, nearestMoment } from './shared-moments.js'

const TIMES = Array.from({ length: 1000 }, (_, i) => 7.3 * i)

describe.each([500, 1500, 10_000 / 3])('after a pause of %d ms', (pauseMs) => {
  it('there are no more than 33 moments in a pause, on which all fall', () => {
    const within = TIMES.filter((at) => at < pauseMs)
    expect(new Set(within.map((at) => nearestMoment(at, pauseMs))).size).toBeLessThanOrEqual(33)
    expect(new Set(within.map((at) => momentBefore(at, pauseMs))).size).toBeLessThanOrEqual(32)
  })

  it('the nearest one is off by a 64th of the pause at most', () => {
    for (const at of TIMES) expect(Math.abs(nearestMoment(at, pauseMs) - at)).toBeLessThanOrEqual(pauseMs / 64 + 1e-6)
  })

  it('the one before is earlier by a 32nd of the pause at most, and never later', () => {
    for (const at of TIMES) {
      expect(momentBefore(at, pauseMs)).toBeLessThanOrEqual(at + 1e-6)
      expect(momentBefore(at, pauseMs)).toBeGreaterThan(at - pauseMs / 32 - 1e-6)
    }
  })

  it('what begins a little after its moment is due a whole pause after that', () => {
    for (const find of [nearestMoment, momentBefore]) {
      let due = find(pauseMs, pauseMs)
      for (let round = 1; round <= 1000; round++) {
        expect(due).toBeCloseTo(round * pauseMs)
        due = find(due + (round % 5) + pauseMs, pauseMs)
      }
    }
  })
})
