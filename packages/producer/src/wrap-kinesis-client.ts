import { KinesisClient, LimitExceededException } from '@aws-sdk/client-kinesis'
import { systemClock } from '@shardwise/core/clock'
import { InvalidOptionError } from '@shardwise/core/options'
import { connectKinesis } from '@shardwise/core/transport'
import { standIn } from './client-stand-in.js'
import { checkOptions, type ProducerOptions } from './producer-options.js'
import { toSdkError } from './sdk-error.js'
import { putRecordOutput, putRecordsOutput } from './sdk-output.js'
import { readSdkPut, type SdkPut } from './sdk-put.js'
import { abortError, readSendOptions, type SendOptions, whileWanted } from './send-options.js'
import { StreamProducers } from './stream-producers.js'

/** Those of a producer, less what the client and its commands decide. They hold for each stream by itself, `maxBufferedBytes` too. */
export interface WrapOptions
  extends Omit<
    ProducerOptions,
    | 'stream'
    | 'codec'
    | 'recordIds'
    | 'client'
    | 'kinesis'
    | 'region'
    | 'endpoint'
    | 'credentials'
    | 'connectTimeoutMs'
    | 'aggregation'
  > {
  /**
   * `off` (default): each record is a Kinesis record. `shard`, `key`: records for the same shard, or of the same key, travel together in
   * the KPL's aggregated format.
   * **Every reader of the streams must then de-aggregate.**
   */
  readonly aggregation?: 'shard' | 'key' | 'off' | undefined
}

/** What a wrapped client has beside what the SDK gives it. */
export interface WrappedPuts extends AsyncDisposable {
  /** Sends what is buffered without lingering. Resolves when everything put before has settled; never rejects. */
  flush(): Promise<void>
  /** Refuses further puts with ProducerClosedError and resolves when all others have settled. The client itself stays open. */
  close(): Promise<void>
  /** With order kept: see `Producer.resume`. */
  resume(): void
}

/** The client with its own type, whose puts go through producers. */
export type WrappedKinesisClient<Client extends KinesisClient> = Client & { readonly shardwise: WrappedPuts }

const DECIDED = ['stream', 'codec', 'recordIds', 'client', 'kinesis', 'region', 'endpoint', 'credentials', 'connectTimeoutMs']

/**
 * **With aggregation every reader of the streams must de-aggregate.** The default is `off`: readers see what they saw before.
 *
 * Gives an object that existing code uses as its `KinesisClient` or `Kinesis`: its PutRecord and PutRecords commands go through a producer
 * for each stream, which collects them into few requests, keeps to the shards' limits and tries again what failed. They resolve and reject
 * as the SDK's own do. All else, other commands included, goes to `client` as it is. README.md tells what differs.
 *
 * `await wrapped.shardwise.close()` before the process ends or the client is destroyed. Throws InvalidOptionError; sends nothing.
 */
export function wrapKinesisClient<Client extends KinesisClient>(
  client: Client,
  options: WrapOptions = {},
): WrappedKinesisClient<Client> {
  if (!(client instanceof KinesisClient)) {
    throw new InvalidOptionError(
      'client',
      'a KinesisClient of the @aws-sdk/client-kinesis that @shardwise/producer imports',
      client,
    )
  }
  if ('shardwise' in client) throw new InvalidOptionError('client', 'a client that is not wrapped yet', client)
  const wrapper = new KinesisClientWrapper(client, options)
  const own = Object.assign(Object.create(null) as Record<PropertyKey, unknown>, {
    send: (command: object, ...rest: readonly unknown[]) => wrapper.send(command, rest),
    destroy: () => wrapper.destroy(),
    shardwise: wrapper.puts,
  })
  return standIn(client, own) as WrappedKinesisClient<Client>
}

class KinesisClientWrapper {
  readonly puts: WrappedPuts
  readonly #client: KinesisClient
  readonly #options: Required<Pick<ProducerOptions, 'clock' | 'ordering' | 'lingerMs'>>
  readonly #producers: StreamProducers

  constructor(client: KinesisClient, options: WrapOptions) {
    if (typeof options !== 'object' || options === null) throw new InvalidOptionError('options', 'an object', options)
    for (const key of Object.keys(options)) {
      if (DECIDED.includes(key)) {
        throw new InvalidOptionError(key, 'left out: the client and its commands decide it', Reflect.get(options, key))
      }
    }
    const complete = { ...options, aggregation: options.aggregation ?? ('off' as const) }
    const { ordering, lingerMs, requestTimeoutMs, clock } = checkOptions({ ...complete, stream: 'any' })
    const { port } = connectKinesis({ client, wire: options.wire, clock, requestTimeoutMs })
    const producers = new StreamProducers(port, complete)
    this.#client = client
    this.#options = { clock: options.clock ?? systemClock, ordering, lingerMs }
    this.#producers = producers
    this.puts = {
      flush: () => producers.flush(),
      close: () => producers.close(),
      resume: () => producers.resume(),
      [Symbol.asyncDispose]: () => producers.close(),
    }
  }

  /** As the SDK's `send(command, options?, callback?)`. */
  send(command: object, rest: readonly unknown[]): unknown {
    const [first, second] = rest
    const callback = typeof first === 'function' ? first : second
    const options = readSendOptions(typeof first === 'function' ? undefined : first)
    const output = options === undefined ? undefined : this.#put(command, options)
    if (output === undefined) return Reflect.apply(this.#client.send, this.#client, [command, ...rest])
    if (typeof callback !== 'function') return output
    output
      .then(
        (result) => callback(null, result),
        (error: unknown) => callback(error),
      )
      .catch(ignored)
    return undefined
  }

  /**
   * The SDK's `destroy` breaks the connections at once. What was accepted needs them, so it goes first, without lingering. Synchronous if
   * there is nothing of the kind.
   */
  destroy(): void {
    if (this.#producers.isIdle) this.#client.destroy()
    else void this.#producers.flush().then(() => this.#client.destroy())
  }

  /** Undefined if the command must be sent as it is. Takes the records in before it returns, and so in the order of the calls. */
  #put(command: object, options: SendOptions): Promise<unknown> | undefined {
    try {
      const put = readSdkPut(command, this.#options.ordering ?? 'none')
      if (put === undefined) return undefined
      if (options.abortSignal?.aborted === true) throw abortError(options.abortSignal.reason)
      const output = this.#take(put)
      return output && whileWanted(output, options, this.#options.clock ?? systemClock, this.#options.lingerMs ?? 0)
    } catch (error) {
      return Promise.reject(toSdkError(error))
    }
  }

  #take({ operation, stream, records }: SdkPut): Promise<unknown> | undefined {
    const producer = this.#producers.of(stream)
    if (producer === undefined) {
      if ((this.#options.ordering ?? 'none') !== 'none') throw tooManyStreams(stream)
      return undefined
    }
    if (operation === 'PutRecord') return producer.put(records[0]!).then(putRecordOutput)
    return Promise.all(records.map((record) => producer.put(record))).then(putRecordsOutput)
  }
}

/** The SDK, too, does not look at what a callback throws. */
function ignored(): void {}

function tooManyStreams(stream: string): LimitExceededException {
  const message = `Not sent: as many streams have unsettled records or halted shards as this client may write to, and the order of ${stream} could not be kept`
  return new LimitExceededException({ message, $metadata: {} })
}
