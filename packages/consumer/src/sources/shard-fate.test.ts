import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type { ShardListing } from '@shardwise/core/kinesis-port'
import { classifyFailure } from '@shardwise/core/service-error'
import { describe, expect, it } from 'vitest'
import { type Fate, ShardFate } from './shard-fate.js'

const NOT_FOUND = classifyFailure(Object.assign(new Error('no such shard'), { name: 'ResourceNotFoundException' }))
const signal = new AbortController().signal

function listed(ShardId: string, from: bigint, to: bigint, more: Partial<ShardListing> = {}): ShardListing {
  const HashKeyRange = { StartingHashKey: `${from}`, EndingHashKey: `${to}` }
  return { ShardId, HashKeyRange, SequenceNumberRange: { StartingSequenceNumber: '1' }, ...more }
}

const WHOLE = listed('other', 0n, MAX_HASH_KEY)
const CHILD = listed('child', 0n, MAX_HASH_KEY, { ParentShardId: 'shard' })
const LEFT = listed('left', 0n, 9n)
const RIGHT = listed('right', 10n, MAX_HASH_KEY)

/** What the answers of ListShards, one a look, say of the shard `shard`. */
async function fates(answers: readonly object[]): Promise<Fate['is'][]> {
  let look = 0
  const fate = new ShardFate({
    port: { listShards: async () => answers[look++] as { Shards: ShardListing[] } },
    stream: { StreamName: 'flights' },
    shardId: 'shard',
  })
  const seen: Fate['is'][] = []
  for (const _ of answers) seen.push((await fate.afterNotFound(NOT_FOUND, signal)).is)
  return seen
}

const times = (count: number, ...shards: ShardListing[]) => Array.from({ length: count }, () => ({ Shards: shards }))
const unknown = (count: number) => new Array<string>(count).fill('unknown')

describe('a shard that is not found', () => {
  it.each([
    { name: 'and in three lists of all shards is not either: gone', answers: times(3, WHOLE), fate: [...unknown(2), 'ended'] },
    { name: 'and whose child is listed, three times: gone', answers: times(3, CHILD), fate: [...unknown(2), 'ended'] },
    { name: 'of two that cover all', answers: times(3, LEFT, RIGHT), fate: [...unknown(2), 'ended'] },
    {
      name: 'but is listed once in between',
      answers: [...times(2, CHILD), ...times(1, listed('shard', 0n, 9n), CHILD), ...times(2, CHILD)],
      fate: unknown(5),
    },
    { name: 'where the lists are empty', answers: times(9), fate: unknown(9) },
    { name: 'where there are no lists', answers: [{}, {}, {}, {}], fate: unknown(4) },
    { name: 'where the lists have a hole, which may be this very shard', answers: times(9, LEFT), fate: unknown(9) },
    { name: 'where what is listed has no ranges', answers: times(9, { ShardId: 'other' }), fate: unknown(9) },
    { name: 'where the open shards overlap: a reshard is under way', answers: times(9, WHOLE, RIGHT), fate: unknown(9) },
    {
      name: 'where lists that say nothing come in between: they count neither way',
      answers: [...times(2, CHILD), ...times(3), ...times(1, CHILD)],
      fate: [...unknown(5), 'ended'],
    },
  ])('$name', async ({ answers, fate }) => {
    expect(await fates(answers)).toEqual(fate)
  })
})
