import { DescribeStreamConsumerCommand, RegisterStreamConsumerCommand, SubscribeToShardCommand } from '@aws-sdk/client-kinesis'
import type { FanOutPort, ShardSubscription, SubscribeToShardInput } from '../fan-out-port.js'
import type { CallOptions } from '../kinesis-port.js'
import { classifyFailure } from '../service-error.js'
import { sendOver } from './command-transport.js'
import type { EventStreamReader } from './event-stream-reader.js'
import { EventStreamSubscription } from './event-stream-subscription.js'
import { exchange, type Http2Answer } from './http2-exchange.js'
import type { Http2Sessions } from './http2-sessions.js'
import type { KinesisCalls } from './kinesis-calls.js'
import { sendOnce } from './one-attempt.js'
import type { WireEncoding } from './read-negotiation.js'

/** Enhanced fan-out through the SDK's commands: the unary calls as all others, subscriptions over HTTP/2 sessions of ours. */
export function fanOutPort(calls: KinesisCalls, sessions: Http2Sessions, writes: WireEncoding): FanOutPort {
  return {
    registerStreamConsumer: (input, call = {}) =>
      calls.retried(
        'RegisterStreamConsumer',
        call,
        () =>
          calls.once('RegisterStreamConsumer', writes, call, (client, attempt) => {
            const command = new RegisterStreamConsumerCommand(input)
            sendOnce(command, attempt)
            return client.send(command, { abortSignal: attempt.signal })
          }),
        // It exists already, perhaps by an attempt whose answer was lost: it has to be described, and asking again changes nothing.
        (error) => classifyFailure(error).kind === 'in-use',
      ),
    describeStreamConsumer: (input, call = {}) =>
      calls.control('DescribeStreamConsumer', call, (client, attempt) => {
        const command = new DescribeStreamConsumerCommand(input)
        sendOnce(command, attempt)
        return client.send(command, { abortSignal: attempt.signal })
      }),
    subscribeToShard: (input, call = {}) => subscribe(calls, sessions, input, call),
  }
}

/** The SDK's reader of events is given none, and so ends at once: it makes the metadata, and of a refusal the exception. */
const NO_EVENTS: AsyncIterable<Uint8Array> = {
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {},
}

function subscribe(
  calls: KinesisCalls,
  sessions: Http2Sessions,
  input: SubscribeToShardInput,
  call: CallOptions,
): Promise<ShardSubscription> {
  return calls.read('SubscribeToShard', 'records', call, async (client, attempt, encoding) => {
    const command = new SubscribeToShardCommand(input)
    sendOnce(command, attempt)
    let accepted: { readonly answer: Http2Answer; readonly reader: EventStreamReader } | undefined
    sendOver(command, async (request) => {
      const answer = await exchange(sessions, request, attempt.signal)
      if (answer.body instanceof Uint8Array) return { ...answer, body: answer.body }
      accepted = { answer, reader: answer.body }
      return { ...answer, body: NO_EVENTS }
    })
    try {
      await client.send(command, { abortSignal: attempt.signal })
    } catch (error) {
      accepted?.reader.close()
      throw error
    }
    if (accepted === undefined) throw new Error('A middleware of the client answered SubscribeToShard in place of the service')
    const onUnreadable = (): void => calls.unreadable(encoding)
    return new EventStreamSubscription(accepted.reader, accepted.answer, { signal: call.signal, onUnreadable })
  })
}
