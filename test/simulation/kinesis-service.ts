import type { FanOutPort } from '@shardwise/core/fan-out-port'
import type {
  CallOptions,
  DescribeStreamSummaryOutput,
  GetRecordsOutput,
  KinesisPort,
  ListShardsInput,
  ListShardsOutput,
  PutRecordsInput,
  PutRecordsOutput,
  PutRecordsResult,
  ShardListing,
} from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import { KinesisModel, KinesisModelError, type SubscribeToShardAnswer } from '@shardwise/local/model'
import { type Network, named } from './network.js'
import { EPOCH, type SimulatedProcess } from './simulated-process.js'
import { SimulatedSubscription } from './simulated-subscription.js'
import type { VirtualTime } from './virtual-time.js'

export const STREAM = 'flights'
const PORT_TIMEOUT_MS = 30_000
/** A listing may be as old as this where listings are stale. */
const STALE_LISTING_MS = 4_000

export interface KinesisServiceOptions {
  readonly time: VirtualTime
  readonly random: Random
  readonly network: Network
  readonly shards: number
  /** Records have been written. Entries that were refused have no sequence number. */
  readonly written: (input: PutRecordsInput, output: PutRecordsOutput) => void
  /** An answer with this record has reached the process. */
  readonly read: (by: string, sequenceNumber: string) => void
  /** The process sends for a subscription to this shard. */
  readonly subscribes: (by: SimulatedProcess, shardId: string) => void
}

interface Listed {
  readonly at: number
  readonly output: ListShardsOutput
}

/** Kinesis as a pure object on virtual time: the model of @shardwise/local at the end of the network. */
export class KinesisService {
  readonly model: KinesisModel
  readonly #options: KinesisServiceOptions
  readonly #listings = new Map<string, Listed>()
  /** Chances that a listing is an old one, that an iterator has expired, and that an entry of a PutRecords is refused. */
  staleListings = 0
  expiredIterators = 0
  refusedEntries = 0
  #jumpMs = 0

  constructor(options: KinesisServiceOptions) {
    this.#options = options
    const { time, random, shards } = options
    const clock = {
      now: () => time.now,
      wallTime: () => EPOCH + time.now + this.#jumpMs,
      schedule: () => {
        throw new Error('The model has no timer')
      },
    }
    this.model = new KinesisModel({ clock, random, transitionMs: { create: 0, delete: 0, update: 400 } })
    this.call('CreateStream', { StreamName: STREAM, ShardCount: shards })
  }

  get wallTime(): number {
    return EPOCH + this.#options.time.now + this.#jumpMs
  }

  get arn(): string {
    const { StreamDescriptionSummary } = this.call('DescribeStreamSummary', { StreamName: STREAM }) as DescribeStreamSummaryOutput
    return StreamDescriptionSummary!.StreamARN!
  }

  /** The service's own calendar goes on by so much: what is older than the retention period is gone. */
  jump(ms: number): void {
    this.#jumpMs += ms
  }

  /** At the service itself. Rejections have the names that the SDK gives them. */
  call(operation: string, input: object): object {
    try {
      return this.model.call(operation, input)
    } catch (error) {
      throw error instanceof KinesisModelError ? named(error.code, error.message) : error
    }
  }

  listing(): readonly ShardListing[] {
    return (this.call('ListShards', { StreamName: STREAM }) as ListShardsOutput).Shards ?? []
  }

  openShards(): readonly ShardListing[] {
    return this.listing().filter(({ SequenceNumberRange }) => SequenceNumberRange?.EndingSequenceNumber === undefined)
  }

