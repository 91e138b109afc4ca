import { describe, expect, it } from 'vitest'
import type { UserRecordPart } from '../delivery/unpacked-read.js'
import { ReadTally } from './read-tally.js'

const part = (records: number, outsideShardRange: number): UserRecordPart => ({ records: Array(records), outsideShardRange })

describe('ReadTally', () => {
  it('is complete at once without a part', () => {
    expect(new ReadTally().completed(0)).toEqual({ records: 0, outsideShardRange: 0, duplicates: 0 })
  })

  it('is complete when all parts are, and no more follow: in whatever order', () => {
    const tally = new ReadTally()
    tally.handedIn(part(2, 1))
    expect(tally.completed(1)).toBeUndefined()
    tally.handedIn(part(1, 1))
    tally.handedIn(part(3, 0))
    expect(tally.completed(2)).toBeUndefined()
    expect(tally.completed(0)).toBeUndefined()
    expect(tally.completed(0)).toEqual({ records: 6, outsideShardRange: 2, duplicates: 3 })
  })
})
