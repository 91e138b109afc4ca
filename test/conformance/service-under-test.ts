import {
  CreateStreamCommand,
  type CreateStreamCommandInput,
  DeleteStreamCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  type GetRecordsCommandOutput,
  GetShardIteratorCommand,
  type GetShardIteratorCommandInput,
  type KinesisClient,
  type _Record as KinesisRecord,
  ListShardsCommand,
  PutRecordsCommand,
  type PutRecordsRequestEntry,
  type PutRecordsResultEntry,
  type Shard,
  type StreamDescriptionSummary,
} from '@aws-sdk/client-kinesis'
import { sleep, systemClock } from '@shardwise/core/clock'

/** What the suite runs against. */
export interface ServiceTarget {
  readonly name: string
  /** What it is known to do differently, by the key of the case. */
  readonly differences: Readonly<Record<string, Difference>>
  /** For one case. */
  readonly timeoutMs: number
  /** How often to ask whether a stream has become ACTIVE. A service over a network cannot be waited for by event. */
  readonly pollMs: number
  /** Streams are named with this prefix, and deleted by the case that made them. */
  readonly streamPrefix: string
  start(): Promise<{ readonly client: KinesisClient; stop(): Promise<void> }>
}

export interface Difference {
  /** What it does, and why it is let be. */
  readonly reason: string
  /** The failure of the case, as text: anything else, or no failure, is news and fails the test. Undefined: too costly to run. */
  readonly shows?: RegExp
}

/** A refusal as the SDK raises it. */
export interface Refusal {
  readonly name: string
  readonly message: string
  readonly status: number | undefined
}

const utf8 = new TextEncoder()

/** The service through a client that makes one attempt a call, with what the cases do often. */
export class ServiceUnderTest {
  readonly client: KinesisClient
  readonly #target: ServiceTarget
  readonly #made = new Set<string>()
  #streams = 0

  constructor(client: KinesisClient, target: ServiceTarget) {
    this.client = client
    this.#target = target
  }

  freshName(): string {
    const name = `${this.#target.streamPrefix}-${process.pid}-${++this.#streams}`
    this.#made.add(name)
    return name
  }

  /** Creates a stream and waits until it is ACTIVE. */
  async stream(input: Omit<CreateStreamCommandInput, 'StreamName'> = { ShardCount: 1 }): Promise<string> {
    const StreamName = this.freshName()
    await this.client.send(new CreateStreamCommand({ StreamName, ...input }))
    await this.active(StreamName)
    return StreamName
  }

  async summary(StreamName: string): Promise<StreamDescriptionSummary> {
    return (await this.client.send(new DescribeStreamSummaryCommand({ StreamName }))).StreamDescriptionSummary!
  }

  async active(StreamName: string): Promise<StreamDescriptionSummary> {
    for (;;) {
      const summary = await this.summary(StreamName)
      if (summary.StreamStatus === 'ACTIVE') return summary
      await this.pause()
    }
  }

  pause(): Promise<void> {
    return sleep(systemClock, this.#target.pollMs)
  }

  /** For what the service does by the clock. */
  wait(ms: number): Promise<void> {
    return sleep(systemClock, ms)
  }

  /** In order of id. */
  async shards(StreamName: string): Promise<Shard[]> {
    const { Shards = [] } = await this.client.send(new ListShardsCommand({ StreamName }))
    return [...Shards].sort((a, b) => (a.ShardId! < b.ShardId! ? -1 : 1))
  }

  /** Puts the texts, each under itself as key unless said otherwise, and expects all to be taken. */
  async put(
    StreamName: string,
    texts: readonly string[],
    extra: Partial<PutRecordsRequestEntry> = {},
  ): Promise<PutRecordsResultEntry[]> {
    const Records = texts.map((text) => ({ PartitionKey: text, Data: utf8.encode(text), ...extra }))
    const { FailedRecordCount, Records: results } = await this.client.send(new PutRecordsCommand({ StreamName, Records }))
    if (FailedRecordCount !== 0) throw new Error(`${FailedRecordCount} records were not taken`)
    return results!
  }

  async iterator(
    StreamName: string,
    ShardIteratorType: GetShardIteratorCommandInput['ShardIteratorType'],
    rest: Partial<GetShardIteratorCommandInput> = {},
  ): Promise<string> {
    const input = { StreamName, ShardId: 'shardId-000000000000', ShardIteratorType, ...rest }
    return (await this.client.send(new GetShardIteratorCommand(input))).ShardIterator!
  }

  /** GetRecords, repeated while the service says that it is read too fast. */
  async get(ShardIterator: string, Limit?: number): Promise<GetRecordsCommandOutput> {
    for (;;) {
      try {
        return await this.client.send(new GetRecordsCommand({ ShardIterator, ...(Limit === undefined ? {} : { Limit }) }))
      } catch (error) {
        if ((error as Error).name !== 'ProvisionedThroughputExceededException') throw error
        await sleep(systemClock, 250)
      }
    }
  }

  /** Reads on from an iterator until there are `count` records or the shard ends. */
  async read(
    iterator: string,
    count: number,
  ): Promise<{ readonly records: KinesisRecord[]; readonly last: GetRecordsCommandOutput }> {
    const records: KinesisRecord[] = []
    for (let next: string | undefined = iterator; ; ) {
      const answer = await this.get(next)
      records.push(...answer.Records!)
      next = answer.NextShardIterator
      if (next === undefined || records.length >= count) return { records, last: answer }
      if (answer.Records!.length === 0) await this.pause()
    }
  }

  async texts(iterator: string, count: number): Promise<string[]> {
    return (await this.read(iterator, count)).records.map(({ Data }) => new TextDecoder().decode(Data))
  }

  /** How the service refuses. Throws when it does not. */
  async refusal(call: Promise<unknown>): Promise<Refusal> {
    try {
      await call
    } catch (error) {
      const { name, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } }
      if ($metadata?.httpStatusCode === undefined) throw error
      return { name, message, status: $metadata.httpStatusCode }
    }
    throw new Error('The service did not refuse')
  }

  /** Deletes what the cases made. */
  async clean(): Promise<void> {
    for (const StreamName of this.#made) {
      try {
        await this.active(StreamName)
        await this.client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }))
      } catch (error) {
        if ((error as Error).name !== 'ResourceNotFoundException') throw error
      }
      this.#made.delete(StreamName)
    }
  }
}
