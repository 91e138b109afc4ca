import type { ConnectionOptions } from 'node:tls'
import {
  DescribeStreamSummaryCommand,
  GetShardIteratorCommand,
  KinesisClient,
  type KinesisClientConfig,
  ListShardsCommand,
} from '@aws-sdk/client-kinesis'
import { type Clock, systemClock } from '../clock.js'
import type { FanOutPort } from '../fan-out-port.js'
import type { KinesisPort } from '../kinesis-port.js'
import { integerOption } from '../options.js'
import { checkConnection } from './checked-connection.js'
import { type ControlRetryOptions, controlRetry } from './control-retry.js'
import { DataSender, type SenderChoice } from './data-sender.js'
import { fanOutPort } from './fan-out.js'
import { connectTimeout, type HttpOptions, httpHandler, maxAnswerBytes, quietLogger } from './http-handler.js'
import { Http2Sessions } from './http2-sessions.js'
import { KinesisCalls } from './kinesis-calls.js'
import { getRecords, putRecords } from './kinesis-operations.js'
import { sendOnce } from './one-attempt.js'
import { type ReadChoice, ReadNegotiation, type WireEncoding } from './read-negotiation.js'
import { tlsSettings } from './tls-settings.js'
import { USER_AGENT } from './user-agent.js'
import { cborFormat, jsonFormat } from './wire-format.js'
import { speakFormat } from './wire-protocol.js'

/** Where and how to reach Kinesis. What is left out, the SDK finds as it always does (environment, profile, instance role). */
export interface AwsConnection {
  /**
   * A client of your own, used as it is, with its own region, endpoint, credentials, connections and protocol; it is never destroyed. Even
   * so each data-plane call is sent once, and subscriptions of enhanced fan-out, though signed by it, go over connections of ours with the
   * TLS settings of its request handler (but no proxy of its). With it `endpoint` is refused; `region` and `credentials`, which callers share among services,
   * have no effect. Default: a client with HTTP/1.1 keep-alive connections.
   */
  readonly client?: KinesisClient | undefined
  readonly region?: string | undefined
  /** A URL, `http://127.0.0.1:4567`. Default: AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL, the profile, else that of the region. */
  readonly endpoint?: string | undefined
  readonly credentials?: KinesisClientConfig['credentials'] | undefined
  /**
   * Bodies of requests and answers. `reads`: `negotiate` (default) tries CBOR with the first control call and falls back to JSON when it is
   * refused; with CBOR a read costs a fraction of the processor time. `writes`: `json` (default) or `cbor`, which AWS does not document.
   */
  readonly wire?: { readonly reads?: ReadChoice | undefined; readonly writes?: WireEncoding | undefined } | undefined
  /**
   * How PutRecords and GetRecords are sent, and by a consumer UpdateItem of its lease table. `lean`: with the credentials, signature, endpoint and connections of the client, but without the
   * SDK's own making of requests and reading of answers, which takes several times the processor time of the rest of a small call.
   * Middleware of a client does not see such a call. `sdk`: through the client like all others. Default: `sdk` with a `client` of your own,
   * else `lean`.
   */
  readonly sender?: SenderChoice | undefined
}

export interface KinesisConnectionOptions extends AwsConnection, HttpOptions, ControlRetryOptions {
  /** Milliseconds until an answer must be complete, for each attempt. Default 30,000, 1 to 600,000. */
  readonly requestTimeoutMs?: number | undefined
  readonly clock?: Clock | undefined
}

export interface KinesisConnection {
  readonly port: KinesisPort
  /** Enhanced fan-out. Subscriptions share HTTP/2 connections that are made here, whosever the client is. */
  readonly fanOut: FanOutPort
  /** For calls that the port does not have. It retries as the SDK does. */
  readonly client: KinesisClient
  /** Ends subscriptions, and closes the connections of a client that was made here. One that was passed in stays as it is. */
  close(): void
}

