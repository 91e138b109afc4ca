import { toWords } from '@shardwise/core/hash-key'
import type { Shard } from './shard.js'

/** Finds the open shard of a hash key by binary search. Built anew when the open shards change. */
export class ShardRouter {
  /** Sorted by range; together they cover the hash space. */
  readonly open: readonly Shard[]
  /** Where each range starts, as four words, most significant first. */
  readonly #starts: Uint32Array

  constructor(shards: Iterable<Shard>) {
    this.open = [...shards].filter((shard) => shard.isOpen).sort((a, b) => (a.range.start < b.range.start ? -1 : 1))
    this.#starts = new Uint32Array(this.open.length * 4)
    for (const [index, shard] of this.open.entries()) toWords(shard.range.start, this.#starts.subarray(index * 4, index * 4 + 4))
  }

  /** The open shard that holds this hash key, given as four words, most significant first. */
  at(words: Uint32Array): Shard {
    let low = 0
    let high = this.open.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#startsAfter(middle, words)) high = middle - 1
      else low = middle
    }
    return this.open[low]!
  }

  #startsAfter(index: number, words: Uint32Array): boolean {
    for (let word = 0; word < 4; word++) {
      const start = this.#starts[index * 4 + word]!
      const key = words[word]!
      if (start !== key) return start > key
    }
    return false
  }
}
