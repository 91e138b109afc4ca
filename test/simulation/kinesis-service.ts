import type { FanOutPort, SubscribeToShardEvent } from '@shardwise/core/fan-out-port'
import type {
  CallOptions,
  DescribeStreamSummaryOutput,
  GetRecordsOutput,
  GetShardIteratorOutput,
  KinesisPort,
  ListShardsInput,
  ListShardsOutput,
  PutRecordsInput,
  PutRecordsOutput,
  PutRecordsResult,
  ShardListing,
  StreamReference,
} from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import { KinesisModel, KinesisModelError, type SubscribeToShardAnswer } from '@shardwise/local/model'
import { type Network, named } from './network.js'
import { EPOCH, type SimulatedProcess } from './simulated-process.js'
import { SimulatedSubscription } from './simulated-subscription.js'
import type { StreamLog } from './stream-log.js'
import type { VirtualTime } from './virtual-time.js'

const PORT_TIMEOUT_MS = 30_000
/** A listing may be as old as this where listings are stale. */
const STALE_LISTING_MS = 4_000
/** A stream that is being deleted can still be read. */
const DELETION_MS = 1_000

export interface KinesisServiceOptions {
  readonly time: VirtualTime
  readonly random: Random
  readonly network: Network
  /** The stream that has this name now, or had it last. */
  readonly streamOf: (name: string) => StreamLog
  /** Records have been written. Entries that were refused have no sequence number. `known`: the stream of this name that the sender knew. */
  readonly written: (name: string, input: PutRecordsInput, output: PutRecordsOutput, known: StreamLog | undefined) => void
  /** The process sends this. What it gives is to be called when the process knows the outcome, and when it waits no longer. */
  readonly sends: (by: string, input: PutRecordsInput) => () => void
  /** An answer with this record has reached the process. */
  readonly read: (by: string, stream: StreamLog, sequenceNumber: string) => void
  /** The process sends for records of this shard. */
  readonly reads: (by: string, name: string, shardId: string) => void
  /** The process sends for a subscription to this shard. */
  readonly subscribes: (by: SimulatedProcess, name: string, shardId: string) => void
}

interface Listed {
  readonly at: number
  readonly stream: StreamLog
  readonly output: ListShardsOutput
}

/** Kinesis as a pure object on virtual time: the model of @shardwise/local at the end of the network. */
export class KinesisService {
  readonly model: KinesisModel
  readonly #options: KinesisServiceOptions
  readonly #listings = new Map<string, Listed>()
  readonly #iterators = new Map<string, { readonly stream: StreamLog; readonly shardId: string }>()
  /** By process and name: which stream it has last heard of. Undefined: that there is none. */
  readonly #heardOf = new Map<string, StreamLog | undefined>()
  /** Chances that a listing is an old one, that an iterator has expired, and that an entry of a PutRecords is refused. */
  staleListings = 0
  expiredIterators = 0
  refusedEntries = 0
  /** Payload bytes of the largest answer, or event of a subscription, that anybody has read. */
  largestRead = 0
  #jumpMs = 0

  constructor(options: KinesisServiceOptions) {
    this.#options = options
    const { time, random } = options
    const clock = {
      now: () => time.now,
      wallTime: () => EPOCH + time.now + this.#jumpMs,
      schedule: () => {
        throw new Error('The model has no timer')
      },
    }
    this.model = new KinesisModel({ clock, random, transitionMs: { create: 0, delete: DELETION_MS, update: 400 } })
  }

  get wallTime(): number {
    return EPOCH + this.#options.time.now + this.#jumpMs
  }

  arnOf(name: string): string {
    return `arn:aws:kinesis:us-east-1:000000000000:stream/${name}`
  }

  /** Gives the time of its creation. */
  create(name: string, shards: number): number {
    this.call('CreateStream', { StreamName: name, ShardCount: shards })
    const { StreamDescriptionSummary } = this.call('DescribeStreamSummary', { StreamName: name }) as DescribeStreamSummaryOutput
    return StreamDescriptionSummary!.StreamCreationTimestamp!.getTime()
  }

