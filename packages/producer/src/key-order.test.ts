import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Entry } from './entry.js'
import { KeyOrder } from './key-order.js'
import { entryWith, recordOf } from './testing/records.js'

/** An entry with a record of each key: `'aba'` has three records of two keys. */
function of(keys: string): Entry {
  return entryWith([...keys].map((key) => recordOf(key)))
}

/** An order, its entries, and whether each was free when it was added. */
function ordered(...keys: readonly string[]): [KeyOrder, Entry[], boolean[]] {
  const order = new KeyOrder()
  const entries = keys.map(of)
  return [order, entries, entries.map((entry) => order.add(entry))]
}

describe('KeyOrder', () => {
  test.each<[string, string[], boolean[]]>([
    ['entries of different keys do not wait for each other', ['a', 'b', 'c'], [true, true, true]],
    ['the second of one key waits', ['a', 'a'], [true, false]],
    ['one key in common is enough', ['abc', 'de', 'xcy'], [true, true, false]],
    ['several records of one key wait for nobody among themselves', ['aab', 'c'], [true, true]],
    ['who waits is waited for', ['a', 'ab', 'b'], [true, false, false]],
  ])('%s', (_, keys, free) => {
    expect(ordered(...keys)[2]).toEqual(free)
  })

  test('records of one partition key and different explicit hash keys are of different keys', () => {
    const order = new KeyOrder()
    const [one, two, none] = ['1', '2', undefined].map((hashKey) => entryWith([recordOf('a', 10, hashKey)]))
    expect([order.add(one!), order.add(two!), order.add(none!)]).toEqual([true, true, true])
    expect(order.add(entryWith([recordOf('a', 10, '2')]))).toBe(false)
    expect(order.keys).toBe(3)
  })

  test('what is over frees those that are the first for all their keys then', () => {
    const [order, [a, b, ab, ba]] = ordered('a', 'b', 'ab', 'ba')
    expect(order.remove(a!)).toEqual([])
    expect(order.remove(b!)).toEqual([ab])
    expect([order.isFree(ab!), order.isFree(ba!), order.isAwaited(ab!), order.isAwaited(ba!)]).toEqual([true, false, true, false])
    expect([order.remove(ab!), order.remove(ba!), order.keys]).toEqual([[ba], [], 0])
  })

  test('one that leaves from the middle frees nobody', () => {
    const [order, [first, second, third]] = ordered('a', 'a', 'a')
    expect(order.remove(second!)).toEqual([])
    expect(order.remove(first!)).toEqual([third])
  })

  test('successors take the place of what they were made of, ahead of those that were behind it', () => {
    const [order, [abc, a, b]] = ordered('abac', 'a', 'b')
    const [first, second, third] = [of('ab'), of('a'), of('c')]
    expect(order.replace(abc!, [first, second, third])).toEqual([])
    expect([first, second, third, a!, b!].map((entry) => order.isFree(entry))).toEqual([true, false, true, false, false])
    expect([new Set(order.remove(first)), order.remove(second)]).toEqual([new Set([second, b]), [a]])
  })

  test('a successor waits for what was ahead of its predecessor', () => {
    const [order, [head, middle, last]] = ordered('a', 'ab', 'b')
    const successor = of('a')
    expect(order.replace(middle!, [successor])).toEqual([last])
    expect([order.isFree(successor), order.isFree(last!), order.has(middle!)]).toEqual([false, true, false])
    expect(order.remove(head!)).toEqual([successor])
  })

  test('tells what is behind an entry for some of its records', () => {
    const [order, [, ab, a, b, ba]] = ordered('a', 'ab', 'a', 'b', 'ba')
    expect(order.behind(ab!, ab!.records.slice(0, 1))).toEqual(new Set([a, ba]))
    expect(order.behind(ab!, ab!.records)).toEqual(new Set([a, b, ba]))
    expect(order.behind(of('a'), ab!.records)).toEqual(new Set())
  })

  test('a hundred thousand entries of one key', { timeout: 20_000 }, () => {
    const order = new KeyOrder()
    const entries = Array.from({ length: 100_000 }, () => of('a'))
    for (const entry of entries) order.add(entry)
    let next: Entry | undefined = entries[0]
    let served = 0
    for (; next !== undefined; next = order.remove(next)[0]) served++
    expect([served, order.keys]).toEqual([100_000, 0])
  })
})

type Step =
  | { readonly does: 'add'; readonly keys: string }
  | { readonly does: 'remove'; readonly which: number }
  | { readonly does: 'replace'; readonly which: number; readonly cuts: readonly number[]; readonly drop: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    does: fc.constant('add' as const),
    keys: fc.string({ unit: fc.constantFrom(...'abcd'), minLength: 1, maxLength: 5 }),
  }),
  fc.record({ does: fc.constant('remove' as const), which: fc.nat() }),
  fc.record({
    ...{ does: fc.constant('replace' as const), which: fc.nat(), cuts: fc.array(fc.nat({ max: 4 }), { maxLength: 2 }) },
    drop: fc.nat({ max: 8 }),
  }),
)

test('at any time the free entries are those that are the first for all their keys', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const order = new KeyOrder()
      /** Entries in order of packing, successors in the place of what they replace: each key's line is a part of this list. */
      const model: Entry[] = []
      const keysOf = (entry: Entry): Set<string> => new Set(entry.records.map((record) => record.partitionKey))
      const isFree = (entry: Entry): boolean =>
        !model.slice(0, model.indexOf(entry)).some((earlier) => [...keysOf(earlier)].some((key) => keysOf(entry).has(key)))
      for (const step of steps) {
        const blocked = model.filter((entry) => !isFree(entry))
        if (step.does === 'add') {
          const entry = of(step.keys)
          model.push(entry)
          expect(order.add(entry)).toBe(isFree(entry))
        } else if (model.length > 0) {
          const at = step.which % model.length
          const entry = model[at]!
          const cuts = step.does === 'replace' ? [...step.cuts, 0, 5].sort((a, b) => a - b) : [0]
          const left = step.does === 'replace' ? entry.records.filter((_, i) => i !== step.drop) : []
          const parts = cuts.slice(1).map((cut, i) => left.slice(cuts[i], cut))
          const successors = parts.filter((part) => part.length > 0).map((part) => entryWith(part))
          model.splice(at, 1, ...successors)
          const freed = step.does === 'replace' ? order.replace(entry, successors) : order.remove(entry)
          expect(new Set(freed)).toEqual(new Set(blocked.filter((other) => other !== entry && isFree(other))))
        }
        for (const entry of model) expect(order.isFree(entry)).toBe(isFree(entry))
        expect(order.keys).toBe(new Set(model.flatMap((entry) => [...keysOf(entry)])).size)
      }
    }),
    { numRuns: 1000 },
  )
})
