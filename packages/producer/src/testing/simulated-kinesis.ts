import { decodeAggregate, type Tag } from '@shardwise/aggregation'
import type { ManualClock } from '@shardwise/core/clock'
import { effectiveHashKey, inRange } from '@shardwise/core/hash-key'
import type {
  CallOptions,
  DescribeStreamSummaryOutput,
  GetRecordsOutput,
  GetShardIteratorOutput,
  KinesisPort,
  ListShardsOutput,
  PutRecordsInput,
  PutRecordsOutput,
  ShardListing,
  StreamReference,
} from '@shardwise/core/kinesis-port'
import { ShardMap } from '@shardwise/core/shard-map'
import { KinesisModel } from '@shardwise/local/model'

/** What goes wrong with one PutRecords. */
export type PutFault =
  /** It never arrives. */
  | { readonly kind: 'reject'; readonly name: string }
  /** It does its work, and its answer is lost. */
  | { readonly kind: 'lose' }
  /** It does its work, and nobody hears of it until the caller gives up. */
  | { readonly kind: 'hang' }
  /** The entries at these places (modulo the number of entries) are refused, the others written. */
  | { readonly kind: 'refuse'; readonly places: readonly number[]; readonly code: string }
  /** All is written, and the last result is missing. */
  | { readonly kind: 'miscount' }

export interface StoredRecord {
  readonly id: string
  readonly partitionKey: string
  readonly shardId: string
  readonly sequenceNumber: bigint
  readonly subSequenceNumber: number
  readonly tags: readonly Tag[]
}

/** After a page of GetRecords of 10 MiB a shard is not read for five seconds. */
const READ_PAUSE_MS = 6000

/** Kinesis for tests, on a manual clock: the model behind a port that takes time and can fail. Requests arrive after half the latency. */
export class SimulatedKinesis implements KinesisPort {
  readonly model: KinesisModel
  readonly requests: PutRecordsInput[] = []
  latencyMs = 10
  listShardsCalls = 0
  describeCalls = 0
  /** Taken from the front by the PutRecords that come; undefined lets one pass. */
  readonly putFaults: (PutFault | undefined)[] = []
  /** Asked by ListShards and DescribeStreamSummary; an error is thrown. */
  controlFault: (operation: 'ListShards' | 'DescribeStreamSummary', input: StreamReference) => Error | undefined = () => undefined
  /** Asked by each PutRecords. */
  putFault: (input: PutRecordsInput) => PutFault | undefined = () => this.putFaults.shift()
  readonly #clock: ManualClock
  readonly #stream: string
  readonly #hasQuotas: boolean

