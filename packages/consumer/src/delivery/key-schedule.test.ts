import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeySchedule } from './key-schedule.js'

test('the oldest of each key first, and what waits when its key is free', () => {
  const schedule = new KeySchedule(['a', 'a', 'b', 'a', 'c'])
  expect([schedule.take(), schedule.take(), schedule.take(), schedule.take()]).toEqual([0, 2, 4, undefined])
  expect(schedule.after(2)).toBeUndefined()
  expect(schedule.after(0)).toBe(1)
  expect(schedule.after(1)).toBe(3)
  expect(schedule.after(3)).toBeUndefined()
  expect(schedule.after(4)).toBeUndefined()
})

test('a key whose records are done is free for those that come later', () => {
  const schedule = new KeySchedule(['a', 'b', 'a'])
  expect(schedule.take()).toBe(0)
  expect(schedule.after(0)).toBe(1)
  expect(schedule.take()).toBe(2)
})

test('closed: gives out nothing more', () => {
  const schedule = new KeySchedule(['a', 'a', 'b'])
  schedule.take()
  schedule.close()
  expect([schedule.take(), schedule.after(0)]).toEqual([undefined, undefined])
})

test('property: lanes that stop when there is nothing give out every record once, no key twice at a time, each key in order', () => {
  const keys = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 40 })
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 6 }), fc.infiniteStream(fc.nat()), (given, limit, lots) => {
      const schedule = new KeySchedule(given)
      const inHand = new Set<number>()
      const done: number[] = []
      const start = (index: number | undefined): void => {
        if (index === undefined) return
        expect([...inHand].map((other) => given[other])).not.toContain(given[index])
        inHand.add(index)
      }
      for (let lane = 0; lane < limit; lane++) start(schedule.take())
      while (inHand.size > 0) {
        expect(inHand.size).toBeLessThanOrEqual(limit)
        const index = [...inHand][lots.next().value! % inHand.size]!
        inHand.delete(index)
        done.push(index)
        start(schedule.after(index))
        // As many in hand as there are keys left, up to the limit.
        const left = new Set(given.filter((_, i) => !done.includes(i)))
        expect(inHand.size).toBe(Math.min(limit, left.size))
      }
      expect(done.toSorted((a, b) => a - b)).toEqual(given.map((_, i) => i))
      for (const key of new Set(given)) {
        const ofKey = done.filter((index) => given[index] === key)
        expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b))
      }
    }),
  )
})
