import { expect, test } from 'vitest'
import { kindOf, shrink } from './shrink.js'

const LOST = ['12.5: c1-4 was acknowledged and never delivered']
const failed = { seed: 1, disturbances: 20, violations: LOST }

function failingWith(needed: readonly number[], other: readonly string[] = []) {
  return async ({ only }: { readonly only: ReadonlySet<number> }) => ({
    violations: needed.every((i) => only.has(i)) ? ['80.1: c2-9 was acknowledged and never delivered'] : other,
  })
}

test.each([[[]], [[7]], [[3, 7]], [[0, 9, 19]]])('what is left out is what the failure does not need: %j', async (needed) => {
  expect(await shrink(failed, failingWith(needed))).toEqual(needed)
})

test('a world that breaks another promise is another failure', async () => {
  expect(await shrink(failed, failingWith([4], ['9.9: p1-3 was settled twice']))).toEqual([4])
})

test('the search ends', async () => {
  let runs = 0
  const kept = await shrink({ ...failed, disturbances: 500 }, async () => {
    runs++
    return { violations: [] }
  })
  expect([kept.length, runs <= 80]).toEqual([500, true])
})

test('a failure is the same whoever is concerned, and whenever', () => {
  const one =
    '1.000: c1:abc took 000000000000:flights:1767225600:shardId-000000000001 from c0:xyz, which had written 12 ms before'
  const other =
    '9.123: c7:q2 took 000000000000:flights:1767225600:shardId-000000000003 from c5:k1, which had written 900 ms before'
  expect(kindOf({ violations: [one] })).toBe(kindOf({ violations: [other] }))
  expect(kindOf({ violations: LOST })).not.toBe(kindOf({ violations: [one] }))
})
