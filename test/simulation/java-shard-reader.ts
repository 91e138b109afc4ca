import { decodeAggregate } from '@shardwise/aggregation'
import { type Clock, sleep } from '@shardwise/core/clock'
import { effectiveHashKey, inRange } from '@shardwise/core/hash-key'
import type { GetRecordsOutput, GetShardIteratorInput, KinesisPort, KinesisRecord } from '@shardwise/core/kinesis-port'
import type { JavaShardReader, JavaStep, JavaWorkerOptions } from './java-models.js'
import { placeOf, type ShardLog } from './stream-log.js'

type From = Parameters<JavaWorkerOptions['stream']['open']>[1]

export interface JavaShardReaderOptions {
  readonly kinesis: KinesisPort
  readonly clock: Clock
  readonly stream: string
  readonly shard: ShardLog
  readonly from: From
  readonly idleMs: number
  readonly maxRecords: number
  readonly holds: () => boolean
  /** The record processor: these, by their places. Resolves when it has processed them. */
  readonly process: (places: readonly string[]) => Promise<void>
  /** Left out by KCL's rule for aggregates. */
  readonly dropped: (places: readonly string[]) => void
}

/** KCL's way with a shard: polling (KinesisDataFetcher.java), de-aggregation (AggregatorUtil.java), what is checkpointed left out (ProcessTask.java). */
export class SimulatedJavaReader implements JavaShardReader {
  readonly #options: JavaShardReaderOptions
  #iterator: string | undefined
  #last: string | undefined

  constructor(options: JavaShardReaderOptions) {
    this.#options = options
  }

  async next(): Promise<JavaStep> {
    const { clock, idleMs, holds, kinesis, maxRecords } = this.#options
    await sleep(clock, idleMs)
    if (!holds()) return { is: 'processed', upTo: undefined }
    let output: GetRecordsOutput
    try {
      this.#iterator ??= (await kinesis.getShardIterator(this.#start)).ShardIterator!
      output = await kinesis.getRecords({ ShardIterator: this.#iterator, Limit: maxRecords })
    } catch (error) {
      if ((error as Error).name === 'ExpiredIteratorException') this.#iterator = undefined
      throw error
    }
    const { Records = [], NextShardIterator, ChildShards = [] } = output
    // The lease may have gone meanwhile: the scheduler's loop looks once a second, and the processor does not hear of it before.
    const upTo = await this.#process(Records)
    this.#last = Records.at(-1)?.SequenceNumber ?? this.#last
    this.#iterator = NextShardIterator ?? undefined
    if (this.#iterator !== undefined) return { is: 'processed', upTo }
    return {
      is: 'end',
      children: ChildShards.map(({ ShardId, ParentShards, HashKeyRange }) => ({
        shardId: ShardId!,
        parents: ParentShards ?? [],
        range: HashKeyRange && { start: BigInt(HashKeyRange.StartingHashKey!), end: BigInt(HashKeyRange.EndingHashKey!) },
      })),
    }
  }

  get #start(): GetShardIteratorInput {
    const { stream, shard, from } = this.#options
    const of = { StreamName: stream, ShardId: shard.shardId }
    if (this.#last !== undefined) return { ...of, ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: this.#last }
    if (!/^\d+$/.test(from.checkpoint)) return { ...of, ShardIteratorType: 'TRIM_HORIZON' }
    return { ...of, ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber: from.checkpoint }
  }

  /** Up to the last record, whether or not it was dropped. */
  async #process(records: readonly KinesisRecord[]): Promise<From | undefined> {
    const given: string[] = []
    const dropped: string[] = []
    let upTo: From | undefined
    for (const { SequenceNumber, Data, PartitionKey } of records) {
      const { members, isAccepted } = this.#members(Data!, PartitionKey!)
      for (let sub = 0; sub < members; sub++) {
        if (this.#isCheckpointed(SequenceNumber!, sub)) continue
        const place = placeOf(SequenceNumber!, sub)
        if (isAccepted) given.push(place)
        else dropped.push(place)
        upTo = { checkpoint: SequenceNumber!, sub }
      }
    }
    if (dropped.length > 0) this.#options.dropped(dropped)
    if (given.length > 0) await this.#options.process(given)
    return upTo
  }

  /** One member outside the shard's range, and KCL drops the whole aggregate. */
  #members(data: Uint8Array, partitionKey: string): { readonly members: number; readonly isAccepted: boolean } {
    const aggregate = decodeAggregate(data)
    if (aggregate === undefined || partitionKey === undefined) return { members: 1, isAccepted: true }
    const { range } = this.#options.shard
    const members = Array.from(aggregate)
    const isAccepted = members.every((member) => inRange(effectiveHashKey(member.partitionKey, member.explicitHashKey), range))
    return { members: members.length, isAccepted }
  }

  #isCheckpointed(sequenceNumber: string, sub: number): boolean {
    const { checkpoint, sub: last } = this.#options.from
    if (!/^\d+$/.test(checkpoint)) return false
    const difference = BigInt(sequenceNumber) - BigInt(checkpoint)
    return difference < 0n || (difference === 0n && sub <= last)
  }
}
