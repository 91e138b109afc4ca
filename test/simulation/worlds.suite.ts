import { describe, expect, test } from 'vitest'
import { simulate } from './simulation.js'

/** Worlds that `npm test` runs, in two files side by side. SHARDWISE_SEEDS runs more; `npm run simulate` runs many on all processors. */
const SEEDS = Number(process.env.SHARDWISE_SEEDS ?? 500)

/** Every second seed, from the first or from the second. */
export function worldsSuite(half: 'odd' | 'even'): void {
  const seeds = Array.from({ length: SEEDS }, (_, i) => i + 1).filter((seed) => (seed % 2 === 1) === (half === 'odd'))
  describe('producers and consumers in a world where everything goes wrong', () => {
    test.each(seeds)(
      'world %d: nothing acknowledged is lost, order is kept, leases are respected, the fleet comes to rest',
      async (seed) => {
        const { violations } = await simulate({ seed })
        expect(violations).toEqual([])
      },
    )
  })
}
