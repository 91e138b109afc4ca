import { describe, expect, test } from 'vitest'
import { ShardRateLimiter } from './shard-rate-limiter.js'

const rate = { recordsPerSecond: 10, bytesPerSecond: 1000 }

describe('ShardRateLimiter', () => {
  test.each<[string, [at: number, bytes: number][], number[]]>([
    [
      'a second of records at once, then one each tenth',
      Array.from({ length: 12 }, () => [0, 1]),
      [...Array(10).fill(0), 100, 100],
    ],
    [
      'bytes',
      [
        [0, 900],
        [0, 200],
        [99, 200],
        [100, 200],
      ],
      [0, 100, 1, 0],
    ],
    [
      'both or neither: what is refused takes nothing',
      [
        [0, 1000],
        [0, 10],
        [10, 10],
      ],
      [0, 10, 0],
    ],
    [
      'more than a full bucket passes when it is full, and is paid for later',
      [
        [0, 3000],
        [1000, 1],
        [2002, 1],
      ],
      [0, 1001, 0],
    ],
    [
      'no more than a second is saved up',
      [
        [0, 1],
        [60_000, 1000],
        [60_000, 1],
      ],
      [0, 0, 1],
    ],
  ])('%s', (_, asked, waits) => {
    const limiter = new ShardRateLimiter(rate)
    expect(asked.map(([at, bytes]) => limiter.take('s', bytes, at))).toEqual(waits)
  })

  test('shards do not share', () => {
    const limiter = new ShardRateLimiter(rate)
    expect([limiter.take('a', 1000, 0), limiter.take('b', 1000, 0), limiter.take('a', 1, 0)]).toEqual([0, 0, 1])
    limiter.keepOnly(new Set(['b']))
    expect([limiter.take('a', 1000, 0), limiter.take('b', 1, 0)]).toEqual([0, 1])
  })
})
