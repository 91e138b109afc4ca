import type { ShardListing } from '@shardwise/core/kinesis-port'
import { type Shard, ShardMap } from '@shardwise/core/shard-map'

export type ListingVerdict =
  | { readonly kind: 'changed'; readonly map: ShardMap }
  | { readonly kind: 'same' }
  /** Keep what there is and list again. */
  | { readonly kind: 'unusable'; readonly why: string }

/**
 * What is known of a stream's shards: the present map, and the ranges of all shards ever seen, for answers that name a shard which has
 * closed since. Stale while revalidating: a listing replaces the map only if it is whole and newer, and nothing ever clears it.
 */
export class ShardDirectory {
  #map: ShardMap | undefined
  readonly #seen = new Map<string, Shard>()
  /** Seen open once and not open any more. */
  readonly #closed = new Set<string>()

  get map(): ShardMap | undefined {
    return this.#map
  }

  /** Open or closed. */
  get(shardId: string): Shard | undefined {
    return this.#seen.get(shardId)
  }

  isOpen(shard: Shard): boolean {
    const known = this.#seen.get(shard.shardId)
    return known !== undefined && isSameShard(shard, known) && !this.#closed.has(shard.shardId)
  }

  /** Throws ShardListingError for a malformed listing. */
  accept(listing: Iterable<ShardListing>): ListingVerdict {
    const shards = [...listing]
    const map = ShardMap.from(shards)
    if (map.open.length === 0) return { kind: 'unusable', why: 'it has no open shard' }
    if (map.holes.length > 0) {
      const { start, end } = map.holes[0]!
      return { kind: 'unusable', why: `no open shard covers the hash keys from ${start} to ${end}` }
    }
    if (this.#isAnotherStream(map)) {
      this.#seen.clear()
      this.#closed.clear()
      this.#map = undefined
    }
    const revived = map.open.find((shard) => this.#closed.has(shard.shardId))
    if (revived !== undefined) {
      return {
        kind: 'unusable',
        why: `it shows ${revived.shardId} open, which an earlier listing showed closed: it is out of date`,
      }
    }
    for (const { ShardId } of shards) this.#seen.set(ShardId!, map.get(ShardId!)!)
    const open = new Set(map.open.map((shard) => shard.shardId))
    for (const shardId of this.#seen.keys()) if (!open.has(shardId)) this.#closed.add(shardId)
    const previous = this.#map
    if (previous?.open.length === open.size && previous.open.every((shard) => open.has(shard.shardId))) return { kind: 'same' }
    this.#map = map
    return { kind: 'changed', map }
  }

  /** A shard never changes. If it did, the stream was deleted and another of its name created. */
  #isAnotherStream(map: ShardMap): boolean {
    for (const known of this.#seen.values()) {
      const listed = map.get(known.shardId)
      if (listed !== undefined && !isSameShard(known, listed)) return true
    }
    return false
  }
}

/**
 * Whether two listings mean one shard. Ids are counted from 0 in every stream, so one that was deleted and created anew has the old ids,
 * and may even have the old ranges; its sequence numbers are others.
 */
export function isSameShard(a: Shard, b: Shard): boolean {
  if (a === b) return true
  return (
    a.shardId === b.shardId &&
    a.startingSequenceNumber === b.startingSequenceNumber &&
    a.range.start === b.range.start &&
    a.range.end === b.range.end
  )
}
