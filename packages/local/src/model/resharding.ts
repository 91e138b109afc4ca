import { toWords } from '@shardwise/core/hash-key'
import { Shard } from './shard.js'
import type { ShardRouter } from './shard-router.js'

/**
 * One split or one merge, named by the boundary in the hash space that it makes or removes: `at` is the first hash key of the upper
 * side. Such a step means the same however the shards around it are numbered, so a plan of several can be made beforehand.
 */
export interface ReshardStep {
  readonly kind: 'split' | 'merge'
  readonly at: bigint
}

/** Closes the parents and returns the open children, numbered by `nextIndex`. */
export function reshardShards(router: ShardRouter, step: ReshardStep, wallTime: number, nextIndex: () => number): Shard[] {
  const upper = shardAt(router, step.at)
  const parents = step.kind === 'split' ? [upper] : [shardAt(router, step.at - 1n), upper]
  // Both parents of a merge close at one time, so that they also expire at one time and leave their place to the child together.
  const closedAt = Math.max(wallTime, ...parents.map((parent) => parent.lastArrivedAt))
  for (const parent of parents) parent.close(closedAt)
  const [first, second] = parents
  const born = {
    beganAt: closedAt,
    // Sequence numbers start with the second in which the shard began: a later one puts the children's above their parents'.
    beganSecond: Math.max(Math.floor(closedAt / 1000), ...parents.map((parent) => parent.origin.beganSecond)) + 1,
    parentShardId: first!.shardId,
    ...(second === undefined ? {} : { adjacentParentShardId: second.shardId }),
  }
  const { start, end } = { start: first!.range.start, end: upper.range.end }
  const ranges =
    step.kind === 'merge'
      ? [{ start, end }]
      : [
          { start, end: step.at - 1n },
          { start: step.at, end },
        ]
  return ranges.map((range) => new Shard({ ...born, index: nextIndex(), range }))
}

/**
 * The steps from the present boundaries to those of a uniform stream, in order of hash key: old boundaries are merged away, new ones
 * split in. The shards in between are short-lived, as they are on the service.
 */
export function planUniform(present: readonly Shard[], target: readonly { readonly start: bigint }[]): ReshardStep[] {
  const old = new Set(present.map((shard) => shard.range.start))
  const wanted = new Set(target.map((range) => range.start))
  const steps: ReshardStep[] = []
  for (const at of old) if (!wanted.has(at)) steps.push({ kind: 'merge', at })
  for (const at of wanted) if (!old.has(at)) steps.push({ kind: 'split', at })
  return steps.sort((a, b) => (a.at < b.at ? -1 : 1))
}

function shardAt(router: ShardRouter, hashKey: bigint): Shard {
  const words = new Uint32Array(4)
  toWords(hashKey, words)
  return router.at(words)
}
