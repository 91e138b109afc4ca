import type { Shard } from '@shardwise/core/shard-map'

/** Who descends from whom among the shards that a stream lists. Takes time in proportion to their number, however often they were split and merged. */
export class ShardFamily {
  /** Parents before their children. */
  readonly oldestFirst: readonly Shard[]
  readonly #shards: ReadonlyMap<string, Shard>
  readonly #children = new Map<string, Shard[]>()

  constructor(shards: readonly Shard[]) {
    this.#shards = new Map(shards.map((shard) => [shard.shardId, shard]))
    for (const shard of shards) {
      for (const parent of parentIds(shard)) {
        const siblings = this.#children.get(parent)
        if (siblings === undefined) this.#children.set(parent, [shard])
        else siblings.push(shard)
      }
    }
    this.oldestFirst = this.#inOrder(shards)
  }

  /** Undefined: not listed, or not any more. */
  get(shardId: string): Shard | undefined {
    return this.#shards.get(shardId)
  }

  /** Those that are listed. */
  parents(shard: Shard): Shard[] {
    return parentIds(shard).flatMap((id) => this.#shards.get(id) ?? [])
  }

  /** Also of a shard that is not listed itself. */
  children(shardId: string): readonly Shard[] {
    return this.#children.get(shardId) ?? []
  }

  /** Takes records: no end is listed, nor a child (which may be listed before the end is). */
  isOpen(shard: Shard): boolean {
    return shard.endingSequenceNumber === undefined && !this.#children.has(shard.shardId)
  }

  /** The shards with an ancestor among these. A parent that is not listed counts, if it is among them itself. */
  below(among: { has(shardId: string): boolean }): ReadonlySet<string> {
    const below = new Set<string>()
    for (const shard of this.oldestFirst) {
      if (parentIds(shard).some((id) => among.has(id) || below.has(id))) below.add(shard.shardId)
    }
    return below
  }

  /** The shards with a descendant among these. */
  above(among: { has(shardId: string): boolean }): ReadonlySet<string> {
    const above = new Set<string>()
    for (const { shardId } of this.oldestFirst.toReversed()) {
      if (this.children(shardId).some((child) => among.has(child.shardId) || above.has(child.shardId))) above.add(shardId)
    }
    return above
  }

  #inOrder(shards: readonly Shard[]): Shard[] {
    const waitsFor = new Map(shards.map((shard) => [shard.shardId, this.parents(shard).length]))
    const ordered = shards.filter(({ shardId }) => waitsFor.get(shardId) === 0)
    for (const shard of ordered) {
      for (const child of this.children(shard.shardId)) {
        const left = waitsFor.get(child.shardId)! - 1
        waitsFor.set(child.shardId, left)
        if (left === 0) ordered.push(child)
      }
    }
    return ordered
  }
}

export function parentIds(shard: Pick<Shard, 'parentShardId' | 'adjacentParentShardId'>): string[] {
  return [shard.parentShardId, shard.adjacentParentShardId].filter((id) => id !== undefined)
}
