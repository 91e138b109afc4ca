import { setTimeout as delay } from 'node:timers/promises'
import {
  type _Record,
  type ChildShard,
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
} from '@aws-sdk/client-kinesis'
import { decodeAggregate } from '@shardwise/aggregation'
import type { OpenShard } from './workload.js'

/** One user record as a reader gets it. */
export interface ReadRecord {
  readonly shardId: string
  readonly sequenceNumber: string
  readonly subSequenceNumber: number
  readonly partitionKey: string
  readonly data: Uint8Array
}

export interface ReaderListener {
  /** For each key of the workload whether it lies in the shard. */
  keysWithin(shard: OpenShard): boolean[]
  /** Which key it is; undefined when the record is not one of ours or not intact. */
  keyOf(record: ReadRecord): number | undefined
  /** `dropped`: in an aggregate of which a member lies outside the shard, so that readers do not get to see it. */
  onRecord(record: ReadRecord, dropped: boolean): void
  onFailure(error: Error): void
}

interface Cursor {
  readonly shard: OpenShard
  readonly parents: readonly string[]
  readonly keysWithin: readonly boolean[]
  state: 'waiting' | 'reading' | 'ended'
  /** When (performance.now) the last read began that left nothing unread. */
  caughtUpAt: number
  lastSequenceNumber: string | undefined
}

/** The service gives five reads a second and shard. */
const READ_EVERY_MS = 220

/**
 * Reads a whole stream as it grows, from TRIM_HORIZON, children after their parents, and takes records out of aggregates as the KCL does:
 * an aggregate with a member outside its shard's range is dropped whole (AggregatorUtil.java).
 */
export class StreamReader {
  readonly #client: KinesisClient
  readonly #stream: string
  readonly #listener: ReaderListener
  readonly #cursors = new Map<string, Cursor>()
  readonly #loops = new Set<Promise<void>>()
  readonly #stopping = new AbortController()
  kinesisRecords = 0
  /** As quotas count them: data and partition keys. */
  kinesisBytes = 0
  droppedAggregates = 0

  constructor(client: KinesisClient, stream: string, listener: ReaderListener) {
    this.#client = client
    this.#stream = stream
    this.#listener = listener
  }

  start(shards: readonly OpenShard[]): void {
    for (const shard of shards) this.#add(shard, [])
  }

  get shardsSeen(): number {
    return this.#cursors.size
  }

  /** Whether every shard has been read to its end by reads begun at `time` (performance.now) or later. */
  hasCaughtUp(time: number): boolean {
    return [...this.#cursors.values()].every((cursor) => cursor.state === 'ended' || cursor.caughtUpAt >= time)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#loops)
    this.#client.destroy()
  }

  #add(shard: OpenShard, parents: readonly string[]): void {
    if (this.#cursors.has(shard.shardId)) return
    const keysWithin = this.#listener.keysWithin(shard)
    const lastSequenceNumber = undefined
    this.#cursors.set(shard.shardId, { shard, parents, keysWithin, state: 'waiting', caughtUpAt: -1, lastSequenceNumber })
    this.#startReady()
  }

  #startReady(): void {
    for (const cursor of this.#cursors.values()) {
      if (cursor.state !== 'waiting' || !cursor.parents.every((id) => this.#cursors.get(id)?.state === 'ended')) continue
      cursor.state = 'reading'
      const loop = this.#readShard(cursor).catch((error: Error) => {
        if (!this.#stopping.signal.aborted) this.#listener.onFailure(error)
      })
      this.#loops.add(loop)
      void loop.then(() => this.#loops.delete(loop))
    }
  }

  async #readShard(cursor: Cursor): Promise<void> {
    const abortSignal = this.#stopping.signal
    let iterator = await this.#iterator(cursor)
    while (!abortSignal.aborted) {
      const beganAt = performance.now()
      const answer = await this.#client
        .send(new GetRecordsCommand({ ShardIterator: iterator }), { abortSignal })
        .catch((error: Error) => refusedForNow(error))
      if (answer === 'expired') iterator = await this.#iterator(cursor)
      else if (answer !== 'throttled') {
        for (const record of answer.Records ?? []) this.#take(cursor, record)
        if (answer.NextShardIterator === undefined) return this.#end(cursor, answer.ChildShards ?? [])
        iterator = answer.NextShardIterator
        if (answer.MillisBehindLatest === 0) cursor.caughtUpAt = beganAt
      }
      await delay(READ_EVERY_MS, undefined, { signal: abortSignal })
    }
  }

  async #iterator({ shard, lastSequenceNumber }: Cursor): Promise<string> {
    const from =
      lastSequenceNumber === undefined
        ? { ShardIteratorType: 'TRIM_HORIZON' as const }
        : { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER' as const, StartingSequenceNumber: lastSequenceNumber }
    const command = new GetShardIteratorCommand({ StreamName: this.#stream, ShardId: shard.shardId, ...from })
    const { ShardIterator } = await this.#client.send(command, { abortSignal: this.#stopping.signal })
    return ShardIterator!
  }

  #end(cursor: Cursor, children: readonly ChildShard[]): void {
    cursor.state = 'ended'
    for (const { ShardId, ParentShards, HashKeyRange } of children) {
      this.#add({ shardId: ShardId!, start: HashKeyRange!.StartingHashKey!, end: HashKeyRange!.EndingHashKey! }, ParentShards!)
    }
    this.#startReady()
  }

  #take(cursor: Cursor, { SequenceNumber: sequenceNumber, PartitionKey: partitionKey, Data: data }: _Record): void {
    cursor.lastSequenceNumber = sequenceNumber
    this.kinesisRecords++
    this.kinesisBytes += data!.length + Buffer.byteLength(partitionKey!)
    const { shardId } = cursor.shard
    const place = { shardId, sequenceNumber: sequenceNumber! }
    const aggregate = decodeAggregate(data!)
    if (aggregate === undefined) {
      this.#listener.onRecord({ ...place, subSequenceNumber: 0, partitionKey: partitionKey!, data: data! }, false)
      return
    }
    const members: ReadRecord[] = []
    let dropped = false
    for (let i = 0; i < aggregate.length; i++) {
      const member = { ...place, subSequenceNumber: i, partitionKey: aggregate.partitionKey(i), data: aggregate.data(i) }
      members.push(member)
      const key = this.#listener.keyOf(member)
      dropped ||= key === undefined || cursor.keysWithin[key] !== true
    }
    if (dropped) this.droppedAggregates++
    for (const member of members) this.#listener.onRecord(member, dropped)
  }
}

function refusedForNow(error: Error): 'expired' | 'throttled' {
  // The service's days pass fast here, and an iterator lives for five of its minutes.
  if (error.name === 'ExpiredIteratorException') return 'expired'
  if (error.name === 'ProvisionedThroughputExceededException') return 'throttled'
  throw error
}
