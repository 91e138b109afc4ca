import { seededRandom } from '@shardwise/core/random'
import * as codec from './aggregate-codec.js'
import { freshKeys } from './fresh-keys.js'
import { type Benchmarks, type Unit, WrongResult } from './rounds.js'

/** So much that an implementation which leaves garbage pays for its collection within the run. */
const PAYLOAD_BYTES_A_RUN = 20_000_000
const MOST_RECORDS_A_RUN = 200_000
const TEN_KEYS = 10
/** What a record takes besides its data, at most: 18 bytes for a key seen first, tags, lengths and an index. */
const KEY_AND_FRAMING = 32
const ALL_DIFFERENT = Number.POSITIVE_INFINITY

const MILLION_RECORDS: Unit = { name: 'M records/s', of: (ns) => 1000 / ns }
const PAYLOAD: Unit = { name: 'GB/s', of: (ns) => 1024 / ns }

/** Encode and decode aggregates of up to 51,200 bytes. */
export const aggregation: Benchmarks = {
  'encode-32b-repeated': () => encoding(new Workload(32, TEN_KEYS), MILLION_RECORDS),
  'encode-32b-unique': () => encoding(new Workload(32, ALL_DIFFERENT), MILLION_RECORDS),
  'encode-100b-repeated': () => encoding(new Workload(100, TEN_KEYS), MILLION_RECORDS),
  'encode-100b-unique': () => encoding(new Workload(100, ALL_DIFFERENT), MILLION_RECORDS),
  'encode-1kb-repeated': () => encoding(new Workload(1024, TEN_KEYS), PAYLOAD),
  'encode-1kb': () => encoding(new Workload(1024, ALL_DIFFERENT), PAYLOAD),
  'decode-32b-repeated': () => decoding(new Workload(32, TEN_KEYS), MILLION_RECORDS),
  'decode-32b': () => decoding(new Workload(32, ALL_DIFFERENT), MILLION_RECORDS),
  'decode-100b-repeated': () => decoding(new Workload(100, TEN_KEYS), MILLION_RECORDS),
  'decode-100b': () => decoding(new Workload(100, ALL_DIFFERENT), MILLION_RECORDS),
  'decode-1kb-repeated': () => decoding(new Workload(1024, TEN_KEYS), PAYLOAD),
  'decode-1kb': () => decoding(new Workload(1024, ALL_DIFFERENT), PAYLOAD),
}

/** Records to encode and, of the same records, aggregates to decode. */
class Workload {
  readonly recordBytes: number
  /** Every record's data is different. */
  readonly #data: readonly Buffer[]
  readonly #differentKeys: number
  records: readonly codec.KeyedRecord[] = []
  /** Records in each aggregate. */
  readonly counts: readonly number[]
  readonly aggregates: readonly Uint8Array[]

  constructor(recordBytes: number, differentKeys: number) {
    this.recordBytes = recordBytes
    const count = Math.min(MOST_RECORDS_A_RUN, Math.floor(PAYLOAD_BYTES_A_RUN / recordBytes))
    const random = seededRandom(1)
    const bytes = Buffer.from(Uint8Array.from({ length: count * recordBytes }, () => random() * 256))
    this.#data = Array.from({ length: count }, (_, i) => bytes.subarray(i * recordBytes, (i + 1) * recordBytes))
    this.#differentKeys = Math.min(differentKeys, count)
    this.renew()
    const aggregates: Uint8Array[] = []
    codec.ours.encode(this.records, [], (aggregate) => aggregates.push(aggregate.slice()))
    this.aggregates = aggregates
    this.counts = aggregates.map((aggregate) => {
      let members = 0
      codec.awsKinesisAgg.decoder([aggregate])(() => members++)
      return members
    })
  }

