import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Clock } from '../clock.js'
import { integerOption } from '../options.js'
import { MAX_ANSWER_BYTES } from './answer-limit.js'
import { LeanHandler } from './lean-handler.js'

/** How connections to the service are made. */
export interface HttpOptions {
  /** Connections to one host at a time; further requests wait. Default 64, 1 to 10,000. */
  readonly maxSockets?: number | undefined
  /** Milliseconds until a connection must be established. Default 5,000, 1 to 600,000. */
  readonly connectTimeoutMs?: number | undefined
  /**
   * Bytes of the body of an answer at most: one that goes on is given up, and fails as one that cannot be read. Default 64 MiB, which no answer of
   * the service has; 1 KiB to 1 GiB. Subscriptions have no end: there each event is held to 64 MiB.
   */
  readonly maxAnswerBytes?: number | undefined
}

/**
 * HTTP/1.1 with keep-alive. The stock Kinesis client uses HTTP/2 with a new session for each request, and so a new TLS connection for each
 * (https://github.com/aws/aws-sdk-js-v3/issues/8279). Idle connections do not keep the process alive: Node's agent unrefs them.
 */
export function httpHandler(options: HttpOptions, clock: Clock): LeanHandler {
  const maxSockets = integerOption('maxSockets', options.maxSockets, { min: 1, max: 10_000, fallback: 64 })
  const agent = { keepAlive: true, maxSockets }
  return new LeanHandler({
    connectTimeoutMs: connectTimeout(options),
    agents: { http: new HttpAgent(agent), https: new HttpsAgent(agent) },
    clock,
    logger: quietLogger,
  })
}

export function connectTimeout(options: HttpOptions): number {
  return integerOption('connectTimeoutMs', options.connectTimeoutMs, { min: 1, max: 600_000, fallback: 5_000 })
}

export function maxAnswerBytes(options: HttpOptions): number {
  return integerOption('maxAnswerBytes', options.maxAnswerBytes, { min: 1024, max: 1024 ** 3, fallback: MAX_ANSWER_BYTES })
}

const silent = (): void => {}

/**
 * A logger without `info` and `error`: for these the SDK copies the whole input and output of each call, even where the logger drops them
 * (Node 20, PutRecords of 500 records of 100 B by `sender: 'sdk'`: with them a fourth more processor time).
 */
export const quietLogger: Required<QuietLogger> = {
  trace: silent,
  debug: silent,
  warn: silent,
} as unknown as Required<QuietLogger>

interface QuietLogger {
  trace: typeof silent
  debug: typeof silent
  info: typeof silent
  warn: typeof silent
  error: typeof silent
}
