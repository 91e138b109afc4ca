import { PausedShards } from './paused-shards.js'

/** Which shards of which streams are paused. Streams that are not known yet are covered by a pause of everything. */
export class PausedStreams {
  readonly #streams = new Map<string, PausedShards>()
  #all = false

  /** The gate of one stream's shards. */
  of(stream: string): PausedShards {
    const known = this.#streams.get(stream)
    if (known !== undefined) return known
    const shards = new PausedShards()
    if (this.#all) shards.pause(undefined)
    this.#streams.set(stream, shards)
    return shards
  }

  isPaused(shardId: string, stream: string): boolean {
    return this.of(stream).isPaused(shardId)
  }

  /** Without a stream: in all of them. Without a shard: all shards. */
  pause(shardId: string | undefined, stream: string | undefined): void {
    if (shardId === undefined && stream === undefined) this.#all = true
    for (const shards of this.#affected(stream)) shards.pause(shardId)
  }

  resume(shardId: string | undefined, stream: string | undefined): void {
    if (shardId === undefined && stream === undefined) this.#all = false
    for (const shards of this.#affected(stream)) shards.resume(shardId)
  }

  #affected(stream: string | undefined): Iterable<PausedShards> {
    return stream === undefined ? this.#streams.values() : [this.of(stream)]
  }
}
