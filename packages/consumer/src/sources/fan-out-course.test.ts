import { classifyFailure, type FailureKind } from '@shardwise/core/service-error'
import { describe, expect, it } from 'vitest'
import { FanOutCourse } from './fan-out-course.js'

const random = (): number => 0.5
const failureOf = (kind: FailureKind) => ({ ...classifyFailure(new Error(kind)), kind, written: 'no' as const })

function course(fallbackToPolling = false): FanOutCourse {
  return new FanOutCourse({ fallbackToPolling })
}

/** Subscribed since `since`, and heard of. */
function subscribed(since = 0, fallbackToPolling = false): FanOutCourse {
  const one = course(fallbackToPolling)
  one.accepted(since)
  one.brought(since)
  return one
}

describe('FanOutCourse', () => {
  it('subscribes at once, then pulls', () => {
    const one = course()
    expect(one.step(0)).toEqual({ do: 'subscribe' })
    one.accepted(10)
    expect(one.step(10)).toEqual({ do: 'pull' })
    expect(one.brought(20)).toBeUndefined()
    expect(one.step(20)).toEqual({ do: 'pull' })
  })

  it.each([
    { lastedMs: 300_000, retryInMs: 0 },
    { lastedMs: 5_100, retryInMs: 0 },
    { lastedMs: 1_000, retryInMs: 4_100 },
    { lastedMs: 0, retryInMs: 5_100 },
  ])('ended by the service after $lastedMs ms: again in $retryInMs ms', ({ lastedMs, retryInMs }) => {
    const one = subscribed(1_000)
    expect(one.completed(1_000 + lastedMs)).toEqual({ retryInMs })
    expect(one.step(1_000 + lastedMs)).toEqual(retryInMs === 0 ? { do: 'subscribe' } : { do: 'wait', ms: retryInMs })
  })

  it('ended by the service before it said anything is a failure', () => {
    const one = course()
    one.accepted(0)
    expect(one.completed(300_000)).toBeUndefined()
  })

  describe('the service allows one attempt a second, and none for five seconds after a success', () => {
    it('a refused attempt', () => {
      const one = course()
      expect(one.failed(failureOf('internal'), 0, () => 0).retryInMs).toBe(1_000)
    })

    it('an attempt without an answer, which may have been accepted', () => {
      const one = course()
      expect(one.failed({ ...failureOf('timeout'), written: 'unknown' }, 0, () => 0).retryInMs).toBe(5_100)
    })

    it('a subscription that broke at once', () => {
      expect(subscribed(0).failed(failureOf('connection'), 100, () => 0).retryInMs).toBe(5_000)
    })

    it('one that broke later', () => {
      expect(subscribed(0).failed(failureOf('connection'), 60_000, random).retryInMs).toBe(750)
    })

    it('one that the reader has left', () => {
      const one = subscribed(0)
      one.interrupted(60_000)
      expect(one.step(60_000)).toEqual({ do: 'wait', ms: 5_100 })
    })

    it('a place that was refused', () => {
      const one = course()
      one.refused(0)
      expect(one.step(0)).toEqual({ do: 'wait', ms: 1_000 })
    })
  })

  it('pauses grow with failures in a row, and a subscription that lives for 30 s makes them forgotten', () => {
    const one = course()
    expect([1, 2, 3, 4, 5, 6].map(() => one.failed(failureOf('internal'), 0, random).retryInMs)).toEqual([
      1_000, 1_500, 3_000, 6_000, 7_500, 7_500,
    ])
    one.accepted(10_000)
    one.brought(10_000)
    expect(one.failed(failureOf('internal'), 39_999, random).attempt).toBe(7)
    one.accepted(50_000)
    one.brought(50_000)
    expect(one.failed(failureOf('internal'), 80_000, random)).toEqual({ attempt: 1, retryInMs: 750 })
  })

  it('what needs a person is tried more seldom', () => {
    const one = course()
    const pauses = Array.from({ length: 8 }, () => one.failed(failureOf('access-denied'), 0, random).retryInMs)
    expect([pauses[0], pauses.at(-1)]).toEqual([1_500, 45_000])
  })

  describe('taken over by somebody', () => {
    it('asks for the lease first, at once, and then waits for longer than two that fight would', () => {
      const one = subscribed(0)
      expect(one.failed(failureOf('in-use'), 60_000, random).retryInMs).toBe(7_500)
      expect(one.step(60_000)).toEqual({ do: 'verify-lease' })
      expect(one.step(80_000)).toEqual({ do: 'verify-lease' })
      one.verified()
      expect(one.step(60_000)).toEqual({ do: 'wait', ms: 7_500 })
      expect(one.step(67_500)).toEqual({ do: 'subscribe' })
    })

    it('an attempt that is refused as in use has not been taken from us', () => {
      const one = course()
      one.failed(failureOf('in-use'), 0, random)
      expect(one.step(0)).toEqual({ do: 'wait', ms: 1_125 })
    })
  })

  describe('a predecessor subscribed a moment ago', () => {
    it.each([0, 0.5, 0.999])('is waited for in short steps, until its five seconds are over (lot %d)', (lot) => {
      for (const fallbackToPolling of [false, true]) {
        const one = course(fallbackToPolling)
        let now = 0
        while (now < 5_000) now += one.failed(failureOf('in-use'), now, () => lot).retryInMs
        // By then the service takes it, and no longer than a step has been lost.
        expect(now).toBeLessThan(6_500)
        expect(one.isAway).toBe(false)
        expect(one.step(now)).toEqual({ do: 'subscribe' })
      }
    })

    it('and when it is refused later still, it is another one: longer pauses, or polling', () => {
      const patient = course()
      const pauses = Array.from({ length: 8 }, () => patient.failed(failureOf('in-use'), 0, random).retryInMs)
      expect(pauses.slice(5)).toEqual([7_500, 7_500, 7_500])
      const other = course(true)
      for (let i = 1; i <= 6; i++) other.failed(failureOf('in-use'), 0, random)
      expect(other.isAway).toBe(true)
    })
  })

  describe('with polling to fall back on', () => {
    it.each<{ kind: FailureKind; after: number }>([
      { kind: 'access-denied', after: 1 },
      { kind: 'limit-exceeded', after: 2 },
      { kind: 'invalid', after: 2 },
      { kind: 'internal', after: 3 },
      { kind: 'connection', after: 3 },
      { kind: 'timeout', after: 3 },
      { kind: 'in-use', after: 6 },
      { kind: 'not-found', after: 3 },
      { kind: 'unknown', after: 3 },
    ])('$kind: after $after failures', ({ kind, after }) => {
      const one = course(true)
      for (let i = 1; i <= after; i++) {
        one.failed(failureOf(kind), 0, random)
        expect(one.isAway).toBe(i === after)
      }
      expect(one.step(0)).toEqual({ do: 'poll', forMs: 22_500 })
      expect(one.step(22_500)).toEqual({ do: 'subscribe' })
    })

    it.each<FailureKind>(['not-found', 'limit-exceeded', 'invalid', 'in-use', 'access-denied'])(
      'no consumer to subscribe with, %s: at once',
      (kind) => {
        const one = course(true)
        one.failed(failureOf(kind), 0, random, true)
        expect(one.isAway).toBe(true)
      },
    )

    it.each<FailureKind>(['kms', 'kms-throttled', 'credentials'])('never for %s: polling would fail as well', (kind) => {
      const one = course(true)
      for (let i = 0; i < 100; i++) one.failed(failureOf(kind), 0, random)
      expect(one.isAway).toBe(false)
    })

    it('tries again from time to time, more and more seldom, and polls in between', () => {
      const one = course(true)
      one.failed(failureOf('access-denied'), 0, random)
      const pauses = Array.from({ length: 8 }, () => one.failed(failureOf('access-denied'), 0, random).retryInMs)
      expect(pauses).toEqual([45_000, 90_000, 180_000, 360_000, 450_000, 450_000, 450_000, 450_000])
    })

    it('returns with the first event, not before, and polls on at once when that does not come', () => {
      const one = course(true)
      one.failed(failureOf('access-denied'), 1_000, random)
      one.accepted(60_000)
      expect([one.step(60_000), one.isAway]).toEqual([{ do: 'pull' }, true])
      one.failed(failureOf('internal'), 61_000, random)
      expect(one.step(61_000)).toMatchObject({ do: 'poll' })
      one.accepted(200_000)
      expect(one.brought(201_000)).toBe(200_000)
      expect(one.isAway).toBe(false)
    })

    it('a subscription that breaks soon after the return goes back to polling, for longer', () => {
      const one = course(true)
      one.failed(failureOf('access-denied'), 0, random)
      one.accepted(30_000)
      one.brought(30_000)
      expect(one.failed(failureOf('access-denied'), 31_000, random).retryInMs).toBe(45_000)
      expect(one.isAway).toBe(true)
    })

    it('an attempt that the reader left is tried again no sooner than the service allows; polling goes on', () => {
      const one = course(true)
      one.failed(failureOf('access-denied'), 0, random)
      one.interrupted(22_500)
      expect(one.step(22_500)).toEqual({ do: 'poll', forMs: 5_100 })
    })
  })

  describe('read to its end', () => {
    it('without children: looks for them at once, and again after a pause', () => {
      const one = subscribed(0)
      one.closed(10)
      expect(one.step(10)).toEqual({ do: 'find-children' })
      one.notEnded(false, 10, random)
      expect(one.step(10)).toEqual({ do: 'wait', ms: 750 })
      expect(one.step(760)).toEqual({ do: 'find-children' })
    })

    it('it was none: subscribes again', () => {
      const one = subscribed(0)
      one.closed(10)
      expect(one.notEnded(true, 10, random)).toEqual({ attempt: 1, retryInMs: 5_090 })
      expect(one.step(5_100)).toEqual({ do: 'subscribe' })
    })
  })
})
