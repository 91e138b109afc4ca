import { expect, test } from 'vitest'
import type { Report } from './simulation-worker.js'
import { runSimulations } from './simulations.js'

test('many worlds, in processes of their own: interrupted, it goes on where it was, and has the same worlds', {
  timeout: 120_000,
}, async () => {
  const first: Report[] = []
  const interruption = new AbortController()
  const run = { seeds: 4, jobs: 2 }
  const reached = await runSimulations({
    ...{ ...run, firstSeed: 11, signal: interruption.signal },
    ended: (report) => {
      first.push(report)
      if (first.length === 2) interruption.abort()
    },
  })
  // What is not reached is run again, also if it had ended beside one that had not.
  expect(reached).toBeGreaterThanOrEqual(11)
  expect(reached).toBeLessThan(15)
  for (let seed = 11; seed < reached; seed++) expect(first.map((report) => report.seed)).toContain(seed)
  const rest: Report[] = []
  const { signal } = new AbortController()
  const end = await runSimulations({
    firstSeed: reached,
    seeds: 15 - reached,
    jobs: 2,
    signal,
    ended: (report) => rest.push(report),
  })
  expect(end).toBe(15)
  expect(rest.map(({ seed }) => seed).sort()).toEqual([11, 12, 13, 14].filter((seed) => seed >= reached))
  for (const report of rest) expect(first.find(({ seed }) => seed === report.seed) ?? report).toEqual(report)
})
