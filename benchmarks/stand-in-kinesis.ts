import type {
  DescribeStreamSummaryOutput,
  GetRecordsInput,
  GetRecordsOutput,
  GetShardIteratorInput,
  GetShardIteratorOutput,
  KinesisPort,
  ListShardsInput,
  ListShardsOutput,
  ShardListing,
  StreamReference,
} from '@shardwise/core/kinesis-port'

const CREATED_AT = new Date('2025-12-01T00:00:00Z')

/** A Kinesis record, that comes again and again, with another sequence number each time. */
export interface Content {
  readonly data: Uint8Array
  readonly partitionKey: string
}

export interface StandInShard {
  /** What each read brings. */
  readonly contents: readonly Content[]
  /** Reads that are to bring something. */
  due: number
  /** Kinesis records read. */
  read: number
}

/** Shards of equal width, as ListShards gives them. */
export function evenShards(shards: number): readonly ShardListing[] {
  const start = (i: number): bigint => (2n ** 128n * BigInt(i)) / BigInt(shards)
  return Array.from({ length: shards }, (_, i) => ({
    ShardId: `shardId-${String(i).padStart(12, '0')}`,
    HashKeyRange: { StartingHashKey: String(start(i)), EndingHashKey: String(start(i + 1) - 1n) },
    SequenceNumberRange: { StartingSequenceNumber: '1' },
  }))
}

/** Streams in memory, called `stream-0` and so on, that answer at once. They have what they are told to have, and are behind until it is read. */
export class StandInKinesis implements KinesisPort {
  /** By stream and id. */
  readonly shards: Map<string, StandInShard> = new Map()
  readonly #listing: readonly ShardListing[]

  /** `contentsOf`: by shard. */
  constructor(
    streams: number,
    shards: number,
    contentsOf: (listing: readonly ShardListing[]) => ReadonlyMap<string, readonly Content[]>,
  ) {
    this.#listing = evenShards(shards)
    const all = contentsOf(this.#listing)
    for (let stream = 0; stream < streams; stream++) {
      for (const { ShardId } of this.#listing) {
        this.shards.set(`stream-${stream}/${ShardId}`, { contents: all.get(ShardId!)!, due: 0, read: 0 })
      }
    }
  }

  async listShards(_: ListShardsInput): Promise<ListShardsOutput> {
    return { Shards: [...this.#listing] }
  }

  async describeStreamSummary({ StreamName }: StreamReference): Promise<DescribeStreamSummaryOutput> {
    const summary = {
      ...{ StreamName: StreamName!, StreamARN: `arn:aws:kinesis:us-east-1:123456789012:stream/${StreamName}` },
      ...{ StreamStatus: 'ACTIVE', StreamCreationTimestamp: CREATED_AT, OpenShardCount: this.#listing.length },
    }
    return { StreamDescriptionSummary: summary }
  }

  async getShardIterator({ StreamName, StreamARN, ShardId }: GetShardIteratorInput): Promise<GetShardIteratorOutput> {
    return { ShardIterator: `${StreamName ?? StreamARN!.split('/')[1]}/${ShardId}` }
  }

  async getRecords({ ShardIterator }: GetRecordsInput): Promise<GetRecordsOutput> {
    const shard = this.shards.get(ShardIterator)!
    if (shard.due === 0) return { Records: [], NextShardIterator: ShardIterator, MillisBehindLatest: 0 }
    shard.due--
    const Records = shard.contents.map(({ data: Data, partitionKey: PartitionKey }) => {
      const SequenceNumber = `49590338271490256608559692538361571095921${String(shard.read++).padStart(15, '0')}`
      return { Data, PartitionKey, SequenceNumber, ApproximateArrivalTimestamp: CREATED_AT }
    })
    return { Records, NextShardIterator: ShardIterator, MillisBehindLatest: shard.due > 0 ? 60_000 : 0 }
  }

  putRecords(): never {
    throw new Error('A consumer does not write')
  }
}
