import { expect, it } from 'vitest'
import type { LinkLoad } from './link-load.js'
import { isStorm, loadOf } from './link-load.js'
import { memoryUse } from './memory-bound.js'

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
  { during: load([59, 100], [59, 100]), storm: false },
  { during: load([10, 5000], [1, 5]), storm: true },
  { during: load([10, 20], [10, 5000]), storm: true },
  { during: load([61, 100], [1, 5]), storm: true },
  { during: load([10, 20], [61, 100]), storm: true },
])('storm: $storm, of three clients, at $during', ({ during, storm }) => {
  expect(isStorm(load([60, 100], [1, 5]), during, 3)).toBe(storm)
})

it.each([
  { name: 'more where requests hang', heaps: [50, 52, 90, 91, 52, 53], rss: 200, bounded: true },
  { name: 'up and down', heaps: [48, 72, 78, 49, 72, 44], rss: 200, bounded: true },
  { name: 'up by a fifth', heaps: [50, 55, 58, 61, 63, 64], rss: 200, bounded: false },
  { name: 'too much at any time', heaps: [50, 52, 130, 52, 51, 50], rss: 200, bounded: false },
  { name: 'too much outside the heap', heaps: [50, 52, 70, 71, 60, 60], rss: 500, bounded: false },
  { name: 'not measured', heaps: [], rss: 200, bounded: false },
])('memory, $name, is bounded: $bounded', ({ heaps, rss, bounded }) => {
  const sample = { rssBytes: rss * MIB, bufferedBytes: 8 * MIB }
  const samples = heaps.map((heap, i) => ({ ...sample, at: (10 + i) * MINUTE_MS, heapBytes: heap * MIB, collected: true }))
  const beside = [
    { ...sample, at: 5 * MINUTE_MS, heapBytes: 900 * MIB, rssBytes: 900 * MIB, collected: true },
    { ...sample, at: 12 * MINUTE_MS, heapBytes: 900 * MIB, collected: false },
  ]
  expect(memoryUse('app', [...samples, ...beside], 10 * MINUTE_MS, 20 * MINUTE_MS).isBounded).toBe(bounded)
})
