import type { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { KinesisClient, PutRecordsCommand, type PutRecordsRequestEntry } from '@aws-sdk/client-kinesis'
import { Producer, type ProducerOptions } from '@shardwise/producer'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { AGGREGATE_BYTES, type KeyedRecord } from './aggregate-codec.js'
import type { PutPlace } from './http-place.js'
import { peer } from './peers.js'
import { byOffers, hashKeyOf, type PeerAggregate, PeerAggregates, PeerRouter, REQUEST_BYTES } from './producer.js'

/** Requests that each peer has under way at a time. */
const IN_FLIGHT = 8
const MAX_BATCH = 500
/** Before what a shard refused goes again. The stub refuses nothing. */
const REFUSED_PAUSE_MS = 100

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

/** Of version 2 of the SDK, as far as the writable calls it. */
interface KinesisV2 {
  putRecords(input: object, done: (error: Error | null, output: { Records: { SequenceNumber?: string }[] }) => void): void
}

/**
 * `aws-kinesis-writable` as its README says, but with batches of 500 in place of ten. It tells nobody what was acknowledged and has no
 * backpressure: both are taken from the client that it is given, the one that it would make itself.
 */
export function kinesisWritable(name: string, records: number): HttpProducer {
  return {
    name,
    records,
    async open({ connection, stream: streamName }, all) {
      const KinesisStream = peer<new (options: object) => Writable>('aws-kinesis-writable')
      const { Kinesis } = peer<{ readonly Kinesis: new (options: object) => KinesisV2 }>('aws-sdk')
      const client = new Kinesis({ region: connection.region, endpoint: connection.endpoint, ...connection.credentials })
      const parsed = all.map(({ partitionKey, data }) => ({ partitionKey, value: JSON.parse(data.toString()) as object }))
      const keys = new Map(parsed.map(({ partitionKey, value }) => [value, partitionKey]))
      let delivered = 0
      let inFlight = 0
      let answered: () => void = () => {}
      const kinesis: KinesisV2 = {
        putRecords(input, done) {
          inFlight++
          client.putRecords(input, (error, output) => {
            inFlight--
            if (error === null) for (const { SequenceNumber } of output.Records) if (SequenceNumber !== undefined) delivered++
            done(error, output)
            answered()
          })
        },
      }
      const stream = new KinesisStream({
        ...{ streamName, objectMode: true, partitionKey: (value: object) => keys.get(value), kinesis },
        buffer: { length: MAX_BATCH },
      })
      const below = async (most: number): Promise<void> => {
        while (inFlight > most) {
          await new Promise<void>((resolve) => {
            answered = resolve
          })
        }
      }
      const putAll = async (): Promise<number> => {
        for (const { value } of parsed) {
          stream.write(value)
          if (inFlight >= IN_FLIGHT) await below(IN_FLIGHT - 1)
        }
        await below(0)
        return delivered
      }
      return { putAll, close: async () => void stream.destroy() }
    },
  }
}

function* aggregateBatches(records: readonly KeyedRecord[], router: PeerRouter): Generator<Batch> {
  const aggregates = new PeerAggregates(router)
  let entries: PutRecordsRequestEntry[] = []
  let counts: number[] = []
  const add = ({ aggregator, first, count }: PeerAggregate): void => {
    // The peer's own key is a constant, which may lie in any shard.
    entries.push({ Data: aggregator.build().data, PartitionKey: 'a', ExplicitHashKey: hashKeyOf(first).toString() })
    counts.push(count)
  }
  for (const record of records) {
    const full = aggregates.add(record)
    if (full === undefined) continue
    add(full)
    if ((entries.length + 1) * AGGREGATE_BYTES <= REQUEST_BYTES) continue
    yield { entries, counts }
    entries = []
    counts = []
  }
  for (const open of aggregates.rest()) add(open)
  yield { entries, counts }
}

interface Batch {
  readonly entries: readonly PutRecordsRequestEntry[]
  /** How many records each entry carries; undefined: one. */
  readonly counts: readonly number[] | undefined
}

function sdkClient({ connection }: PutPlace, keepAlive: boolean): KinesisClient {
  if (!keepAlive) return new KinesisClient(connection)
  const agent = { keepAlive: true, maxSockets: 64 }
  return new KinesisClient({ ...connection, requestHandler: new NodeHttpHandler({ httpAgent: agent, httpsAgent: agent }) })
}

/** So many requests at a time; entries that were refused go again. */
async function sendAll(client: KinesisClient, stream: string, batches: Iterable<Batch>): Promise<number> {
  const waiting = batches[Symbol.iterator]()
  let delivered = 0
  const sendOneByOne = async (): Promise<void> => {
    for (let next = waiting.next(); next.done !== true; next = waiting.next()) {
      const count = await deliver(client, stream, next.value)
      delivered += count
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, sendOneByOne))
  return delivered
}

async function deliver(client: KinesisClient, stream: string, batch: Batch): Promise<number> {
  let delivered = 0
  let { entries, counts } = batch
  while (entries.length > 0) {
    const { Records: results = [] } = await client.send(new PutRecordsCommand({ StreamName: stream, Records: [...entries] }))
    const refused = new Set<number>()
    for (const [i, { SequenceNumber }] of results.entries()) {
      if (SequenceNumber === undefined) refused.add(i)
      else delivered += counts?.[i] ?? 1
    }
    if (refused.size > 0) await delay(REFUSED_PAUSE_MS)
    entries = entries.filter((_, i) => refused.has(i))
    counts = counts?.filter((_, i) => refused.has(i))
  }
  return delivered
}
