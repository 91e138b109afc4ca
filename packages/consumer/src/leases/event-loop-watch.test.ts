import { expect, test } from 'vitest'
import { EventLoopWatch } from './event-loop-watch.js'

function watch(failoverTimeMs = 10_000): { readonly watch: EventLoopWatch; readonly blocked: number[] } {
  const blocked: number[] = []
  return { watch: new EventLoopWatch(failoverTimeMs, (ms) => blocked.push(ms)), blocked }
}

test.each([
  [600_000, 999, []],
  [10_000, 999, []],
  [10_000, 1_000, [1_000]],
  [5_000, 500, [500]],
  [1_000, 249, []],
  [1_000, 250, [250]],
])('failover time %d ms, a timer %d ms late: %j', (failoverTimeMs, late, expected) => {
  const { watch: each, blocked } = watch(failoverTimeMs)
  each.ran(5_000, 5_000 + late)
  expect(blocked).toEqual(expected)
})

test('several timers that fell due in one block tell of it once, and the next block counts anew', () => {
  const { watch: each, blocked } = watch()
  each.ran(100, 6_000)
  each.ran(2_000, 6_000)
  each.ran(5_900, 6_001)
  each.ran(6_500, 9_000)
  expect(blocked).toEqual([5_900, 2_500])
})
