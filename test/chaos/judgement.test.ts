import { expect, it } from 'vitest'
import type { LinkLoad } from './link-load.js'
import { isStorm, loadOf } from './link-load.js'
import { memoryUse } from './memory-bound.js'
import { Trouble } from './trouble.js'
import type { MemorySample } from './world.js'

const MIB = 1024 * 1024
const MINUTE_MS = 60_000

function load(requests: [number, number], connects: [number, number]): LinkLoad {
  return { requests: { mean: requests[0], peak: requests[1] }, connects: { mean: connects[0], peak: connects[1] } }
}

it('sums what all links saw in whole seconds', () => {
  const link = (...counts: [number, number, number][]): { seconds: Map<number, { connects: number; requests: number }> } => ({
    seconds: new Map(counts.map(([second, requests, connects]) => [second, { requests, connects }])),
  })
  const links = [link([1, 100, 1], [2, 10, 0], [3, 4, 4]), link([2, 10, 2], [4, 100, 100])]
  expect(loadOf(links, 1500, 4200)).toEqual(load([12, 20], [3, 4]))
})

it.each([
  { during: load([15, 60], [1, 5]), storm: false },
  { during: load([60, 200], [60, 200]), storm: false },
  { during: load([61, 100], [1, 5]), storm: true },
  { during: load([10, 201], [1, 5]), storm: true },
  { during: load([0, 0], [61, 100]), storm: true },
  { during: load([0, 0], [10, 201]), storm: true },
])('storm: $storm, of six clients, at $during', ({ during, storm }) => {
  expect(isStorm(load([60, 100], [1, 5]), during, 6)).toBe(storm)
})

it('what was hardly asked before may still be asked by each client now and then', () => {
  const before = load([3, 5], [1, 1])
  expect(isStorm(before, load([36, 72], [0, 0]), 6)).toBe(false)
  expect(isStorm(before, load([37, 72], [0, 0]), 6)).toBe(true)
})

it.each([
  { name: 'more where requests hang', before: 50, heaps: [50, 52, 82, 82, 52, 53], rss: 200, bounded: true },
  { name: 'more than four times the buffer, once', before: 50, heaps: [50, 52, 83, 52, 51, 50], rss: 200, bounded: false },
  { name: 'a leak', before: 50, heaps: [50, 58, 66, 74, 82, 90], rss: 200, bounded: false },
  { name: 'too much outside the heap', before: 50, heaps: [50, 52, 60, 61, 60, 60], rss: 500, bounded: false },
  { name: 'not measured before', before: undefined, heaps: [50, 50, 50, 50], rss: 200, bounded: false },
  { name: 'measured but once', before: 50, heaps: [50], rss: 200, bounded: false },
])('memory, $name, is bounded: $bounded', ({ before, heaps, rss, bounded }) => {
  const of = (minute: number, heapMib: number, more = {}): MemorySample => {
    return {
      at: minute * MINUTE_MS,
      heapBytes: heapMib * MIB,
      rssBytes: rss * MIB,
      bufferedBytes: 8 * MIB,
      collected: true,
      ...more,
    }
  }
  const samples = [
    ...(before === undefined ? [] : [of(4, 900), of(5, before)]),
    of(9, 900, { collected: false }),
    ...heaps.map((heap, i) => of(10 + i, heap)),
    of(12, 900, { collected: false }),
    of(21, 900),
  ]
  const times = { from: 10 * MINUTE_MS, to: 20 * MINUTE_MS, maxBufferedBytes: 8 * MIB }
  expect(memoryUse('app', samples, times).isBounded).toBe(bounded)
})

it('sums how long there was trouble', () => {
  const trouble = new Trouble()
  trouble.begin(10)(20)
  trouble.begin(30)
  expect([trouble.msBetween(0, 5), trouble.msBetween(15, 18), trouble.msBetween(0, 40)]).toEqual([0, 3, 20])
})
