import type { Consumer } from './consumer.js'
import { consumingLoop } from './consuming-loop.js'
import type { PulledShard } from './delivery/shard-stream.js'

export interface ShardsOptions {
  /** Stops the consumer when it aborts: the loops over the shards end when they ask for more, and then the loop over `shards()`. */
  readonly signal?: AbortSignal | undefined
}

/** Shards that were taken and wait for somebody to ask for them. */
export class OfferedShards {
  readonly #waiting: PulledShard[] = []
  #asking: ((shard: PulledShard | undefined) => void) | undefined
  #over = false

  offer(shard: PulledShard): void {
    this.#waiting.push(shard)
    this.#answer()
  }

  /** The next, or undefined when there will be none. Ask again only after the answer. */
  ask(): Promise<PulledShard | undefined> {
    return new Promise((resolve) => {
      this.#asking = resolve
      this.#answer()
    })
  }

  /** None comes any more. */
  end(): void {
    this.#over = true
    this.#answer()
  }

  #answer(): void {
    if (this.#asking === undefined) return
    // Given back while nobody asked: it is not ours any more.
    while (this.#waiting[0]?.isGone === true) this.#waiting.shift()
    const shard = this.#waiting.shift()
    if (shard === undefined && !this.#over) return
    const answer = this.#asking
    this.#asking = undefined
    answer(shard)
  }
}

export interface ShardLoopOptions extends ShardsOptions {
  readonly offered: OfferedShards
  /** Throws when the consumer ran before. */
  readonly run: () => Promise<void>
  readonly stop: Consumer['stop']
}

/** `consumer.shards()`: begins when the first shard is asked for. */
export function shardLoop({ offered, signal, run, stop }: ShardLoopOptions): AsyncIterableIterator<PulledShard> {
  return consumingLoop({ signal, run, stop, limit: {}, ask: () => offered.ask(), over: () => offered.end() })
}
