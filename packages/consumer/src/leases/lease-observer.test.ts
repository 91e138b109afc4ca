import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Lease } from './lease.js'
import { LeaseObserver } from './lease-observer.js'
import { aLease } from './testing/lease-rows.js'

const FAILOVER = 9_000

function observer(): LeaseObserver {
  return new LeaseObserver({ failoverTimeMs: FAILOVER, scanIntervalMs: 1_000 })
}

function at(leaseCounter: number): Lease {
  return aLease('s1', { leaseOwner: 'other', leaseCounter })
}

/** Scans every second from `from` to `to`, both included, showing the counter that `counterAt` gives. */
function scan(watch: LeaseObserver, from: number, to: number, counterAt: (now: number) => number): void {
  for (let now = from; now <= to; now += 1_000) watch.observe([at(counterAt(now))], now)
}

describe('expiry', () => {
  test('a lease never seen has not expired, and the first sight gives it the whole failover time', () => {
    const watch = observer()
    expect(watch.hasExpired(at(1), 1e9)).toBe(false)
    scan(watch, 50_000, 59_000, () => 1)
    expect(watch.hasExpired(at(1), 59_000)).toBe(false)
    expect(watch.hasExpired(at(1), 59_001)).toBe(true)
    expect(watch.expiresAt(at(1))).toBe(59_000)
  })

  test('a tick of the counter starts the time again', () => {
    const watch = observer()
    scan(watch, 0, 17_000, (now) => (now < 8_000 ? 1 : 2))
    expect(watch.hasExpired(at(2), 17_000)).toBe(false)
    expect(watch.hasExpired(at(2), 17_001)).toBe(true)
  })

  test('a row with another counter than the one that stood still has not expired', () => {
    const watch = observer()
    scan(watch, 0, 12_000, () => 1)
    expect(watch.hasExpired(at(2), 12_000)).toBe(false)
  })

  test('a pause of our own scans over a third of the failover time forgets all: no raid after an outage', () => {
    const watch = observer()
    scan(watch, 0, 8_000, () => 1)
    scan(watch, 11_001, 12_001, () => 1)
    expect(watch.hasExpired(at(1), 12_001)).toBe(false)
    scan(watch, 13_001, 20_001, () => 1)
    expect(watch.hasExpired(at(1), 20_001)).toBe(false)
    expect(watch.hasExpired(at(1), 20_002)).toBe(true)
  })

  test('a shorter pause does not', () => {
    const watch = observer()
    scan(watch, 0, 8_000, () => 1)
    scan(watch, 11_000, 11_000, () => 1)
    expect(watch.hasExpired(at(1), 11_000)).toBe(true)
  })

  test('with a slow scan of a large table two missed scans are the limit', () => {
    const slow = new LeaseObserver({ failoverTimeMs: FAILOVER, scanIntervalMs: 4_000 })
    for (const now of [0, 4_000, 12_000]) slow.observe([at(1)], now)
    expect(slow.hasExpired(at(1), 12_000)).toBe(true)
  })

  test('scans further apart than the failover time: one sight of a counter proves nothing, the second does', () => {
    const slow = new LeaseObserver({ failoverTimeMs: FAILOVER, scanIntervalMs: 1_000 })
    slow.observe([at(1)], 0, 20_000)
    expect(slow.hasExpired(at(1), 15_000)).toBe(false)
    expect(slow.expiresAt(at(1))).toBe(undefined)
    slow.observe([at(1)], 20_000, 20_000)
    expect(slow.hasExpired(at(1), 20_000)).toBe(true)
    slow.observe([at(2)], 40_000, 20_000)
    expect(slow.hasExpired(at(2), 59_000)).toBe(false)
    // Two scans missed: all observations start again.
    slow.observe([at(2)], 80_001, 20_000)
    expect(slow.hasExpired(at(2), 99_000)).toBe(false)
    slow.observe([at(2)], 100_001, 20_000)
    expect(slow.hasExpired(at(2), 100_001)).toBe(true)
  })

  test('reset forgets, and a lease that left the table and came back is new', () => {
    const watch = observer()
    scan(watch, 0, 10_000, () => 1)
    expect(watch.hasExpired(at(1), 10_000)).toBe(true)
    watch.observe([], 11_000)
    watch.observe([at(1)], 12_000)
    expect(watch.hasExpired(at(1), 12_000)).toBe(false)
    scan(watch, 13_000, 22_000, () => 1)
    watch.reset()
    expect(watch.hasExpired(at(1), 22_000)).toBe(false)
  })

  test('free for more than two scans is overdue; for one with an owner the failover time comes first', () => {
    const watch = observer()
    const free = aLease('s1')
    watch.observe([free], 0)
    expect(watch.isOverdue(free, 2_000)).toBe(false)
    expect(watch.isOverdue(free, 2_001)).toBe(true)
    expect(watch.isOverdue({ ...free, leaseOwner: 'dead' }, FAILOVER + 2_000)).toBe(false)
    expect(watch.isOverdue({ ...free, leaseOwner: 'dead' }, FAILOVER + 2_001)).toBe(true)
  })
})

