import {
  type $Command,
  DynamoDBClient,
  type DynamoDBClientConfig,
  type DynamoDBClientResolvedConfig,
  type ServiceInputTypes,
  type ServiceOutputTypes,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import { type Clock, systemClock } from '../clock.js'
import type { CallOptions } from '../kinesis-port.js'
import { choiceOption, integerOption } from '../options.js'
import { abortError, boundedCall } from './bounded-call.js'
import { type ControlRetryOptions, controlRetry, withControlRetry } from './control-retry.js'
import type { SenderChoice } from './data-sender.js'
import { checkedEndpoint, explained, refuseEndpointBesideClient } from './endpoint.js'
import { type HttpOptions, httpHandler, maxAnswerBytes, quietLogger } from './http-handler.js'
import { LeanSender } from './lean-sender.js'
import { type Attempt, sendOnce } from './one-attempt.js'
import { updateItem } from './update-item.js'
import { updateItemFormat } from './update-item-json.js'
import { USER_AGENT } from './user-agent.js'

/** Where and how to reach DynamoDB. What is left out, the SDK finds as it always does. */
export interface DynamoDBConnectionOptions extends HttpOptions, ControlRetryOptions {
  /** A client of your own, used as it is and never destroyed; even so each call is sent once. With it `endpoint` is refused. */
  readonly client?: DynamoDBClient | undefined
  readonly region?: string | undefined
  /** A URL. Default: AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL, the profile, else that of the region. */
  readonly endpoint?: string | undefined
  readonly credentials?: DynamoDBClientConfig['credentials'] | undefined
  /**
   * How UpdateItem is sent. `lean`: with the credentials, signature, endpoint and connections of the client, but without the SDK's own making
   * of requests and reading of answers. Middleware of a client does not see such a call. `sdk`: through the client like all others.
   * Default: `sdk` with a `client` of your own, else `lean`.
   */
  readonly sender?: SenderChoice | undefined
  /** Milliseconds until an answer must be complete, for each attempt. Default 30,000, 1 to 600,000. */
  readonly requestTimeoutMs?: number | undefined
  readonly clock?: Clock | undefined
}

export interface DynamoDBCallOptions extends CallOptions {
  /** For control-plane calls (CreateTable, DescribeTable): send again while the failure may pass by itself. Default false: one attempt. */
  readonly retry?: boolean | undefined
}

export type DynamoDBCommand<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = $Command<
  Input,
  Output,
  DynamoDBClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes
>

export interface DynamoDBConnection {
  readonly client: DynamoDBClient
  /** Sends a fresh command. Rejects as the SDK does, with AbortError when the signal aborts, with TimeoutError when time is up. */
  send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: DynamoDBCommand<Input, Output>,
    options?: DynamoDBCallOptions,
  ): Promise<Output>
  /** Closes the connections of a client that was made here. One that was passed in stays as it is. */
  close(): void
}

/** Opens nothing: connections are made by the first call. Throws InvalidOptionError. */
export function connectDynamoDB(options: DynamoDBConnectionOptions = {}): DynamoDBConnection {
  const timeoutMs = integerOption('requestTimeoutMs', options.requestTimeoutMs, { min: 1, max: 600_000, fallback: 30_000 })
  const retry = controlRetry(options)
  if (options.client !== undefined) refuseEndpointBesideClient(options.endpoint)
  const clock = options.clock ?? systemClock
  const client = options.client ?? ownClient(options, clock)
  const sender = choiceOption('sender', options.sender, ['lean', 'sdk'], options.client === undefined ? 'lean' : 'sdk')
  const lean = sender === 'lean' ? new LeanSender(client, updateItemFormat) : undefined
  const maxBytes = maxAnswerBytes(options)
  const once = <Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: DynamoDBCommand<Input, Output>,
    attempt: Attempt,
  ): Promise<Output> => {
    // What somebody has added to a command is for the SDK to run.
    if (lean !== undefined && command instanceof UpdateItemCommand && command.middlewareStack.identify().length === 0)
      return lean.send(updateItem, command.input, attempt) as Promise<Output>
    sendOnce(command, attempt)
    return client.send(command, { abortSignal: attempt.signal })
  }
  const send = async <Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: DynamoDBCommand<Input, Output>,
    call: DynamoDBCallOptions = {},
  ): Promise<Output> => {
    const name = command.constructor.name.replace(/Command$/, '')
    const { signal } = call
    const { firstByteTimeoutMs } = call
    const bounds = { name, clock, timeoutMs: call.timeoutMs ?? timeoutMs, firstByteTimeoutMs, signal, maxAnswerBytes: maxBytes }
    const tried = (): Promise<Output> => boundedCall((attempt) => once(command, attempt), bounds)
    try {
      return await (call.retry === true ? withControlRetry(retry, signal, tried) : tried())
    } catch (error) {
      throw signal?.aborted === true ? abortError(name, signal) : explained(error)
    }
  }
  const close = (): void => {
    if (options.client === undefined) client.destroy()
  }
  return { client, send, close }
}

function ownClient(options: DynamoDBConnectionOptions, clock: Clock): DynamoDBClient {
  return new DynamoDBClient({
    requestHandler: httpHandler(options, clock),
    logger: quietLogger,
    customUserAgent: USER_AGENT,
    ...(options.region !== undefined && { region: options.region }),
    ...(options.endpoint !== undefined && { endpoint: checkedEndpoint('endpoint', options.endpoint) }),
    ...(options.credentials !== undefined && { credentials: options.credentials }),
  })
}