  /** As one process reaches it. */
  port(process: SimulatedProcess): KinesisPort & FanOutPort {
    const { time, random, network, written, read } = this.#options
    const send = <T>(operation: string, about: string, work: () => T, options: CallOptions = {}): Promise<T> =>
      network.send({
        process,
        service: 'kinesis',
        operation,
        about,
        work,
        signal: options.signal,
        timeoutMs: options.timeoutMs ?? PORT_TIMEOUT_MS,
      })
    return {
      putRecords: (input, options) => {
        // On the wire: the caller may reuse its buffers as soon as it has given up.
        const Records = input.Records.map((entry) => ({ ...entry, Data: entry.Data.slice() }))
        const sent = { ...input, Records }
        const work = (): PutRecordsOutput => {
          const output = this.#put(sent)
          written(sent, output)
          return output
        }
        return send('PutRecords', `${Records.length} entries`, work, options)
      },
      getShardIterator: (input, options) =>
        send(
          'GetShardIterator',
          `${input.ShardId} ${input.ShardIteratorType} ${input.StartingSequenceNumber ?? ''}`,
          () => this.call('GetShardIterator', input),
          options,
        ),
      getRecords: async (input, options) => {
        const output = await send(
          'GetRecords',
          '',
          () => {
            if (this.expiredIterators > 0 && random() < this.expiredIterators)
              throw named('ExpiredIteratorException', 'Iterator expired, by the weather')
            return this.call('GetRecords', input) as GetRecordsOutput
          },
          options,
        )
        for (const { SequenceNumber } of output.Records ?? []) read(process.name, SequenceNumber!)
        return output
      },
      registerStreamConsumer: (input, options) =>
        send('RegisterStreamConsumer', input.ConsumerName, () => this.call('RegisterStreamConsumer', input), options),
      describeStreamConsumer: (input, options) =>
        send('DescribeStreamConsumer', '', () => this.call('DescribeStreamConsumer', input), options),
      subscribeToShard: async (input, options = {}) => {
        const { ShardId, StartingPosition } = input
        const about = `${ShardId} ${StartingPosition.Type} ${StartingPosition.SequenceNumber ?? ''}`
        this.#options.subscribes(process, ShardId)
        const work = (): SubscribeToShardAnswer => this.call('SubscribeToShard', input) as SubscribeToShardAnswer
        const { EventStream: source } = await send('SubscribeToShard', about, work, options)
        return new SimulatedSubscription({ process, time, network, source, signal: options.signal, read })
      },
      listShards: (input, options) => send('ListShards', input.ShardFilter?.Type ?? '', () => this.#list(input), options),
      describeStreamSummary: (input, options) =>
        send(
          'DescribeStreamSummary',
          '',
          () => ({
            ...this.call('DescribeStreamSummary', input),
            serviceTime: Math.floor(this.wallTime / 1_000) * 1_000,
          }),
          options,
        ),
    }
  }

  #put(input: PutRecordsInput): PutRecordsOutput {
    const { random } = this.#options
    const isRefused = input.Records.map(() => this.refusedEntries > 0 && random() < this.refusedEntries)
    const Records = input.Records.filter((_, i) => !isRefused[i])
    const taken =
      Records.length === 0 ? [] : (this.call('PutRecords', { ...input, Records }) as PutRecordsOutput).Records!.slice()
    const results = isRefused.map((refused) => (refused ? refusal(random) : taken.shift()!))
    return { FailedRecordCount: results.filter(({ ErrorCode }) => ErrorCode !== undefined).length, Records: results }
  }

  #list(input: ListShardsInput): ListShardsOutput {
    const { time, random } = this.#options
    const key = JSON.stringify(input)
    const known = this.#listings.get(key)
    if (known !== undefined && time.now - known.at < STALE_LISTING_MS && random() < this.staleListings) return known.output
    const output = this.call('ListShards', input) as ListShardsOutput
    this.#listings.set(key, { at: time.now, output })
    return output
  }
}

function refusal(random: Random): PutRecordsResult {
  const ErrorCode = random() < 0.7 ? 'ProvisionedThroughputExceededException' : 'InternalFailure'
  return { ErrorCode, ErrorMessage: `${ErrorCode}, by the weather` }
}
