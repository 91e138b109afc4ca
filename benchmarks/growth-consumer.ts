import { AggregateBuilder, BufferPool, finishAggregates } from '@shardwise/aggregation'
import { Consumer, MemoryLeaseStore } from '@shardwise/consumer'
import { hashKeyWords } from '@shardwise/core/hash-key'
import type { ShardListing } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { ShardMap } from '@shardwise/core/shard-map'
import { freshKeys, KEY_CHARACTERS } from './fresh-keys.js'
import { AGGREGATE_BYTES, type GrowthPoint, LARGEST_RECORD, MIB, RECORDS_AN_AGGREGATE } from './growth-turn.js'
import { collectGarbage, WrongResult } from './rounds.js'
import { cpuMs } from './service-process.js'
import { type Content, StandInKinesis } from './stand-in-kinesis.js'
import { VirtualClock } from './virtual-clock.js'

/** More than any turn takes, of virtual time. */
const LIMIT_MS = 3_600_000
/** Leases are renewed so seldom that it is not the renewals that are measured here. */
const FAILOVER_MS = 600_000

export interface ConsumerLoad {
  readonly streams: number
  /** Of each stream. */
  readonly shards: number
  readonly recordBytes: number
  /** Reads that bring records, of all shards. */
  readonly reads: number
}

/** In a Kinesis record. */
function userRecordsIn(recordBytes: number): number {
  return Math.max(1, Math.min(RECORDS_AN_AGGREGATE, Math.floor(AGGREGATE_BYTES / (recordBytes + 32))))
}

/** By shard: an aggregate of records whose keys belong to it, or a record that is too large for one. */
function contentOf(listing: readonly ShardListing[], recordBytes: number): Map<string, Content[]> {
  const contents = new Map<string, Content[]>()
  const data = Buffer.alloc(Math.min(recordBytes, LARGEST_RECORD - KEY_CHARACTERS), 'x')
  const userRecords = userRecordsIn(recordBytes)
  const keys = keysOf(listing, userRecords)
  const pool = new BufferPool({ bufferBytes: AGGREGATE_BYTES })
  for (const [shardId, partitionKeys] of keys) {
    if (userRecords === 1) {
      contents.set(shardId, [{ data, partitionKey: partitionKeys[0]! }])
      continue
    }
    const builder = new AggregateBuilder({ pool, maxBytes: AGGREGATE_BYTES })
    for (const partitionKey of partitionKeys) if (!builder.tryAdd(partitionKey, data)) throw new Error('The aggregate is full')
    const aggregate = builder.seal()
    finishAggregates([aggregate])
    contents.set(shardId, [{ data: aggregate.bytes.slice(), partitionKey: partitionKeys[0]! }])
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
  const { streams, shards, recordBytes, reads } = load
  const kinesis = new StandInKinesis(streams, shards, (listing) => contentOf(listing, recordBytes))
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
        expected += perShard * userRecordsIn(recordBytes)
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
