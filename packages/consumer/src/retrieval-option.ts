import type { FanOutPort } from '@shardwise/core/fan-out-port'
import { booleanOption, functionsOption, InvalidOptionError, refuseUnknownOptions, stringOption } from '@shardwise/core/options'
import type { StreamSettings } from './streams/stream-settings.js'

/** How records are fetched. */
export type RetrievalOption = 'polling' | { readonly fanOut: FanOutOptions }

/** Enhanced fan-out. Each default holds where the option is absent or undefined. */
export interface FanOutOptions {
  /**
   * The stream consumer by which shards are subscribed to: one of this name in each stream. 1 to 128 of a-z, A-Z, 0-9, _ . -. Default
   * `applicationName`, as KCL. Two applications with the same one take the shards from each other.
   */
  readonly consumerName?: string | undefined
  /** One that exists, in place of a name: for a consumer of one stream. Where there are `streams`, each has its own `consumerArn`. */
  readonly consumerArn?: string | undefined
  /** Whether it is registered where it is missing. It is never deregistered, and costs until somebody does. Default true; not of `consumerArn`. */
  readonly register?: boolean | undefined
  /**
   * Whether shards that cannot be subscribed to (no permission, too many stream consumers, a proxy without HTTP/2) are read by polling, until they
   * can. Default false: they wait, and the start fails where there is no stream consumer.
   */
  readonly fallbackToPolling?: boolean | undefined
}

/** Checked and complete. */
export type RetrievalSettings =
  | { readonly is: 'polling' }
  | {
      readonly is: 'fan-out'
      readonly consumerName: string
      readonly consumerArn: string | undefined
      readonly register: boolean
      readonly fallbackToPolling: boolean
    }

export interface RetrievalContext {
  readonly applicationName: string
  readonly severalStreams: boolean
  readonly streams: readonly StreamSettings[]
  /** The port in place of a connection. */
  readonly kinesis: object | undefined
}

const FAN_OUT_SAYS = '{ consumerName, consumerArn, register, fallbackToPolling }, each of them optional'
const SAYS = "'polling' or { fanOut: { consumerName, consumerArn, register, fallbackToPolling } }"
/** https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html: ConsumerName; API_SubscribeToShard.html: ConsumerARN. */
const NAME = /^[a-zA-Z0-9_.-]{1,128}$/
const ARN = /^(arn:aws[\w-]*:kinesis:[a-z0-9-]+:\d{12}:stream\/([a-zA-Z0-9_.-]{1,128}))\/consumer\/[a-zA-Z0-9_.-]{1,128}:\d+$/
const CALLS = ['registerStreamConsumer', 'describeStreamConsumer', 'subscribeToShard'] as const

/** Throws InvalidOptionError. */
export function checkRetrieval(given: RetrievalOption | undefined, context: RetrievalContext): RetrievalSettings {
  const retrieval = settingsOf(given ?? 'polling', context)
  for (const stream of context.streams) checkConsumerArn(stream, retrieval)
  return retrieval
}

/** A stream's own `consumerArn` has a use. Throws InvalidOptionError. */
export function checkConsumerArn({ consumerArn }: StreamSettings, retrieval: RetrievalSettings): void {
  if (consumerArn === undefined || retrieval.is === 'fan-out') return
  throw new InvalidOptionError('consumerArn', 'absent where `retrieval` is not { fanOut }', consumerArn)
}

/** Throws InvalidOptionError unless it is the ARN of a stream consumer, of this stream. `stream`: its name or ARN. */
export function consumerArnOption(option: string, given: string, stream: string): string {
  const arn = stringOption(option, given, {
    pattern: ARN,
    says: 'the ARN of a stream consumer, arn:aws:kinesis:region:account:stream/name/consumer/name:time',
  })
  const [, streamArn, streamName] = ARN.exec(arn)!
  if (stream !== streamArn && stream !== streamName) {
    throw new InvalidOptionError(option, `the ARN of a stream consumer of ${stream}`, given)
  }
  return arn
}

function settingsOf(given: RetrievalOption, context: RetrievalContext): RetrievalSettings {
  if (given === 'polling') return { is: 'polling' }
  if (typeof given !== 'object' || given === null) throw new InvalidOptionError('retrieval', SAYS, given)
  refuseUnknownOptions(given, ['fanOut'], 'retrieval')
  const { fanOut } = given
  if (typeof fanOut !== 'object' || fanOut === null) throw new InvalidOptionError('retrieval.fanOut', FAN_OUT_SAYS, fanOut)
  refuseUnknownOptions(fanOut, ['consumerName', 'consumerArn', 'register', 'fallbackToPolling'], 'retrieval.fanOut')
  const { applicationName, severalStreams, streams, kinesis } = context
  const { consumerName, consumerArn } = fanOut
  if (consumerArn !== undefined) {
    for (const option of ['consumerName', 'register'] as const) {
      if (fanOut[option] === undefined) continue
      throw new InvalidOptionError(`retrieval.fanOut.${option}`, 'absent where `consumerArn` is given', fanOut[option])
    }
    if (severalStreams) {
      throw new InvalidOptionError('retrieval.fanOut.consumerArn', 'absent: each of `streams` has its own', consumerArn)
    }
    consumerArnOption('retrieval.fanOut.consumerArn', consumerArn, streams[0]!.stream)
  }
  if (kinesis !== undefined) {
    functionsOption('kinesis', kinesis as FanOutPort, CALLS, 'a port with the calls of enhanced fan-out')
  }
  return {
    is: 'fan-out',
    consumerName:
      consumerName === undefined
        ? applicationName
        : stringOption('retrieval.fanOut.consumerName', consumerName, {
            pattern: NAME,
            says: 'a name of 1 to 128 of a-z, A-Z, 0-9, _ . -',
          }),
    consumerArn,
    register: booleanOption('retrieval.fanOut.register', fanOut.register, true),
    fallbackToPolling: booleanOption('retrieval.fanOut.fallbackToPolling', fanOut.fallbackToPolling, false),
  }
}
