import { ManualClock } from '@shardwise/core/clock'
import type { KinesisPort, PutRecordsInput, PutRecordsOutput, PutRecordsResult } from '@shardwise/core/kinesis-port'
import { type Random, seededRandom } from '@shardwise/core/random'
import { KinesisModel } from '@shardwise/local/model'
import { Producer } from '../producer.js'
import type { ProducerOptions } from '../producer-options.js'

const MIB = 1024 * 1024
/** How often a load offers what is due. */
const OFFER_MS = 20

/** How a shard counts what it takes: the model's tank that fills evenly, or so much in each second by the clock. */
export type Counting = 'tank' | 'seconds'

export interface Load {
  /** Shards' quotas that it offers, evenly. What finds the buffer full is not offered again. */
  readonly offered: number
  readonly recordBytes: number
  readonly fromMs?: number
  readonly untilMs?: number
  readonly options?: Partial<ProducerOptions>
}

/** Kinesis records that a writer sent and that the shard took, by the second in which they arrived. */
export interface Writer {
  readonly producer: Producer
  readonly sent: number[]
  readonly taken: number[]
  readonly takenBytes: number[]
  requests: number
}

/** The real producers of several machines, each request with its own travel time, and the shards of one stream that they share. */
export class SharedShard {
  readonly clock: ManualClock = new ManualClock()
  readonly model: KinesisModel
  /** Of the way there and back: evenly from `least` to `most`. */
  roundTripMs: { readonly least: number; readonly most: number } = { least: 8, most: 30 }
  readonly writers: Writer[] = []
  /** Of the requests, refused as a whole for the quota whatever the shard has left. */
  strayShare = 0
  readonly #random: Random
  readonly #seconds: SecondsQuota | undefined

  constructor(seed: number, counting: Counting = 'tank', shards = 1) {
    this.#random = seededRandom(seed)
    this.model = new KinesisModel({
      ...{ clock: this.clock, quotas: counting === 'tank' },
      transitionMs: { create: 0, delete: 0, update: 0 },
    })
    this.model.call('CreateStream', { StreamName: 'flights', ShardCount: shards })
    this.#seconds = counting === 'tank' ? undefined : new SecondsQuota()
  }

  /** A producer, and what it is offered. */
  load({ offered, recordBytes, fromMs = 0, untilMs = Number.POSITIVE_INFINITY, options = {} }: Load): Writer {
    const writer: Writer = { producer: undefined as unknown as Producer, sent: [], taken: [], takenBytes: [], requests: 0 }
    const producer = new Producer({
      ...{ stream: 'flights', kinesis: this.#port(writer), clock: this.clock, random: this.#random },
      ...{ maxBufferedBytes: 2 * MIB, maxBufferedRecords: 2000, recordTtlMs: 3_600_000 },
      // The shards stay as they are, and the draws of a seed are then those of the rate alone.
      ...{ shardMapRefreshMs: 0, ...options },
    })
    Object.assign(writer, { producer })
    this.writers.push(writer)
    const data = new Uint8Array(recordBytes - 8)
    const each = (Math.max(1 / 1000, recordBytes / MIB) * 1000) / offered
    let [due, key] = [Math.max(fromMs, this.#random() * OFFER_MS), 0]
    const offer = (): void => {
      const now = this.clock.now()
      for (; due <= now; due += each) producer.offer({ partitionKey: `${10_000_000 + (key++ % 1000)}`, data })
      if (now < untilMs) this.clock.schedule(OFFER_MS, offer)
    }
    this.clock.schedule(due, offer)
    return writer
  }

  /** One who writes to the shards without asking what is left of them. */
  intrude({ quotas, fromMs, untilMs }: { readonly quotas: number; readonly fromMs: number; readonly untilMs: number }): void {
    const write = (): void => {
      const count = Math.round(quotas * OFFER_MS)
      const Records = Array.from({ length: count }, (_, i) => ({ PartitionKey: `${i}`, Data: new Uint8Array(1024) }))
      this.#put({ StreamName: 'flights', Records })
      if (this.clock.now() < untilMs) this.clock.schedule(OFFER_MS, write)
    }
    this.clock.schedule(fromMs, write)
  }

  async run(forMs: number): Promise<void> {
    await this.clock.advanceAsync(forMs)
  }

  #port(writer: Writer): KinesisPort {
    const travel = (): Promise<void> => {
      const { least, most } = this.roundTripMs
      return new Promise((resolve) => {
        this.clock.schedule((least + this.#random() * (most - least)) / 2, resolve)
      })
    }
    const call = async (operation: string, input: object): Promise<never> => {
      await travel()
      return this.model.call(operation, input) as never
    }
    return {
      putRecords: async (input) => {
        await travel()
        const isStray = this.strayShare > 0 && this.#random() < this.strayShare
        const output = isStray ? { Records: input.Records.map(() => REFUSED) } : this.#put(input)
        const second = Math.floor(this.clock.now() / 1000)
        writer.requests++
        for (const [i, { SequenceNumber }] of output.Records!.entries()) {
          writer.sent[second] = (writer.sent[second] ?? 0) + 1
          if (SequenceNumber === undefined) continue
          writer.taken[second] = (writer.taken[second] ?? 0) + 1
          const { Data, PartitionKey } = input.Records[i]!
          writer.takenBytes[second] = (writer.takenBytes[second] ?? 0) + Data.byteLength + PartitionKey.length
        }
        await travel()
        return output
      },
      listShards: (input) => call('ListShards', input),
      describeStreamSummary: (input) => call('DescribeStreamSummary', input),
      getShardIterator: (input) => call('GetShardIterator', input),
      getRecords: (input) => call('GetRecords', input),
    }
  }

  #put(input: PutRecordsInput): PutRecordsOutput {
    const seconds = this.#seconds
    if (seconds === undefined) return this.model.call('PutRecords', input) as PutRecordsOutput
    const now = this.clock.now()
    const passes = input.Records.map(({ Data, PartitionKey }) => seconds.take(Data.byteLength + PartitionKey.length, now))
    const Records = input.Records.filter((_, i) => passes[i])
    const taken: PutRecordsResult[] =
      Records.length === 0 ? [] : [...(this.model.call('PutRecords', { ...input, Records }) as PutRecordsOutput).Records!]
    return {
      Records: passes.map((passed) => (passed ? taken.shift()! : REFUSED)),
    }
  }
}

const REFUSED: PutRecordsResult = { ErrorCode: 'ProvisionedThroughputExceededException' }

class SecondsQuota {
  #second = -1
  #records = 0
  #bytes = 0

  take(bytes: number, now: number): boolean {
    if (Math.floor(now / 1000) > this.#second) [this.#second, this.#records, this.#bytes] = [Math.floor(now / 1000), 0, 0]
    if (this.#records >= 1000 || this.#bytes + bytes > MIB) return false
    this.#records++
    this.#bytes += bytes
    return true
  }
}
