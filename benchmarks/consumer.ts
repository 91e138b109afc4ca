import { type ConsumedRecord, Consumer, MemoryLeaseStore, type RunHandlers } from '@shardwise/consumer'
import type { Clock, Scheduled } from '@shardwise/core/clock'
import { hashKeyWords } from '@shardwise/core/hash-key'
import type { ShardListing } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { ShardMap } from '@shardwise/core/shard-map'
import { deaggregateSdkRecords, type KeyedRecord, ours as ourCodec } from './aggregate-codec.js'
import { type MarkedData, MarkedRecordsCheck, markedRecords, printOf } from './marked-records.js'
import type { Benchmark, Benchmarks, Unit, Variant } from './rounds.js'
import { type Content, StandInKinesis } from './stand-in-kinesis.js'
import { VirtualClock } from './virtual-clock.js'

const RECORDS = 100_000
const SHARDS = 4
const MILLION_RECORDS: Unit = { name: 'M records/s', of: (ns) => 1000 / ns }
/** More than any run takes, of virtual time. */
const LIMIT_MS = 3_600_000
/** Leases are renewed so seldom that it is not the renewals that are measured here. */
const FAILOVER_MS = 600_000

/**
 * Whole consumers, all their stages, on a stream that answers at once, with leases in memory: what a record costs this process apart from network and
 * DynamoDB. The records of a run come in one read of each shard, in aggregates of the usual size.
 */
export const consumer: Benchmarks = {
  'consumer-noop-batch': () =>
    benchmark('eachBatch', (take) =>
      handled({
        eachBatch: async (records) => {
          for (const record of records) take(record)
        },
      }),
    ),
  'consumer-noop-record': () => benchmark('eachRecord', (take) => handled({ eachRecord: async (record) => take(record) })),
  'consumer-noop-record-without-promises': () =>
    benchmark('eachRecord without promises', (take) => handled({ eachRecord: (record) => take(record) })),
  'consumer-noop-records': () =>
    benchmark('records()', (take) => async (source) => {
      for await (const record of source.records()) take(record)
    }),
}

/** Reads until the consumer has stopped. */
type Reader = (source: Consumer) => Promise<void>
type Take = (record: ConsumedRecord) => void

function handled(handlers: RunHandlers): Reader {
  return (source) => source.run(handlers)
}

function benchmark(name: string, reader: (take: Take) => Reader): Benchmark {
  return { unit: MILLION_RECORDS, operations: RECORDS, prepare: () => {}, variants: [ours(name, reader), peer()] }
}

function ours(name: string, reader: (take: Take) => Reader): Variant {
  const kinesis = standIn()
  const clock = new RunningClock()
  let look: ((partitionKey: string, data: Uint8Array) => void) | undefined
  let count = 0
  let sum = 0
  let finished: () => void = () => {}
  let opened: Promise<void> | undefined
  const take: Take = ({ partitionKey, bytes }) => {
    look?.(partitionKey, bytes)
    sum += printOf(partitionKey, bytes)
    if (++count === RECORDS) finished()
  }
  const open = async (): Promise<void> => {
    const source = new Consumer({
      ...{ stream: 'stream-0', applicationName: 'benchmark', initialPosition: 'trim-horizon', failoverTimeMs: FAILOVER_MS },
      ...{ kinesis, leaseStore: new MemoryLeaseStore(), clock, random: seededRandom(1) },
    })
    let started = 0
    source.events.on('shard-started', () => started++)
    reader(take)(source).catch((error: unknown) => {
      throw error
    })
    while (started < SHARDS) await clock.virtual.pass(100)
  }
  const run = async (): Promise<number> => {
    count = 0
    sum = 0
    const done = new Promise<void>((resolve) => {
      finished = resolve
    })
    supply(kinesis)
    await clock.virtual.until(done, LIMIT_MS)
    return sum
  }
  const verify = async (): Promise<number> => {
    opened ??= open()
    await opened
    const found = await verified(run, (check) => {
      look = check
    })
    look = undefined
    return found
  }
  return { name, run, verify }
}

/** The loop that the SDK's users write, without the SDK. */
function peer(): Variant {
  const kinesis = standIn()
  let look: ((partitionKey: string, data: MarkedData) => void) | undefined
  const run = async (): Promise<number> => {
    let sum = 0
    const take = (partitionKey: string, data: MarkedData): void => {
      look?.(partitionKey, data)
      sum += printOf(partitionKey, data)
    }
    supply(kinesis)
    for (const ShardIterator of kinesis.shards.keys()) {
      const { Records = [] } = await kinesis.getRecords({ ShardIterator })
      deaggregateSdkRecords(Records as readonly { readonly Data: Uint8Array }[], take)
    }
    return sum
  }
  const verify = async (): Promise<number> => {
    const found = await verified(run, (check) => {
      look = check
    })
    look = undefined
    return found
  }
  return { name: 'loop + aws-kinesis-agg', run, verify }
}

/** Throws WrongResult unless each record comes once, key and bytes. */
async function verified(
  run: () => Promise<number>,
  lookWith: (check: (partitionKey: string, data: MarkedData) => void) => void,
): Promise<number> {
  const check = new MarkedRecordsCheck(0, RECORDS)
  let wrong: unknown
  lookWith((partitionKey, data) => {
    try {
      check.take(partitionKey, data)
    } catch (error) {
      // Thrown into a handler it would be a failure of the handler, which is called again.
      wrong ??= error
    }
  })
  const found = await run()
  if (wrong !== undefined) throw wrong
  check.finish()
  return found
}

function supply(kinesis: StandInKinesis): void {
  for (const shard of kinesis.shards.values()) shard.due = 1
}

function standIn(): StandInKinesis {
  return new StandInKinesis(1, SHARDS, contentsOf)
}

/** All records in aggregates, by shard. */
function contentsOf(listing: readonly ShardListing[]): Map<string, readonly Content[]> {
  const map = ShardMap.from(listing)
  const records = map.open.map((): KeyedRecord[] => [])
  const words = new Uint32Array(4)
  for (const record of markedRecords(0, RECORDS)) {
    hashKeyWords(record.partitionKey, words)
    records[map.indexOf(words)]!.push(record)
  }
  return new Map(map.open.map(({ shardId }, i) => [shardId, aggregatesOf(records[i]!)]))
}

function aggregatesOf(records: readonly KeyedRecord[]): Content[] {
  const aggregates: Content[] = []
  ourCodec.encode(records, [], (aggregate) => aggregates.push({ data: Buffer.from(aggregate), partitionKey: 'a' }))
  return aggregates
}

/** Nobody waits for a timer, as with virtual time, and what the work takes counts: handlers that are fast are not taken for slow ones, nor slow ones for fast. */
class RunningClock implements Clock {
  readonly virtual = new VirtualClock()

  now(): number {
    return this.virtual.now() + performance.now()
  }

  wallTime(): number {
    return this.virtual.wallTime()
  }

  schedule(delayMs: number, run: () => void): Scheduled {
    return this.virtual.schedule(delayMs, run)
  }
}
