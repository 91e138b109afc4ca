import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { AggregateBuilder, BufferPool, finishAggregates, type SealedAggregate } from '@shardwise/aggregation'
import { KeyRouter } from '@shardwise/core/key-router'
import type { PutRecordsEntry } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { ShardMap } from '@shardwise/core/shard-map'
import { bytes, type Codec, json, Producer, type ProducerOptions, type PutInput, type PutResult } from '@shardwise/producer'
import { AGGREGATE_BYTES, awsKinesisAgg, type KeyedRecord, type RecordAggregator, recordAggregator } from './aggregate-codec.js'
import { freshKeys, KEY_CHARACTERS } from './fresh-keys.js'
import { fastClock, NoopKinesis, STREAM } from './noop-kinesis.js'
import { type Benchmark, type Benchmarks, type Unit, type Variant, WrongResult } from './rounds.js'
import { evenShards } from './stand-in-kinesis.js'

const RECORD_BYTES = 100
/** Of a request, as producers send it by default. */
export const REQUEST_BYTES: number = 5 * 1024 * 1024

const MILLION_RECORDS: Unit = { name: 'M records/s', of: (ns) => 1000 / ns }

/** Whole producers, all their stages, on a stream that answers at once: what a record costs this process apart from the network. */
export const producer: Benchmarks = {
  'producer-noop-batch': () => benchmark('offer', byOffers, USUAL),
  'producer-noop-batch-200k': () => benchmark('offer', byOffers, { ...USUAL, ...MANY }),
  'producer-noop-put-all': () => benchmark('putAll', byPutAll, USUAL),
  'producer-noop-promise': () => benchmark('put', byPuts, USUAL),
  'producer-noop-batch-unique': () => benchmark('offer', byOffers, UNIQUE),
  // All at a time: a fifth of them fills no aggregate of a hundred shards, and who awaits the oldest would wait for the linger.
  'producer-noop-promise-unique': () => benchmark('put', byPuts, { ...UNIQUE, inFlight: UNIQUE.records }),
  'producer-noop-batch-unique-200k': () => benchmark('offer', byOffers, { ...UNIQUE, ...MANY, keys: MANY.records }),
  'producer-noop-promise-unique-200k': () => benchmark('put', byPuts, { ...UNIQUE, ...MANY, keys: MANY.records }),
  'producer-noop-promise-200k': () => benchmark('put', byPuts, { ...USUAL, ...MANY }),
  'producer-noop-options': () => optionsBenchmark(),
  'put-path-repeated': () => putPath(USUAL),
  'put-path-unique': () => putPath(UNIQUE),
  'pending-record-heap': () => pendingHeap('offer'),
  'pending-record-heap-promise': () => pendingHeap('put'),
}

interface Load {
  readonly records: number
  readonly shards: number
  readonly keys: number
  readonly inFlight: number
}
const USUAL: Load = { records: 100_000, shards: 4, keys: 1000, inFlight: 20_000 }
const UNIQUE: Load = { ...USUAL, shards: 100, keys: USUAL.records }
const MANY = { records: 200_000, inFlight: 200_000 }

/** Puts all records, waits until they have settled, and returns how many were delivered. Throws if one was not. */
type PutAll = <T>(producer: Producer<T>, records: readonly PutInput<T>[], inFlight: number) => Promise<number>

