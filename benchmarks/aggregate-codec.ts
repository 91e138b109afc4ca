import { hash } from 'node:crypto'
import { createRequire } from 'node:module'
import { AggregateBuilder, BufferPool, decodeAggregates, finishAggregates, type SealedAggregate } from '@shardwise/aggregation'
import { AggregatedRecord } from '@shardwise/aggregation/schema'
import { WrongResult } from './rounds.js'

export const AGGREGATE_BYTES = 51_200

export interface KeyedRecord {
  readonly partitionKey: string
  readonly data: Buffer
}
/** Takes what an encoder made. The bytes are valid during the call only. */
export type TakeAggregate = (aggregate: Uint8Array) => void
/** Takes what a decoder found. Data may come in base64, where a decoder gives nothing else. */
export type TakeRecord = (partitionKey: string, data: Uint8Array | string) => void

/** One implementation of the KPL's record format, used as its documentation says. */
export interface AggregateCodec {
  readonly name: string
  /** `counts`: how many records go into each aggregate. Ours finds out by itself; peers are told, and so save the measuring. */
  encode(records: readonly KeyedRecord[], counts: readonly number[], take: TakeAggregate): void
  /** What is done to the input, if anything, happens here and is not timed. */
  decoder(aggregates: readonly Uint8Array[]): (take: TakeRecord) => void
}

export const ours: AggregateCodec = {
  name: 'ours',
  encode(records, _, take) {
    const sealed: SealedAggregate[] = []
    const finish = (): void => {
      finishAggregates(sealed)
      for (const aggregate of sealed) {
        take(aggregate.bytes)
        aggregate.release()
      }
      sealed.length = 0
    }
    const seal = (): void => {
      sealed.push(builder.seal())
      if (sealed.length === TOGETHER) finish()
    }
    for (const { partitionKey, data } of records) {
      if (builder.tryAdd(partitionKey, data)) continue
      seal()
      builder.tryAdd(partitionKey, data)
    }
    seal()
    finish()
  },
  decoder: (aggregates) => (take) => {
    for (let start = 0; start < aggregates.length; start += TOGETHER) {
      for (const decoded of decodeAggregates(aggregates.slice(start, start + TOGETHER))) {
        if (decoded === undefined) throw new WrongResult('a valid aggregate is taken for an ordinary record')
        for (let i = 0; i < decoded.length; i++) take(decoded.partitionKey(i), decoded.data(i))
      }
    }
  },
}
/** Aggregates of a request, and of an answer. */
const TOGETHER = 16
const builder = new AggregateBuilder({ maxBytes: AGGREGATE_BYTES, pool: new BufferPool({ bufferBytes: AGGREGATE_BYTES }) })

export interface RecordAggregator {
  addUserRecord(record: KeyedRecord): void
  build(): { readonly data: Buffer }
}

/** The types it declares need version 2 of the AWS SDK and lack RecordAggregator. */
interface AwsKinesisAgg {
  readonly RecordAggregator: new () => RecordAggregator
  readonly deaggregateSync: (
    record: { readonly partitionKey: string; readonly sequenceNumber: string; readonly data: string },
    computeChecksums: true,
    done: (error: Error | undefined, records: readonly { readonly partitionKey: string; readonly data: string }[]) => void,
  ) => void
}
const agg = createRequire(import.meta.url)('aws-kinesis-agg') as AwsKinesisAgg

export const recordAggregator = (): RecordAggregator => new agg.RecordAggregator()

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** Records as the SDK gives them, in base64 as the peer is faster with. */
export function deaggregateSdkRecords(
  records: readonly { readonly Data: Uint8Array; readonly PartitionKey?: string }[],
  take: TakeRecord,
): void {
  for (const { Data, PartitionKey: partitionKey = 'a' } of records) {
    agg.deaggregateSync({ partitionKey, sequenceNumber: '1', data: base64(Data) }, true, (error, found) => {
      if (error) throw new WrongResult(error.message)
      for (const record of found) take(record.partitionKey, record.data)
    })
  }
}

export const awsKinesisAgg: AggregateCodec = {
  name: 'aws-kinesis-agg',
  encode(records, counts, take) {
    const aggregator = new agg.RecordAggregator()
    let next = 0
    for (const count of counts) {
      for (const end = next + count; next < end; next++) aggregator.addUserRecord(records[next]!)
      take(aggregator.build().data)
    }
  },
  decoder(aggregates) {
    // Of the two forms of input it takes, Lambda's (base64) and the SDK's (bytes), the one it is faster with.
    const inputs = aggregates.map((bytes) => ({ partitionKey: 'a', sequenceNumber: '1', data: base64(bytes) }))
    return (take) => {
      for (const input of inputs) {
        agg.deaggregateSync(input, true, (error, records) => {
          if (error) throw new WrongResult(error.message)
          for (const record of records) take(record.partitionKey, record.data)
        })
      }
    }
  },
}

const MAGIC = Buffer.from('f3899ac2', 'hex')
const TRAILER_BYTES = 16
interface Message {
  readonly partitionKeyTable: readonly string[]
  readonly records: readonly { readonly partitionKeyIndex: number | { toNumber(): number }; readonly data: Uint8Array }[]
}

export const protobufjs: AggregateCodec = {
  name: 'protobufjs',
  encode(records, counts, take) {
    let next = 0
    for (const count of counts) {
      const indexes = new Map<string, number>()
      const members: Message['records'][number][] = []
      for (const end = next + count; next < end; next++) {
        const { partitionKey, data } = records[next]!
        let index = indexes.get(partitionKey)
        if (index === undefined) {
          index = indexes.size
          indexes.set(partitionKey, index)
        }
        members.push({ partitionKeyIndex: index, data })
      }
      const body = AggregatedRecord.encode({ partitionKeyTable: [...indexes.keys()], records: members }).finish()
      take(Buffer.concat([MAGIC, body, hash('md5', body, 'buffer')]))
    }
  },
  decoder: (aggregates) => (take) => {
    for (const aggregate of aggregates) {
      const body = aggregate.subarray(MAGIC.length, -TRAILER_BYTES)
      if (!hash('md5', body, 'buffer').equals(aggregate.subarray(-TRAILER_BYTES)))
        throw new WrongResult('the MD5 trailer does not match')
      const message = AggregatedRecord.decode(body) as unknown as Message
      for (const { partitionKeyIndex: index, data } of message.records) {
        take(message.partitionKeyTable[typeof index === 'number' ? index : index.toNumber()]!, data)
      }
    }
  },
}
