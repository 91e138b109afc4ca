import { describe, expect, test } from 'vitest'
import { RequestBatcher } from './request-batcher.js'
import { entryOf } from './testing/records.js'

const limits = { maxRecords: 4, targetBytes: 1000, shardBytes: 300 }
const NOW = Number.NEGATIVE_INFINITY

describe('RequestBatcher', () => {
  test.each<[string, { shardId: string; size: number; deadline: number }[], number]>([
    [
      'waits for its earliest deadline',
      [
        { shardId: 'a', size: 9, deadline: 70 },
        { shardId: 'b', size: 9, deadline: 50 },
      ],
      50,
    ],
    [
      'goes when it has all the records it may',
      Array.from({ length: 4 }, (_, i) => ({ shardId: `${i}`, size: 9, deadline: 50 })),
      NOW,
    ],
    [
      'goes when one shard has much',
      [
        { shardId: 'a', size: 199, deadline: 50 },
        { shardId: 'a', size: 99, deadline: 50 },
      ],
      NOW,
    ],
    [
      'several shards may have as much together',
      [
        { shardId: 'a', size: 199, deadline: 50 },
        { shardId: 'b', size: 199, deadline: 50 },
      ],
      50,
    ],
    ['takes a single entry above the target', [{ shardId: 'a', size: 4000, deadline: 50 }], NOW],
  ])('%s', (_, entries, dueAt) => {
    const batcher = new RequestBatcher(limits)
    for (const { shardId, ...rest } of entries) {
      expect(batcher.accepts(rest.size + 1)).toBe(true)
      batcher.add(entryOf(shardId, rest))
    }
    expect(batcher.dueAt).toBe(dueAt)
    expect([batcher.take().length, batcher.count, batcher.dueAt]).toEqual([entries.length, 0, Number.POSITIVE_INFINITY])
  })

  test('what no longer fits makes it due', () => {
    const batcher = new RequestBatcher(limits)
    for (const shardId of ['a', 'b', 'c']) batcher.add(entryOf(shardId, { size: 289, deadline: 50 }))
    expect([batcher.dueAt, batcher.accepts(200), batcher.dueAt]).toEqual([50, false, NOW])
  })

  test('hurrying an empty one does nothing', () => {
    const batcher = new RequestBatcher(limits)
    batcher.hurry()
    expect(batcher.dueAt).toBe(Number.POSITIVE_INFINITY)
  })
})
