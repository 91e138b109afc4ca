import type { ShardListing } from '@shardwise/core/kinesis-port'
import { describe, expect, test } from 'vitest'
import { ShardDirectory } from './shard-directory.js'

const END = 2n ** 128n - 1n
const HALF = 2n ** 127n

function shard(ShardId: string, start: bigint, end: bigint, ParentShardId?: string): ShardListing {
  const HashKeyRange = { StartingHashKey: `${start}`, EndingHashKey: `${end}` }
  return { ShardId, HashKeyRange, SequenceNumberRange: { StartingSequenceNumber: '1' }, ParentShardId }
}

const whole = shard('p', 0n, END)
const [left, right] = [shard('l', 0n, HALF - 1n, 'p'), shard('r', HALF, END, 'p')]

describe('ShardDirectory', () => {
  test('remembers the ranges of closed shards', () => {
    const directory = new ShardDirectory()
    expect(directory.accept([whole]).kind).toBe('changed')
    expect(directory.accept([right, left])).toMatchObject({ kind: 'changed' })
    expect([directory.get('p')?.range, directory.isOpen(directory.get('p')!), directory.isOpen(directory.get('l')!)]).toEqual([
      { start: 0n, end: END },
      false,
      true,
    ])
    expect(directory.accept([left, right]).kind).toBe('same')
  })

  test('a full listing that shows nothing new still teaches closed shards', () => {
    const directory = new ShardDirectory()
    directory.accept([left, right])
    expect(directory.get('p')?.range).toBeUndefined()
    expect(directory.accept([whole, left, right]).kind).toBe('same')
    expect(directory.get('p')?.range).toEqual({ start: 0n, end: END })
  })

  test.each<[string, ShardListing[], RegExp]>([
    ['empty', [], /no open shard/],
    ['with a hole', [left], /no open shard covers/],
    ['older than what is known', [whole], /out of date/],
  ])('a listing that is %s does not replace the map', (_, listing, why) => {
    const directory = new ShardDirectory()
    directory.accept([whole])
    directory.accept([left, right])
    const { map } = directory
    const verdict = directory.accept(listing)
    expect(verdict.kind === 'unusable' && verdict.why).toMatch(why)
    expect(directory.map).toBe(map)
  })

  test('another stream of the same name is taken as it is', () => {
    const directory = new ShardDirectory()
    directory.accept([whole])
    directory.accept([left, right])
    expect(directory.accept([shard('p', 0n, 9n), shard('q', 10n, END)]).kind).toBe('changed')
    expect([directory.isOpen(directory.get('p')!), directory.get('l')]).toEqual([true, undefined])
  })
})