/** Opens nothing: connections are made by the first call. Throws InvalidOptionError. */
export function connectKinesis(options: KinesisConnectionOptions = {}): KinesisConnection {
  const timeoutMs = integerOption('requestTimeoutMs', options.requestTimeoutMs, { min: 1, max: 600_000, fallback: 30_000 })
  const retry = controlRetry(options)
  checkConnection(options)
  const clock = options.clock ?? systemClock
  const clients = options.client === undefined ? ownClients(options, clock) : foreignClient(options.client)
  const { writes = 'json', reads = 'negotiate' } = options.wire ?? {}
  const negotiation = new ReadNegotiation(options.client === undefined ? reads : 'json')
  const sender = new DataSender(options.sender ?? (options.client === undefined ? 'lean' : 'sdk'))
  const calls = new KinesisCalls({
    clientSpeaking: clients.speaking,
    negotiation,
    retry,
    clock,
    timeoutMs,
    maxAnswerBytes: maxAnswerBytes(options),
  })
  const tls = (): ConnectionOptions => tlsSettings(clients.client)
  const sessions = new Http2Sessions({ clock, connectTimeoutMs: connectTimeout(options), tls })

  const port: KinesisPort = {
    putRecords: (input, call = {}) =>
      calls.once('PutRecords', writes, call, (client, attempt, encoding) =>
        sender.send(putRecords, input, client, encoding, attempt),
      ),
    getShardIterator: (input, call = {}) =>
      calls.read('GetShardIterator', 'records', call, (client, attempt) => {
        const command = new GetShardIteratorCommand(input)
        sendOnce(command, attempt)
        return client.send(command, { abortSignal: attempt.signal })
      }),
    getRecords: (input, call = {}) =>
      calls.read('GetRecords', 'records', call, (client, attempt, encoding) =>
        sender.send(getRecords, input, client, encoding, attempt),
      ),
    listShards: (input, call = {}) =>
      calls.control('ListShards', call, (client, attempt) => {
        const command = new ListShardsCommand(input)
        sendOnce(command, attempt)
        return client.send(command, { abortSignal: attempt.signal })
      }),
    describeStreamSummary: (input, call = {}) =>
      calls.control('DescribeStreamSummary', call, async (client, attempt) => {
        const command = new DescribeStreamSummaryCommand(input)
        let serviceTime: number | undefined
        sendOnce(command, attempt, (response) => {
          serviceTime = dateOf(response)
        })
        return { ...(await client.send(command, { abortSignal: attempt.signal })), serviceTime }
      }),
  }
  const close = (): void => {
    sessions.destroy(closedError())
    clients.close()
  }
  return { port, fanOut: fanOutPort(calls, sessions, writes), client: clients.client, close }
}

function closedError(): Error {
  return Object.assign(new Error('The connection was closed by its own side'), { name: 'AbortError' })
}

interface Clients {
  readonly client: KinesisClient
  speaking(encoding: WireEncoding): KinesisClient
  close(): void
}

function foreignClient(client: KinesisClient): Clients {
  return { client, speaking: () => client, close: () => {} }
}

/** Our clients share credentials and connections. One for each encoding, because a protocol belongs to a client. */
function ownClients(options: KinesisConnectionOptions, clock: Clock): Clients {
  const requestHandler = httpHandler(options, clock)
  const config: KinesisClientConfig = {
    requestHandler,
    logger: quietLogger,
    customUserAgent: USER_AGENT,
    ...(options.region !== undefined && { region: options.region }),
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    ...(options.credentials !== undefined && { credentials: options.credentials }),
  }
  const client = new KinesisClient(config)
  const made = new Map<WireEncoding, KinesisClient>()
  const speaking = (encoding: WireEncoding): KinesisClient => {
    const known = made.get(encoding)
    if (known !== undefined) return known
    const fresh = new KinesisClient({ ...config, credentials: client.config.credentials })
    speakFormat(fresh, encoding === 'cbor' ? cborFormat : jsonFormat)
    made.set(encoding, fresh)
    return fresh
  }
  return { client, speaking, close: () => requestHandler.destroy() }
}

/** The service's clock, as it signs each answer with. */
function dateOf(response: unknown): number | undefined {
  const headers: unknown = typeof response === 'object' && response !== null ? Reflect.get(response, 'headers') : undefined
  if (typeof headers !== 'object' || headers === null) return undefined
  for (const [name, value] of Object.entries(headers)) {
    if (name.toLowerCase() !== 'date' || typeof value !== 'string') continue
    const time = Date.parse(value)
    return Number.isNaN(time) ? undefined : time
  }
  return undefined
}