  renew(): void {
    const keys = freshKeys(this.#data.length, this.#differentKeys)
    this.records = this.#data.map((data, i) => ({ partitionKey: keys[i]!, data }))
  }
}

function encoding(workload: Workload, unit: Unit): ReturnType<Benchmarks[string]> {
  // What one implementation wrote is read by another.
  const variant = (writer: codec.AggregateCodec, reader: codec.AggregateCodec) => ({
    name: writer.name,
    run: () => {
      const print = new Fingerprint()
      writer.encode(workload.records, workload.counts, (aggregate) => print.addAggregate(aggregate))
      return print.value
    },
    verify: () => {
      const aggregates: Uint8Array[] = []
      writer.encode(workload.records, workload.counts, (aggregate) => aggregates.push(Uint8Array.from(aggregate)))
      expectSame('number of aggregates', aggregates.length, workload.counts.length)
      for (const [i, { length }] of aggregates.entries()) {
        const roomForAnother =
          i < aggregates.length - 1 && length + workload.recordBytes + KEY_AND_FRAMING <= codec.AGGREGATE_BYTES
        if (length > codec.AGGREGATE_BYTES || roomForAnother) {
          throw new WrongResult(
            `aggregate ${i + 1} has ${length} bytes instead of as many records as ${codec.AGGREGATE_BYTES} bytes hold`,
          )
        }
      }
      expectRecords(workload.records, reader.decoder(aggregates))
      const print = new Fingerprint()
      for (const aggregate of aggregates) print.addAggregate(aggregate)
      return print.value
    },
  })
  return {
    unit,
    operations: workload.records.length,
    prepare: () => workload.renew(),
    variants: [
      variant(codec.ours, codec.awsKinesisAgg),
      variant(codec.awsKinesisAgg, codec.ours),
      variant(codec.protobufjs, codec.ours),
    ],
  }
}

function decoding(workload: Workload, unit: Unit): ReturnType<Benchmarks[string]> {
  // All read the same bytes, and what they find is held against the records that were encoded.
  const variant = (reader: codec.AggregateCodec) => {
    const decode = reader.decoder(workload.aggregates)
    const run = () => {
      const print = new Fingerprint()
      decode((partitionKey, data) => print.addRecord(partitionKey, data))
      return print.value
    }
    return {
      name: reader.name,
      run,
      verify: () => {
        expectRecords(workload.records, decode)
        return run()
      },
    }
  }
  return {
    unit,
    operations: workload.records.length,
    prepare: () => undefined,
    variants: [variant(codec.ours), variant(codec.awsKinesisAgg), variant(codec.protobufjs)],
  }
}

/** Throws WrongResult unless exactly these records come out, in this order. */
function expectRecords(records: readonly codec.KeyedRecord[], decode: (take: codec.TakeRecord) => void): void {
  let found = 0
  decode((partitionKey, data) => {
    const expected = records[found++]
    expectSame(`partition key of record ${found}`, partitionKey, expected?.partitionKey)
    const bytes = typeof data === 'string' ? Buffer.from(data, 'base64') : Buffer.from(data)
    if (expected !== undefined && !bytes.equals(expected.data))
      throw new WrongResult(`data of record ${found} is not what was put`)
  })
  expectSame('number of records', found, records.length)
}

function expectSame(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new WrongResult(`${what} is ${found} instead of ${expected}`)
}

/** Cheap enough to be taken of every timed run: of an aggregate its length and MD5 trailer, of a record a part of its key and data. */
class Fingerprint {
  value = 0

  addAggregate(bytes: Uint8Array): void {
    this.#add(bytes.length)
    for (let i = bytes.length - 16; i < bytes.length; i++) this.#add(bytes[i]!)
  }

  addRecord(partitionKey: string, data: Uint8Array | string): void {
    this.#add(partitionKey.charCodeAt(partitionKey.length - 1))
    this.#add(data.length)
    this.#add(typeof data === 'string' ? data.charCodeAt(0) : data[0]!)
  }

  #add(part: number): void {
    this.value = (Math.imul(this.value, 31) + part) | 0
  }
}
