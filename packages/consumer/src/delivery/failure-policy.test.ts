import { seededRandom } from '@shardwise/core/random'
import { describe, expect, it } from 'vitest'
import { afterFailure } from './failure-policy.js'

describe('afterFailure', () => {
  it.each([1, 2, 3, 10, 100, 10_000, 1_000_000])('retries after failure %i, never skips', (attempt) => {
    expect(afterFailure(attempt, { baseMs: 100, maxMs: 30_000 }, seededRandom(attempt)).kind).toBe('retry')
  })

  it('waits longer after each failure, up to the maximum', () => {
    const delays = [1, 2, 3, 4, 12, 13].map((attempt) => afterFailure(attempt, { baseMs: 100, maxMs: 30_000 }, () => 0).delayMs)
    expect(delays).toEqual([50, 100, 200, 400, 15_000, 15_000])
  })
})
