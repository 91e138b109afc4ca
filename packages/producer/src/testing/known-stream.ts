import type { ShardListing } from '@shardwise/core/kinesis-port'
import type { Shard } from '@shardwise/core/shard-map'
import { ShardDirectory } from '../shard-directory.js'
import type { StreamTraits, StreamView } from '../stream-view.js'

/** What a stream's view says, told by the test instead of asked for. */
export class KnownStream {
  readonly view: StreamView
  traits: StreamTraits | undefined = { maxRecordBytes: 1024 * 1024, distribution: 'partition-key' }
  /** The arguments of each `refresh`. */
  readonly refreshes: (readonly [now: number, closedToo: boolean])[] = []
  #directory = new ShardDirectory()

  constructor(...shards: readonly Shard[]) {
    const directory = (): ShardDirectory => this.#directory
    const traits = (): StreamTraits | undefined => this.traits
    const view: Pick<StreamView, 'map' | 'traits' | 'isReady' | 'shard' | 'isOpen' | 'refresh'> = {
      get map() {
        return directory().map
      },
      get traits() {
        return traits()
      },
      get isReady() {
        return directory().map !== undefined && traits() !== undefined
      },
      shard: (shardId) => directory().get(shardId),
      isOpen: (shard) => directory().isOpen(shard),
      refresh: (now, closedToo = false) => {
        this.refreshes.push([now, closedToo])
      },
    }
    this.view = view as StreamView
    if (shards.length > 0) this.list(...shards)
  }

  /** A listing has come. */
  list(...shards: readonly Shard[]): void {
    this.#directory.accept(shards.map(listingOf))
  }

  forget(): void {
    this.#directory = new ShardDirectory()
  }
}

/** As ListShards shows it. */
export function listingOf({ shardId, range, startingSequenceNumber }: Shard): ShardListing {
  return {
    ShardId: shardId,
    HashKeyRange: { StartingHashKey: range.start.toString(), EndingHashKey: range.end.toString() },
    SequenceNumberRange: { StartingSequenceNumber: startingSequenceNumber },
  }
}
