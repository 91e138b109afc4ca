import type { KinesisClient, PutRecordsRequestEntry } from '@aws-sdk/client-kinesis'
import { Producer, type ProducerOptions } from '@shardwise/producer'
import { AGGREGATE_BYTES, type KeyedRecord } from './aggregate-codec.js'
import type { PutPlace } from './http-place.js'
import { KinesisWritable } from './kinesis-writable.js'
import { byOffers, type PeerAggregate, PeerAggregates, PeerRouter, REQUEST_BYTES } from './producer.js'
import { deliver, entryOf, IN_FLIGHT, MAX_BATCH, sdkClient } from './sdk-peer.js'

/** Of `aws-kinesis-writable`: its default, with which an unfilled batch waits. */
const WRITABLE_PATIENCE_S = 5

/** One way to bring records to Kinesis. */
export interface HttpProducer {
  readonly name: string
  /** In one turn: enough for its time to be measured. */
  readonly records: number
  /** Untimed: what an application has done before its first record, and bringing the records into the form that is asked for. */
  open(place: PutPlace, records: readonly KeyedRecord[]): Promise<OpenProducer>
}

export interface OpenProducer {
  /** Resolves to how many records the service has acknowledged. */
  putAll(): Promise<number>
  close(): Promise<void>
}

export function ours(name: string, records: number, options: Partial<ProducerOptions> = {}): HttpProducer {
  return {
    name,
    records,
    async open({ connection, stream, shardRatePercent }, all) {
      const producer = new Producer({ ...connection, stream, shardRatePercent, ...options })
      await producer.start()
      return { putAll: () => byOffers(producer, all), close: () => producer.close() }
    },
  }
}

/** PutRecords as the SDK's examples have it. `keepAlive`: with the SDK's handler for HTTP/1.1 in place of the one that its Kinesis client comes with. */
export function stockSdk(name: string, records: number, keepAlive: boolean): HttpProducer {
  return {
    name,
    records,
    async open(place, all) {
      const client = sdkClient(place, keepAlive)
      const putAll = async (): Promise<number> => {
        const batches: Batch[] = []
        for (let from = 0; from < all.length; from += MAX_BATCH) {
          const entries = all
            .slice(from, from + MAX_BATCH)
            .map(({ partitionKey, data }) => ({ PartitionKey: partitionKey, Data: data }))
          batches.push({ entries, counts: undefined })
        }
        return sendAll(client, place.stream, batches)
      }
      return { putAll, close: async () => client.destroy() }
    },
  }
}

/** Aggregates of the usual size, one open for each shard, in requests as large as ours, by the SDK with keep-alive. */
export function aggregatesBySdk(name: string, records: number): HttpProducer {
  return {
    name,
    records,
    async open(place, all) {
      const client = sdkClient(place, true)
      const router = new PeerRouter(place.shards)
      const putAll = (): Promise<number> => sendAll(client, place.stream, aggregateBatches(all, router))
      return { putAll, close: async () => client.destroy() }
    },
  }
}

/** `aws-kinesis-writable`, as fast as it goes. */
export function kinesisWritable(name: string, records: number): HttpProducer {
  return {
    name,
    records,
    async open(place, all) {
      const parsed = all.map(({ partitionKey, data }) => ({ partitionKey, value: JSON.parse(data.toString()) as object }))
      const keys = new Map(parsed.map(({ partitionKey, value }) => [value, partitionKey]))
      let delivered = 0
      const writable = new KinesisWritable(place, WRITABLE_PATIENCE_S, {
        keyOf: (value) => keys.get(value)!,
        accepted: () => delivered++,
        // What is missing shows in the count.
        failed: () => {},
      })
      const putAll = async (): Promise<number> => {
        for (const { value } of parsed) {
          const held = writable.write(value)
          if (held !== undefined) await held
        }
        await writable.flush()
        return delivered
      }
      return { putAll, close: async () => writable.close() }
    },
  }
}

function* aggregateBatches(records: readonly KeyedRecord[], router: PeerRouter): Generator<Batch> {
  const aggregates = new PeerAggregates(router)
  let entries: PutRecordsRequestEntry[] = []
  let counts: number[] = []
  const add = (aggregate: PeerAggregate): void => {
    entries.push(entryOf(aggregate))
    counts.push(aggregate.count)
  }
  for (const record of records) {
    const aggregate = aggregates.add(record)
    if (!aggregate.isFull) continue
    add(aggregate)
    if ((entries.length + 1) * AGGREGATE_BYTES <= REQUEST_BYTES) continue
    yield { entries, counts }
    entries = []
    counts = []
  }
  for (const open of aggregates.takeOpen()) add(open)
  yield { entries, counts }
}

interface Batch {
  readonly entries: readonly PutRecordsRequestEntry[]
  /** How many records each entry carries; undefined: one. */
  readonly counts: readonly number[] | undefined
}

/** So many requests at a time. */
async function sendAll(client: KinesisClient, stream: string, batches: Iterable<Batch>): Promise<number> {
  const waiting = batches[Symbol.iterator]()
  let delivered = 0
  const sendOneByOne = async (): Promise<void> => {
    for (let next = waiting.next(); next.done !== true; next = waiting.next()) {
      const { entries, counts } = next.value
      await deliver(client, stream, entries, (position) => {
        delivered += counts?.[position] ?? 1
      })
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, sendOneByOne))
  return delivered
}
