import { decodeAggregate } from '@shardwise/aggregation'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Aggregator } from './aggregator.js'
import type { Entry } from './entry.js'
import { KeyAggregator } from './key-aggregator.js'
import { LoneRecords } from './lone-records.js'
import { recordKey } from './record-key.js'
import { recordOf, shardOf } from './testing/records.js'
import { UserRecord } from './user-record.js'

const shard = shardOf('s0')
const options = { lingerMs: 100, maxBytes: 1000, maxRecords: 1000 }

/** Each entry's keys. */
function keys(entries: readonly Entry[]): string[] {
  return entries.map((entry) => entry.records.map((record) => record.partitionKey).join(''))
}

describe('KeyAggregator', () => {
  test('collects per key until the deadline of the first member', () => {
    const aggregator = new KeyAggregator(options, new LoneRecords())
    const out: Entry[] = []
    for (const [i, key] of [...'abacb'].entries()) aggregator.add(recordOf(key), 0, shard, i * 10, out)
    aggregator.closeDue(99, out)
    expect([out, aggregator.nextDue, aggregator.openAggregates]).toEqual([[], 100, 3])
    aggregator.closeDue(110, out)
    expect([keys(out), out.map((entry) => entry.deadline), aggregator.nextDue]).toEqual([['aa', 'bb'], [100, 110], 130])
    aggregator.closeAll(out)
    expect([keys(out), aggregator.nextDue, aggregator.openAggregates]).toEqual([['aa', 'bb', 'c'], undefined, 0])
  })

  test('one partition key with different explicit hash keys is more than one key', () => {
    const aggregator = new KeyAggregator(options, new LoneRecords())
    const out: Entry[] = []
    for (const hashKey of ['1', undefined, '2', '1', undefined]) aggregator.add(recordOf('a', 10, hashKey), 0, shard, 0, out)
    aggregator.closeAll(out)
    expect(out.map((entry) => entry.records.map((record) => record.explicitHashKey))).toEqual([
      ['1', '1'],
      [undefined, undefined],
      ['2'],
    ])
  })

  test('closes what a record would join, and nothing else', () => {
    const aggregator = new KeyAggregator(options, new LoneRecords())
    const out: Entry[] = []
    for (const key of 'aabb') aggregator.add(recordOf(key), 0, shard, 0, out)
    aggregator.closeOf(recordOf('c'), 0, out)
    aggregator.closeOf(recordOf('b'), 0, out)
    expect([keys(out), aggregator.openAggregates]).toEqual([['bb'], 1])
  })

  test('packs again at once, in order, without disturbing what is open', () => {
    const aggregator = new KeyAggregator(options, new LoneRecords())
    const open: Entry[] = []
    aggregator.add(recordOf('a'), 0, shard, 0, open)
    const records = [...'ababb'].map((key, i) => recordOf(key, i === 3 ? 5000 : 10))
    const entries = aggregator.repack(
      records,
      () => 0,
      () => shard,
      50,
    )
    expect([keys(entries).sort(), entries.map((entry) => entry.deadline)]).toEqual([
      ['aa', 'b', 'b', 'b'],
      [50, 50, 50, 50],
    ])
    expect([open, aggregator.openAggregates, aggregator.nextDue]).toEqual([[], 1, 100])
  })

  test('records whose buffer was resized while they waited go one by one, and none is left out', () => {
    const aggregator = new KeyAggregator(options, new LoneRecords())
    const [first, second, third] = [recordOf('a'), recordOf('a', 30), recordOf('a')]
    const out: Entry[] = []
    for (const record of [first, second, third]) aggregator.add(record, 0, shard, 0, out)
    structuredClone(second.data.buffer, { transfer: [second.data.buffer as ArrayBuffer] })
    aggregator.closeAll(out)
    expect(out.map((entry) => entry.records)).toEqual([[first], [second], [third]])
  })

  test('very many open keys hold no buffers', { timeout: 60_000 }, () => {
    const aggregator = new KeyAggregator({ ...options, maxBytes: 1_000_000 }, new LoneRecords())
    const out: Entry[] = []
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 20_000; i++) aggregator.add(recordOf(`k${i % 10_000}`), 0, shard, 0, out)
    expect([out.length, aggregator.openAggregates]).toEqual([0, 10_000])
    aggregator.closeAll(out)
    expect([out.length, out.every((entry) => entry.records.length === 2)]).toEqual([10_000, true])
    // A buffer for each key would be 10 GB.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000_000)
  })
})

const record = fc.record({
  key: fc.constantFrom('a', 'b', 'ü', 'k'.repeat(140)),
  size: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 300 })),
  hashKey: fc.constantFrom(undefined, undefined, '1', '340282366920938463463374607431768211455'),
  tag: fc.option(fc.string({ maxLength: 20 }), { nil: undefined, freq: 2 }),
})

function recordWith(key: string, size: number, hashKey: string | undefined, tag: string | undefined): UserRecord {
  const data = new Uint8Array(size)
  return new UserRecord(key, hashKey, data, size, tag === undefined ? undefined : [{ key: 'x', value: tag }])
}

test('each key is packed byte for byte as if a stream had that key alone', () => {
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 60 }),
      fc.integer({ min: 64, max: 600 }),
      fc.integer({ min: 1, max: 8 }),
      fc.boolean(),
      (given, maxBytes, maxRecords, again) => {
        const records = given.map(({ key, size, hashKey, tag }) => recordWith(key, size, hashKey, tag))
        const limits = { ...options, maxBytes, maxRecords }
        const pack = (of: readonly UserRecord[], aggregator: Aggregator | KeyAggregator): Entry[] => {
          if (again)
            return aggregator.repack(
              of,
              () => 0,
              () => shard,
              0,
            )
          const out: Entry[] = []
          for (const each of of) aggregator.add(each, 0, shard, 0, out)
          aggregator.closeAll(out)
          return out
        }
        const entries = pack(records, new KeyAggregator(limits, new LoneRecords()))
        for (const key of new Set(records.map(recordKey))) {
          const alone = pack(
            records.filter((each) => recordKey(each) === key),
            new Aggregator(limits, new LoneRecords()),
          )
          const here = entries.filter((entry) => recordKey(entry.records[0]!) === key)
          expect(here.map((entry) => entry.records)).toEqual(alone.map((entry) => entry.records))
          expect(here.map((entry) => entry.wire)).toEqual(alone.map((entry) => entry.wire))
        }
        for (const { wire, records: members } of entries) {
          if (members.length === 1) continue
          expect(wire.Data.byteLength).toBeLessThanOrEqual(maxBytes)
          expect(decodeAggregate(wire.Data)!.length).toBe(members.length)
        }
      },
    ),
    { numRuns: 500 },
  )
})
