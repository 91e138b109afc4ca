import { describe, expect, test } from 'vitest'
import { simulate } from './simulation.js'
import { worldsSuite } from './worlds.suite.js'

async function traceOf(seed: number): Promise<string> {
  const lines: string[] = []
  await simulate({ seed, trace: (line) => lines.push(line) })
  return lines.join('\n')
}

worldsSuite('odd')

describe('a seed', () => {
  test.each([3, 13, 22])('%d takes the same course each time, line by line', async (seed) => {
    const first = await traceOf(seed)
    expect(first.length).toBeGreaterThan(10_000)
    expect(await traceOf(seed)).toBe(first)
  })

  test.each([50_500, 53_000])(
    'whose workers start while their stream is being deleted, or is gone: they start again (at %d)',
    async (at) => {
      const disturbances = [
        { at: 50_000, kind: 'recreate', which: 0, shards: 2, goneForMs: 6_000 },
        { at, kind: 'start' },
      ] as const
      const lines: string[] = []
      const plan = { disturbances, calmAt: 69_000 }
      const { violations } = await simulate({ seed: 3, plan, trace: (line) => lines.push(line) })
      expect(violations).toEqual([])
      expect(lines.filter((line) => / gives up: .* cannot start: /.test(line))).not.toEqual([])
    },
  )

  test('without its disturbances is another world', async () => {
    const all = await simulate({ seed: 13 })
    const none = await simulate({ seed: 13, only: new Set() })
    expect(none.violations).toEqual([])
    expect(none.steps).not.toBe(all.steps)
  })
})
