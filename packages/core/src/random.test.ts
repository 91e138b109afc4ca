import { expect, test } from 'vitest'
import { seededRandom, systemRandom } from './random.js'

test('the same seed gives the same sequence, another seed another', () => {
  const take = (seed: number): number[] => {
    const random = seededRandom(seed)
    return Array.from({ length: 5 }, random)
  }
  expect(take(42)).toEqual(take(42))
  expect(take(42)).not.toEqual(take(43))
  // mulberry32 of seed 42, computed from its published form
  expect(take(42)[0]).toBeCloseTo(0.6011037519, 9)
})

test.each([seededRandom(1), systemRandom])('is uniform in [0, 1)', (random) => {
  const counts = new Array<number>(10).fill(0)
  for (let i = 0; i < 20_000; i++) {
    const value = random()
    expect(value >= 0 && value < 1).toBe(true)
    counts[Math.floor(value * 10)]!++
  }
  for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(300)
})
