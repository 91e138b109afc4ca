import type { ChildShard, KinesisPort, ShardListing, StreamReference } from '@shardwise/core/kinesis-port'
import { classifyFailure, type ServiceFailure } from '@shardwise/core/service-error'
import { listAllShards, ShardMap } from '@shardwise/core/shard-map'

export interface ShardFateOptions {
  readonly port: Pick<KinesisPort, 'listShards'>
  readonly stream: StreamReference
  readonly shardId: string
}

export type Fate =
  /** Nothing of it comes any more. Without children only when all that came of it has left the stream. `gone`: so has the shard. */
  | { readonly is: 'ended'; readonly children: readonly ChildShard[]; readonly gone: boolean }
  /** It is read on where it was left. */
  | { readonly is: 'open'; readonly failure: ServiceFailure }
  /** To be looked at again after a pause. */
  | { readonly is: 'unknown'; readonly failure: ServiceFailure }
  | { readonly is: 'stream-missing'; readonly failure: ServiceFailure }

/** How often in a row the service must say that a shard is gone. A listing may lag behind, and giving up a shard loses what is in it. */
const CONFIRMATIONS = 3

/** What has become of a shard of which the service gives no more records, as the list of the stream's shards tells. */
export class ShardFate {
  readonly #options: ShardFateOptions
  /** Times in a row that the service said the shard does not exist. */
  #gone = 0

  constructor(options: ShardFateOptions) {
    this.#options = options
  }

  /** The service has given something of it. */
  alive(): void {
    this.#gone = 0
  }

  /** The shard's last answer said that it is closed, and did not name its children. Rejects as ListShards does. */
  async afterEnd(signal: AbortSignal): Promise<Fate> {
    const { shardId } = this.#options
    const listing = await this.#list(signal)
    const children = childrenIn(listing, shardId)
    if (children.length > 0) return { is: 'ended', children, gone: false }
    const self = listing.find((shard) => shard.ShardId === shardId)
    if (self === undefined) return this.#missingIn(listing, missing(shardId))
    this.#gone = 0
    const failure = {
      ...missing(shardId),
      message: `The end of ${shardId} was reached, but the service does not name its children yet`,
    }
    // Still open: then the word of its end was a slip of the service. Closed: its children are not listed yet.
    return { is: self.SequenceNumberRange?.EndingSequenceNumber ? 'unknown' : 'open', failure }
  }

  /** The service says that the stream or the shard does not exist. Rejects only with the signal's reason. */
  async afterNotFound(failure: ServiceFailure, signal: AbortSignal): Promise<Fate> {
    let listing: ShardListing[]
    try {
      listing = await this.#list(signal)
    } catch (error) {
      signal.throwIfAborted()
      const cause = classifyFailure(error)
      if (cause.kind !== 'not-found') return { is: 'unknown', failure: cause }
      this.#gone = 0
      return { is: 'stream-missing', failure: cause }
    }
    return this.#missingIn(listing, failure)
  }

  #missingIn(listing: readonly ShardListing[], failure: ServiceFailure): Fate {
    const { shardId } = this.#options
    if (listing.some((shard) => shard.ShardId === shardId)) this.#gone = 0
    else if (isWhole(listing)) this.#gone++
    if (this.#gone < CONFIRMATIONS) return { is: 'unknown', failure }
    return { is: 'ended', children: childrenIn(listing, shardId), gone: true }
  }

  #list(signal: AbortSignal): Promise<ShardListing[]> {
    const { port, stream } = this.#options
    return listAllShards(port, stream, { signal })
  }
}

/** Open shards cover all hash keys, at any moment. A list that shows less of them, or none, says nothing about what it lacks: that may be open. */
function isWhole(listing: readonly ShardListing[]): boolean {
  try {
    return ShardMap.from(listing).holes.length === 0
  } catch {
    return false
  }
}

function childrenIn(listing: readonly ShardListing[], shardId: string): ChildShard[] {
  return listing
    .filter((shard) => shard.ParentShardId === shardId || shard.AdjacentParentShardId === shardId)
    .map(({ ShardId, ParentShardId, AdjacentParentShardId, HashKeyRange }) => ({
      ShardId,
      ParentShards: [ParentShardId, AdjacentParentShardId].filter((parent) => parent !== undefined),
      HashKeyRange,
    }))
}

function missing(shardId: string): ServiceFailure {
  return {
    ...classifyFailure({ name: 'ResourceNotFoundException', message: `Shard ${shardId} is not among the shards of the stream` }),
  }
}
