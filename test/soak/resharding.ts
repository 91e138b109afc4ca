import type { Random } from '@shardwise/core/random'
import type { OpenShard } from './workload.js'

export type Reshard =
  | { readonly kind: 'split'; readonly shardId: string; readonly at: string }
  | { readonly kind: 'merge'; readonly shardId: string; readonly with: string }

/**
 * The next split or merge: a lot decides between the two, within one more and one less than `usual` shards, and which of the shards. A
 * shard that is narrow already is not split, so that there are keys for each.
 */
export function nextReshard(shards: readonly OpenShard[], usual: number, random: Random): Reshard {
  const mustSplit = shards.length < usual || shards.length === 1
  const isSplit = mustSplit || (shards.length <= usual && random() < 0.5)
  if (!isSplit) {
    const lower = Math.floor(random() * (shards.length - 1))
    return { kind: 'merge', shardId: shards[lower]!.shardId, with: shards[lower + 1]!.shardId }
  }
  const widest = shards.map(widthOf).reduce((a, b) => (a > b ? a : b))
  const wide = shards.filter((shard) => widthOf(shard) * 2n >= widest)
  const shard = wide[Math.floor(random() * wide.length)]!
  // Between a quarter and three quarters of it: the middle is what predictions could get right by luck.
  const at = BigInt(shard.start) + (widthOf(shard) * BigInt(250 + Math.floor(random() * 500))) / 1000n
  return { kind: 'split', shardId: shard.shardId, at: at.toString() }
}

function widthOf({ start, end }: OpenShard): bigint {
  return BigInt(end) - BigInt(start)
}
