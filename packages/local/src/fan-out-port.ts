import type { Clock } from '@shardwise/core/clock'
import type { FanOutPort, ShardSubscription as PortSubscription, SubscribeToShardInput } from '@shardwise/core/fan-out-port'
import type { CallOptions } from '@shardwise/core/kinesis-port'
import { KinesisModelError } from './model/kinesis-error.js'
import type { KinesisModel } from './model/kinesis-model.js'
import type { SubscribeToShardAnswer } from './model/subscribe-to-shard.js'
import { SubscriptionReader } from './subscription-reader.js'

/**
 * Enhanced fan-out over a model, without sockets: for tests and simulations in one thread. `clock` is the one that the model was given;
 * subscriptions wait on it, so that on a manual clock everything happens at a time that the test decides. Rejections are named as the
 * SDK names them.
 */
export function fanOutPort(model: KinesisModel, clock: Clock): FanOutPort {
  const call = async (operation: string, input: object, options: CallOptions = {}): Promise<never> => {
    options.signal?.throwIfAborted()
    try {
      return model.call(operation, input) as never
    } catch (error) {
      throw asTheSdkSaysIt(error)
    }
  }
  return {
    registerStreamConsumer: (input, options) => call('RegisterStreamConsumer', input, options),
    describeStreamConsumer: (input, options) => call('DescribeStreamConsumer', input, options),
    async subscribeToShard(input: SubscribeToShardInput, options: CallOptions = {}): Promise<PortSubscription> {
      const { EventStream }: SubscribeToShardAnswer = await call('SubscribeToShard', input, options)
      return new ModelSubscription(new SubscriptionReader(EventStream, clock), options.signal)
    },
  }
}

class ModelSubscription implements PortSubscription {
  readonly #reader: SubscriptionReader
  readonly #signal: AbortSignal | undefined
  readonly #abort = (): void => this.#reader.close()

  constructor(reader: SubscriptionReader, signal: AbortSignal | undefined) {
    this.#reader = reader
    this.#signal = signal
    signal?.addEventListener('abort', this.#abort)
  }

  async next(): ReturnType<PortSubscription['next']> {
    try {
      const event = await this.#reader.next()
      this.#signal?.throwIfAborted()
      if (event === undefined) this.close()
      return event
    } catch (error) {
      this.close()
      throw asTheSdkSaysIt(error)
    }
  }

  close(): void {
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#reader.close()
  }
}

/** The SDK raises an error whose name is the service's code. */
function asTheSdkSaysIt(error: unknown): unknown {
  if (!(error instanceof KinesisModelError)) return error
  const { code, message, statusCode } = error
  return Object.assign(new Error(message, { cause: error }), { name: code, $metadata: { httpStatusCode: statusCode } })
}
