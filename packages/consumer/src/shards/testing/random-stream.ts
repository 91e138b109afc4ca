import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type { Random } from '@shardwise/core/random'
import type { Shard } from '@shardwise/core/shard-map'

/** A stream that is split and merged at random and forgets what is older than its retention, as ListShards would show it. */
export class RandomStream {
  readonly #random: Random
  readonly #shards = new Map<string, Shard>()
  readonly #forgotten = new Set<string>()

  constructor(random: Random, shards: number) {
    this.#random = random
    const width = (MAX_HASH_KEY + 1n) / BigInt(shards)
    for (let i = 0; i < shards; i++) {
      this.#open({ start: BigInt(i) * width, end: i === shards - 1 ? MAX_HASH_KEY : BigInt(i + 1) * width - 1n }, [])
    }
  }

  /** All that ever were. */
  get shards(): readonly Shard[] {
    return [...this.#shards.values()]
  }

  get listed(): readonly Shard[] {
    return this.shards.filter(({ shardId }) => !this.#forgotten.has(shardId))
  }

  get open(): readonly Shard[] {
    return this.shards.filter(({ endingSequenceNumber }) => endingSequenceNumber === undefined)
  }

  get(shardId: string): Shard {
    return this.#shards.get(shardId)!
  }

  reshard(): void {
    const open = [...this.open].sort((a, b) => (a.range.start < b.range.start ? -1 : 1))
    const at = Math.floor(this.#random() * open.length)
    const [left, right] = [open[at]!, open[at + 1]]
    if (right !== undefined && this.#random() < 0.5) {
      this.#close(left, right)
      this.#open({ start: left.range.start, end: right.range.end }, [left.shardId, right.shardId])
      return
    }
    const { start, end } = left.range
    if (start === end) return
    // Down to a single hash key, too.
    const middle = this.#random() < 0.1 ? start : (start + end) / 2n
    this.#close(left)
    this.#open({ start, end: middle }, [left.shardId])
    this.#open({ start: middle + 1n, end }, [left.shardId])
  }

  /** Retention has ended for a closed shard. */
  forget(shardId: string): void {
    this.#forgotten.add(shardId)
  }

  #open(range: Shard['range'], [parentShardId, adjacentParentShardId]: readonly string[]): void {
    const number = this.#shards.size
    this.#shards.set(`s${number}`, {
      shardId: `s${number}`,
      range,
      startingSequenceNumber: `${number + 1}0`,
      ...(parentShardId !== undefined && { parentShardId }),
      ...(adjacentParentShardId !== undefined && { adjacentParentShardId }),
    })
  }

  #close(...shards: Shard[]): void {
    for (const shard of shards)
      this.#shards.set(shard.shardId, { ...shard, endingSequenceNumber: `${shard.startingSequenceNumber}5` })
  }
}
