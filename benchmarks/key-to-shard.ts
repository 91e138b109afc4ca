import { createHash } from 'node:crypto'
import { KeyRouter } from '@shardwise/core/key-router'
import { ShardMap } from '@shardwise/core/shard-map'
import { freshKeys } from './fresh-keys.js'
import { type Benchmarks, type Unit, WrongResult } from './rounds.js'

const KEYS = 200_000
const KEYS_THAT_RETURN = 1000
const NANOSECONDS: Unit = { name: 'ns/key', of: (ns) => ns }

/** From the partition key to the shard that takes the record, in streams whose shards are of equal width. */
export const keyToShard: Benchmarks = {
  'key-to-shard-4': () => keysToShards(4, KEYS),
  'key-to-shard': () => keysToShards(1_000, KEYS),
  'key-to-shard-10000': () => keysToShards(10_000, KEYS),
  'key-to-shard-seen': () => keysToShards(1_000, KEYS_THAT_RETURN),
}

/** Writes into `found`, key by key, the index of the shard. */
type FindShards = (keys: readonly string[], found: Int32Array) => void

function keysToShards(shards: number, different: number): ReturnType<Benchmarks[string]> {
  const starts = Array.from({ length: shards + 1 }, (_, i) => (2n ** 128n * BigInt(i)) / BigInt(shards))
  const found = new Int32Array(KEYS)
  let keys = freshKeys(KEYS, different)
  const variant = (name: string, find: FindShards) => {
    const run = () => {
      find(keys, found)
      let print = 0
      for (let i = 0; i < found.length; i++) print = (Math.imul(print, 31) + found[i]!) | 0
      return print
    }
    return {
      name,
      run,
      verify: () => {
        found.fill(-1)
        const print = run()
        for (const [i, key] of keys.entries()) {
          // The definition itself: the shard's range holds the MD5 of the key.
          const hashKey = hashKeyOf(key)
          const start = starts[found[i]!]
          if (start === undefined || hashKey < start || hashKey >= starts[found[i]! + 1]!) {
            throw new WrongResult(
              `${key} with hash key ${hashKey} is sent to shard ${found[i]} of ${shards}, which does not hold it`,
            )
          }
        }
        return print
      },
    }
  }
  return {
    unit: NANOSECONDS,
    operations: KEYS,
    prepare: () => {
      keys = freshKeys(KEYS, different)
    },
    variants: [variant('ours', bucketIndex(starts)), variant('createHash + BigInt', binarySearch(starts))],
  }
}

function bucketIndex(starts: readonly bigint[]): FindShards {
  const map = ShardMap.from(
    starts.slice(0, -1).map((start, i) => ({
      ShardId: `shardId-${String(i).padStart(12, '0')}`,
      HashKeyRange: { StartingHashKey: String(start), EndingHashKey: String(starts[i + 1]! - 1n) },
      SequenceNumberRange: { StartingSequenceNumber: '1' },
    })),
  )
  const router = new KeyRouter(map)
  return (keys, found) => {
    for (let i = 0; i < keys.length; i++) found[i] = router.indexOf(keys[i]!)
  }
}

function binarySearch(starts: readonly bigint[]): FindShards {
  return (keys, found) => {
    for (let i = 0; i < keys.length; i++) {
      const hashKey = hashKeyOf(keys[i]!)
      let low = 0
      let high = starts.length - 2
      while (low < high) {
        const middle = (low + high + 1) >>> 1
        if (starts[middle]! <= hashKey) low = middle
        else high = middle - 1
      }
      found[i] = low
    }
  }
}

function hashKeyOf(key: string): bigint {
  return BigInt(`0x${createHash('md5').update(key).digest('hex')}`)
}
