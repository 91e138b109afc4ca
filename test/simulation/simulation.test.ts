import { describe, expect, test } from 'vitest'
import { simulate } from './simulation.js'

/** Each is another world. SHARDWISE_SEEDS runs more of them; `npm run simulate` runs many on all processors. */
const SEEDS = Array.from({ length: Number(process.env.SHARDWISE_SEEDS ?? 100) }, (_, i) => i + 1)

async function traceOf(seed: number): Promise<string> {
  const lines: string[] = []
  await simulate({ seed, trace: (line) => lines.push(line) })
  return lines.join('\n')
}

describe('producers and consumers in a world where everything goes wrong', () => {
  test.each(SEEDS)(
    'world %d: nothing acknowledged is lost, order is kept, leases are respected, the fleet comes to rest',
    async (seed) => {
      const { violations } = await simulate({ seed })
      expect(violations).toEqual([])
    },
  )
})

describe('a seed', () => {
  test.each([3, 13, 22])('%d takes the same course each time, line by line', async (seed) => {
    const first = await traceOf(seed)
    expect(first.length).toBeGreaterThan(10_000)
    expect(await traceOf(seed)).toBe(first)
  })

  test('without its disturbances is another world', async () => {
    const all = await simulate({ seed: 13 })
    const none = await simulate({ seed: 13, only: new Set() })
    expect(none.violations).toEqual([])
    expect(none.steps).not.toBe(all.steps)
  })
})
