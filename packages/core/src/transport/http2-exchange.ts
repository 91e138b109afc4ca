import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { EventStreamReader } from './event-stream-reader.js'
import { streamFault } from './http2-fault.js'
import { reset } from './http2-reset.js'
import type { Http2Session } from './http2-session.js'
import type { Http2Sessions } from './http2-sessions.js'

/** A signed request, as the SDK hands it to its handler. */
export interface SignedRequest {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number | undefined
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

export interface Http2Answer {
  readonly statusCode: number
  readonly headers: Record<string, string>
  /** The events of an accepted request, or the whole body of a refusal. */
  readonly body: EventStreamReader | Uint8Array
}

/** A refusal is a few hundred bytes. What is longer is no answer of the service, and its beginning says as much as the rest. */
const LONGEST_REFUSAL_BYTES = 1024 * 1024

/** Sends a request whose answer is an event stream. The signal resets its stream, also when the answer has begun. Rejects with connection errors. */
export function exchange(sessions: Http2Sessions, request: SignedRequest, signal: AbortSignal): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const url = new URL(`${request.protocol}//${request.hostname}${request.port === undefined ? '' : `:${request.port}`}`)
    const begin = (session: Http2Session): void => {
      signal.removeEventListener('abort', withdrawn)
      try {
        const stream = session.request(headersOf(request), request.body ?? '')
        const abort = (): void => reset(stream)
        signal.addEventListener('abort', abort, { once: true })
        stream.once('close', () => signal.removeEventListener('abort', abort))
        answerOf(session, stream).then(resolve, reject)
      } catch (error) {
        // Headers that HTTP/2 does not allow, or a session that was closed in this very moment.
        reject(error)
      }
    }
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', withdrawn)
      reject(error)
    }
    const withdrawn = (): void => {
      withdraw()
      reject(signal.reason)
    }
    signal.addEventListener('abort', withdrawn, { once: true })
    const withdraw = sessions.seek(url, { begin, fail })
  })
}

function answerOf(session: Http2Session, stream: ClientHttp2Stream): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    let fault: unknown
    const refusal: Buffer[] = []
    let refused: Omit<Http2Answer, 'body'> | undefined
    let length = 0
    stream.on('error', (error) => {
      fault = error
    })
    stream.on('response', (given) => {
      const statusCode = given[':status'] ?? 0
      const headers = plainHeaders(given)
      if (statusCode >= 200 && statusCode < 300) {
        resolve({ statusCode, headers, body: new EventStreamReader(stream, session.place) })
        return
      }
      refused = { statusCode, headers }
      stream.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > LONGEST_REFUSAL_BYTES) reset(stream)
        else refusal.push(chunk)
      })
    })
    stream.on('close', () => {
      const complete = stream.rstCode === constants.NGHTTP2_NO_ERROR || length > LONGEST_REFUSAL_BYTES
      if (refused !== undefined && complete) resolve({ ...refused, body: Buffer.concat(refusal) })
      else reject(streamFault(session.place, stream, fault))
    })
  })
}

/** As signed. What was signed as `host` is the authority in HTTP/2, and the service takes it for both. */
function headersOf(request: SignedRequest): OutgoingHttpHeaders {
  const { host, ...headers } = request.headers
  return {
    ...(host !== undefined && { [constants.HTTP2_HEADER_AUTHORITY]: host }),
    ...headers,
    [constants.HTTP2_HEADER_METHOD]: request.method,
    [constants.HTTP2_HEADER_PATH]: request.path,
  }
}

function plainHeaders(given: IncomingHttpHeaders): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(given)) {
    if (!name.startsWith(':') && value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return headers
}
