import { KinesisServiceException } from '@aws-sdk/client-kinesis'
import type { ShardSubscription, SubscribeToShardEvent } from '../fan-out-port.js'
import type { EventStreamMessage } from './event-stream-message.js'
import type { EventStreamReader } from './event-stream-reader.js'
import { decodePayload, MalformedAnswerError } from './wire-format.js'

/** The HTTP answer that a subscription began with, for the errors that it may end with. */
export interface AcceptedAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
}

export interface SubscriptionOptions {
  /** Ends the subscription. Not aborted yet. */
  readonly signal: AbortSignal | undefined
  /** The payload of an event arrived whole, and yet cannot be decoded. */
  readonly onUnreadable: () => void
}

/** A subscription over an event stream. */
export class EventStreamSubscription implements ShardSubscription {
  readonly #reader: EventStreamReader
  readonly #answer: AcceptedAnswer
  readonly #options: SubscriptionOptions
  readonly #onAbort = (): void => this.#reader.close(this.#options.signal?.reason)

  constructor(reader: EventStreamReader, answer: AcceptedAnswer, options: SubscriptionOptions) {
    this.#reader = reader
    this.#answer = answer
    this.#options = options
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  async next(): Promise<SubscribeToShardEvent | undefined> {
    try {
      for (;;) {
        const message = await this.#reader.next()
        const event = message === undefined ? undefined : this.#eventOf(message)
        if (event !== undefined) return event
        if (message === undefined) {
          this.#release()
          return undefined
        }
      }
    } catch (error) {
      this.#release()
      this.#reader.close(error)
      // As the SDK marks an answer that it cannot read, so that it is classified alike.
      if (error instanceof MalformedAnswerError) Object.defineProperty(error, '$response', { value: this.#answer })
      throw error
    }
  }

  close(): void {
    this.#release()
    this.#reader.close()
  }

  #release(): void {
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
  }

  /** Undefined for what is no news of the shard: the first message of the protocol, and kinds of events that may be added to the service. */
  #eventOf({ headers, payload }: EventStreamMessage): SubscribeToShardEvent | undefined {
    const kind = headers.get(':message-type')
    if (kind === 'event') {
      return headers.get(':event-type') === 'SubscribeToShardEvent' ? this.#decoded(payload) : undefined
    }
    if (kind === 'exception') {
      throw this.#serviceError(headers.get(':exception-type'), messageIn(payload))
    }
    // What is in no model of the service: https://smithy.io/2.0/aws/amazon-eventstream.html
    throw this.#serviceError(headers.get(':error-code'), headers.get(':error-message'))
  }

  #decoded(payload: Uint8Array): object {
    try {
      return decodePayload(payload)
    } catch (cause) {
      this.#options.onUnreadable()
      throw new MalformedAnswerError('An event of the subscription cannot be read', { cause })
    }
  }

  #serviceError(code: string | undefined, message: unknown): Error {
    const name = code ?? 'UnknownError'
    const { statusCode, headers } = this.#answer
    const requestId = headers['x-amzn-requestid']
    return new KinesisServiceException({
      name,
      message: typeof message === 'string' && message !== '' ? message : name,
      $fault: /^(Internal|Service)/.test(name) ? 'server' : 'client',
      $metadata: { httpStatusCode: statusCode, ...(requestId !== undefined && { requestId }) },
    })
  }
}

/** What an exception says. Its name is the news: whatever the payload is must not stand in the way. */
function messageIn(payload: Uint8Array): unknown {
  try {
    const { message, Message = message } = decodePayload(payload) as { readonly message?: unknown; readonly Message?: unknown }
    return Message
  } catch {
    return Buffer.from(payload).toString()
  }
}