  /** `gone` is told when nothing of it can be read any more. Throws as the service does. */
  delete(name: string, gone: () => void): void {
    this.call('DeleteStream', { StreamName: name, EnforceConsumerDeletion: true })
    this.#options.time.after(DELETION_MS, gone)
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

  listing(name: string): readonly ShardListing[] {
    return (this.call('ListShards', { StreamName: name }) as ListShardsOutput).Shards ?? []
  }

  openShards(name: string): readonly ShardListing[] {
    return this.listing(name).filter(({ SequenceNumberRange }) => SequenceNumberRange?.EndingSequenceNumber === undefined)
  }

  /** As one process reaches it. */
  port(process: SimulatedProcess): KinesisPort & FanOutPort {
    const { time, random, network, written, read, streamOf } = this.#options
    const heard = (name: string, stream: StreamLog | undefined): void => void this.#heardOf.set(`${process.name} ${name}`, stream)
    const send = <T>(operation: string, about: string, work: () => T, options: CallOptions = {}): Promise<T> =>
      network.send({
        process,
        service: 'kinesis',
        operation,
        about,
        work,
        signal: options.signal,
        // An answer comes whole here: until then nothing of it has.
        timeoutMs: Math.min(options.timeoutMs ?? PORT_TIMEOUT_MS, options.firstByteTimeoutMs ?? Number.POSITIVE_INFINITY),
      })
    return {
      putRecords: (input, options) => {
        // On the wire: the caller may reuse its buffers as soon as it has given up.
        const Records = input.Records.map((entry) => ({ ...entry, Data: entry.Data.slice() }))
        const sent = { ...input, Records }
        const name = nameIn(input)
        const known = this.#heardOf.get(`${process.name} ${name}`)
        let refused: readonly boolean[] | undefined
        const work = (): PutRecordsOutput => {
          // What arrives twice is refused twice: an entry that was refused, and written by a copy of its request, is nobody's to promise.
          refused ??= Records.map(() => this.refusedEntries > 0 && random() < this.refusedEntries)
          const output = this.#put(sent, refused)
          written(name, sent, output, known)
          return output
        }
        const ended = this.#options.sends(process.name, sent)
        const answer = send('PutRecords', `${name} ${Records.length} entries`, work, options)
        // Before the sender goes on. Who gives up does so at once.
        options?.signal?.addEventListener('abort', ended, { once: true })
        answer.then(ended, ended)
        return answer.catch((error: Error) => {
          if (error.name === 'ResourceNotFoundException') heard(name, undefined)
          throw error
        })
      },
      getShardIterator: (input, options) => {
        const work = (): GetShardIteratorOutput => {
          const output = this.call('GetShardIterator', input) as GetShardIteratorOutput
          this.#iterators.set(output.ShardIterator!, { stream: streamOf(nameIn(input)), shardId: input.ShardId })
          return output
        }
        const about = `${nameIn(input)} ${input.ShardId} ${input.ShardIteratorType} ${input.StartingSequenceNumber ?? ''}`
        return send('GetShardIterator', about, work, options)
      },
      getRecords: async (input, options) => {
        const place = this.#iterators.get(input.ShardIterator)!
        const { stream, shardId } = place
        this.#options.reads(process.name, stream.name, shardId)
        const work = (): GetRecordsOutput => {
          if (this.expiredIterators > 0 && random() < this.expiredIterators)
            throw named('ExpiredIteratorException', 'Iterator expired, by the weather')
          const output = this.call('GetRecords', input) as GetRecordsOutput
          if (output.NextShardIterator !== undefined) this.#iterators.set(output.NextShardIterator, place)
          return output
        }
        const output = await send('GetRecords', stream.name, work, options)
        this.#measure(output.Records)
        for (const { SequenceNumber } of output.Records ?? []) read(process.name, stream, SequenceNumber!)
        return output
      },
      registerStreamConsumer: (input, options) =>
        send(
          'RegisterStreamConsumer',
          `${nameIn(input)} ${input.ConsumerName}`,
          () => this.call('RegisterStreamConsumer', input),
          options,
        ),
      describeStreamConsumer: (input, options) =>
        send('DescribeStreamConsumer', '', () => this.call('DescribeStreamConsumer', input), options),
      subscribeToShard: async (input, options = {}) => {
        const { ShardId, StartingPosition, ConsumerARN } = input
        const name = /stream\/([^/]+)\/consumer/.exec(ConsumerARN)![1]!
        let stream: StreamLog | undefined
        const about = `${name} ${ShardId} ${StartingPosition.Type} ${StartingPosition.SequenceNumber ?? ''}`
        this.#options.subscribes(process, name, ShardId)
        const work = (): SubscribeToShardAnswer => {
          stream = streamOf(name)
          return this.call('SubscribeToShard', input) as SubscribeToShardAnswer
        }
        const { EventStream: source } = await send('SubscribeToShard', about, work, options)
        const readHere = (by: string, { Records = [] }: SubscribeToShardEvent): void => {
          this.#measure(Records)
          for (const { SequenceNumber } of Records) read(by, stream!, SequenceNumber!)
        }
        return new SimulatedSubscription({ process, time, network, source, signal: options.signal, read: readHere })
      },
      listShards: async (input, options) => {
        let stream: StreamLog | undefined
        const name = nameIn(input)
        const work = (): ListShardsOutput => {
          stream = streamOf(name)
          return this.#list(input, stream)
        }
        const output = await send('ListShards', `${name} ${input.ShardFilter?.Type ?? ''}`, work, options)
        heard(name, stream)
        return output
      },
      describeStreamSummary: (input, options) =>
        send(
          'DescribeStreamSummary',
          nameIn(input),
          () => ({
            ...this.call('DescribeStreamSummary', input),
            serviceTime: Math.floor(this.wallTime / 1_000) * 1_000,
          }),
          options,
        ),
    }
  }

  #measure(records: GetRecordsOutput['Records'] = []): void {
    this.largestRead = Math.max(
      this.largestRead,
      records.reduce((sum, { Data }) => sum + Data!.byteLength, 0),
    )
  }

