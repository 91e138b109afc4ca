import type { PutRecordsEntry } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { bytes, type Codec, json, Producer, type ProducerOptions, type PutInput, type PutResult } from '@shardwise/producer'
import { AGGREGATE_BYTES, awsKinesisAgg, type KeyedRecord } from './aggregate-codec.js'
import { freshKeys, KEY_CHARACTERS } from './fresh-keys.js'
import { fastClock, NoopKinesis, STREAM } from './noop-kinesis.js'
import { type Benchmark, type Benchmarks, type Unit, type Variant, WrongResult } from './rounds.js'

const RECORDS = 100_000
const RECORD_BYTES = 100
const SHARDS = 4
const KEYS = 1000
const IN_FLIGHT = 20_000
/** Of a request, as producers send it by default. */
const REQUEST_BYTES = 5 * 1024 * 1024

const MILLION_RECORDS: Unit = { name: 'M records/s', of: (ns) => 1000 / ns }

/** Whole producers, all their stages, on a stream that answers at once: what a record costs this process apart from the network. */
export const producer: Benchmarks = {
  'producer-noop-batch': () => benchmark('offer', byOffers),
  'producer-noop-promise': () => benchmark('put', byPuts),
}

/** Puts all records, waits until they have settled, and returns how many were delivered. Throws if one was not. */
type PutAll = <T>(producer: Producer<T>, records: readonly PutInput<T>[]) => Promise<number>

async function byOffers<T>(target: Producer<T>, records: readonly PutInput<T>[]): Promise<number> {
  let delivered = 0
  let failure: Error | undefined
  const outcome = (error: Error | undefined): void => {
    if (error === undefined) delivered++
    else failure = error
  }
  for (let i = 0; i < records.length; i++) while (!target.offer(records[i]!, outcome)) await target.ready()
  await target.flush()
  if (failure !== undefined) throw new WrongResult(`a record was not delivered: ${failure.message}`)
  return delivered
}

/** The oldest of the puts that may be under way is awaited before another one. */
async function byPuts<T>(target: Producer<T>, records: readonly PutInput<T>[]): Promise<number> {
  const underWay: Promise<PutResult>[] = []
  let delivered = 0
  for (let i = 0; i < records.length; i++) {
    if (i >= IN_FLIGHT) {
      await underWay[i % IN_FLIGHT]
      delivered++
    }
    underWay[i % IN_FLIGHT] = target.put(records[i]!)
  }
  const flushed = target.flush()
  for (const { length } = underWay; delivered < records.length; delivered++) await underWay[delivered % length]
  await flushed
  return delivered
}

function benchmark(call: string, putAll: PutAll): Benchmark {
  const random = seededRandom(1)
  const data = Array.from({ length: RECORDS }, () => Buffer.from(Uint8Array.from({ length: RECORD_BYTES }, () => random() * 256)))
  const values = data.map((bytes, i) => ({ reading: i, sensor: 'temperature', place: bytes.toString('base64', 0, 30) }))
  const input = new Input(data)
  const headers = { source: 'benchmark' }
  const variant = <T>(name: string, codec: Codec<T>, options: Partial<ProducerOptions<T>>, make: () => PutInput<T>[]) =>
    ours(input, putAll, name, codec, options, make)
  const plain = (): PutInput[] => data.map((bytes, i) => ({ partitionKey: input.keys[i]!, data: bytes }))
  return {
    unit: MILLION_RECORDS,
    operations: RECORDS,
    prepare: () => input.renew(),
    variants: [
      variant(call, bytes(), {}, plain),
      peer(input),
      variant(`${call}, aggregation off`, bytes(), { aggregation: 'off' }, plain),
      variant(`${call}, codec json`, json<unknown>(), {}, () =>
        values.map((value, i) => ({ partitionKey: input.keys[i]!, data: value })),
      ),
      variant(`${call}, one header`, bytes(), {}, () => plain().map((record) => ({ ...record, headers }))),
    ],
  }
}

/** What every variant is given. */
class Input {
  readonly data: readonly Buffer[]
  keys: readonly string[] = []
  /** Called when there are new keys. */
  readonly #users: (() => void)[] = []

  constructor(data: readonly Buffer[]) {
    this.data = data
    this.renew()
  }

  use(renew: () => void): void {
    renew()
    this.#users.push(renew)
  }

