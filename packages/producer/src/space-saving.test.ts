import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SpaceSaving } from './space-saving.js'

test('counts exactly while there are counters for all', () => {
  const sketch = new SpaceSaving(3)
  for (const key of ['b', 'a', 'b', 'c', 'b', 'a']) sketch.add(key, 1)
  expect(sketch.top(10)).toEqual([
    { key: 'b', count: 3, error: 0 },
    { key: 'a', count: 2, error: 0 },
    { key: 'c', count: 1, error: 0 },
  ])
  expect(sketch.top(1)).toEqual([{ key: 'b', count: 3, error: 0 }])
})

test('a new key takes over the least counter, and its count as error', () => {
  const sketch = new SpaceSaving(2)
  sketch.add('a', 5)
  sketch.add('b', 2)
  sketch.add('c', 1)
  expect(sketch.top(10)).toEqual([
    { key: 'a', count: 5, error: 0 },
    { key: 'c', count: 3, error: 2 },
  ])
})

/** Few keys are frequent, many are rare. */
const keys = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ max: 4, min: 0 }) },
  { weight: 2, arbitrary: fc.integer({ max: 60, min: 0 }) },
)
const steps = fc.array(
  fc.oneof(
    {
      weight: 30,
      arbitrary: fc.record({ key: keys.map((key) => `the key of user ${key}`), weight: fc.integer({ min: 1, max: 20 }) }),
    },
    { weight: 1, arbitrary: fc.record({ factor: fc.constantFrom(0.5, 0.25, 1) }) },
  ),
  { maxLength: 400 },
)

test('keeps what it guarantees, against exact counts', () => {
  let frequent = 0
  let evicted = 0
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), steps, (capacity, sequence) => {
      const sketch = new SpaceSaving(capacity)
      const exact = new Map<string, number>()
      let total = 0
      for (const step of sequence) {
        if ('factor' in step) {
          sketch.scale(step.factor)
          total *= step.factor
          for (const [key, count] of exact) exact.set(key, count * step.factor)
          continue
        }
        sketch.add(step.key, step.weight)
        total += step.weight
        exact.set(step.key, (exact.get(step.key) ?? 0) + step.weight)
      }
      const counted = sketch.top(Number.POSITIVE_INFINITY)
      expect(counted.length).toBe(Math.min(capacity, counted.length))
      expect(counted.length).toBeGreaterThanOrEqual(Math.min(capacity, exact.size))
      expect(sketch.total).toBeCloseTo(total, 6)
      const slack = 1e-9 * total
      for (const [i, { key, count, error }] of counted.entries()) {
        const truth = exact.get(key) ?? 0
        expect(count).toBeGreaterThanOrEqual(truth - slack)
        expect(count - error).toBeLessThanOrEqual(truth + slack)
        expect(error).toBeLessThanOrEqual(total / capacity + slack)
        if (i > 0) expect(count).toBeLessThanOrEqual(counted[i - 1]!.count)
      }
      const found = new Set(counted.map(({ key }) => key))
      for (const [key, truth] of exact) {
        if (truth <= total / capacity + slack) continue
        frequent++
        expect(found).toContain(key)
      }
      if (exact.size > capacity) evicted++
    }),
    { numRuns: 500 },
  )
  // Else the property would have said nothing.
  expect(frequent).toBeGreaterThan(100)
  expect(evicted).toBeGreaterThan(100)
})
