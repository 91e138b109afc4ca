import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ReadQuota } from './read-quota.js'
import { WriteQuota } from './write-quota.js'

const MIB = 1_048_576

/** The most that any window of one second (closed at the start, open at the end) holds. */
function busiestSecond(events: readonly { readonly at: number; readonly amount: number }[]): number {
  return Math.max(
    0,
    ...events.map(({ at }) =>
      events.filter((event) => event.at >= at && event.at < at + 1000).reduce((sum, { amount }) => sum + amount, 0),
    ),
  )
}

describe('WriteQuota', () => {
  it('takes a thousand small records at once, then one a millisecond', () => {
    const quota = new WriteQuota()
    const taken = (now: number, tries: number): number => Array.from({ length: tries }).filter(() => quota.take(10, now)).length
    expect(taken(0, 1500)).toBe(1000)
    expect(taken(1, 10)).toBe(1)
    expect(taken(2, 10)).toBe(1)
    expect(taken(500, 1000)).toBe(498)
    expect(taken(100_000, 1500)).toBe(1000)
  })

  it('takes 1 MiB at once, then what has been refilled', () => {
    const quota = new WriteQuota()
    expect(quota.take(MIB, 0)).toBe(true)
    expect(quota.take(1, 0)).toBe(false)
    expect(quota.take(MIB / 4, 249)).toBe(false)
    expect(quota.take(MIB / 4, 250)).toBe(true)
    expect(quota.take(MIB, 1249)).toBe(false)
    expect(quota.take(MIB, 1250)).toBe(true)
  })

  it('takes a large record when full, and nothing until its debt is refilled', () => {
    const quota = new WriteQuota()
    expect(quota.take(1, 0)).toBe(true)
    expect(quota.take(10 * MIB, 0)).toBe(false)
    expect(quota.take(10 * MIB, 1)).toBe(true)
    expect(quota.take(1, 9000)).toBe(false)
    expect(quota.take(1, 9002)).toBe(true)
    expect(quota.take(10 * MIB, 9900)).toBe(false)
    expect(quota.take(10 * MIB, 10_002)).toBe(true)
  })

  it('gives no second more than twice the rate, and no longer time more than the rate and one second’s worth', () => {
    const puts = fc.array(
      fc.record({ wait: fc.nat({ max: 400 }), count: fc.nat({ max: 900 }), size: fc.integer({ min: 1, max: MIB }) }),
      {
        maxLength: 30,
      },
    )
    fc.assert(
      fc.property(puts, (rounds) => {
        const quota = new WriteQuota()
        const taken: { at: number; size: number }[] = []
        let now = 0
        for (const { wait, count, size } of rounds) {
          now += wait
          for (let i = 0; i < count; i++) if (quota.take(size, now)) taken.push({ at: now, size })
        }
        const perInstant = new Map<number, { records: number; bytes: number }>()
        for (const { at, size } of taken) {
          const sum = perInstant.get(at) ?? { records: 0, bytes: 0 }
          perInstant.set(at, { records: sum.records + 1, bytes: sum.bytes + size })
        }
        const instants = [...perInstant]
        expect(busiestSecond(instants.map(([at, { records }]) => ({ at, amount: records })))).toBeLessThanOrEqual(2000)
        expect(busiestSecond(instants.map(([at, { bytes }]) => ({ at, amount: bytes })))).toBeLessThanOrEqual(2 * MIB)
        expect(taken.length).toBeLessThanOrEqual(1000 + now + 1e-3)
        expect(taken.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(MIB + (now / 1000) * MIB + 1e-3)
      }),
      { numRuns: 30 },
    )
  })
})

describe('ReadQuota', () => {
  it('allows five calls in any second', () => {
    const quota = new ReadQuota()
    expect([0, 0, 100, 200, 300, 400].map((now) => quota.take(now))).toEqual([true, true, true, true, true, false])
    expect(quota.take(999)).toBe(false)
    expect([1000, 1000, 1000].map((now) => quota.take(now))).toEqual([true, true, false])
    expect(quota.take(1100)).toBe(true)
  })

  it('blocks five seconds after 10 MiB, and not at all after 2 MiB', () => {
    const quota = new ReadQuota()
    expect(quota.take(0)).toBe(true)
    quota.charge(2 * MIB, 0)
    expect(quota.take(1000)).toBe(true)
    quota.charge(10 * MIB, 1000)
    expect(quota.take(5999)).toBe(false)
    expect(quota.take(6000)).toBe(true)
  })

  it('adds up the answers to several readers', () => {
    const quota = new ReadQuota()
    for (const now of [0, 10]) {
      expect(quota.take(now)).toBe(true)
      quota.charge(1.5 * MIB, now)
    }
    expect(quota.take(100)).toBe(false)
    expect(quota.take(1500)).toBe(true)
  })

  it('gives no second more than five calls, and on the whole no more than 2 MiB a second beyond one answer', () => {
    const calls = fc.array(fc.record({ wait: fc.nat({ max: 300 }), bytes: fc.nat({ max: 10 * MIB }) }), { maxLength: 100 })
    fc.assert(
      fc.property(calls, (rounds) => {
        const quota = new ReadQuota()
        const allowed: { at: number; amount: number }[] = []
        let bytesRead = 0
        let now = 0
        for (const { wait, bytes } of rounds) {
          now += wait
          if (!quota.take(now)) continue
          allowed.push({ at: now, amount: 1 })
          quota.charge(bytes, now)
          bytesRead += bytes
        }
        expect(busiestSecond(allowed)).toBeLessThanOrEqual(5)
        expect(bytesRead).toBeLessThanOrEqual(12 * MIB + (now / 1000) * 2 * MIB)
      }),
    )
  })
})