  renew(): void {
    this.keys = freshKeys(this.data.length, KEYS)
    for (const renew of this.#users) renew()
  }
}

function ours<T>(
  input: Input,
  putAll: PutAll,
  name: string,
  codec: Codec<T>,
  options: Partial<ProducerOptions<T>>,
  make: () => PutInput<T>[],
): Variant {
  const kinesis = new NoopKinesis(SHARDS)
  const target = new Producer<T>({
    ...{ stream: STREAM, kinesis, codec, clock: fastClock, maxBufferedRecords: IN_FLIGHT, shardRatePercent: 1000 },
    // In times of the fast clock: a collection of garbage must not look like a request that was lost.
    ...{ recordTtlMs: 600_000, requestTimeoutMs: 600_000 },
    ...options,
  })
  let records: readonly PutInput<T>[] = []
  input.use(() => {
    records = make()
  })
  const run = (): Promise<number> => putAll(target, records)
  const context = { stream: STREAM, partitionKey: '', headers: undefined }
  const verify = (): Promise<number> =>
    verified(
      kinesis,
      records.map(({ partitionKey, data }) => ({ partitionKey, data: codec.encode(data, context) })),
      run,
    )
  return { name, run, verify }
}

/** The same job with what there is: aggregates of the usual size, made without a look at shards, in requests as large as ours. */
function peer(input: Input): Variant {
  const kinesis = new NoopKinesis(SHARDS)
  let records: readonly KeyedRecord[] = []
  input.use(() => {
    records = input.data.map((data, i) => ({ partitionKey: input.keys[i]!, data }))
  })
  const aggregateRecords = Math.floor(AGGREGATE_BYTES / (RECORD_BYTES + KEY_CHARACTERS))
  const requestRecords = Math.floor(REQUEST_BYTES / AGGREGATE_BYTES) * aggregateRecords
  const run = async (): Promise<number> => {
    let delivered = 0
    for (let start = 0; start < records.length; start += requestRecords) {
      const some = records.slice(start, start + requestRecords)
      const counts: number[] = []
      for (let left = some.length; left > 0; left -= aggregateRecords) counts.push(Math.min(left, aggregateRecords))
      const Records: PutRecordsEntry[] = []
      awsKinesisAgg.encode(some, counts, (Data) => Records.push({ Data, PartitionKey: 'a' }))
      const { Records: results = [] } = await kinesis.putRecords({ StreamName: STREAM, Records })
      for (const [i, { SequenceNumber }] of results.entries()) if (SequenceNumber !== undefined) delivered += counts[i]!
    }
    return delivered
  }
  return { name: 'aws-kinesis-agg + PutRecords', run, verify: () => verified(kinesis, records, run) }
}

/** Throws WrongResult unless each of the records reaches the stream, once, key and data. An aggregate is read by its own format's reader. */
async function verified(
  kinesis: NoopKinesis,
  expected: readonly { readonly partitionKey: string; readonly data: Uint8Array }[],
  run: () => Promise<number>,
): Promise<number> {
  const missing = new Set(expected.map(({ partitionKey, data }) => `${partitionKey} ${Buffer.from(data).toString('base64')}`))
  if (missing.size !== expected.length) throw new WrongResult('the input has a record twice')
  const found = (partitionKey: string, data: Uint8Array | string): void => {
    const record = `${partitionKey} ${typeof data === 'string' ? data : Buffer.from(data).toString('base64')}`
    if (!missing.delete(record)) throw new WrongResult(`the stream got a record twice, or one that nobody put: ${record}`)
  }
  const entries: PutRecordsEntry[] = []
  kinesis.inspect = ({ Data, ...others }) => entries.push({ ...others, Data: Buffer.from(Data) })
  const delivered = await run()
  kinesis.inspect = undefined
  for (const { PartitionKey, Data } of entries) {
    if (isAggregate(Data)) awsKinesisAgg.decoder([Data])(found)
    else found(PartitionKey, Data)
  }
  if (missing.size > 0) throw new WrongResult(`${missing.size} of ${expected.length} records did not reach the stream`)
  return delivered
}

const MAGIC = Buffer.from('f3899ac2', 'hex')
const isAggregate = (data: Uint8Array): boolean => MAGIC.equals(data.subarray(0, MAGIC.length))