export async function byOffers<T>(target: Producer<T>, records: readonly PutInput<T>[]): Promise<number> {
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

async function byPutAll<T>(target: Producer<T>, records: readonly PutInput<T>[]): Promise<number> {
  let delivered = 0
  const flushed = function* (): Generator<PutInput<T>> {
    yield* records
    void target.flush()
  }
  for await (const result of target.putAll(flushed())) {
    if (result.status === 'rejected') throw new WrongResult(`a record was not delivered: ${result.reason.message}`)
    delivered++
  }
  return delivered
}

/** The oldest of the puts that may be under way is awaited before another one. */
async function byPuts<T>(target: Producer<T>, records: readonly PutInput<T>[], inFlight: number): Promise<number> {
  const underWay: Promise<PutResult>[] = []
  let delivered = 0
  for (let i = 0; i < records.length; i++) {
    if (i >= inFlight) {
      await underWay[i % inFlight]
      delivered++
    }
    underWay[i % inFlight] = target.put(records[i]!)
  }
  const flushed = target.flush()
  for (const { length } = underWay; delivered < records.length; delivered++) await underWay[delivered % length]
  await flushed
  return delivered
}

function benchmark(call: string, putAll: PutAll, load: Load): Benchmark {
  const input = new Input(load)
  return {
    unit: MILLION_RECORDS,
    operations: load.records,
    prepare: () => input.renew(),
    variants: [ours(input, putAll, call, bytes(), {}, () => input.plain()), peer(input)],
  }
}

/** What an option costs. */
function optionsBenchmark(): Benchmark {
  const input = new Input(USUAL)
  const values = input.data.map((data, i) => ({ reading: i, sensor: 'temperature', place: data.toString('base64', 0, 30) }))
  const headers = { source: 'benchmark' }
  const plain = (): PutInput[] => input.plain()
  return {
    unit: MILLION_RECORDS,
    operations: USUAL.records,
    prepare: () => input.renew(),
    variants: [
      ours(input, byOffers, 'offer', bytes(), {}, plain),
      ours(input, byOffers, 'aggregation off', bytes(), { aggregation: 'off' }, plain),
      ours(input, byOffers, 'codec json', json<unknown>(), {}, () =>
        values.map((value, i) => ({ partitionKey: input.keys[i]!, data: value })),
      ),
      // No spread: of an object that one made Node 20 takes 130 ns to read a property.
      ours(input, byOffers, 'one header', bytes(), {}, () =>
        input.data.map((data, i) => ({ partitionKey: input.keys[i]!, data, headers })),
      ),
    ],
  }
}

/**
 * `offer` until the records are packed: one request hangs from before, so that none leaves and no trailer is made. The peer's part of it: shard
 * and `addUserRecord`, which keeps the record and encodes nothing yet.
 */
function putPath(load: Load): Benchmark {
  const records = 20_000
  const input = new Input({ ...load, records })
  const hung = hanging(input, { ...load, records })
  const offer = (): number => {
    for (const record of hung.records()) if (!hung.producer.offer(record)) throw new WrongResult('the buffer is full')
    return input.data.length
  }
  const router = new PeerRouter(load.shards)
  const add = (): number => new HungPeer(router, input).count
  return {
    unit: MILLION_RECORDS,
    operations: records,
    prepare: () => input.renew(),
    variants: [
      { name: 'offer', run: offer, before: hung.occupy, after: hung.settle, verify: () => hung.verified(offer) },
      { name: 'aws-kinesis-agg', run: add, verify: () => new HungPeer(router, input).verified(input) },
      bare(input),
    ],
  }
}

/** What of the put path is no producer: the shard of each record, and the record into the aggregate of it. Nothing checked, counted, timed or to be told: the least that it can take. */
function bare(input: Input): Variant {
  const map = ShardMap.from([...evenShards(input.load.shards)])
  const router = new KeyRouter(map)
  const pool = new BufferPool({ bufferBytes: AGGREGATE_BYTES, maxIdle: 512 })
  const builders = map.open.map(() => new AggregateBuilder({ maxBytes: AGGREGATE_BYTES, pool }))
  const full: SealedAggregate[] = []
  let records: readonly PutInput[] = []
  input.use(() => {
    records = input.plain()
  })
  const run = (): number => {
    for (const { partitionKey, data } of records) {
      const builder = builders[router.indexOf(partitionKey)]!
      if (builder.tryAdd(router.key, data)) continue
      full.push(builder.seal())
      builder.tryAdd(router.key, data)
    }
    return records.length
  }
  const after = async (): Promise<void> => {
    for (const builder of builders) builder.discard()
    for (const aggregate of full.splice(0)) aggregate.release()
  }
  const verify = async (): Promise<number> => {
    const { found, finish } = expecting(records)
    const print = run()
    for (const builder of builders) if (builder.count > 0) full.push(builder.seal())
    finishAggregates(full)
    for (const { bytes } of full) awsKinesisAgg.decoder([Buffer.from(bytes)])(found)
    finish()
    await after()
    return print
  }
  return { name: 'KeyRouter + AggregateBuilder alone', run, after, verify }
}

/** What records take that were put and have not settled, without their data and keys, which are the caller's. */
function pendingHeap(call: 'offer' | 'put'): Benchmark {
  const records = 100_000
  const load = { ...USUAL, records, inFlight: records }
  const input = new Input(load)
  const hung = hanging(input, load)
  let puts: Promise<PutResult>[] = []
  const run = (): number => {
    if (call === 'offer') for (const record of hung.records()) hung.producer.offer(record)
    else puts = hung.records().map((record) => hung.producer.put(record))
    return records
  }
  const after = async (): Promise<void> => {
    await hung.settle()
    await Promise.all(puts)
    puts = []
  }
  const router = new PeerRouter(load.shards)
  let kept: HungPeer | undefined
  const keep = (): number => {
    kept = new HungPeer(router, input)
    return kept.count
  }
  const forget = async (): Promise<void> => {
    kept = undefined
  }
  return {
    unit: { name: 'B/record', of: (bytes) => bytes },
    measures: 'heap',
    operations: records,
    prepare: () => input.renew(),
    variants: [
      { name: call, run, before: hung.occupy, after, verify: () => hung.verified(run) },
      { name: 'aws-kinesis-agg', run: keep, after: forget, verify: () => new HungPeer(router, input).verified(input) },
    ],
  }
}

interface Hanging {
  readonly producer: Producer
  readonly records: () => readonly PutInput[]
  /** Has the one request that may be under way hang. */
  readonly occupy: () => Promise<void>
  /** Lets everything be answered, and waits until it has settled. */
  readonly settle: () => Promise<void>
  readonly verified: (run: () => number) => Promise<number>
}

/** A producer whose stream answers only when it is to settle. */
function hanging(input: Input, { shards, records: count }: Load): Hanging {
  const kinesis = new NoopKinesis(shards)
  const producer = producerOf(kinesis, bytes(), { maxBufferedRecords: 2 * count, maxRequestsInFlight: 1, lingerMs: 30_000 })
  let records: readonly PutInput[] = []
  input.use(() => {
    records = input.plain()
  })
  const occupy = async (): Promise<void> => {
    kinesis.hold()
    producer.offer({ partitionKey: 'in the way', data: Buffer.from('of all others') })
    void producer.flush()
    while (producer.stats().requestsInFlight === 0) await nextTurn()
  }
  const settle = async (): Promise<void> => {
    kinesis.release()
    await producer.flush()
  }
  const verify = async (run: () => number): Promise<number> => {
    await producer.start()
    await occupy()
    const { requests } = producer.stats()
    let print = 0
    await verified(kinesis, records as readonly KeyedRecord[], async () => {
      print = run()
      if (producer.stats().requests > requests) throw new WrongResult('a request was sent in the part that is timed')
      await settle()
      return print
    })
    return print
  }
  return { producer, records: () => records, occupy, settle, verified: verify }
}

/** What every variant is given. */
class Input {
  readonly data: readonly Buffer[]
  readonly load: Load
  keys: readonly string[] = []
  /** Called when there are new keys. */
  readonly #users: (() => void)[] = []

  constructor(load: Load) {
    const random = seededRandom(1)
    const bytes = Buffer.from(Uint8Array.from({ length: load.records * RECORD_BYTES }, () => random() * 256))
    this.data = Array.from({ length: load.records }, (_, i) => bytes.subarray(i * RECORD_BYTES, (i + 1) * RECORD_BYTES))
    this.load = load
    this.renew()
  }

  plain(): PutInput[] {
    return this.data.map((data, i) => ({ partitionKey: this.keys[i]!, data }))
  }

  use(renew: () => void): void {
    renew()
    this.#users.push(renew)
  }

  renew(): void {
    this.keys = freshKeys(this.data.length, Math.min(this.load.keys, this.data.length))
    for (const renew of this.#users) renew()
  }
}

function producerOf<T>(kinesis: NoopKinesis, codec: Codec<T>, options: Partial<ProducerOptions<T>>): Producer<T> {
  return new Producer<T>({
    ...{ stream: STREAM, kinesis, codec, clock: fastClock, shardRatePercent: 1000 },
    // In times of the fast clock. A collection of garbage must not look like a request that was lost, and the linger is the usual one.
    ...{ recordTtlMs: 600_000, requestTimeoutMs: 600_000, lingerMs: 2000 },
    // Samples by time: by the fast clock twenty times as many.
    hottestKeys: 0,
    ...options,
  })
}

function ours<T>(
  input: Input,
  putAll: PutAll,
  name: string,
  codec: Codec<T>,
  options: Partial<ProducerOptions<T>>,
  make: () => PutInput<T>[],
): Variant {
  const kinesis = new NoopKinesis(input.load.shards)
  const target = producerOf(kinesis, codec, { maxBufferedRecords: input.load.inFlight, ...options })
  let records: readonly PutInput<T>[] = []
  input.use(() => {
    records = make()
  })
  const run = (): Promise<number> => putAll(target, records, input.load.inFlight)
  const context = { stream: STREAM, partitionKey: '', headers: undefined }
  const verify = (): Promise<number> =>
    verified(
      kinesis,
      records.map(({ partitionKey, data }) => ({ partitionKey, data: codec.encode(data, context) })),
      run,
    )
  return { name, run, verify }
}

export const hashKeyOf = (partitionKey: string): bigint => BigInt(`0x${createHash('md5').update(partitionKey).digest('hex')}`)

/** Shards of equal width, looked up with what Node has: what a correct pipeline of the peer's needs, for readers drop what lies outside of its shard. */
export class PeerRouter {
  readonly shards: number
  readonly #starts: readonly bigint[]

  constructor(shards: number) {
    this.shards = shards
    this.#starts = Array.from({ length: shards }, (_, i) => (2n ** 128n * BigInt(i)) / BigInt(shards))
  }

  shardOf(partitionKey: string): number {
    const hashKey = hashKeyOf(partitionKey)
    let low = 0
    let high = this.#starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#starts[middle]! <= hashKey) low = middle
      else high = middle - 1
    }
    return low
  }
}

export interface PeerAggregate {
  readonly aggregator: RecordAggregator
  readonly first: string
  count: number
  /** Of the usual size: the next record of its shard opens another. */
  isFull: boolean
}

/** The peer's open aggregates, one a shard. */
export class PeerAggregates {
  readonly #router: PeerRouter
  readonly #open: (PeerAggregate | undefined)[] = []
  readonly #mostRecords: number = Math.floor(AGGREGATE_BYTES / (RECORD_BYTES + KEY_CHARACTERS))

  constructor(router: PeerRouter) {
    this.#router = router
  }

  /** The aggregate that it is now in. */
  add(record: KeyedRecord): PeerAggregate {
    const shard = this.#router.shardOf(record.partitionKey)
    const open = this.#open[shard] ?? { aggregator: recordAggregator(), first: record.partitionKey, count: 0, isFull: false }
    open.aggregator.addUserRecord(record)
    open.isFull = ++open.count === this.#mostRecords
    this.#open[shard] = open.isFull ? undefined : open
    return open
  }

  /** Leaves none open. */
  takeOpen(): PeerAggregate[] {
    return this.#open.splice(0).filter((open) => open !== undefined)
  }
}

/** All records of the input in the peer's aggregates, full ones too: the service hangs. */
class HungPeer {
  count = 0
  readonly #full: PeerAggregate[] = []
  readonly #aggregates: PeerAggregates

  constructor(router: PeerRouter, { data: all, keys }: Input) {
    this.#aggregates = new PeerAggregates(router)
    for (const [i, data] of all.entries()) {
      const aggregate = this.#aggregates.add({ partitionKey: keys[i]!, data })
      if (aggregate.isFull) this.#full.push(aggregate)
      this.count++
    }
  }

  /** Builds what it holds. Throws WrongResult unless that is the input, each record once, key and data. */
  verified({ data: all, keys }: Input): number {
    const { found, finish } = expecting(all.map((data, i) => ({ partitionKey: keys[i]!, data })))
    for (const { aggregator } of [...this.#full, ...this.#aggregates.takeOpen()]) {
      awsKinesisAgg.decoder([Buffer.from(aggregator.build().data)])(found)
    }
    finish()
    return this.count
  }
}

/** The same job with what there is: an aggregate for each shard, of the usual size, in requests as large as ours. */
function peer(input: Input): Variant {
  const { shards } = input.load
  const kinesis = new NoopKinesis(shards)
  const router = new PeerRouter(shards)
  let records: readonly KeyedRecord[] = []
  input.use(() => {
    records = input.data.map((data, i) => ({ partitionKey: input.keys[i]!, data }))
  })
  const run = async (): Promise<number> => {
    const aggregates = new PeerAggregates(router)
    let delivered = 0
    let batch: { readonly entry: PutRecordsEntry; readonly count: number }[] = []
    const pack = ({ aggregator, first, count }: PeerAggregate): void => {
      // The peer's own key is a constant, which may lie in any shard.
      const ExplicitHashKey = hashKeyOf(first).toString()
      batch.push({ entry: { Data: aggregator.build().data, PartitionKey: 'a', ExplicitHashKey }, count })
    }
    const send = async (): Promise<void> => {
      const sent = batch
      batch = []
      const { Records: results = [] } = await kinesis.putRecords({ StreamName: STREAM, Records: sent.map(({ entry }) => entry) })
      for (const [i, { SequenceNumber }] of results.entries()) if (SequenceNumber !== undefined) delivered += sent[i]!.count
    }
    for (const record of records) {
      const aggregate = aggregates.add(record)
      if (!aggregate.isFull) continue
      pack(aggregate)
      if ((batch.length + 1) * AGGREGATE_BYTES > REQUEST_BYTES) await send()
    }
    for (const open of aggregates.takeOpen()) pack(open)
    await send()
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
  const { found, finish } = expecting(expected)
  const entries: PutRecordsEntry[] = []
  kinesis.inspect = ({ Data, ...others }) => entries.push({ ...others, Data: Buffer.from(Data) })
  const delivered = await run()
  kinesis.inspect = undefined
  for (const { PartitionKey, Data } of entries) {
    if (isAggregate(Data)) awsKinesisAgg.decoder([Data])(found)
    else found(PartitionKey, Data)
  }
  finish()
  return delivered
}

interface Expecting {
  /** Throws WrongResult for a record that is none of those, or came before. */
  readonly found: (partitionKey: string, data: Uint8Array | string) => void
  /** Throws WrongResult unless all have come. */
  readonly finish: () => void
}

function expecting(expected: readonly { readonly partitionKey: string; readonly data: Uint8Array }[]): Expecting {
  const missing = new Set(expected.map(({ partitionKey, data }) => `${partitionKey} ${Buffer.from(data).toString('base64')}`))
  if (missing.size !== expected.length) throw new WrongResult('the input has a record twice')
  return {
    found(partitionKey, data) {
      const record = `${partitionKey} ${typeof data === 'string' ? data : Buffer.from(data).toString('base64')}`
      if (!missing.delete(record)) throw new WrongResult(`a record came twice, or one that nobody put: ${record}`)
    },
    finish() {
      if (missing.size > 0) throw new WrongResult(`${missing.size} of ${expected.length} records are missing`)
    },
  }
}

const MAGIC = Buffer.from('f3899ac2', 'hex')
const isAggregate = (data: Uint8Array): boolean => MAGIC.equals(data.subarray(0, MAGIC.length))
