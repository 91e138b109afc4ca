import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Keyed, KeySchedule } from './key-schedule.js'

/** One for each letter, numbered on from `first`. */
const items = (keys: string, first = 0): Keyed[] => [...keys].map((key, i) => ({ key, number: first + i }))

function scheduleOf(keys: string): {
  schedule: KeySchedule<Keyed>
  take: () => number | undefined
  after: (n: number) => number | undefined
} {
  const schedule = new KeySchedule<Keyed>()
  const all = items(keys)
  schedule.append([...all])
  return { schedule, take: () => schedule.take()?.number, after: (n) => schedule.after(all[n]!)?.number }
}

test('the oldest of each key first, and what waits when its key is free', () => {
  const { take, after } = scheduleOf('aabac')
  expect([take(), take(), take(), take()]).toEqual([0, 2, 4, undefined])
  expect(after(2)).toBeUndefined()
  expect(after(0)).toBe(1)
  expect(after(1)).toBe(3)
  expect(after(3)).toBeUndefined()
  expect(after(4)).toBeUndefined()
})

test('a key whose records are done is free for those that come later', () => {
  const { take, after } = scheduleOf('aba')
  expect(take()).toBe(0)
  expect(after(0)).toBe(1)
  expect(take()).toBe(2)
})

test('what is appended waits behind its key, and comes after all that was there before', () => {
  const { schedule, take, after } = scheduleOf('ab')
  expect(take()).toBe(0)
  schedule.append(items('ac', 2))
  schedule.append([])
  expect([take(), take(), take()]).toEqual([1, 3, undefined])
  expect(after(0)).toBe(2)
})

test('closing gaps: only what lies before something that was given out', () => {
  const { schedule, take, after } = scheduleOf('aabcad')
  expect([take(), take()]).toEqual([0, 2])
  schedule.closeGaps()
  expect([take(), after(2)]).toEqual([undefined, undefined])
  expect(after(0)).toBe(1)
  expect(after(1)).toBeUndefined()
})

test('an end: nothing behind it, whatever was given out', () => {
  const { schedule, take, after } = scheduleOf('aabcad')
  expect([take(), take(), take(), take()]).toEqual([0, 2, 3, 5])
  schedule.closeGaps()
  schedule.endBefore(3)
  schedule.endBefore(4)
  expect(after(0)).toBe(1)
  expect(after(1)).toBeUndefined()
})

test('property: lanes that stop when there is nothing give out every record once, no key twice at a time, each key in order', () => {
  const reads = fc.array(fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 15 }), { maxLength: 5 })
  const limits = fc.integer({ min: 1, max: 6 })
  fc.assert(
    fc.property(reads, limits, fc.infiniteStream(fc.nat()), fc.option(fc.nat(60)), (given, limit, lots, closeAfter) => {
      const schedule = new KeySchedule<Keyed>()
      const queue = [...given]
      const known: Keyed[] = []
      const inHand = new Map<number, Keyed>()
      const begun: number[] = []
      const done = new Set<number>()
      let closed = false
      const start = (item: Keyed | undefined): void => {
        if (item === undefined) return
        expect([...inHand.values()].map(({ key }) => key)).not.toContain(item.key)
        if (closed) expect(item.number).toBeLessThan(Math.max(...begun))
        inHand.set(item.number, item)
        begun.push(item.number)
      }
      const append = (): void => {
        const more = items((queue.shift() ?? []).join(''), known.length)
        known.push(...more)
        schedule.append(more)
        while (inHand.size < limit) {
          const item = schedule.take()
          if (item === undefined) break
          start(item)
        }
      }
      append()
      while (inHand.size > 0 || (queue.length > 0 && !closed)) {
        if (!closed && done.size === closeAfter) {
          closed = true
          schedule.closeGaps()
        }
        const lot = lots.next().value!
        if (inHand.size === 0 || (!closed && queue.length > 0 && lot % 4 === 0)) {
          append()
          continue
        }
        expect(inHand.size).toBeLessThanOrEqual(limit)
        const item = [...inHand.values()][lot % inHand.size]!
        inHand.delete(item.number)
        done.add(item.number)
        start(schedule.after(item))
        if (closed) continue
        // As many in hand as there are keys left, up to the limit.
        const left = new Set(known.flatMap(({ key, number }) => (done.has(number) ? [] : [key])))
        expect(inHand.size).toBe(Math.min(limit, left.size))
      }
      // Without a gap: all that is known, or as far as anything was begun when it was closed.
      const end = closed ? Math.max(-1, ...begun) + 1 : known.length
      expect([...done].toSorted((a, b) => a - b)).toEqual(Array.from({ length: end }, (_, i) => i))
      for (const each of new Set(known.map(({ key }) => key))) {
        const ofKey = begun.filter((number) => known[number]!.key === each)
        expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b))
      }
    }),
    { numRuns: 500 },
  )
})
