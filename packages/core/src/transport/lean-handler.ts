import { type Agent as HttpAgent, type IncomingMessage, request as requestByHttp } from 'node:http'
import { type Agent as HttpsAgent, request as requestByHttps } from 'node:https'
import { NodeHttpHandler, type NodeHttpHandlerOptions } from '@smithy/node-http-handler'
import type { Clock } from '../clock.js'
import { type AnswerBody, answerBody, type SdkAnswer } from './answer-body.js'
import type { Attempt } from './one-attempt.js'
import type { SdkRequest } from './request-template.js'

export interface LeanHandlerOptions {
  readonly agents: { readonly http: HttpAgent; readonly https: HttpsAgent }
  readonly connectTimeoutMs: number
  readonly clock: Clock
  readonly logger: NodeHttpHandlerOptions['logger']
}

export interface Exchanged {
  /** Without its body. */
  readonly response: SdkAnswer
  readonly body: AnswerBody | undefined
}

/** What `NODEJS_TIMEOUT_ERROR_CODES` of the SDK's handler has. */
const TIMED_OUT: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT'])

/**
 * The SDK's request handler, and beside it a shorter way over the same connections for a request that is signed and whose body is in memory: with one
 * timer in place of four, and without the streams, promises and signal of the other, which cost as much again as node:http below them
 * (measured once with the worker of `idle-shards`, before and after: a sixth of the processor time of 1,000 idle shards). Errors are those of the SDK's handler.
 */
export class LeanHandler extends NodeHttpHandler {
  readonly #options: LeanHandlerOptions

  constructor(options: LeanHandlerOptions) {
    const { agents, connectTimeoutMs: connectionTimeout, logger } = options
    super({ connectionTimeout, httpAgent: agents.http, httpsAgent: agents.https, ...(logger && { logger }) })
    this.#options = options
  }

  override destroy(): void {
    super.destroy()
    // The SDK's knows its agents from its first call on, and this one may have had none.
    this.#options.agents.http.destroy()
    this.#options.agents.https.destroy()
  }

  /** Resolves when the answer is here, to its end or to where it is too long or just ends. Rejects where there is none, or its connection breaks. */
  exchange(signed: SdkRequest, attempt: Attempt): Promise<Exchanged> {
    const { agents, connectTimeoutMs, clock } = this.#options
    return new Promise((resolve, reject) => {
      const isSecure = signed.protocol === 'https:'
      const request = (isSecure ? requestByHttps : requestByHttp)({
        host: signed.hostname.replace(/^\[(.*)\]$/, '$1'),
        port: signed.port,
        method: signed.method,
        path: signed.path,
        // As a list they are written as they are, and not looked through and copied before.
        headers: headerList(signed.headers),
        agent: isSecure ? agents.https : agents.http,
      })
      const unconnected = clock.schedule(
        connectTimeoutMs,
        () => {
          const error = new Error(
            `The request socket did not establish a connection with the server within the configured timeout of ${connectTimeoutMs} ms.`,
          )
          error.name = 'TimeoutError'
          fail(error)
        },
        { background: true },
      )
      const connected = (): void => unconnected.cancel()
      const fail = (error: Error): void => {
        connected()
        reject(error)
        // Of a request that waits for a connection this is not heard before it has one.
        request.destroy(error)
      }
      request.on('socket', (socket) => {
        if (socket.connecting) socket.once('connect', connected)
        else connected()
      })
      request.on('response', (incoming) => {
        attempt.begun()
        answerBody(incoming, attempt.maxAnswerBytes).then((body) => resolve({ response: answerOf(incoming), body }))
      })
      request.on('error', (error: NodeJS.ErrnoException) => {
        connected()
        if (TIMED_OUT.has(error.code)) error.name = 'TimeoutError'
        reject(error)
      })
      attempt.onStop(fail)
      request.end(signed.body)
    })
  }
}

function headerList(headers: Readonly<Record<string, string>>): string[] {
  const list: string[] = []
  for (const name in headers) list.push(name, headers[name]!)
  return list
}

function answerOf({ statusCode = -1, statusMessage: reason, headers: given }: IncomingMessage): SdkAnswer {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(given)) headers[name] = Array.isArray(value) ? value.join(',') : value!
  return { statusCode, reason, headers, body: undefined }
}
