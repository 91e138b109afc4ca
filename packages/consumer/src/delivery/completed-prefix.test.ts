import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CompletedPrefix, type RecordPosition } from './completed-prefix.js'

function positions(from: number, count: number): RecordPosition[] {
  return Array.from({ length: count }, (_, i) => ({ sequenceNumber: String(100 + from + i), subSequenceNumber: 0 }))
}

describe('CompletedPrefix', () => {
  it('has no position before the first record is done', () => {
    const prefix = new CompletedPrefix()
    expect(prefix.append(positions(0, 3))).toBe(0)
    prefix.complete(1)
    expect(prefix.position).toBeUndefined()
    expect(prefix.outstanding).toBe(3)
  })

  it('follows records done in order, over batches', () => {
    const prefix = new CompletedPrefix()
    prefix.append(positions(0, 2))
    expect(prefix.append(positions(2, 2))).toBe(2)
    prefix.complete(0)
    expect(prefix.position?.sequenceNumber).toBe('100')
    prefix.complete(1, 2)
    expect(prefix.position?.sequenceNumber).toBe('102')
    prefix.complete(3)
    expect(prefix.position?.sequenceNumber).toBe('103')
    expect(prefix.outstanding).toBe(0)
  })

  it('waits at a gap and jumps over what was done ahead', () => {
    const prefix = new CompletedPrefix()
    prefix.append(positions(0, 6))
    prefix.complete(4)
    prefix.complete(1, 2)
    prefix.complete(0)
    expect(prefix.position?.sequenceNumber).toBe('102')
    prefix.complete(3)
    expect(prefix.position?.sequenceNumber).toBe('104')
    expect(prefix.outstanding).toBe(1)
  })

  it('keeps its position when everything known is done and more is appended', () => {
    const prefix = new CompletedPrefix()
    prefix.append(positions(0, 1))
    prefix.complete(0)
    prefix.append([])
    prefix.append(positions(1, 1))
    expect(prefix.position?.sequenceNumber).toBe('100')
  })

  it.each([
    { name: 'an unknown record', first: 3, count: 1 },
    { name: 'a run that reaches beyond the known', first: 1, count: 3 },
    { name: 'one that is complete already', first: 0, count: 1 },
    { name: 'one that is complete ahead', first: 2, count: 1 },
    { name: 'nothing', first: 1, count: 0 },
  ])('refuses $name', ({ first, count }) => {
    const prefix = new CompletedPrefix()
    prefix.append(positions(0, 3))
    prefix.complete(0)
    prefix.complete(2)
    expect(() => prefix.complete(first, count)).toThrow(RangeError)
  })

  it('keeps of what is done ahead no more than where it ends: the records may go while an older one is open', () => {
    const prefix = new CompletedPrefix()
    const ahead = positions(1, 3) as { sequenceNumber: string; subSequenceNumber: number }[]
    prefix.append(positions(0, 1))
    prefix.append(ahead)
    prefix.complete(2)
    prefix.complete(1)
    prefix.complete(3)
    for (const each of ahead) each.sequenceNumber = 'gone'
    prefix.complete(0)
    expect(prefix.position).toEqual({ sequenceNumber: '103', subSequenceNumber: 0 })
  })

  it('never covers a record that is not done, and covers all before the first gap, for any order of completion', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 8 }), fc.infiniteStream(fc.nat()), (sizes, picks) => {
        const prefix = new CompletedPrefix()
        const open: number[] = []
        const done = new Set<number>()
        let appended = 0
        const queue = [...sizes]
        while (queue.length > 0 || open.length > 0) {
          const pick = picks.next().value
          const size = queue[0]
          if (size !== undefined && (open.length === 0 || pick % 2 === 0)) {
            queue.shift()
            prefix.append(positions(appended, size))
            for (let i = 0; i < size; i++) open.push(appended++)
          } else {
            const index = open.splice(pick % open.length, 1)[0]!
            prefix.complete(index)
            done.add(index)
          }
          let firstGap = 0
          while (done.has(firstGap)) firstGap++
          expect(prefix.position?.sequenceNumber).toBe(firstGap === 0 ? undefined : String(100 + firstGap - 1))
          expect(prefix.outstanding).toBe(appended - firstGap)
        }
      }),
    )
  })
})
