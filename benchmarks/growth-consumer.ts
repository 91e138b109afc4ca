import { AggregateBuilder, BufferPool, finishAggregates } from '@shardwise/aggregation'
import { Consumer, MemoryLeaseStore } from '@shardwise/consumer'
import { hashKeyWords } from '@shardwise/core/hash-key'
import type {
  DescribeStreamSummaryOutput,
  GetRecordsInput,
  GetRecordsOutput,
  GetShardIteratorInput,
  GetShardIteratorOutput,
  KinesisPort,
  KinesisRecord,
  ListShardsInput,
  ListShardsOutput,
  ShardListing,
  StreamReference,
} from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { ShardMap } from '@shardwise/core/shard-map'
import { freshKeys, KEY_CHARACTERS } from './fresh-keys.js'
import { AGGREGATE_BYTES, type GrowthPoint, LARGEST_RECORD, MIB, RECORDS_AN_AGGREGATE } from './growth-turn.js'
import { collectGarbage, WrongResult } from './rounds.js'
import { cpuMs } from './service-process.js'
import { VirtualClock } from './virtual-clock.js'

/** More than any turn takes, of virtual time. */
const LIMIT_MS = 3_600_000
/** Leases are renewed so seldom that it is not the renewals that are measured here. */
const FAILOVER_MS = 600_000
const CREATED_AT = new Date('2025-12-01T00:00:00Z')

export interface ConsumerLoad {
  readonly streams: number
  /** Of each stream. */
  readonly shards: number
  readonly recordBytes: number
  /** Reads that bring records, of all shards, and Kinesis records in each. */
  readonly reads: number
  readonly kinesisRecords: number
}

/** What each read of a shard brings: the same bytes again and again, as Kinesis records of their own. */
interface Content {
  readonly data: Uint8Array
  readonly partitionKey: string
  readonly userRecords: number
}

interface StandInShard {
  readonly content: Content
  /** Reads that are to bring something. */
  due: number
  /** Kinesis records read. */
  read: number
}

/** Streams in memory that answer at once. They have what they are told to have, and are behind until it is read. */
class StandInKinesis implements KinesisPort {
  readonly shards = new Map<string, StandInShard>()
  readonly #kinesisRecords: number
  readonly #listing: readonly ShardListing[]

  constructor({ streams, shards, recordBytes, kinesisRecords }: ConsumerLoad) {
    this.#kinesisRecords = kinesisRecords
    const start = (i: number): bigint => (2n ** 128n * BigInt(i)) / BigInt(shards)
    this.#listing = Array.from({ length: shards }, (_, i) => ({
      ShardId: `shardId-${String(i).padStart(12, '0')}`,
      HashKeyRange: { StartingHashKey: String(start(i)), EndingHashKey: String(start(i + 1) - 1n) },
      SequenceNumberRange: { StartingSequenceNumber: '1' },
    }))
    const contents = contentOf(this.#listing, recordBytes)
    for (let stream = 0; stream < streams; stream++) {
      for (const { ShardId } of this.#listing) {
        this.shards.set(`stream-${stream}/${ShardId}`, { content: contents.get(ShardId!)!, due: 0, read: 0 })
      }
    }
  }

  async listShards(_: ListShardsInput): Promise<ListShardsOutput> {
    return { Shards: this.#listing }
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
    const { data: Data, partitionKey: PartitionKey } = shard.content
    const Records: KinesisRecord[] = []
    for (let i = 0; i < this.#kinesisRecords; i++) {
      const SequenceNumber = `49590338271490256608559692538361571095921${String(shard.read++).padStart(15, '0')}`
      Records.push({ Data, PartitionKey, SequenceNumber, ApproximateArrivalTimestamp: CREATED_AT })
    }
    return { Records, NextShardIterator: ShardIterator, MillisBehindLatest: shard.due > 0 ? 60_000 : 0 }
  }

  putRecords(): never {
    throw new Error('A consumer does not write')
  }
}

/** By shard: an aggregate of records whose keys belong to it, or a record that is too large for one. */
function contentOf(listing: readonly ShardListing[], recordBytes: number): Map<string, Content> {
  const contents = new Map<string, Content>()
  const data = Buffer.alloc(Math.min(recordBytes, LARGEST_RECORD - KEY_CHARACTERS), 'x')
  const userRecords = Math.min(RECORDS_AN_AGGREGATE, Math.floor(AGGREGATE_BYTES / (recordBytes + 32)))
  const keys = keysOf(listing, Math.max(1, userRecords))
  const pool = new BufferPool({ bufferBytes: AGGREGATE_BYTES })
  for (const [shardId, partitionKeys] of keys) {
    if (userRecords <= 1) {
      contents.set(shardId, { data, partitionKey: partitionKeys[0]!, userRecords: 1 })
      continue
    }
    const builder = new AggregateBuilder({ pool, maxBytes: AGGREGATE_BYTES })
    for (const partitionKey of partitionKeys) if (!builder.tryAdd(partitionKey, data)) throw new Error('The aggregate is full')
    const aggregate = builder.seal()
    finishAggregates([aggregate])
    contents.set(shardId, { data: aggregate.bytes.slice(), partitionKey: partitionKeys[0]!, userRecords })
    aggregate.release()
  }
  return contents
}

