import { GetRecordsCommand, KinesisClient } from '@aws-sdk/client-kinesis'
import { decodeAggregates } from '@shardwise/aggregation'
import { encodeCbor } from '@shardwise/core/cbor'
import type { KinesisRecord } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { cborFormat, jsonFormat, type WireFormat } from '@shardwise/core/wire-format'
import * as codec from './aggregate-codec.js'
import { freshKeys } from './fresh-keys.js'
import { type Benchmark, type Benchmarks, type Variant, WrongResult } from './rounds.js'

const RECORD_BYTES = 100
/** Of an answer: some 5 MB in JSON. */
const USER_RECORDS = 30_000
/** Of an answer whose records came alone: as many as there may be. */
const PLAIN_RECORDS = 10_000
/** Verified together, as the consumer does. */
const TOGETHER = 64

/** From the body of a GetRecords answer to key and data of each user record in it, checksums verified. */
export const getRecordsBody: Benchmarks = {
  'getrecords-body-json': () => benchmark('json', inAggregates),
  'getrecords-body-cbor': () => benchmark('cbor', inAggregates),
  'getrecords-body-plain-json': () => benchmark('json', alone),
  'getrecords-body-plain-cbor': () => benchmark('cbor', alone),
}

interface Delivered {
  readonly expected: readonly codec.KeyedRecord[]
  readonly records: readonly { readonly Data: Uint8Array; readonly PartitionKey: string }[]
}

function someRecords(count: number): readonly codec.KeyedRecord[] {
  const random = seededRandom(1)
  return freshKeys(count, 1000).map((partitionKey) => ({
    partitionKey,
    data: Buffer.from(Uint8Array.from({ length: RECORD_BYTES }, () => random() * 256)),
  }))
}

function inAggregates(): Delivered {
  const expected = someRecords(USER_RECORDS)
  const records: { Data: Uint8Array; PartitionKey: string }[] = []
  codec.ours.encode(expected, [], (aggregate) => records.push({ Data: aggregate.slice(), PartitionKey: 'a' }))
  return { expected, records }
}

function alone(): Delivered {
  const expected = someRecords(PLAIN_RECORDS)
  return { expected, records: expected.map(({ partitionKey, data }) => ({ Data: data, PartitionKey: partitionKey })) }
}

function benchmark(encoding: 'json' | 'cbor', delivered: () => Delivered): Benchmark {
  const { expected, records: bare } = delivered()
  const records = bare.map((record, i) => ({
    ...record,
    SequenceNumber: `4959033827149025660855969253836157109592157598913658${String(i).padStart(4, '0')}`,
    ApproximateArrivalTimestamp: 1_760_000_000.123,
  }))
  const others = { MillisBehindLatest: 0, NextShardIterator: 'AAAAAAAAAAE'.repeat(20) }
  const json = Buffer.from(
    JSON.stringify({
      ...others,
      Records: records.map((record) => ({ ...record, Data: Buffer.from(record.Data).toString('base64') })),
    }),
  )
  const cbor = encodeCbor({ ...others, Records: records })
  const mine = encoding === 'json' ? ours(jsonFormat, json) : ours(cborFormat, cbor)
  return {
    unit: { name: 'M records/s', of: (ns) => 1000 / ns },
    operations: expected.length,
    prepare: () => {},
    variants: [variant('ours', expected, mine), variant('stock SDK (JSON) + aws-kinesis-agg', expected, stock(json))],
  }
}

type Read = (take: codec.TakeRecord) => void | Promise<void>

function variant(name: string, expected: readonly codec.KeyedRecord[], read: Read): Variant {
  return {
    name,
    run: async () => {
      let print = 0
      await read((partitionKey, data) => {
        print = (Math.imul(print, 31) + partitionKey.charCodeAt(partitionKey.length - 1) + data.length) | 0
        print = (print + (typeof data === 'string' ? data.charCodeAt(0) : data[0]!)) | 0
      })
      return print
    },
    async verify() {
      let found = 0
      await read((partitionKey, data) => {
        const record = expected[found++]
        const bytes = typeof data === 'string' ? Buffer.from(data, 'base64') : Buffer.from(data)
        if (record?.partitionKey !== partitionKey || !record.data.equals(bytes)) {
          throw new WrongResult(`record ${found} is not what was put`)
        }
      })
      if (found !== expected.length) throw new WrongResult(`${found} records came out of ${expected.length}`)
      return this.run()
    },
  }
}

function ours(format: WireFormat, body: Uint8Array): Read {
  const decode = format.decoder('GetRecords')!
  return (take) => {
    const { Records: records } = decode(body) as { readonly Records: readonly KinesisRecord[] }
    for (let start = 0; start < records.length; start += TOGETHER) {
      const some = records.slice(start, start + TOGETHER)
      const aggregates = decodeAggregates(some.map(({ Data }) => Data!))
      for (let at = 0; at < some.length; at++) {
        const aggregate = aggregates[at]
        if (aggregate === undefined) take(some[at]!.PartitionKey!, some[at]!.Data!)
        else for (let i = 0; i < aggregate.length; i++) take(aggregate.partitionKey(i), aggregate.data(i))
      }
    }
  }
}

/** The SDK as it comes, with a handler that has the answer already. */
function stock(body: Uint8Array): Read {
  const client = new KinesisClient({
    region: 'us-east-1',
    credentials: { accessKeyId: 'AKID', secretAccessKey: 'secret' },
    requestHandler: {
      handle: async () => ({
        response: { statusCode: 200, headers: { 'content-type': 'application/x-amz-json-1.1' }, body } as never,
      }),
    },
  })
  return async (take) => {
    const { Records: records = [] } = await client.send(new GetRecordsCommand({ ShardIterator: 'AAAA' }))
    codec.deaggregateSdkRecords(records as readonly { readonly Data: Uint8Array; readonly PartitionKey: string }[], take)
  }
}
