import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import { seededRandom } from '@shardwise/core/random'
import { KinesisModel } from '@shardwise/local/model'
import { expect, test } from 'vitest'
import { nextReshard } from './resharding.js'
import type { OpenShard } from './workload.js'

type Listing = {
  readonly Shards: { ShardId: string; HashKeyRange: { StartingHashKey: string; EndingHashKey: string } }[]
}

test.each([1, 2, 3, 8])('hundreds of reshards of %i shards are all accepted, and their number stays about the same', (usual) => {
  const random = seededRandom(usual)
  const model = new KinesisModel({ transitionMs: { create: 0, update: 0 } })
  const StreamName = 's'
  model.call('CreateStream', { StreamName, ShardCount: usual })
  const kinds = { split: 0, merge: 0 }
  for (let i = 0; i < 300; i++) {
    const { Shards } = model.call('ListShards', { StreamName, ShardFilter: { Type: 'AT_LATEST' } }) as Listing
    const shards: OpenShard[] = Shards.map((shard) => ({
      shardId: shard.ShardId,
      start: shard.HashKeyRange.StartingHashKey,
      end: shard.HashKeyRange.EndingHashKey,
    })).sort((a, b) => (BigInt(a.start) < BigInt(b.start) ? -1 : 1))
    expect(Math.abs(shards.length - usual)).toBeLessThanOrEqual(1)
    // Wide enough for a few of the workload's keys.
    for (const { start, end } of shards) expect(BigInt(end) - BigInt(start)).toBeGreaterThan(MAX_HASH_KEY / 200n)
    const step = nextReshard(shards, usual, random)
    kinds[step.kind]++
    if (step.kind === 'split') {
      model.call('SplitShard', { StreamName, ShardToSplit: step.shardId, NewStartingHashKey: step.at })
    } else model.call('MergeShards', { StreamName, ShardToMerge: step.shardId, AdjacentShardToMerge: step.with })
  }
  expect(Math.min(kinds.split, kinds.merge)).toBeGreaterThan(100)
})