  #put(input: PutRecordsInput, isRefused: readonly boolean[]): PutRecordsOutput {
    const { random } = this.#options
    const Records = input.Records.filter((_, i) => !isRefused[i])
    const taken =
      Records.length === 0 ? [] : (this.call('PutRecords', { ...input, Records }) as PutRecordsOutput).Records!.slice()
    const results = isRefused.map((refused) => (refused ? refusal(random) : taken.shift()!))
    return { FailedRecordCount: results.filter(({ ErrorCode }) => ErrorCode !== undefined).length, Records: results }
  }

  #list(input: ListShardsInput, stream: StreamLog): ListShardsOutput {
    const { time, random } = this.#options
    const key = JSON.stringify(input)
    const known = this.#listings.get(key)
    const mayBeOld = known?.stream === stream && stream.deletedAt === undefined && time.now - known.at < STALE_LISTING_MS
    if (mayBeOld && random() < this.staleListings) return known.output
    const output = this.call('ListShards', input) as ListShardsOutput
    this.#listings.set(key, { at: time.now, stream, output })
    return output
  }
}

/** By name or by ARN, as whoever asks was given it. */
export function nameIn({ StreamName, StreamARN }: StreamReference): string {
  return StreamName ?? StreamARN!.slice(StreamARN!.indexOf('/') + 1)
}

function refusal(random: Random): PutRecordsResult {
  const ErrorCode = random() < 0.7 ? 'ProvisionedThroughputExceededException' : 'InternalFailure'
  return { ErrorCode, ErrorMessage: `${ErrorCode}, by the weather` }
}
