import { describe, expect, test } from 'vitest'
import { Admission } from './admission.js'

const of = (bytes: number): { bytes: number } => ({ bytes })

describe('Admission', () => {
  test.each<[string, number[], boolean[]]>([
    ['up to the bytes', [40, 60], [true, true]],
    ['not beyond the bytes', [40, 61, 60], [true, false, true]],
    ['up to the records, however small', [1, 1, 1, 1], [true, true, true, false]],
  ])('%s', (_, sizes, taken) => {
    const admission = new Admission({ maxBytes: 100, maxRecords: 3 })
    expect(sizes.map((bytes) => admission.take(of(bytes)))).toEqual(taken)
  })

  test('who waits is not overtaken, and goes in order as room comes', () => {
    const admission = new Admission({ maxBytes: 100, maxRecords: 10 })
    const [first, large, small] = [of(60), of(80), of(10)]
    expect(admission.take(first)).toBe(true)
    admission.wait(large)
    expect(admission.take(small)).toBe(false)
    admission.wait(small)
    expect(admission.next()).toBeUndefined()
    admission.free(first)
    expect([admission.next(), admission.next(), admission.next()]).toEqual([large, small, undefined])
    expect([admission.bytes, admission.records, admission.waiting]).toEqual([90, 2, 0])
  })

  test('has no room until what was turned away would fit', () => {
    const admission = new Admission({ maxBytes: 100, maxRecords: 10 })
    const items = [of(50), of(40)]
    for (const item of items) admission.take(item)
    expect(admission.take(of(60))).toBe(false)
    admission.turnAway(of(60))
    expect(admission.hasRoom).toBe(false)
    admission.free(items[1]!)
    expect(admission.hasRoom).toBe(false)
    admission.free(items[0]!)
    expect(admission.hasRoom).toBe(true)
  })
})
