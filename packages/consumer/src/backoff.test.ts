import { describe, expect, it } from 'vitest'
import { backoffDelay } from './backoff.js'

describe('backoffDelay', () => {
  it.each([
    { attempt: 1, random: 0, delay: 50 },
    { attempt: 1, random: 0.5, delay: 75 },
    { attempt: 2, random: 0, delay: 100 },
    { attempt: 5, random: 0, delay: 800 },
    { attempt: 20, random: 0, delay: 15_000 },
    { attempt: 1_000_000, random: 0.5, delay: 22_500 },
  ])('after failure $attempt with a draw of $random waits $delay ms', ({ attempt, random, delay }) => {
    expect(backoffDelay(attempt, { baseMs: 100, maxMs: 30_000 }, () => random)).toBe(delay)
  })
})
