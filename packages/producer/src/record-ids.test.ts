import { seededRandom } from '@shardwise/core/random'
import { describe, expect, test } from 'vitest'
import { RecordIds } from './record-ids.js'

describe('RecordIds', () => {
  test('no two are equal, of one source or of many', () => {
    const ids = new Set<string>()
    for (let seed = 0; seed < 200; seed++) {
      const source = new RecordIds(seededRandom(seed))
      for (let i = 0; i < 50; i++) ids.add(source.next())
    }
    expect(ids.size).toBe(200 * 50)
  })

  test('every one of 120 bits counts: each draw changes the id, and can take any of 64 values', () => {
    const with1 = (at: number, value: number): string => {
      let draws = 0
      return new RecordIds(() => (draws++ === at ? value / 64 : 0)).next()
    }
    const seen = new Set<string>()
    for (let at = 0; at < 20; at++) for (let value = 1; value < 64; value++) seen.add(with1(at, value))
    expect(seen.size).toBe(20 * 63)
    expect(with1(20, 63)).toBe(with1(21, 63))
  })

  test('chance is asked with the first one', () => {
    let draws = 0
    const source = new RecordIds(() => {
      draws++
      return 0.999_999
    })
    expect(draws).toBe(0)
    expect([source.next(), source.next(), draws]).toEqual(['____________________.0', '____________________.1', 20])
  })
})
