import { decodeAggregate } from '@shardwise/aggregation'
import { describe, expect, test } from 'vitest'
import { Aggregator } from './aggregator.js'
import type { Entry } from './entry.js'
import { LoneRecords } from './lone-records.js'
import { recordOf, shardOf } from './testing/records.js'

const [s0, s1] = [shardOf('s0'), shardOf('s1')]
const options = { lingerMs: 100, maxBytes: 1000, maxRecords: 1000 }

function sizes(entries: readonly Entry[]): number[] {
  return entries.map((entry) => entry.records.length)
}

describe('Aggregator', () => {
  test('collects per shard until the deadline of the first member', () => {
    const aggregator = new Aggregator(options, new LoneRecords())
    const out: Entry[] = []
    aggregator.add(recordOf('a'), 0, s0, 0, out)
    aggregator.add(recordOf('b'), 1, s1, 50, out)
    aggregator.add(recordOf('c'), 0, s0, 60, out)
    aggregator.closeDue(99, out)
    expect([out, aggregator.nextDue, aggregator.openAggregates]).toEqual([[], 100, 2])
    aggregator.closeDue(100, out)
    expect([sizes(out), out[0]!.shardId, out[0]!.deadline, aggregator.nextDue]).toEqual([[2], 's0', 100, 150])
    aggregator.closeDue(149, out)
    expect(sizes(out)).toEqual([2])
    aggregator.closeDue(150, out)
    expect([sizes(out), aggregator.nextDue]).toEqual([[2, 1], undefined])
  })

  test('what is due takes along what is due within a third of the linger, with its own deadline', () => {
    const aggregator = new Aggregator(options, new LoneRecords())
    const out: Entry[] = []
    for (const [i, at] of [0, 33, 34].entries()) aggregator.add(recordOf('a'), i, shardOf(`s${i}`), at, out)
    aggregator.closeDue(99, out)
    expect(out).toEqual([])
    aggregator.closeDue(100, out)
    expect([out.map(({ shardId, deadline }) => [shardId, deadline]), aggregator.nextDue]).toEqual([
      [
        ['s0', 100],
        ['s1', 133],
      ],
      134,
    ])
  })

  test.each<[string, number[], number[]]>([
    ['closes when the next one does not fit', [400, 400, 400], [2]],
    ['sends a giant record plain, after what came before it', [10, 10, 5000], [2, 1]],
    ['a giant record alone goes at once', [5000], [1]],
  ])('%s', (_, given, completed) => {
    const aggregator = new Aggregator(options, new LoneRecords())
    const out: Entry[] = []
    for (const size of given) aggregator.add(recordOf('a', size), 0, s0, 0, out)
    expect(sizes(out)).toEqual(completed)
    for (const entry of out) if (entry.isAggregate) expect(entry.wire.Data.byteLength).toBeLessThanOrEqual(1000)
  })

  test.each<[string, number, number]>([
    ['at most half full lies in bytes of just its size', 10_000, 0],
    ['more than half full keeps the buffer that it was written into', 14_000, 50_000],
  ])('an aggregate that is %s', (_, size, bufferBytes) => {
    const aggregator = new Aggregator({ ...options, maxBytes: 50_000 }, new LoneRecords())
    const out: Entry[] = []
    for (let i = 0; i < 2; i++) aggregator.add(recordOf('a', size), 0, s0, 0, out)
    aggregator.closeAll(out)
    const { Data } = out[0]!.wire
    expect(Data.buffer.byteLength).toBe(bufferBytes || Data.byteLength)
    expect(decodeAggregate(Data)).toHaveLength(2)
  })

  test('closes at the number of records', () => {
    const aggregator = new Aggregator({ ...options, maxRecords: 3 }, new LoneRecords())
    const out: Entry[] = []
    for (let i = 0; i < 7; i++) aggregator.add(recordOf('a'), 0, s0, 0, out)
    expect(sizes(out)).toEqual([3, 3])
  })

  test('a lone record goes plain, with an explicit hash key only if it has one', () => {
    const aggregator = new Aggregator(options, new LoneRecords())
    const out: Entry[] = []
    aggregator.add(recordOf('a'), 0, s0, 0, out)
    aggregator.add(recordOf('b', 10, '77'), 1, s1, 0, out)
    aggregator.closeAll(out)
    expect(out.map(({ wire }) => [wire.PartitionKey, wire.ExplicitHashKey, wire.Data.length])).toEqual([
      ['a', undefined, 10],
      ['b', '77', 10],
    ])
  })

  test("an aggregate carries its first member's key outside and routes by its hash", () => {
    const aggregator = new Aggregator(options, new LoneRecords())
    const out: Entry[] = []
    // MD5 of abcd as the KPL's own test has it (aws/kinesis/core/test/user_record_test.cc).
    aggregator.add(recordOf('abcd'), 0, s0, 0, out)
    aggregator.add(recordOf('b', 10, '77'), 0, s0, 0, out)
    aggregator.closeAll(out)
    const { PartitionKey, ExplicitHashKey, Data } = out[0]!.wire
    expect([PartitionKey, ExplicitHashKey]).toEqual(['abcd', '301716283811389038011477436469853762335'])
    const members = decodeAggregate(Data)!
    expect([members.partitionKey(0), members.partitionKey(1), members.explicitHashKey(1)]).toEqual(['abcd', 'b', '77'])
  })

  test('packs again at once, in order, without disturbing what is open', () => {
    const aggregator = new Aggregator(options, new LoneRecords())
    const open: Entry[] = []
    aggregator.add(recordOf('a'), 0, s0, 0, open)
    const records = ['a', 'b', 'a', 'b', 'b'].map((key, i) => recordOf(key, i === 3 ? 5000 : 10))
    const entries = aggregator.repack(
      records,
      ({ partitionKey }) => (partitionKey === 'a' ? 0 : 1),
      (index) => (index === 0 ? s0 : s1),
      50,
    )
    const byShard = (shardId: string): number[] => sizes(entries.filter((entry) => entry.shardId === shardId))
    expect([byShard('s0'), byShard('s1')]).toEqual([[2], [1, 1, 1]])
    expect([open, aggregator.openAggregates]).toEqual([[], 1])
  })
})