describe('offers', () => {
  const offered = aLease('s1', { leaseOwner: 'next', nextOwner: 'next', leaseCounter: 7 })

  test('one that is not taken up for two scans is free, and two later overdue', () => {
    const watch = observer()
    for (const now of [0, 1_000, 2_000]) watch.observe([offered], now)
    expect([watch.hasExpired(offered, 2_000), watch.expiresAt(offered)]).toEqual([false, 2_000])
    expect([watch.hasExpired(offered, 2_001), watch.isOverdue(offered, 4_000)]).toEqual([true, false])
    expect(watch.isOverdue(offered, 4_001)).toBe(true)
  })

  test('taken up meanwhile it has the whole failover time, and with an owner to give it away it is a handoff', () => {
    const watch = observer()
    const taken = { ...offered, nextOwner: undefined, leaseCounter: 8 }
    watch.observe([offered], 0)
    for (let now = 1_000; now <= 10_000; now += 1_000) watch.observe([taken], now)
    expect([watch.hasExpired(taken, 10_000), watch.hasExpired(taken, 10_001)]).toEqual([false, true])
    const asked = { ...offered, checkpointOwner: 'other' }
    expect([
      watch.hasExpired({ ...asked, leaseCounter: 8 }, 10_000),
      watch.hasExpired({ ...asked, leaseCounter: 8 }, 10_001),
    ]).toEqual([false, true])
  })

  test('with scans further apart patience is longer', () => {
    const watch = observer()
    for (const now of [0, 10_000, 20_000]) watch.observe([offered], now, 10_000)
    expect([watch.hasExpired(offered, 20_000), watch.hasExpired(offered, 20_001)]).toEqual([false, true])
  })
})

describe('who is alive', () => {
  test('whose counter was seen to move within half of the failover time; the first sight is no move', () => {
    const watch = observer()
    watch.observe([at(1)], 0)
    expect(watch.isAlive(at(1), 0)).toBe(false)
    watch.observe([at(2)], 1_000)
    watch.observe([at(2)], 2_000)
    expect([watch.isAlive(at(2), 5_500), watch.isAlive(at(2), 5_501)]).toEqual([true, false])
    watch.reset()
    expect(watch.isAlive(at(2), 2_000)).toBe(false)
    expect(watch.isAlive(aLease('unseen'), 2_000)).toBe(false)
  })
})

test('whatever the scans, a lease whose counter moved within the failover time is never called expired', () => {
  const steps = fc.array(fc.record({ wait: fc.integer({ min: 1, max: 6_000 }), moves: fc.boolean() }), {
    minLength: 1,
    maxLength: 60,
  })
  fc.assert(
    fc.property(steps, (sequence) => {
      const watch = observer()
      let now = 0
      let counter = 0
      let movedAt = 0
      for (const { wait, moves } of sequence) {
        now += wait
        if (moves) {
          counter++
          movedAt = now
        }
        watch.observe([at(counter)], now)
        if (now - movedAt <= FAILOVER) expect(watch.hasExpired(at(counter), now)).toBe(false)
      }
    }),
  )
})
