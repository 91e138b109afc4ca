import { describe, expect, it } from 'vitest'
import { ReadSize } from './read-size.js'

const MIB = 1024 * 1024

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
    if (read !== undefined) size.brought({ ...read, receivedAt: read.sentAt, records: 0, bytes: 0 })
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
    if (seen !== undefined) size.brought({ sentAt: 0, receivedAt: 0, records: 3, bytes: 3 * seen, millisBehindLatest: 0 })
    size.brought({ sentAt: 0, receivedAt: 0, records: 0, bytes: 0, millisBehindLatest: 0 })
    expect(size.limit(allowed)).toBe(limit)
  })

  it('expects half after an answer that did not come in time, never nothing, and twice as much after a quick one', () => {
    const size = new ReadSize(10_000)
    const came = (tookMs: number): void =>
      size.brought({ sentAt: 0, receivedAt: tookMs, records: 1, bytes: 1000, millisBehindLatest: 3_600_000 })
    came(10)
    expect([size.isReduced, size.most(0)]).toEqual([false, 10 * MIB])
    size.timedOut(0)
    expect([size.isReduced, size.most(0)]).toEqual([true, 5 * MIB])
    came(3001)
    expect(size.most(0)).toBe(5 * MIB)
    for (let n = 0; n < 20; n++) size.timedOut(0)
    expect(size.most(0)).toBe(65_536)
    for (let n = 0; n < 20; n++) came(3000)
    expect([size.isReduced, size.most(0)]).toEqual([false, 10 * MIB])
  })
})
