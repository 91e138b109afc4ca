import type { HashKeyRange } from '@shardwise/core/hash-key'
import type { ShardListing } from '@shardwise/core/kinesis-port'

/** As the application gave it to its producer. */
export interface GivenRecord {
  readonly partitionKey: string
  readonly explicitHashKey: string | undefined
  /** Begins with the id of the put. */
  readonly text: string
  /** With its id in them. */
  readonly hasHeaders: boolean
  readonly hasRecordId: boolean
}

/** What a producer was asked to write. */
export interface Put {
  readonly id: string
  readonly producer: string
  readonly stream: string
  readonly given: GivenRecord
  /** Partition key, and explicit hash key where it has one. */
  readonly key: string
  /** Of the records with this key that this producer was given, the how manyth. */
  readonly rank: number
  /** Its producer promised to keep the order of its key. */
  readonly isOrdered: boolean
  readonly at: number
  /** As readers have seen it. */
  recordId?: string
  state: 'open' | 'acknowledged' | 'failed'
  /** It has failed, and was said not to lie in the stream. */
  isDenied: boolean
  readonly copies: Copy[]
}

/** A put as it lies in a shard: once, or more often where a producer has tried again. */
export interface Copy {
  readonly put: Put
  readonly shard: ShardLog
  readonly place: string
  /** Of the copies in its shard, the how manyth. */
  readonly index: number
  readonly landedAt: number
  /** A reader that follows the KCL's rule delivers it. */
  readonly isAccepted: boolean
  /** Its own hash key lies in the shard: of others nobody promises an order. */
  readonly isInRange: boolean
  /** Its producer knew of a former stream of this name only. */
  readonly isMisled: boolean
  /** Handler calls that have begun with it. */
  calls: number
  /** By the tenure in which a call with it was completed last. */
  completedBy: object | undefined
  isCompleted: boolean
  /** Nobody is to have it any more: it has left the stream, or is older than what was asked for. */
  isExpired: boolean
  /** The stream's retention has taken it, or the whole stream is gone. */
  hasLeft: boolean
  /** A reader by the KCL's rule has left it out. */
  isDropped: boolean
  /** The process that has read it last, and when. */
  readBy: string | undefined
  readAt: number
}

export interface ShardLog {
  readonly stream: StreamLog
  readonly shardId: string
  readonly leaseKey: string
  readonly range: HashKeyRange
  /** All that were read before it: parents, their parents, and so on. */
  readonly ancestors: readonly ShardLog[]
  readonly copies: Copy[]
  readonly byPlace: Map<string, Copy>
  /** Copies from the first on that are completed or gone without a gap. */
  completed: number
}

export interface StreamLogOptions {
  readonly name: string
  /** Epoch milliseconds. */
  readonly createdAt: number
  /** Lease keys name the stream: a table holds those of several. */
  readonly amongSeveral: boolean
  readonly openedAt: number
}

/** One stream from its creation to its end. Another one of the same name is another log. */
export class StreamLog {
  readonly name: string
  /** Epoch milliseconds, whole seconds: lease rows say no more. */
  readonly createdAt: number
  readonly openedAt: number
  readonly shards: Map<string, ShardLog> = new Map()
  /** Copies that one Kinesis record holds. */
  readonly bySequenceNumber: Map<string, Copy[]> = new Map()
  /** Copies in range with the same key, in the order in which they were written. */
  readonly keys: Map<string, { readonly copies: Copy[]; completed: number }> = new Map()
  /** The service places records by their keys. */
  placesByKey = true
  /** Producers that waited in vain to learn that. */
  readonly takenForAutoBy: Set<string> = new Set()
  /** The service was told to delete it, which takes its time. */
  isGoing = false
  /** Virtual time of its deletion. */
  deletedAt: number | undefined
  readonly #leaseKeyOf: (shardId: string) => string

  constructor({ name, createdAt, amongSeveral, openedAt }: StreamLogOptions) {
    this.name = name
    this.createdAt = Math.floor(createdAt / 1_000) * 1_000
    this.openedAt = openedAt
    const identifier = `${ACCOUNT}:${name}:${Math.floor(createdAt / 1_000)}`
    this.#leaseKeyOf = (shardId) => (amongSeveral ? `${identifier}:${shardId}` : shardId)
  }

  /** Before a listing forgets them: a shard that was never heard of would have no parents here. */
  learn(listing: readonly ShardListing[]): void {
    for (const { ShardId, ParentShardId, AdjacentParentShardId, HashKeyRange } of listing) {
      if (this.shards.has(ShardId!)) continue
      const parents = [ParentShardId, AdjacentParentShardId].flatMap((id) => this.shards.get(id ?? '') ?? [])
      this.shards.set(ShardId!, {
        stream: this,
        shardId: ShardId!,
        leaseKey: this.#leaseKeyOf(ShardId!),
        range: { start: BigInt(HashKeyRange!.StartingHashKey!), end: BigInt(HashKeyRange!.EndingHashKey!) },
        ancestors: [...new Set(parents.flatMap((parent) => [parent, ...parent.ancestors]))],
        copies: [],
        byPlace: new Map(),
        completed: 0,
      })
    }
  }
}

const ACCOUNT = '000000000000'

/** Where a copy lies, as lease rows and handlers tell it. */
export function placeOf(sequenceNumber: string, subSequenceNumber: number): string {
  return `${sequenceNumber}/${subSequenceNumber}`
}
