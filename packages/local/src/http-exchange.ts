import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Http2ServerRequest, Http2ServerResponse } from 'node:http2'

import { push, type WirePush, writeHead } from './http-push.js'

export interface WireRequest {
  readonly method: string
  readonly path: string
  /** Names in lower case. Over HTTP/2 the pseudo headers (`:authority`) are among them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Buffer
}

export interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** `'drop'` breaks the connection without an answer, and with it what else it carries. `signal` aborts when the server stops. */
export type WireHandler = (request: WireRequest, signal: AbortSignal) => Promise<WireAnswer | WirePush | 'drop'>

/** PutRecords takes 10 MiB of data and keys, which base64 makes 13.4 MiB, plus the JSON around up to 500 entries. */
export const MAX_BODY_BYTES: number = 24 * 1024 * 1024

/** What is read, and thrown away, of a larger body so that its sender gets to see the refusal. Beyond it the connection is cut. */
const MAX_DISCARDED_BYTES = 8 * MAX_BODY_BYTES

/**
 * One request and its answer, over HTTP/1.1 or HTTP/2. `handler` is not called for a request that broke off or is too large. `reset` breaks
 * the request's connection as a failing network does.
 */
export function exchange(
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
  { handler, signal, reset }: { readonly handler: WireHandler; readonly signal: AbortSignal; readonly reset: () => void },
): void {
  const chunks: Buffer[] = []
  let received = 0
  let brokenOff = false
  request.on('data', (chunk: Buffer) => {
    received += chunk.length
    if (received <= MAX_BODY_BYTES) return void chunks.push(chunk)
    chunks.length = 0
    if (received > MAX_DISCARDED_BYTES) breakOff(request, response)
  })
  // Over HTTP/2 a request that is reset half-way still ends, with the bytes so far.
  request.on('aborted', () => {
    brokenOff = true
  })
  request.on('error', () => {
    brokenOff = true
  })
  request.on('end', () => {
    if (brokenOff) return
    if (received > MAX_BODY_BYTES) return send(response, tooLarge(received))
    const wire: WireRequest = {
      method: request.method ?? '',
      path: request.url ?? '/',
      headers: request.headers,
      body: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, received),
    }
    handler(wire, signal).then(
      (answer) => {
        if (answer === 'drop') breakOff(request, response)
        else if ('chunks' in answer)
          void push(response, answer, { signal, reset, resetStream: () => resetStream(request, response) })
        else send(response, answer)
      },
      // Only the stop of this server rejects a handler, and then the connection is gone or about to go.
      () => breakOff(request, response),
    )
  })
}

function tooLarge(received: number): WireAnswer {
  const body = Buffer.from(
    `The request body has ${received} bytes; at most ${MAX_BODY_BYTES} are taken. Send fewer records at a time.\n`,
  )
  return { status: 413, headers: { 'content-type': 'text/plain' }, body }
}

function send(response: ServerResponse | Http2ServerResponse, answer: WireAnswer): void {
  writeHead(response, answer.status, { ...answer.headers, 'content-length': String(answer.body.byteLength) })
  response.end(answer.body)
}

function breakOff(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  if (response instanceof Http2ServerResponse) response.stream?.session?.destroy()
  else request.socket.destroy()
}

function resetStream(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  // Not close(code): for a stream whose answer has not ended Node 24 then sends empty frames without end, in a loop that nothing leaves.
  if (response instanceof Http2ServerResponse) response.stream?.on('error', () => {}).destroy(new Error('The answer breaks off'))
  else request.socket.destroy()
}
