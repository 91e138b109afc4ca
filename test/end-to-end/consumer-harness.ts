import {
  CreateStreamCommand,
  DeleteStreamCommand,
  KinesisClient,
  ListShardsCommand,
  MergeShardsCommand,
  PutRecordCommand,
  type Shard,
  SplitShardCommand,
} from '@aws-sdk/client-kinesis'
import { AggregateBuilder } from '@shardwise/aggregation'
import { type ConsumedRecord, Consumer, type ConsumerEvent, type ConsumerOptions, type HandlerContext } from '@shardwise/consumer'
import { type LocalOptions, type LocalServices, startLocal } from '@shardwise/local'
import { CREDENTIALS, REGION } from './local-account.js'

export { CREDENTIALS, REGION }

/** A stream on a local service of its own, and the consumers that a test starts on it. */
export class StreamHarness implements AsyncDisposable {
  readonly stream = 'flights'
  readonly local: LocalServices
  readonly #kinesis: KinesisClient
  readonly #consumers: Consumer[] = []

  private constructor(local: LocalServices) {
    this.local = local
    this.#kinesis = new KinesisClient({ endpoint: local.kinesisEndpoint, region: REGION, credentials: CREDENTIALS })
  }

  /** No stream when `shards` is 0. */
  static async start(shards: number, options: LocalOptions = {}): Promise<StreamHarness> {
    const local = await startLocal({ transitionMs: { create: 0, delete: 0, update: 0 }, ...options })
    const harness = new StreamHarness(local)
    if (shards > 0) await harness.create(harness.stream, shards)
    return harness
  }

  async create(stream: string, shards: number): Promise<void> {
    await this.#kinesis.send(new CreateStreamCommand({ StreamName: stream, ShardCount: shards }))
  }

  /** Options that reach the local services, with short times. */
  options(more: Partial<ConsumerOptions> = {}): ConsumerOptions {
    return {
      ...(more.streams === undefined && { stream: this.stream }),
      applicationName: 'delays',
      endpoint: this.local.kinesisEndpoint,
      dynamodbEndpoint: this.local.dynamodbEndpoint,
      region: REGION,
      credentials: CREDENTIALS,
      initialPosition: 'trim-horizon',
      failoverTimeMs: 2000,
      idleTimeBetweenReadsMs: 200,
      ...more,
    }
  }

  consumer(more: Partial<ConsumerOptions> = {}): Consumer {
    const consumer = new Consumer(this.options(more))
    this.#consumers.push(consumer)
    return consumer
  }

  async put(partitionKey: string, text: string, stream: string = this.stream): Promise<void> {
    await this.#put(partitionKey, new TextEncoder().encode(text), stream)
  }

  async delete(stream: string): Promise<void> {
    await this.#kinesis.send(new DeleteStreamCommand({ StreamName: stream }))
  }

  /** One Kinesis record that carries these texts, all under one key and so for one shard. */
  async putAggregate(partitionKey: string, texts: readonly string[]): Promise<void> {
    const builder = new AggregateBuilder({ maxBytes: 1_000_000 })
    for (const text of texts) builder.tryAdd(partitionKey, new TextEncoder().encode(text))
    await this.#put(partitionKey, builder.seal().bytes.slice())
  }

  async #put(PartitionKey: string, Data: Uint8Array, StreamName = this.stream): Promise<void> {
    await this.#kinesis.send(new PutRecordCommand({ StreamName, PartitionKey, Data }))
  }

  /** In order of hash keys. */
  async openShards(): Promise<Shard[]> {
    const { Shards = [] } = await this.#kinesis.send(new ListShardsCommand({ StreamName: this.stream }))
    return Shards.filter((shard) => shard.SequenceNumberRange?.EndingSequenceNumber === undefined).sort((a, b) =>
      BigInt(a.HashKeyRange!.StartingHashKey!) < BigInt(b.HashKeyRange!.StartingHashKey!) ? -1 : 1,
    )
  }

  async split(shard: Shard): Promise<void> {
    const { StartingHashKey, EndingHashKey } = shard.HashKeyRange!
    const middle = (BigInt(StartingHashKey!) + BigInt(EndingHashKey!)) / 2n
    await this.#kinesis.send(
      new SplitShardCommand({ StreamName: this.stream, ShardToSplit: shard.ShardId, NewStartingHashKey: String(middle) }),
    )
  }

  async merge(left: Shard, right: Shard): Promise<void> {
    await this.#kinesis.send(
      new MergeShardsCommand({ StreamName: this.stream, ShardToMerge: left.ShardId, AdjacentShardToMerge: right.ShardId }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => consumer.stop()))
    this.#kinesis.destroy()
    await this.local.stop()
  }
}

export interface Delivery {
  readonly by: string
  readonly text: string
  readonly record: ConsumedRecord
}

/** What handlers got, in order, over several consumers. */
export class Deliveries {
  readonly all: Delivery[] = []
  readonly #waiting = new Set<() => void>()

  /** A handler that takes everything. */
  by(name: string): { eachRecord: (record: ConsumedRecord, context: HandlerContext) => void } {
    return { eachRecord: (record) => this.add(name, record) }
  }

  add(by: string, record: ConsumedRecord): void {
    this.all.push({ by, text: new TextDecoder().decode(record.data), record })
    for (const check of this.#waiting) check()
  }

  get texts(): string[] {
    return this.all.map((delivery) => delivery.text)
  }

  /** Resolves as soon as this holds. Asked after each delivery. */
  until(holds: (deliveries: readonly Delivery[]) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!holds(this.all)) return
        this.#waiting.delete(check)
        resolve()
      }
      this.#waiting.add(check)
      check()
    })
  }
}

/** The shards that a consumer holds, from its events. */
export function heldShards(consumer: Consumer): Set<string> {
  const held = new Set<string>()
  consumer.events.on('shard-started', ({ shardId }) => held.add(shardId))
  consumer.events.on('shard-stopped', ({ shardId }) => held.delete(shardId))
  return held
}

/** Resolves once `holds`, asked at the start and after each event of the consumers. */
export function eventually(consumers: readonly Consumer[], holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const offs = consumers.map((consumer) => consumer.events.onAny(() => check()))
    const check = (): void => {
      if (!holds()) return
      for (const off of offs) off()
      resolve()
    }
    check()
  })
}

export function recorded(consumer: Consumer): ConsumerEvent[] {
  const events: ConsumerEvent[] = []
  consumer.events.onAny((event) => events.push(event))
  return events
}
