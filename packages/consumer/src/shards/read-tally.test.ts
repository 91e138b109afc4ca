import { describe, expect, it } from 'vitest'
import type { ConsumedRecord } from '../delivery/consumed-record.js'
import { ReadTally } from './read-tally.js'

const records = (...outside: boolean[]): ConsumedRecord[] =>
  outside.map((outsideShardRange) => ({ outsideShardRange }) as ConsumedRecord)

describe('ReadTally', () => {
  it('is complete at once without a part', () => {
    expect(new ReadTally().completed(0)).toEqual({ records: 0, outsideShardRange: 0, duplicates: 0 })
  })

  it('is complete when all parts are, and no more follow: in whatever order', () => {
    const tally = new ReadTally()
    tally.handedIn(records(false, true))
    expect(tally.completed(1)).toBeUndefined()
    tally.handedIn(records(true))
    tally.handedIn(records(false, false, false))
    expect(tally.completed(2)).toBeUndefined()
    expect(tally.completed(0)).toBeUndefined()
    expect(tally.completed(0)).toEqual({ records: 6, outsideShardRange: 2, duplicates: 3 })
  })
})
