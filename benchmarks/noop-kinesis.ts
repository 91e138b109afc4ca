import { hash } from 'node:crypto'
import type { Clock } from '@shardwise/core/clock'
import { hashKeyWords, toWords } from '@shardwise/core/hash-key'
import type {
  DescribeStreamSummaryOutput,
  KinesisPort,
  ListShardsOutput,
  PutRecordsEntry,
  PutRecordsInput,
  PutRecordsOutput,
  PutRecordsResult,
} from '@shardwise/core/kinesis-port'
import { ShardMap } from '@shardwise/core/shard-map'
import { clockFaster } from '../test/support/fast-clock.js'
import { evenShards } from './stand-in-kinesis.js'

export const STREAM = 'benchmark'

/**
 * How many times as fast as the machine's clock the producer's runs. What is measured is the work for a record, and not the shards'
 * write limits, which would end it at ten thousand records a second each.
 */
const FASTER = 20

export const fastClock: Clock = clockFaster(FASTER)

/**
 * A stream of shards of equal width that takes everything and answers at once, with the shard that the record belongs to. It does what
 * anybody must before a request can leave: the body in JSON and base64, and its SHA-256, which the signature takes.
 */
export class NoopKinesis implements KinesisPort {
  /** Sees every Kinesis record. Its bytes are valid during the call only. */
  inspect: ((entry: PutRecordsEntry) => void) | undefined = undefined
  /** So that nobody can leave the work undone. */
  bodyDigests = 0
  readonly #listing: ListShardsOutput
  readonly #map: ShardMap
  /** By index of the shard. */
  readonly #results: readonly PutRecordsResult[]
  readonly #words = new Uint32Array(4)
  readonly #body = new RequestBody()
  #held: (() => void)[] | undefined

  constructor(shards: number) {
    const listing = evenShards(shards)
    this.#listing = { Shards: [...listing] }
    this.#map = ShardMap.from(listing)
    this.#results = this.#map.open.map(({ shardId }) => ({
      ShardId: shardId,
      SequenceNumber: '49590338271490256608559692538361571095921575989136588898',
    }))
  }

  async putRecords({ Records }: PutRecordsInput): Promise<PutRecordsOutput> {
    if (this.inspect !== undefined) for (const entry of Records) this.inspect(entry)
    if (this.#held !== undefined) await new Promise<void>((resolve) => this.#held!.push(resolve))
    this.bodyDigests = (this.bodyDigests + hash('sha256', this.#body.of(Records)).length) | 0
    return { FailedRecordCount: 0, Records: Records.map((entry) => this.#results[this.#shardOf(entry)]!) }
  }

  /** From now on nothing is answered. */
  hold(): void {
    this.#held ??= []
  }

  /** Answers what was held, and from now on at once. */
  release(): void {
    const held = this.#held
    this.#held = undefined
    for (const answer of held ?? []) answer()
  }

  async listShards(): Promise<ListShardsOutput> {
    return this.#listing
  }

  async describeStreamSummary(): Promise<DescribeStreamSummaryOutput> {
    return { StreamDescriptionSummary: { StreamName: STREAM, StreamStatus: 'ACTIVE', OpenShardCount: this.#results.length } }
  }

  getShardIterator(): never {
    throw new Error('A producer does not read')
  }

  getRecords(): never {
    throw new Error('A producer does not read')
  }

  #shardOf({ PartitionKey, ExplicitHashKey }: PutRecordsEntry): number {
    if (ExplicitHashKey === undefined) hashKeyWords(PartitionKey, this.#words)
    else toWords(BigInt(ExplicitHashKey), this.#words)
    return this.#map.indexOf(this.#words)
  }
}

/** The bodies of requests in JSON, one after the other in the same bytes. Digits and keys of these benchmarks need no escapes. */
class RequestBody {
  #bytes: Buffer = Buffer.alloc(8 * 1024 * 1024)
  #length = 0

  /** Valid until the next. */
  of(records: readonly PutRecordsEntry[]): Uint8Array {
    this.#length = 0
    this.#write(`{"StreamName":"${STREAM}","Records":[`)
    for (const [i, { Data, PartitionKey, ExplicitHashKey }] of records.entries()) {
      this.#write(i === 0 ? '{"Data":"' : ',{"Data":"')
      this.#write(Buffer.from(Data.buffer, Data.byteOffset, Data.byteLength).toString('base64'))
      const hashKey = ExplicitHashKey === undefined ? '' : `","ExplicitHashKey":"${ExplicitHashKey}`
      this.#write(`","PartitionKey":"${PartitionKey}${hashKey}"}`)
    }
    this.#write(']}')
    return this.#bytes.subarray(0, this.#length)
  }

  #write(text: string): void {
    if (this.#length + text.length > this.#bytes.length) {
      const larger = Buffer.alloc(2 * (this.#length + text.length))
      this.#bytes.copy(larger, 0, 0, this.#length)
      this.#bytes = larger
    }
    this.#length += this.#bytes.write(text, this.#length, 'latin1')
  }
}
