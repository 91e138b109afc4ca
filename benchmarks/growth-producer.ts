import { decodeAggregate } from '@shardwise/aggregation'
import type { DescribeStreamSummaryOutput } from '@shardwise/core/kinesis-port'
import { Producer, type PutInput } from '@shardwise/producer'
import { freshKeys, KEY_CHARACTERS } from './fresh-keys.js'
import { type GrowthPoint, LARGEST_RECORD, MIB, RECORDS_AN_AGGREGATE } from './growth-turn.js'
import { NoopKinesis, STREAM } from './noop-kinesis.js'
import { collectGarbage, WrongResult } from './rounds.js'
import { cpuMs } from './service-process.js'
import { VirtualClock } from './virtual-clock.js'

/** More than any turn takes, of virtual time. */
const LIMIT_MS = 3_600_000
const DIFFERENT_KEYS = 100_000

export interface ProducerLoad {
  readonly streams: number
  /** Of each stream. */
  readonly shards: number
  readonly recordBytes: number
  /** Of all streams. */
  readonly records: number
}

class LargeRecordKinesis extends NoopKinesis {
  override async describeStreamSummary(): Promise<DescribeStreamSummaryOutput> {
    const { StreamDescriptionSummary } = await super.describeStreamSummary()
    return { StreamDescriptionSummary: { ...StreamDescriptionSummary, MaxRecordSizeInKiB: LARGEST_RECORD / 1024 } }
  }
}

let keys: readonly string[] | undefined

/**
 * Producers, one a stream, on streams that answer at once. In flight are as many records as fill an aggregate of every shard, so that
 * an aggregate is as full with 10,000 shards as with one: what grows with the shards is then the producer's own.
 */
export async function producerPoint(load: ProducerLoad): Promise<GrowthPoint> {
  const { streams, shards, recordBytes, records } = load
  keys ??= freshKeys(DIFFERENT_KEYS, DIFFERENT_KEYS)
  const data = Buffer.alloc(Math.min(recordBytes, LARGEST_RECORD - KEY_CHARACTERS), 'x')
  const inputs = Array.from({ length: records }, (_, i): PutInput => ({ partitionKey: keys![i % DIFFERENT_KEYS]!, data }))
  const inFlight = Math.max(20_000, streams * shards * RECORDS_AN_AGGREGATE)
  collectGarbage('major')
  collectGarbage('major')
  const heapBefore = process.memoryUsage().heapUsed
  const startedAt = cpuMs()
  const clock = new VirtualClock()
  const kinesis = Array.from({ length: streams }, () => new LargeRecordKinesis(shards))
  const producers = kinesis.map(
    (port) =>
      new Producer({
        ...{ stream: STREAM, kinesis: port, clock, shardRatePercent: 1000, recordTtlMs: LIMIT_MS, requestTimeoutMs: 600_000 },
        ...{ maxBufferedRecords: Math.ceil(inFlight / streams), maxBufferedBytes: Math.max(64 * MIB, inFlight * 200) },
        ...{ aggregateMaxRecords: RECORDS_AN_AGGREGATE, hottestKeys: 0 },
        // Virtual time leaps: in each turn the map would be old, and all that is put before the next event wait for a newer one.
        shardMapRefreshMs: 0,
      }),
  )
  await clock.until(Promise.all(producers.map((producer) => producer.start())), LIMIT_MS)
  const startCpuMs = cpuMs() - startedAt
  collectGarbage('major')
  collectGarbage('major')
  const heapBytes = process.memoryUsage().heapUsed - heapBefore
  return {
    startCpuMs,
    heapBytes,
    async turn(verify) {
      const missing = verify ? countedKeys(inputs) : undefined
      if (missing !== undefined) for (const port of kinesis) takeOff(missing, port, data)
      let delivered = 0
      let failure: Error | undefined
      const outcome = (error: Error | undefined): void => {
        if (error === undefined) delivered++
        else failure = error
      }
      const work = async (): Promise<void> => {
        for (let i = 0; i < inputs.length; i++) {
          const producer = producers[i % streams]!
          while (!producer.offer(inputs[i]!, outcome)) await producer.ready()
        }
        await Promise.all(producers.map((producer) => producer.flush()))
      }
      collectGarbage('minor')
      const from = cpuMs()
      await clock.until(work(), LIMIT_MS)
      const tookMs = cpuMs() - from
      for (const port of kinesis) port.inspect = undefined
      if (failure !== undefined) throw new WrongResult(`a record was not delivered: ${failure.message}`)
      if (delivered !== records) throw new WrongResult(`of ${records} records ${delivered} were acknowledged`)
      for (const [key, count] of missing ?? []) {
        if (count !== 0)
          throw new WrongResult(`of the records under the key ${key} ${Math.abs(count)} came too ${count > 0 ? 'few' : 'many'}`)
      }
      return { records, cpuMs: tookMs }
    },
    async close() {
      await clock.until(Promise.all(producers.map((producer) => producer.close())), LIMIT_MS)
    },
  }
}

/** How many records each key has. */
function countedKeys(inputs: readonly PutInput[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { partitionKey } of inputs) counts.set(partitionKey, (counts.get(partitionKey) ?? 0) + 1)
  return counts
}

/** Reads what comes, and takes from the counts what has this data. */
function takeOff(counts: Map<string, number>, port: NoopKinesis, data: Buffer): void {
  const take = (key: string, found: Uint8Array): void => {
    if (data.equals(found)) counts.set(key, (counts.get(key) ?? 0) - 1)
  }
  port.inspect = ({ PartitionKey, Data }) => {
    const aggregate = decodeAggregate(Data)
    if (aggregate === undefined) take(PartitionKey, Data)
    else for (let i = 0; i < aggregate.length; i++) take(aggregate.partitionKey(i), aggregate.data(i))
  }
}
