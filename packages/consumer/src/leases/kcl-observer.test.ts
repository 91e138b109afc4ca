import { describe, expect, test } from 'vitest'
import { KclObserver } from './kcl-observer.js'
import { aLease } from './testing/lease-rows.js'

const WALL = 1_800_000_000_000
const observer = (): KclObserver => new KclObserver({ workerId: 'me', failoverTimeMs: 10_000 })
const lock = (version: string, released = false) => ({ owner: 'j1', version, leaseDurationMs: 120_000, released })
const row = (workerId: string, ageSeconds: number, shardwise = false) => ({
  workerId,
  lastUpdate: WALL / 1_000 - ageSeconds,
  shardwise,
})

describe('the leader', () => {
  test('at first sight its lock proves nothing; once it moves it lives for half of its duration', () => {
    const seen = observer()
    seen.sawLeader(lock('1'), 0)
    expect(seen.hasLeader).toBe(true)
    expect(seen.leaderLives(0)).toBe(false)
    seen.sawLeader(lock('1'), 30_000)
    expect(seen.leaderLives(30_000)).toBe(false)
    seen.sawLeader(lock('2'), 60_000)
    expect(seen.leaderLives(60_000)).toBe(true)
    seen.sawLeader(lock('2'), 110_000)
    expect(seen.leaderLives(120_000)).toBe(true)
    expect(seen.leaderLives(120_001)).toBe(false)
  })

  test('a lock that was released, or is gone, is nobody’s', () => {
    const seen = observer()
    seen.sawLeader(lock('1'), 0)
    seen.sawLeader(lock('2', true), 10)
    expect(seen.leaderLives(10)).toBe(false)
    seen.sawLeader(undefined, 20)
    expect(seen.hasLeader).toBe(false)
  })
})

describe('workers', () => {
  test('at first sight by their clock: fresh below a minute', () => {
    const seen = observer()
    seen.sawWorkers([row('j1', 59), row('j2', 61)], 0)
    expect(seen.liveWorkers(0, WALL)).toEqual(['j1'])
  })

  test('afterwards by what we saw, whatever the clocks say', () => {
    const seen = observer()
    // A clock ten minutes behind ours, and one ten minutes ahead.
    seen.sawWorkers([row('slow', 600), row('fast', -600)], 0)
    expect(seen.liveWorkers(0, WALL)).toEqual(['fast'])
    seen.sawWorkers([row('slow', 570), row('fast', -600)], 30_000)
    expect(seen.liveWorkers(30_000, WALL + 30_000)).toEqual(['slow', 'fast'])
    seen.sawWorkers([row('slow', 570), row('fast', -600)], 61_000)
    expect(seen.liveWorkers(61_000, WALL + 61_000)).toEqual(['slow'])
  })

  test('what has changed since a look of long ago is as at first sight', () => {
    const seen = observer()
    seen.sawWorkers([row('j1', 0)], 0)
    seen.sawWorkers([row('j1', -60)], 200_000)
    expect(seen.liveWorkers(200_000, WALL + 200_000)).toEqual([])
  })

  test('we and other Shardwise workers are none of Java’s', () => {
    const seen = observer()
    seen.sawWorkers([row('me', 0), row('w2', 0, true)], 0)
    expect(seen.liveWorkers(0, WALL)).toEqual([])
  })
})

describe('owners', () => {
  const theirs = (counter: number, changes = {}) => aLease('s1', { leaseOwner: 'j1', leaseCounter: counter, ...changes })

  test('one lives while a counter of its leases has moved within the failover time', () => {
    const seen = observer()
    seen.sawLeases([theirs(1)], 0)
    expect(seen.liveOwners(0)).toEqual([])
    expect(seen.ownerLives(theirs(1), 0)).toBe(false)
    seen.sawLeases([theirs(2)], 3_000)
    expect(seen.liveOwners(3_000)).toEqual(['j1'])
    expect(seen.ownerLives(theirs(2), 13_000)).toBe(true)
    expect(seen.ownerLives(theirs(2), 13_001)).toBe(false)
  })

  test('a lease that changes hands shows nobody alive: who took it may have died since', () => {
    const seen = observer()
    seen.sawLeases([theirs(1)], 0)
    seen.sawLeases([theirs(2, { leaseOwner: 'j2' })], 1_000)
    expect(seen.liveOwners(1_000)).toEqual([])
  })

  test('Shardwise workers are not Java’s, nor are those whom one of them is to hand over to', () => {
    const seen = observer()
    seen.sawLeases([theirs(1, { shardwiseOwner: 'j1' })], 0)
    seen.sawLeases([theirs(2, { shardwiseOwner: 'j1' })], 1_000)
    expect(seen.liveOwners(1_000)).toEqual([])
  })
})
