import { type Random, seededRandom } from '@shardwise/core/random'
import { expect, test } from 'vitest'
import { type HotKey, HottestKeys } from './hottest-keys.js'

/** Notes `keys` one after the other, `perSecond` of them, and returns the report. */
function after(keys: Iterable<string>, perSecond: number, keysAsked: HottestKeys, from = 0): readonly Omit<HotKey, 'stream'>[] {
  let now = from
  for (const key of keys) {
    keysAsked.note(key, now)
    now += 1000 / perSecond
  }
  return keysAsked.report()
}

function* taken(count: number, key: (i: number) => string): Generator<string> {
  for (let i = 0; i < count; i++) yield key(i)
}

const never: Random = () => {
  throw new Error('nothing is left to chance below a thousand records a second')
}

test('counts each record while there are few', () => {
  const keys = new HottestKeys(3, never)
  const [first, ...others] = after(
    taken(100, (i) => (i % 2 === 0 ? 'ORD' : `gate ${i % 10}`)),
    900,
    keys,
  )
  // The counts fade, by 2 % a second.
  expect(first!.partitionKey).toBe('ORD')
  expect(first!.share).toBeCloseTo(0.5, 2)
  expect(first!.atLeast).toBe(first!.share)
  expect(others).toHaveLength(2)
  expect(others[0]!.share).toBeCloseTo(0.1, 2)
})

test.each([
  ['by turns', (i: number) => `key ${i % 20}`],
  ['by turns, more of them than are looked at', (i: number) => `key ${i % 64}`],
])('samples fairly what is put %s', (_, key) => {
  const distinct = new Set(taken(1000, key)).size
  const report = after(taken(3_000_000, key), 300_000, new HottestKeys(distinct, seededRandom(7)))
  expect(report).toHaveLength(distinct)
  for (const { share, atLeast } of report) {
    expect(Math.abs(share * distinct - 1)).toBeLessThan(0.35)
    expect(atLeast).toBe(share)
  }
})

test.each([
  ['in ten seconds', 10],
  ['from the first one on', 0.99],
])('looks at about a thousand of many records a second, %s', (_, seconds) => {
  let drawn = 0
  const random = seededRandom(1)
  const counted: Random = () => {
    drawn++
    return random()
  }
  after(taken(200_000 * seconds, String), 200_000, new HottestKeys(10, counted))
  expect(drawn / seconds).toBeGreaterThan(900)
  expect(drawn / seconds).toBeLessThan(1300)
})

test('tells a hot key from many that are not', () => {
  const random = seededRandom(3)
  const report = after(
    taken(1_000_000, (i) => (random() < 0.05 ? 'hot' : `key ${i}`)),
    100_000,
    new HottestKeys(5, seededRandom(4)),
  )
  const [hot, ...others] = report
  expect(hot!.partitionKey).toBe('hot')
  expect(hot!.atLeast).toBeGreaterThan(0.03)
  expect(hot!.atLeast).toBeLessThan(0.06)
  for (const { atLeast } of others) expect(atLeast).toBeLessThan(0.005)
})

test('forgets what is not hot any more', () => {
  const keys = new HottestKeys(2, never)
  after(
    taken(60_000, () => 'before'),
    500,
    keys,
  )
  const report = after(
    taken(60_000, () => 'now'),
    500,
    keys,
    120_000,
  )
  expect(report[0]!.partitionKey).toBe('now')
  expect(report[0]!.share).toBeGreaterThan(0.9)
  // After a night nothing is left of it.
  expect(after(['morning'], 1, keys, 86_400_000)).toEqual([{ partitionKey: 'morning', share: 1, atLeast: 1 }])
})

test('a sample stands for those that were passed over', () => {
  const keys = new HottestKeys(2, seededRandom(5))
  after(
    taken(50_000, () => 'rush'),
    100_000,
    keys,
  )
  const [first] = after(
    taken(2000, () => 'trickle'),
    800,
    keys,
    500,
  )
  expect(first!.partitionKey).toBe('rush')
  expect(first!.share).toBeGreaterThan(0.9)
})

test('survives a clock that stands still, and a load that falls off', () => {
  const keys = new HottestKeys(2, () => 0.999)
  for (let i = 0; i < 2_100_000; i++) keys.note('burst', 0)
  // A sample stands for 2000 records at most, so that the next one is not far off.
  const report = after(
    taken(10_000, () => 'after'),
    100,
    keys,
    60_000,
  )
  expect(report.map(({ partitionKey }) => partitionKey)).toEqual(['burst', 'after'])
})

test('counts nothing when it is off', () => {
  expect(after(taken(100, String), 10, new HottestKeys(0, never))).toEqual([])
})
