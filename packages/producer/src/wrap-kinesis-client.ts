import { KinesisClient } from '@aws-sdk/client-kinesis'
import { systemClock } from '@shardwise/core/clock'
import { InvalidOptionError } from '@shardwise/core/options'
import { connectKinesis } from '@shardwise/core/transport'
import { AnswerLog } from './answer-log.js'
import { standIn } from './client-stand-in.js'
import { Producer } from './producer.js'
import { checkOptions, type ProducerOptions } from './producer-options.js'
import { toSdkError } from './sdk-error.js'
import { type PutOutcome, putRecordOutput, putRecordsOutput } from './sdk-output.js'
import { type AddressedPut, readSdkPut, type SdkPut } from './sdk-put.js'
import { abortError, readSendOptions, type SendOptions, whileWanted } from './send-options.js'

/** Those of a producer, less what the client and its commands decide. */
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

/**
 * What a wrapped client has beside what the SDK gives it: its producer, but for the puts. `flush` sends what is buffered without lingering,
 * `close` refuses further puts and waits for all others. The client itself stays open.
 */
export type WrappedPuts = Pick<Producer, 'events' | 'flush' | 'close' | 'resume' | 'stats'> & AsyncDisposable

/** The client with its own type, whose puts go through a producer. */
export type WrappedKinesisClient<Client extends KinesisClient> = Client & { readonly shardwise: WrappedPuts }

const DECIDED = ['stream', 'codec', 'recordIds', 'client', 'kinesis', 'region', 'endpoint', 'credentials', 'connectTimeoutMs']

/**
 * **With aggregation every reader of the streams must de-aggregate.** The default is `off`: readers see what they saw before.
 *
 * Gives an object that existing code uses as its `KinesisClient` or `Kinesis`: its PutRecord and PutRecords commands go through one
 * producer for all streams, which collects them into few requests, keeps to the shards' limits and tries again what failed. They resolve and reject
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
    shardwise: wrapper.producer as WrappedPuts,
  })
  return standIn(client, own) as WrappedKinesisClient<Client>
}

class KinesisClientWrapper {
  readonly producer: Producer
  readonly #client: KinesisClient
  readonly #options: Required<Pick<ProducerOptions, 'clock' | 'ordering' | 'lingerMs'>>
  readonly #answers = new AnswerLog()
  readonly #aggregates: boolean

  constructor(client: KinesisClient, options: WrapOptions) {
    if (typeof options !== 'object' || options === null) throw new InvalidOptionError('options', 'an object', options)
    for (const key of Object.keys(options)) {
      if (DECIDED.includes(key)) {
        throw new InvalidOptionError(key, 'left out: the client and its commands decide it', Reflect.get(options, key))
      }
    }
    const complete = { ...options, aggregation: options.aggregation ?? ('off' as const) }
    const { ordering, lingerMs, requestTimeoutMs, clock } = checkOptions(complete)
    const { port } = connectKinesis({ client, wire: options.wire, sender: options.sender, clock, requestTimeoutMs })
    this.#client = client
    this.#options = { clock: options.clock ?? systemClock, ordering, lingerMs }
    this.#aggregates = complete.aggregation !== 'off'
    const telemetry = this.#aggregates ? options.telemetry : withoutInject(options.telemetry)
    this.producer = new Producer({ ...complete, telemetry, kinesis: this.#answers.overhear(port) })
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
    const { bufferedRecords, waitingForRoom } = this.producer.stats()
    if (bufferedRecords + waitingForRoom === 0) this.#client.destroy()
    else void this.producer.flush().then(() => this.#client.destroy())
  }

  /** Undefined if the command must be sent as it is. Takes the records in before it returns, and so in the order of the calls. */
  #put(command: object, options: SendOptions): Promise<unknown> | undefined {
    try {
      const put = readSdkPut(command, this.#options.ordering ?? 'none')
      if (put === undefined) return undefined
      if (options.abortSignal?.aborted === true) throw abortError(options.abortSignal.reason)
      return whileWanted(this.#take(put), options, this.#options.clock ?? systemClock, this.#options.lingerMs ?? 0)
    } catch (error) {
      return Promise.reject(toSdkError(error))
    }
  }

  #take({ operation, records }: SdkPut): Promise<unknown> {
    if (operation === 'PutRecord') return this.#outcome(records[0]!).then(putRecordOutput)
    return Promise.all(records.map((record) => this.#outcome(record))).then(putRecordsOutput)
  }

  /** Never rejects. */
  #outcome(record: AddressedPut): Promise<PutOutcome> {
    return this.producer.put(record).then(
      (result) => ({ kind: 'put', result, facts: this.#answers.factsOf(record.stream, result, this.#aggregates) }),
      (error: unknown) => ({ kind: 'failed', error }),
    )
  }
}

/** The SDK, too, does not look at what a callback throws. */
function ignored(): void {}

/** Trace context would need an envelope, and readers see what they saw before. */
function withoutInject(telemetry: ProducerOptions['telemetry']): ProducerOptions['telemetry'] {
  if (telemetry === undefined) return undefined
  return {
    counter: (...sample) => telemetry.counter?.(...sample),
    histogram: (...sample) => telemetry.histogram?.(...sample),
    gauge: (...sample) => telemetry.gauge?.(...sample),
  }
}
