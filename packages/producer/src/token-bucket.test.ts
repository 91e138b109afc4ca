import { describe, expect, test } from 'vitest'
import { TokenBucket } from './token-bucket.js'

const rate = { recordsPerSecond: 10, bytesPerSecond: 1000 }

describe('TokenBucket', () => {
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
    [
      'nothing is lost between tenths of a millisecond',
      Array.from({ length: 20 }, (_, i): [number, number] => [i * 100.1, 1]),
      Array(20).fill(0),
    ],
  ])('%s', (_, asked, waits) => {
    const bucket = new TokenBucket(rate, 1, 0)
    expect(asked.map(([at, bytes]) => bucket.take(bytes, at))).toEqual(waits)
  })

  test('without a limit everything passes', () => {
    const bucket = new TokenBucket({ recordsPerSecond: Number.POSITIVE_INFINITY, bytesPerSecond: 1000 }, 1, 0)
    for (let i = 0; i < 100; i++) expect(bucket.take(10, 0)).toBe(0)
    expect([bucket.take(10, 0), bucket.take(10, 10)]).toEqual([10, 0])
  })

  test('at least one record passes, however slow it fills', () => {
    const bucket = new TokenBucket(rate, 1, 0, 0.01)
    expect([bucket.take(1, 0, 0.01), bucket.take(1, 0, 0.01), bucket.take(1, 10_000, 0.01)]).toEqual([0, 10_000, 0])
  })

  test('a share of the rate fills it at that share, up to that share', () => {
    const bucket = new TokenBucket(rate, 1, 0)
    expect(bucket.take(1000, 0, 0.5)).toBe(0)
    expect([bucket.take(500, 1000, 0.5), bucket.take(500, 60_000, 0.5), bucket.take(1, 60_000, 0.5)]).toEqual([0, 0, 2])
  })

  test('what is given back is there again; what is emptied stays so until its time', () => {
    const bucket = new TokenBucket(rate, 1, 0)
    expect([bucket.take(1000, 0), bucket.take(1000, 0)]).toEqual([0, 1000])
    bucket.giveBack(1000)
    expect(bucket.take(1000, 0)).toBe(0)
    bucket.giveBack(1000)
    bucket.emptyUntil(500)
    expect([bucket.take(100, 400), bucket.take(100, 599), bucket.take(100, 600)]).toEqual([100, 1, 0])
  })

  test('what is taken on credit is filled first', () => {
    const bucket = new TokenBucket(rate, 1, 0)
    expect([bucket.take(800, 0, 1, true), bucket.take(700, 0, 1, true)]).toEqual([0, 0])
    expect([bucket.take(100, 0), bucket.take(100, 600)]).toEqual([600, 0])
  })
})
