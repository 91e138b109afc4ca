import { describe, expect, test } from 'vitest'
import { ShardRateLimiter } from './shard-rate-limiter.js'

const MIB = 1024 * 1024
/** No tick, and half of the pause. */
const exactly = (): ShardRateLimiter => new ShardRateLimiter(100, () => 0)
/** Entries of `bytes` that go at once. */
function passing(limiter: ShardRateLimiter, shardId: string | undefined, now: number, bytes = 1): number {
  let passed = 0
  while (limiter.take(shardId, bytes, now) === 0) passed++
  return passed
}

describe('ShardRateLimiter', () => {
  test.each<[string, number, number]>([
    ['eight tenths of a second at once', 100, 800],
    ['or of the part of the quota that may be used', 50, 400],
    ['or of more than the quota', 150, 1200],
  ])('%s, then evenly', (_, percent, atOnce) => {
    const limiter = new ShardRateLimiter(percent, () => 0)
    expect([0, 500, 1000].map((now) => passing(limiter, 's', now))).toEqual([atOnce, percent * 5, percent * 5])
  })

  test('shards do not share, and a closed one leaves nothing behind', () => {
    const limiter = exactly()
    expect([passing(limiter, 'a', 0), passing(limiter, 'b', 0)]).toEqual([800, 800])
    limiter.keepOnly(new Set(['b']), 1)
    expect([passing(limiter, 'a', 0), passing(limiter, 'b', 0)]).toEqual([800, 0])
  })

  test('where the service places records itself, the stream has the quota of its shards, as their number changes', () => {
    const limiter = exactly()
    limiter.keepOnly(undefined, 3)
    expect(passing(limiter, undefined, 0)).toBe(2400)
    limiter.keepOnly(undefined, 5)
    expect(passing(limiter, undefined, 1000)).toBe(4000)
    expect(passing(limiter, undefined, 1100)).toBe(500)
  })

  test('what is not sent after all is given back', () => {
    const limiter = exactly()
    expect(passing(limiter, 's', 0)).toBe(800)
    limiter.giveBack('s', 1)
    limiter.giveBack('unknown', 1)
    expect(passing(limiter, 's', 0)).toBe(1)
  })

  test('waits of lanes end together, within a tick and never early', () => {
    const draws = [0.99, 0, 0.5]
    const limiter = new ShardRateLimiter(100, () => draws.shift()!)
    for (const shardId of ['a', 'b']) expect(limiter.take(shardId, MIB, 0)).toBe(0)
    // Two tenths of a second are owed, and the entry itself.
    const owed = 0.1 * MIB
    expect(limiter.take('a', owed, 0)).toBe(300 + 20)
    expect([limiter.take('b', 0.11 * MIB, 0), limiter.take('a', owed, 319)]).toEqual([320, 1])
    expect([limiter.take('a', owed, 320), limiter.take('b', 0.11 * MIB, 320)]).toEqual([0, 0])
  })

  test('a throttle that is believed empties the bucket, stops the shard for the pause, and slows it down; other shards go on', () => {
    const limiter = exactly()
    limiter.take('a', 1, 0)
    // From far away.
    expect(limiter.throttled('a', 1, 0, 100)).toBeCloseTo(100 + 102, 5)
    expect(limiter.take('b', 1, 110)).toBe(0)
    expect(limiter.take('a', 1, 110)).toBeCloseTo(92, 5)
    // Two fifths of the rate from then on.
    expect(passing(limiter, 'a', 302)).toBeGreaterThan(38)
    expect(passing(limiter, 'a', 402)).toBeLessThan(43)
    expect([limiter.allowance('a', 402), limiter.allowance('b', 402)]).toEqual([expect.closeTo(0.407, 3), 1])
  })

  test('a throttle that is doubted lets a few through on credit, of that shard; if they are taken the rate stays, and pays them back', () => {
    const limiter = exactly()
    expect([passing(limiter, 'a', 0), passing(limiter, 'b', 0)]).toEqual([800, 800])
    expect(limiter.throttled('a', 1, 0, 20)).toBe(20)
    expect([passing(limiter, 'a', 20), passing(limiter, 'b', 20)]).toEqual([20, 20])
    limiter.accepted('b', 1, 20)
    expect(limiter.throttled('a', 1, 20, 40)).toBeGreaterThan(100)
    expect(limiter.allowance('a', 40)).toBeCloseTo(0.4, 9)
    expect(limiter.throttled('b', 1, 20, 40)).toBe(40)
    expect(passing(limiter, 'b', 40)).toBe(20)
    limiter.accepted('b', 1, 40)
    limiter.accepted('unknown', 1, 40)
    expect(limiter.throttled('b', 1, 20, 60)).toBe(60)
    expect([passing(limiter, 'b', 1040), limiter.allowance('b', 1040)]).toEqual([800, 1])
  })

  test('a large entry that is saved up for is asked for again before long, since the rate rises meanwhile', () => {
    const limiter = exactly()
    let now = 0
    // Down to the floor, and in debt by an entry that is fifty seconds of it.
    for (; now < 12_000; now += 300) {
      limiter.take('s', 1, now)
      limiter.throttled('s', MIB, now, now)
    }
    while (limiter.take('s', MIB, now) > 0) now++
    const from = now
    let asked = 0
    for (let wait = 1; wait > 0; now += wait) {
      wait = limiter.take('s', MIB, now)
      asked++
      expect(wait).toBeLessThanOrEqual(500)
    }
    expect(now - from).toBeGreaterThan(5000)
    expect(now - from).toBeLessThan(20_000)
    expect(asked).toBeLessThan(50)
  })

  test('of a shard that nothing was sent to, or that has closed, a throttle says nothing', () => {
    expect(exactly().throttled('s', 1, 0, 50)).toBe(50)
  })
})
