import { describe, expect, test } from 'vitest'
import type { Entry } from './entry.js'
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
    [
      'waits while it is not full',
      [
        { shardId: 'a', size: 289, deadline: 50 },
        { shardId: 'b', size: 289, deadline: 50 },
        { shardId: 'c', size: 289, deadline: 50 },
      ],
      50,
    ],
    [
      'goes when it is full',
      [
        { shardId: 'a', size: 289, deadline: 50 },
        { shardId: 'b', size: 289, deadline: 50 },
        { shardId: 'c', size: 289, deadline: 50 },
        { shardId: 'd', size: 129, deadline: 50 },
      ],
      NOW,
    ],
    ['takes a single entry above the target', [{ shardId: 'a', size: 4000, deadline: 50 }], NOW],
  ])('%s', (_, entries, dueAt) => {
    const batcher = new RequestBatcher(limits)
    for (const { shardId, ...rest } of entries) {
      const entry = entryOf(shardId, rest)
      expect(batcher.accepts(entry)).toBe(true)
      batcher.add(entry)
    }
    expect(batcher.dueAt).toBe(dueAt)
    expect([batcher.take().length, batcher.count, batcher.dueAt]).toEqual([entries.length, 0, Number.POSITIVE_INFINITY])
  })

  test('that is due takes more, up to the target, until it leaves', () => {
    const batcher = new RequestBatcher(limits)
    for (const shardId of ['a', 'b', 'c']) batcher.add(entryOf(shardId, { size: 289, deadline: 50 }))
    batcher.hurry()
    expect([batcher.dueAt, batcher.accepts(entryOf('d', { size: 99 }))]).toEqual([NOW, true])
    batcher.add(entryOf('d', { size: 99, deadline: 50 }))
    expect([batcher.accepts(entryOf('e', { size: 99 })), batcher.dueAt]).toEqual([false, NOW])
  })

  test('what no longer fits makes it due', () => {
    const batcher = new RequestBatcher(limits)
    for (const shardId of ['a', 'b']) batcher.add(entryOf(shardId, { size: 289, deadline: 50 }))
    expect([batcher.dueAt, batcher.accepts(entryOf('d', { size: 499 })), batcher.dueAt]).toEqual([50, false, NOW])
  })

  const suspect = (company: number): Entry => Object.assign(entryOf('s', { deadline: 50 }), { company })
  const innocent = (): Entry => entryOf('i', { deadline: 50 })

  test.each<[string, Entry[], Entry, boolean]>([
    ['one that must be alone is alone', [suspect(1)], innocent(), false],
    ['nor does it join', [innocent()], suspect(1), false],
    ['one that may have company has it', [suspect(3), innocent()], innocent(), true],
    ['up to its limit', [suspect(2), innocent()], innocent(), false],
    ['and the strictest counts', [suspect(3), suspect(2)], suspect(3), false],
  ])('%s', (_, inside, next, isWelcome) => {
    const batcher = new RequestBatcher(limits)
    for (const entry of inside) batcher.add(entry)
    expect([batcher.accepts(next), batcher.dueAt]).toEqual([isWelcome, isWelcome ? 50 : NOW])
    batcher.take()
    expect(batcher.accepts(next)).toBe(true)
  })

  test('hurrying an empty one does nothing', () => {
    const batcher = new RequestBatcher(limits)
    batcher.hurry()
    expect(batcher.dueAt).toBe(Number.POSITIVE_INFINITY)
  })
})
