import { expect, onTestFinished, test, vi } from 'vitest'
import { profile } from './profile.js'
import type { Benchmark, Variant } from './rounds.js'

test('a variant may find itself by `this`, and is readied before each run and left after it', async () => {
  vi.stubGlobal('gc', () => {})
  onTestFinished(() => void vi.unstubAllGlobals())
  const calls = { before: 0, run: 0, after: 0 }
  const variant: Variant & { readonly print: number } = {
    name: 'ours',
    print: 7,
    run() {
      calls.run++
      return this.print
    },
    async before() {
      calls.before += this.print
    },
    async after() {
      calls.after += this.print
    },
    verify() {
      return this.print
    },
  }
  const benchmark: Benchmark = {
    unit: { name: 'ns', of: (ns) => ns },
    operations: 1,
    prepare: () => {},
    variants: [variant, variant],
  }
  const found = await profile('of a test', benchmark)
  expect(found).toMatchObject({ benchmark: 'of a test', variant: 'ours' })
  expect(calls).toEqual({ before: 7 * calls.run, run: 30, after: 7 * calls.run })
})
