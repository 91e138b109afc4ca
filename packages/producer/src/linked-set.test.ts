import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LinkedSet } from './linked-set.js'

const step = fc.record({
  does: fc.constantFrom('push' as const, 'insert' as const, 'delete' as const),
  item: fc.nat({ max: 9 }),
  next: fc.nat({ max: 9 }),
})

test('is a list of distinct items in their order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const set = new LinkedSet<number>()
      let model: number[] = []
      for (const { does, item, next } of steps) {
        const known = model.includes(item)
        if (does === 'delete') {
          expect(set.delete(item)).toBe(known)
          model = model.filter((other) => other !== item)
        } else if (does === 'push') {
          set.push(item)
          if (!known) model.push(item)
        } else {
          set.insert(item, next)
          if (!known) model.splice(Math.max(0, model.indexOf(next)), 0, item)
        }
        expect([[...set], set.size, set.first, set.has(item)]).toEqual([model, model.length, model[0], model.includes(item)])
      }
      for (const item of set) set.delete(item)
      expect([set.size, set.first, [...set]]).toEqual([0, undefined, []])
    }),
  )
})

test('gives the first of very many, again and again', { timeout: 20_000 }, () => {
  const set = new LinkedSet<number>()
  for (let i = 0; i < 500_000; i++) set.push(i)
  let given = 0
  for (let first = set.first; first !== undefined; first = set.first) {
    if (set.delete(first)) given++
  }
  expect(given).toBe(500_000)
})
