import { decodeAggregate } from '@shardwise/aggregation'
import { tagsOf } from '@shardwise/core/record-tags'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LoneRecords } from './lone-records.js'
import { shardOf } from './testing/records.js'
import { toUserRecord, UserRecord } from './user-record.js'

const shard = shardOf('s')

describe('LoneRecords', () => {
  test('a record without tags goes plain', () => {
    const entry = new LoneRecords().entry(toUserRecord({ partitionKey: 'a', data: Buffer.from('x') }), shard, 7)
    expect([entry.isAggregate, Buffer.from(entry.wire.Data).toString(), entry.wire.ExplicitHashKey]).toEqual([
      false,
      'x',
      undefined,
    ])
  })

  test('with tags it travels in an envelope of its own, of exactly the size that was counted, whatever came before', () => {
    const lone = new LoneRecords()
    const text = fc.string({ unit: 'binary', maxLength: 40 })
    const kept: [entry: ReturnType<LoneRecords['entry']>, copy: Uint8Array][] = []
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
        fc.option(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), { nil: undefined }),
        // On both sides of what fits the scratch buffer.
        fc.oneof(fc.nat({ max: 300 }), fc.integer({ min: 16_000, max: 17_000 }), fc.constantFrom(65_536, 1_048_000)),
        fc.dictionary(text, text, { minKeys: 1, maxKeys: 5 }),
        (partitionKey, hashKey, size, headers) => {
          const data = new Uint8Array(size).fill(size % 251)
          const explicitHashKey = hashKey?.toString()
          const tags = tagsOf('id', headers)!
          const bytes = lone.envelopeBytes(partitionKey, explicitHashKey, data, tags)
          const entry = lone.entry(new UserRecord(partitionKey, explicitHashKey, data, bytes, tags, true), shard, 7)
          expect([entry.isAggregate, entry.bytes, entry.deadline, entry.records.length]).toEqual([true, bytes, 7, 1])
          expect([entry.wire.PartitionKey, entry.wire.ExplicitHashKey]).toEqual([partitionKey, entry.routingHashKey.toString()])
          const decoded = decodeAggregate(entry.wire.Data)!
          expect([decoded.length, decoded.partitionKey(0), decoded.explicitHashKey(0)]).toEqual([
            1,
            partitionKey,
            explicitHashKey,
          ])
          expect(Buffer.compare(decoded.data(0), data)).toBe(0)
          expect(decoded.tags(0)).toEqual(tags)
          kept.push([entry, entry.wire.Data.slice()])
        },
      ),
      { numRuns: 200 },
    )
    // The scratch buffer is used again, and none of the entries is in it.
    for (const [entry, copy] of kept) {
      expect(Buffer.compare(entry.wire.Data, copy)).toBe(0)
      expect(entry.wire.Data.buffer.byteLength).toBe(copy.byteLength)
    }
  })
})
