import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Cohort, Cohorts } from './cohorts.js'

test('tells since when the oldest waits, whatever settles in which order', () => {
  const step = fc.record({
    after: fc.integer({ min: 0, max: 30 }),
    enters: fc.integer({ min: 0, max: 4 }),
    leaves: fc.array(fc.nat(), { maxLength: 4 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const cohorts = new Cohorts()
      const waiting: { readonly at: number; readonly cohort: Cohort }[] = []
      let now = 0
      for (const { after, enters, leaves } of steps) {
        now += after
        for (let i = 0; i < enters; i++) waiting.push({ at: now, cohort: cohorts.enter(now) })
        for (const which of leaves) {
          const [left] = waiting.splice(which % Math.max(1, waiting.length), 1)
          if (left !== undefined) cohorts.leave(left.cohort)
        }
        const first = waiting[0]?.at
        if (first === undefined) expect(cohorts.oldestSince).toBeUndefined()
        else {
          expect(cohorts.oldestSince).toBeLessThanOrEqual(first)
          expect(cohorts.oldestSince).toBeGreaterThan(first - 10)
        }
      }
    }),
  )
})