  constructor(clock: ManualClock, options: { readonly stream: string; readonly shards: number; readonly quotas?: boolean }) {
    this.#clock = clock
    this.#stream = options.stream
    this.#hasQuotas = options.quotas ?? false
    this.model = new KinesisModel({ clock, quotas: this.#hasQuotas, transitionMs: { create: 0, delete: 0, update: 0 } })
    this.create(options.stream, options.shards)
  }

  async putRecords(input: PutRecordsInput, options: CallOptions = {}): Promise<PutRecordsOutput> {
    // As it is at the moment of sending: what the caller does with its buffers later must not matter.
    const Records = input.Records.map((entry) => ({ ...entry, Data: entry.Data.slice() }))
    this.requests.push({ ...input, Records })
    const fault = this.putFault(input)
    await this.#wait(this.latencyMs / 2, options.signal)
    if (fault?.kind === 'reject') throw named(fault.name)
    const refused = new Set(fault?.kind === 'refuse' ? fault.places.map((place) => place % Records.length) : [])
    const written = Records.filter((_, i) => !refused.has(i))
    const output = (
      written.length === 0 ? { Records: [] } : this.#call('PutRecords', { ...input, Records: written })
    ) as PutRecordsOutput
    const results = [...output.Records!]
    const answer = Records.map((_, i) =>
      refused.has(i) && fault?.kind === 'refuse' ? { ErrorCode: fault.code, ErrorMessage: 'by the test' } : results.shift()!,
    )
    if (fault?.kind === 'hang') await this.#wait(3_600_000, options.signal)
    await this.#wait(this.latencyMs / 2, options.signal)
    if (fault?.kind === 'lose') throw named('ECONNRESET')
    if (fault?.kind === 'miscount') answer.pop()
    return { Records: answer }
  }

  async listShards(input: StreamReference, options: CallOptions = {}): Promise<ListShardsOutput> {
    this.listShardsCalls++
    await this.#wait(this.latencyMs, options.signal)
    const fault = this.controlFault('ListShards', input)
    if (fault !== undefined) throw fault
    return this.#call('ListShards', input) as ListShardsOutput
  }

  async describeStreamSummary(input: StreamReference, options: CallOptions = {}): Promise<DescribeStreamSummaryOutput> {
    this.describeCalls++
    await this.#wait(this.latencyMs, options.signal)
    const fault = this.controlFault('DescribeStreamSummary', input)
    if (fault !== undefined) throw fault
    return this.#call('DescribeStreamSummary', input) as DescribeStreamSummaryOutput
  }

  async getShardIterator(input: object): Promise<GetShardIteratorOutput> {
    return this.model.call('GetShardIterator', input) as GetShardIteratorOutput
  }

  async getRecords(input: object): Promise<GetRecordsOutput> {
    return this.model.call('GetRecords', input) as GetRecordsOutput
  }

  create(StreamName: string, ShardCount: number): void {
    this.model.call('CreateStream', { StreamName, ShardCount })
  }

  /** All shards, closed ones too. Here and below `StreamName` is that of the stream made at first unless another one is named. */
  map(StreamName: string = this.#stream): ShardMap {
    return ShardMap.from(this.#listing(StreamName))
  }

  split(index: number, StreamName: string = this.#stream): void {
    const { open } = this.map(StreamName)
    const shard = open[index % open.length]!
    const NewStartingHashKey = ((shard.range.start + shard.range.end) / 2n + 1n).toString()
    this.model.call('SplitShard', { StreamName, ShardToSplit: shard.shardId, NewStartingHashKey })
  }

  merge(index: number, StreamName: string = this.#stream): void {
    const { open } = this.map(StreamName)
    if (open.length < 2) return
    const at = index % (open.length - 1)
    const [ShardToMerge, AdjacentShardToMerge] = [open[at]!.shardId, open[at + 1]!.shardId]
    this.model.call('MergeShards', { StreamName, ShardToMerge, AdjacentShardToMerge })
  }

  /** Deletes the stream and creates another of its name. */
  recreate(ShardCount: number): void {
    this.model.call('DeleteStream', { StreamName: this.#stream })
    this.model.call('CreateStream', { StreamName: this.#stream, ShardCount })
  }

  /** Switches between placement by partition key and by the service. Such a stream is on-demand: it cannot be split or merged by hand. */
  distribute(RecordDistributionStrategy: 'AUTO' | 'USER_PARTITION_KEY', StreamName: string = this.#stream): void {
    const summary = this.model.call('DescribeStreamSummary', { StreamName }) as DescribeStreamSummaryOutput
    const { StreamARN, StreamModeDetails } = summary.StreamDescriptionSummary!
    if (StreamModeDetails?.StreamMode !== 'ON_DEMAND') {
      this.model.call('UpdateStreamMode', { StreamARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } })
    }
    this.model.call('UpdateStreamRecordDistributionStrategy', { StreamARN, RecordDistributionStrategy })
  }

  /**
   * With quotas reading takes its time, and the clock goes on. What readers that follow the KCL see, in the order of writing: a whole aggregate is dropped when one member lies outside the range of
   * the shard it is in (AggregatorUtil of the KCL). The payload of a record is its id.
   */
  readable(StreamName: string = this.#stream): StoredRecord[] {
    const found: StoredRecord[] = []
    const map = this.map(StreamName)
    for (const { ShardId } of this.#listing(StreamName)) {
      const { shardId, range } = map.get(ShardId!)!
      for (const { Data, PartitionKey, SequenceNumber } of this.#readShard(shardId, StreamName)) {
        const sequenceNumber = BigInt(SequenceNumber!)
        const members = decodeAggregate(Data!)
        if (members === undefined) {
          const id = Buffer.from(Data!).toString()
          found.push({ id, partitionKey: PartitionKey!, shardId, sequenceNumber, subSequenceNumber: 0, tags: [] })
          continue
        }
        const at = (i: number): string => members.partitionKey(i)
        const indexes = Array.from({ length: members.length }, (_, i) => i)
        if (!indexes.every((i) => inRange(effectiveHashKey(at(i), members.explicitHashKey(i)), range))) continue
        for (const i of indexes) {
          const id = Buffer.from(members.data(i)).toString()
          found.push({ id, partitionKey: at(i), shardId, sequenceNumber, subSequenceNumber: i, tags: members.tags(i) })
        }
      }
    }
    return found.sort((a, b) =>
      a.sequenceNumber === b.sequenceNumber
        ? a.subSequenceNumber - b.subSequenceNumber
        : a.sequenceNumber < b.sequenceNumber
          ? -1
          : 1,
    )
  }

  /** All pages. */
  #listing(StreamName: string): ShardListing[] {
    const shards: ShardListing[] = []
    let page = this.model.call('ListShards', { StreamName }) as ListShardsOutput
    for (;;) {
      shards.push(...page.Shards!)
      if (!page.NextToken) return shards
      page = this.model.call('ListShards', { NextToken: page.NextToken }) as ListShardsOutput
    }
  }

  #readShard(ShardId: string, StreamName: string): NonNullable<GetRecordsOutput['Records']>[number][] {
    const records: NonNullable<GetRecordsOutput['Records']>[number][] = []
    const input = { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' }
    let { ShardIterator: iterator } = this.model.call('GetShardIterator', input) as GetShardIteratorOutput
    while (iterator !== undefined) {
      if (this.#hasQuotas) this.#clock.advance(READ_PAUSE_MS)
      const page = this.model.call('GetRecords', { ShardIterator: iterator }) as GetRecordsOutput
      records.push(...page.Records!)
      iterator = page.Records!.length === 0 ? undefined : (page.NextShardIterator ?? undefined)
    }
    return records
  }

  /** The model, with its errors as the SDK raises them. */
  #call(...call: Parameters<KinesisModel['call']>): object {
    try {
      return this.model.call(...call)
    } catch (error) {
      const { code, message } = error as Error & { readonly code?: string }
      throw code === undefined ? error : named(code, message)
    }
  }

  #wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.schedule(ms, resolve)
      signal?.addEventListener('abort', () => {
        timer.cancel()
        reject(signal.reason)
      })
    })
  }
}

/** An error as the SDK raises it: the code is its name. */
export function named(name: string, message = `${name} by the test`): Error {
  return name === 'ECONNRESET' ? Object.assign(new Error(message), { code: name }) : Object.assign(new Error(message), { name })
}
