import { describe, expect, it } from 'vitest'
import { PollingPace } from './polling-pace.js'
import { ReadPatience } from './read-patience.js'
import { ReadSize } from './read-size.js'

const MIB = 1024 * 1024
const FAR = { sentAt: 0, millisBehindLatest: 3_600_000 }

describe('ReadSize', () => {
  it.each([
    { name: 'nothing read yet', read: undefined, now: 0, most: 10 * MIB },
    { name: 'read to the tip just now', read: { sentAt: 0, millisBehindLatest: 0 }, now: 0, most: MIB },
    { name: 'half a second ago', read: { sentAt: 1000, millisBehindLatest: 0 }, now: 1500, most: 1.5 * MIB },
    { name: 'three seconds behind', read: { sentAt: 1000, millisBehindLatest: 3000 }, now: 1500, most: 4.5 * MIB },
    { name: 'an hour behind', read: { sentAt: 1000, millisBehindLatest: 3_600_000 }, now: 1500, most: 10 * MIB },
    { name: 'lag unknown', read: { sentAt: 1000, millisBehindLatest: undefined }, now: 1500, most: 10 * MIB },
  ])('expects at most what a shard can have taken in: $name', ({ read, now, most }) => {
    const size = new ReadSize(10_000)
    if (read !== undefined) size.brought({ ...read, tookMs: 100, records: 0, bytes: 0 })
    expect(size.most(now)).toBe(most)
  })

  it.each([
    { allowed: undefined, seen: 100, limit: 10_000 },
    { allowed: 5000, seen: 100, limit: 50 },
    { allowed: 5000, seen: 6000, limit: 1 },
    { allowed: 10 * MIB, seen: 1, limit: 10_000 },
    { allowed: 5 * MIB, seen: undefined, limit: 5 },
  ])('asks for $limit records where $allowed bytes are allowed and records have $seen', ({ allowed, seen, limit }) => {
    const size = new ReadSize(10_000)
    if (seen !== undefined) size.brought({ sentAt: 0, tookMs: 100, records: 3, bytes: 3 * seen, millisBehindLatest: 0 })
    size.brought({ sentAt: 0, tookMs: 100, records: 0, bytes: 0, millisBehindLatest: 0 })
    expect(size.limit(allowed)).toBe(limit)
  })

  it.each([
    {
      name: 'a full answer of small records',
      seen: 1000,
      maxRecords: 10_000,
      asked: [10_000, 5000, 2500, 1250, 625, 312, 156, 78, 39, 19, 9, 4, 2, 1, 1],
    },
    {
      name: 'records so large that few fill an answer',
      seen: 100_000,
      maxRecords: 10_000,
      asked: [10_000, 52, 26, 13, 6, 3, 1, 1],
    },
    { name: 'nothing read yet', seen: undefined, maxRecords: 10_000, asked: [10_000, 5, 2, 1, 1] },
    { name: 'few records asked for', seen: 100, maxRecords: 3, asked: [3, 1, 1] },
  ])('asks for half as much after each read that was not answered in time: $name', ({ seen, maxRecords, asked }) => {
    const size = new ReadSize(maxRecords)
    if (seen !== undefined) size.brought({ ...FAR, tookMs: 100, records: 2, bytes: 2 * seen })
    for (const [n, limit] of asked.entries()) {
      expect(size.limit(undefined)).toBe(limit)
      expect(size.timedOut(limit)).toBe(limit === 1 ? undefined : asked[n + 1])
    }
  })

  it('asks for more again when answers that were full came quickly, and only then', () => {
    const size = new ReadSize(10_000)
    size.brought({ ...FAR, tookMs: 100, records: 10_000, bytes: 10 * MIB })
    for (let n = 0; n < 4; n++) size.timedOut(size.limit(undefined))
    expect(size.limit(undefined)).toBe(625)
    const after = (tookMs: number, records: number) => {
      size.brought({ ...FAR, tookMs, records, bytes: records * 1000 })
      return size.limit(undefined)
    }
    expect(after(12_000, 625)).toBe(625)
    expect(after(100, 200)).toBe(625)
    expect(after(100, 0)).toBe(625)
    expect(after(9000, 625)).toBe(1250)
    expect([after(100, 1250), after(100, 2500), after(100, 5000), after(100, 10_000)]).toEqual([2500, 5000, 10_000, 10_000])
  })

  it.each([100_000, 350_000, 1_000_000])('gets on over %i bit/s, and is cut off only in finding out', (bitsPerSecond) => {
    const size = new ReadSize(10_000)
    const patience = new ReadPatience()
    const timeouts: number[] = []
    for (let read = 0; read < 200; read++) {
      const limit = size.limit(undefined)
      const bytes = Math.min(10 * MIB, limit * 1000)
      const tookMs = (bytes * 8000) / bitsPerSecond
      if (tookMs > patience.ms) {
        timeouts.push(read)
        patience.timedOut()
        size.timedOut(limit)
      } else {
        patience.answered(tookMs)
        size.brought({ ...FAR, tookMs, records: bytes / 1000, bytes })
      }
    }
    expect(timeouts.length).toBeLessThan(8)
    expect(timeouts.at(-1)).toBeLessThan(30)
  })

  /** Seconds until this much is read, over a network that is quick again, within the quotas of a shard. */
  function catchesUp(timeouts: number, recordBytes: number, backlogRecords: number): number {
    const size = new ReadSize(10_000)
    const pace = new PollingPace(1000)
    size.brought({ ...FAR, tookMs: 100, records: 2, bytes: 2 * recordBytes })
    for (let n = 0; n < timeouts; n++) size.timedOut(size.limit(undefined))
    let now = 0
    for (let left = backlogRecords; left > 0; now = pace.readAt) {
      const records = Math.min(left, size.limit(undefined), Math.floor((10 * MIB) / recordBytes))
      left -= records
      const read = { sentAt: now, records, bytes: records * recordBytes, millisBehindLatest: 3_600_000 }
      size.brought({ ...read, tookMs: 100 })
      pace.succeeded({ ...read, receivedAt: now + 100 })
    }
    return now / 1000
  }

  it.each([
    { recordBytes: 10, backlogRecords: 1_000_000 },
    { recordBytes: 1000, backlogRecords: 1_000_000 },
    { recordBytes: 50_000, backlogRecords: 20_000 },
    { recordBytes: MIB, backlogRecords: 1000 },
  ])('after an outage of whatever length reads of one record are large again in seconds: $recordBytes bytes', (given) => {
    const uncut = catchesUp(0, given.recordBytes, given.backlogRecords)
    for (const timeouts of [1, 5, 14, 1000]) {
      const late = catchesUp(timeouts, given.recordBytes, given.backlogRecords) - uncut
      // Fifteen reads at most, of five a second.
      expect(late).toBeLessThan(3)
    }
  })
})
