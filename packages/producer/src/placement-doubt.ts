import { inRange } from '@shardwise/core/hash-key'
import type { Shard } from '@shardwise/core/shard-map'

/** An entry lies where its hash key cannot. */
export interface Misplacement {
  readonly predicted: Shard
  /** Where it lies. */
  readonly shardId: string
  readonly hashKey: bigint
}

/** So often in a row the stream is believed that it heeds keys though what was seen says otherwise and no newer map explains it. */
const MOST_UNEXPLAINED = 3

/**
 * Part of the gate: what a misplaced entry means. Either the service ignores keys by now, and nothing may be aggregated; or the stream is another
 * one of the same name, its keys are heeded and only the map is wrong. Records that go by the one rule where the other holds are written twice, or
 * without their ids. The entry alone does not tell, so records wait for what the stream says, and for a second at most: one that ignores keys and
 * cannot be asked must still be written.
 */
export class PlacementDoubt {
  #raised: (Misplacement & { readonly until: number }) | undefined
  /** The stream has said since that it heeds keys. */
  #heedsKeys = false
  #unexplained = 0

  get isRaised(): boolean {
    return this.#raised !== undefined
  }

  /** When the wait is over, whatever is known then. */
  get until(): number | undefined {
    return this.#raised?.until
  }

  raise(misplacement: Misplacement, until: number): void {
    if (this.#raised !== undefined) return
    this.#raised = { ...misplacement, until }
    this.#heedsKeys = false
  }

  /** What the stream says of itself; undefined when it may not be asked. */
  told(distribution: 'partition-key' | 'auto' | undefined): void {
    this.#heedsKeys = distribution === 'partition-key'
  }

  /** `auto`: it is known that keys are ignored. `shardOf` is by the newest map, and knows nothing of a stream that is gone. */
  judge(auto: boolean, shardOf: (shardId: string) => Shard | undefined, now: number): 'open' | 'settled' | 'ignored' {
    if (this.#raised === undefined) return 'settled'
    const { shardId, hashKey, until } = this.#raised
    const shard = shardOf(shardId)
    if (auto || shard === undefined || inRange(hashKey, shard.range)) {
      this.#raised = undefined
      this.#unexplained = 0
      return 'settled'
    }
    if (now < until) return 'open'
    this.#raised = undefined
    return this.#heedsKeys && ++this.#unexplained <= MOST_UNEXPLAINED ? 'settled' : 'ignored'
  }
}