/** By shard: so many keys that belong to it. */
function keysOf(listing: readonly ShardListing[], count: number): Map<string, string[]> {
  const map = ShardMap.from(listing)
  const keys = new Map(map.open.map(({ shardId }) => [shardId, [] as string[]]))
  const words = new Uint32Array(4)
  let missing = keys.size
  for (let round = 0; missing > 0; round++) {
    for (const key of freshKeys(100_000, 100_000)) {
      const own = `${key}${round === 0 ? '' : round}`
      hashKeyWords(own, words)
      const found = keys.get(map.open[map.indexOf(words)]!.shardId)!
      if (found.length < count && found.push(own) === count) missing--
    }
  }
  return keys
}

/** One consumer, with its leases in memory, on streams that answer at once. A read brings as much at every point of a curve of shards. */
export async function consumerPoint(load: ConsumerLoad): Promise<GrowthPoint> {
  const { streams, recordBytes, reads } = load
  const kinesis = new StandInKinesis(load)
  const names = Array.from({ length: streams }, (_, i) => `stream-${i}`)
  collectGarbage('major')
  collectGarbage('major')
  const heapBefore = process.memoryUsage().heapUsed
  const startedAt = cpuMs()
  const clock = new VirtualClock()
  const consumer = new Consumer({
    ...(streams === 1 ? { stream: names[0]! } : { streams: names }),
    ...{ applicationName: 'growth', kinesis, leaseStore: new MemoryLeaseStore(), clock, random: seededRandom(1) },
    ...{
      failoverTimeMs: FAILOVER_MS,
      initialPosition: 'trim-horizon',
      idleTimeBetweenReadsMs: 1500,
      maxBufferedBytes: 1024 * MIB,
    },
  })
  let started = 0
  consumer.events.on('shard-started', () => started++)
  const perShard = Math.ceil(reads / kinesis.shards.size)
  const counts = new Map<string, number>()
  let handled = 0
  let finished: () => void = () => {}
  let expected = Number.POSITIVE_INFINITY
  let wrong: string | undefined
  const bytes = Math.min(recordBytes, LARGEST_RECORD - KEY_CHARACTERS)
  const running = consumer.run({
    eachBatch(records, { shardId }) {
      for (const { data, partitionKey, outsideShardRange } of records) {
        if (data.length !== bytes || data[bytes - 1] !== 120 || partitionKey.length < KEY_CHARACTERS || outsideShardRange) {
          wrong ??= `a record of ${shardId} is not what was put`
        }
      }
      const shard = `${records[0]!.stream}/${shardId}`
      counts.set(shard, (counts.get(shard) ?? 0) + records.length)
      handled += records.length
      if (handled >= expected) finished()
    },
  })
  while (started < kinesis.shards.size) await clock.pass(100)
  // Everybody has read once, and found nothing.
  await clock.pass(3000)
  const startCpuMs = cpuMs() - startedAt
  collectGarbage('major')
  collectGarbage('major')
  const heapBytes = process.memoryUsage().heapUsed - heapBefore

  return {
    startCpuMs,
    heapBytes,
    async turn() {
      const done = new Promise<void>((resolve) => {
        finished = resolve
      })
      counts.clear()
      handled = 0
      expected = 0
      for (const shard of kinesis.shards.values()) {
        shard.due = perShard
        expected += perShard * load.kinesisRecords * shard.content.userRecords
      }
      collectGarbage('minor')
      const from = cpuMs()
      await clock.until(done, LIMIT_MS)
      const tookMs = cpuMs() - from
      if (wrong !== undefined) throw new WrongResult(wrong)
      const single = [...new Set(counts.values())]
      if (handled !== expected || single.length !== 1 || counts.size !== kinesis.shards.size) {
        throw new WrongResult(`${handled} of ${expected} records were handled, of ${counts.size} shards ${single.join(' or ')}`)
      }
      return { records: handled, cpuMs: tookMs }
    },
    async close() {
      await clock.until(Promise.all([consumer.stop(), running]), LIMIT_MS)
    },
  }
}
