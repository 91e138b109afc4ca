import type { HashKeyRange } from '@shardwise/core/hash-key'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Entry } from './entry.js'
import { MemberRecords } from './members.js'
import { aggregateOf, entryOf, recordOf, shardOf } from './testing/records.js'
import type { UserRecord } from './user-record.js'

function aggregate(records: UserRecord[], release: () => void = () => {}): Entry {
  return Entry.aggregate(new MemberRecords(records), shardOf('s'), { bytes: new Uint8Array(50), byteLength: 50, release }, 7)
}

describe('Entry', () => {
  test.each<[string, Entry, number, boolean]>([
    ['plain: data and key', entryOf('s', { key: 'abc', size: 10 }), 13, false],
    ['keys count in UTF-8', entryOf('s', { key: 'é✈😀', size: 10 }), 10 + 2 + 3 + 4, false],
    ['an explicit hash key costs nothing', entryOf('s', { key: 'a', size: 10, explicitHashKey: '5' }), 11, false],
    ['aggregate: packed bytes and the outer key', aggregate([recordOf('😀'), recordOf('much longer')]), 50 + 4, true],
    ['an envelope of one is an aggregate', aggregate([recordOf('abc')]), 50 + 3, true],
  ])('bytes: %s', (_, entry, bytes, isAggregate) => {
    expect([entry.bytes, entry.isAggregate]).toEqual([bytes, isAggregate])
  })

  test('goes out by the hash key that its place is judged by', () => {
    const [byKey, byHash] = [recordOf('a'), recordOf('b', 10, '77')]
    for (const records of [
      [byKey, byHash],
      [byHash, byKey],
    ]) {
      const entry = aggregate(records)
      expect(entry.wire.ExplicitHashKey).toBe(entry.routingHashKey.toString())
      expect(entry.wire.PartitionKey).toBe(records[0]!.partitionKey)
    }
    expect(aggregate([byHash, byKey]).routingHashKey).toBe(77n)
  })

  test('knows when its first and its last member expire, in whatever order they lie', () => {
    const records = [20, 10, 30].map((expiresAt) => Object.assign(recordOf('a'), { expiresAt }))
    expect([aggregate(records).expiresAt, aggregate(records).lastExpiresAt]).toEqual([10, 30])
  })

  test.each<[string, bigint[], HashKeyRange, boolean]>([
    ['both edges', [10n, 19n], { start: 10n, end: 19n }, true],
    ['one below', [9n, 15n], { start: 10n, end: 19n }, false],
    ['one above', [15n, 20n], { start: 10n, end: 19n }, false],
    ['hash key 0, which is no lack of one', [0n, 15n], { start: 10n, end: 19n }, false],
    ['first and last inside, the middle not', [12n, 25n, 13n], { start: 10n, end: 19n }, false],
    ['the whole space', [0n, 2n ** 128n - 1n], { start: 0n, end: 2n ** 128n - 1n }, true],
  ])('fits: %s', (_, hashKeys, range, fits) => {
    expect(aggregateOf('s', ...hashKeys).fits(range)).toBe(fits)
  })

  test('fits exactly where every member does', () => {
    const hashKey = fc.bigInt({ min: 0n, max: 40n })
    fc.assert(
      fc.property(fc.array(hashKey, { minLength: 2, maxLength: 6 }), hashKey, hashKey, (hashKeys, start, end) => {
        const inside = hashKeys.every((key) => start <= key && key <= end)
        expect(aggregateOf('s', ...hashKeys).fits({ start, end })).toBe(inside)
      }),
    )
  })

  test('attempts are those of the member that was tried most, and its own', () => {
    const records = [2, 5, 0].map((attempts) => Object.assign(recordOf('a'), { attempts }))
    const entry = aggregate(records)
    entry.attempts = 3
    expect(entry.totalAttempts).toBe(8)
    entry.dissolve()
    expect(records.map((record) => record.attempts)).toEqual([5, 8, 3])
  })

  test('attempts that count are those of the member with the most of them, whatever the others were pardoned', () => {
    const members = [
      { attempts: 1, pardoned: 0 },
      { attempts: 5, pardoned: 5 },
    ].map((past) => Object.assign(recordOf('a'), past))
    const entry = Object.assign(aggregate(members), { attempts: 3, pardoned: 2 })
    expect(entry.countedAttempts).toBe(2)
    entry.dissolve()
    expect(members.map(({ attempts, pardoned }) => attempts - pardoned)).toEqual([2, 1])
  })

  test('its members carry on what it knows, and what they knew where it knows nothing', () => {
    const [before, now] = ['before', 'now'].map((code) => ({ code, message: code, cause: undefined }))
    const written = Object.assign(recordOf('a'), { mayBeWritten: true, lastFailure: before })
    const fresh = recordOf('b')
    aggregate([written, fresh]).dissolve()
    expect([written, fresh].map((record) => [record.mayBeWritten, record.lastFailure])).toEqual([
      [true, before],
      [false, undefined],
    ])
    const again = Object.assign(aggregate([written, fresh]), { mayBeWritten: true, lastFailure: now })
    again.dissolve()
    expect([written, fresh].map((record) => [record.mayBeWritten, record.lastFailure])).toEqual([
      [true, now],
      [true, now],
    ])
  })

  test.each<[string, boolean, number]>([
    ['gives its bytes back once', false, 1],
    ['never gives back bytes that someone may still be reading', true, 0],
  ])('%s', (_, kept, times) => {
    let released = 0
    const entry = aggregate([recordOf('a'), recordOf('b')], () => released++)
    if (kept) entry.keepBytes()
    entry.dissolve()
    entry.dissolve()
    expect(released).toBe(times)
  })

  test('tells what PutRecords carries while it has its bytes, also when they are left to a request, and not after', () => {
    const under = aggregate([recordOf('a'), recordOf('b')])
    const { wire } = under
    under.keepBytes()
    expect(under.wire).toBe(wire)
    const ended = aggregate([recordOf('a'), recordOf('b')])
    ended.free()
    expect(() => ended.wire).toThrow('has ended')
  })
})
