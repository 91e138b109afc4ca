import { setTimeout as delay } from 'node:timers/promises'
import { Consumer, type ConsumerOptions } from '@shardwise/consumer'
import { seededRandom } from '@shardwise/core/random'
import { Producer } from '@shardwise/producer'
import type { Connection } from './elsewhere.js'
import { Contents, LatencyTally } from './latency-tally.js'
import type { LocalServiceProcess } from './local-service-process.js'
import { OpenLoop } from './open-loop.js'
import { collectGarbage, WrongResult } from './rounds.js'

export const RECORD_BYTES = 1000
const WARM_UP_MS = 1000
/** At most, ours and the service's. */
const CLOCKS_APART_MS = 1000
/** Far above any latency: what takes longer does not come any more. */
const PATIENCE_MS = 60_000
export const ACCOUNT = { region: 'us-east-1', credentials: { accessKeyId: 'key', secretAccessKey: 'secret' } }

export interface LatencyLoad {
  readonly shards: number
  /** Records to each shard. */
  readonly perSecond: number
  /** Of the part that is measured. */
  readonly lastsMs: number
  readonly lingerMs: number
}

/** Where producers put and consumers read. */
export interface LatencyPlace {
  readonly connection: Connection
  /** Processor time of the service's process so far; NaN where it is none of ours. */
  kinesisCpuMs(): Promise<number>
  /** Has the leases. */
  readonly dynamodb: LocalServiceProcess
  readonly stream: string
  /** One hash key of each shard. */
  readonly hashKeys: readonly string[]
}

export interface LatencyTurn {
  /** For each measured record: milliseconds from when it was to be put to the handler's call. Ascending. */
  readonly totalMs: Float64Array
  /** The same for its parts: until it was put, from there until the service had stored it, and from there. */
  readonly lateMs: Float64Array
  readonly storingMs: Float64Array
  readonly fetchingMs: Float64Array
  /** Cores in use meanwhile. Ours are producer, consumer, and what measures. */
  readonly cores: { readonly ours: number; readonly kinesis: number; readonly dynamodb: number }
}

/** Of ascending values: the least that so great a part of them does not exceed. */
export function quantileOf(ascending: Float64Array, quantile: number): number {
  return ascending[Math.max(0, Math.ceil(ascending.length * quantile) - 1)]!
}

/**
 * A consumer of its own reads what a producer of its own puts, and everything is verified before a figure comes out. An application of its
 * own, too, which begins where the stream ends, or a second before: with the records of other turns before it, polling would have used up the 2 MiB that a
 * shard gives in a second, and the first records of this one would wait for that.
 */
export async function latencyTurn(
  turn: number,
  { connection, kinesisCpuMs, dynamodb, stream, hashKeys }: LatencyPlace,
  { shards, perSecond, lastsMs, lingerMs }: LatencyLoad,
  options: Partial<ConsumerOptions>,
): Promise<LatencyTurn> {
  const load = OpenLoop.draw(shards, perSecond, WARM_UP_MS + lastsMs, seededRandom(turn))
  const contents = new Contents(turn, RECORD_BYTES, FILL)
  // One to each shard before the load: once they are handled, each shard is being read.
  const tally = new LatencyTally(contents, shards + load.length)
  const producer = new Producer({ ...connection, stream, lingerMs })
  const consumer = new Consumer({
    ...{ ...connection, dynamodbEndpoint: dynamodb.endpoint, stream },
    ...{ applicationName: `latency-${turn}`, initialPosition: { at: new Date(Date.now() - CLOCKS_APART_MS) }, ...options },
  })
  let fail: (error: Error) => void = () => {}
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  failed.catch(() => {})
  const put = (index: number, shard: number): void => {
    tally.putAt[index] = performance.now()
    producer
      .put({ partitionKey: 'latency', explicitHashKey: hashKeys[shard]!, data: contents.of(index) })
      .then((result) => tally.acknowledged(index, result), fail)
  }
  const handledAll = async (count: number): Promise<void> => {
    const patience = new AbortController()
    const tooLate = delay(PATIENCE_MS, undefined, { signal: patience.signal }).then(() => {
      throw new WrongResult(`${tally.handledCount} of ${count} records were handled, and no more for ${PATIENCE_MS / 1000} s`)
    })
    await Promise.race([tally.until(count), tooLate, failed]).finally(() => patience.abort())
  }
  const running = consumer.run({ eachRecord: (record) => tally.handled(record, performance.now()) })
  running.catch(fail)
  try {
    for (let shard = 0; shard < shards; shard++) put(shard, shard)
    await handledAll(shards)
    collectGarbage('minor')
    const cpu = process.cpuUsage()
    const [kinesisBefore, dynamodbBefore] = [await kinesisCpuMs(), await dynamodb.cpuMs()]
    const startedAt = performance.now()
    const wallOffset = Date.now() - startedAt
    await load.run(startedAt, (i) => put(shards + i, load.shard[i]!))
    const tookMs = performance.now() - startedAt
    const { user, system } = process.cpuUsage(cpu)
    const cores = {
      ours: (user + system) / 1000 / tookMs,
      kinesis: ((await kinesisCpuMs()) - kinesisBefore) / tookMs,
      dynamodb: ((await dynamodb.cpuMs()) - dynamodbBefore) / tookMs,
    }
    await handledAll(shards + load.length)
    await producer.flush()
    tally.verify()
    const part = (from: (i: number) => number, to: (i: number) => number): Float64Array => {
      const values: number[] = []
      for (let i = 0; i < load.length; i++) if (load.dueMs[i]! >= WARM_UP_MS) values.push(to(i) - from(i))
      return Float64Array.from(values).sort()
    }
    const due = (i: number): number => startedAt + load.dueMs[i]!
    const putAt = (i: number): number => tally.putAt[shards + i]!
    const storedAt = (i: number): number => tally.storedAt[shards + i]! - wallOffset
    const handledAt = (i: number): number => tally.handledAt[shards + i]!
    return {
      totalMs: part(due, handledAt),
      lateMs: part(due, putAt),
      storingMs: part(putAt, storedAt),
      fetchingMs: part(storedAt, handledAt),
      cores,
    }
  } finally {
    await Promise.all([consumer.stop(), producer.close()])
  }
}

const random = seededRandom(7)
const FILL = Buffer.from(Uint8Array.from({ length: 100_000 }, () => random() * 256))
