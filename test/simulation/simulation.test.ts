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

  test('without its disturbances is another world', async () => {
    const all = await simulate({ seed: 13 })
    const none = await simulate({ seed: 13, only: new Set() })
    expect(none.violations).toEqual([])
    expect(none.steps).not.toBe(all.steps)
  })
})
