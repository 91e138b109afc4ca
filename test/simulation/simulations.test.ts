import { describe, expect, test } from 'vitest'
import { commandToGoOn } from './simulate-options.js'
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

test('a process has so many worlds and no more', { timeout: 120_000 }, async () => {
  const worker = new URL('./counting-worker.mjs', import.meta.url)
  const counts: number[] = []
  const { signal } = new AbortController()
  const ended = (report: Report): void => void counts.push(report.seed)
  const end = await runSimulations({ firstSeed: 1, seeds: 7, jobs: 1, signal, ended, worldsAProcess: 3, worker })
  expect([end, counts]).toEqual([8, [1, 2, 3, 1, 2, 3, 1]])
})

describe('with processes that fail', () => {
  const worker = new URL('./faulty-worker.mjs', import.meta.url)
  const { signal } = new AbortController()

  test('a world whose process dies, and one that stands still, have failed: the others are run all the same', {
    timeout: 120_000,
  }, async () => {
    const reports: Report[] = []
    const ended = (report: Report): void => void reports.push(report)
    const reached = await runSimulations({ firstSeed: 1, seeds: 6, jobs: 2, signal, ended, patienceMs: 10_000, worker })
    expect(reached).toBe(7)
    const said = Object.fromEntries(reports.map(({ seed, violations }) => [seed, violations]))
    expect(said).toEqual({
      1: [],
      2: ['the process of this world has ended: SIGKILL'],
      3: [],
      4: ['this world stands still: no step of it in 10000 ms of real time'],
      5: ['the process of this world has ended: exit code 7'],
      6: [],
    })
  })

  test('processes that cannot begin with any world end the run', { timeout: 120_000 }, async () => {
    const run = runSimulations({ firstSeed: 0, seeds: 9, jobs: 1, signal, ended: () => {}, worker })
    await expect(run).rejects.toThrow('Seed 0: the process of this world has ended: exit code 1')
  })
})

test.each([
  [true, 'npm run simulate -- --first-seed 12 --seeds 88 --jobs 2 --json'],
  [false, 'npm run simulate -- --first-seed 12 --seeds 88 --jobs 2'],
])('the command to go on asks for the same, also as JSON: %s', (json, command) => {
  expect(commandToGoOn({ firstSeed: 12, seeds: 88, jobs: 2, json })).toBe(command)
})
