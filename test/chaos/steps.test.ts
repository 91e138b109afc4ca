import { seededRandom } from '@shardwise/core/random'
import { expect, it } from 'vitest'
import { KINDS, stepsOf } from './steps.js'

const TWO_MINUTES = { durationMs: 120_000, everyMs: 2000 }

it('the same seed gives the same list, another seed another', () => {
  const of = (seed: number): unknown => stepsOf(seededRandom(seed), TWO_MINUTES)
  expect(of(1)).toEqual(of(1))
  expect(of(1)).not.toEqual(of(2))
})

it.each([1, 2, 3, 4, 5])('in two minutes everything happens at least once, in order, within its time (seed %i)', (seed) => {
  const steps = stepsOf(seededRandom(seed), TWO_MINUTES)
  expect(new Set(steps.map(({ kind }) => kind))).toEqual(new Set(KINDS))
  expect(steps.map(({ atMs }) => atMs)).toEqual(steps.map(({ atMs }) => atMs).sort((a, b) => a - b))
  expect(steps.at(-1)!.atMs).toBeLessThan(120_000)
  expect(steps.length).toBeGreaterThan(45)
})
