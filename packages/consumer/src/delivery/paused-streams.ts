import { PausedShards } from './paused-shards.js'

/** Which shards of which streams are paused. Streams that are not known yet are covered by what is said of all. */
export class PausedStreams {
  readonly #streams = new Map<string, PausedShards>()
  /** As a stream begins that nothing was said of. */
  readonly #later = new PausedShards()

  /** The gate of one stream's shards. */
  of(stream: string): PausedShards {
    const known = this.#streams.get(stream)
    if (known !== undefined) return known
    const shards = this.#later.copy()
    this.#streams.set(stream, shards)
    return shards
  }

  isPaused(shardId: string, stream: string): boolean {
    return this.of(stream).isPaused(shardId)
  }

  /** Without a stream: in all of them. Without a shard: all shards. */
  pause(shardId: string | undefined, stream: string | undefined): void {
    for (const shards of this.#affected(stream)) shards.pause(shardId)
  }

  resume(shardId: string | undefined, stream: string | undefined): void {
    for (const shards of this.#affected(stream)) shards.resume(shardId)
  }

  #affected(stream: string | undefined): Iterable<PausedShards> {
    return stream === undefined ? [...this.#streams.values(), this.#later] : [this.of(stream)]
  }
}
