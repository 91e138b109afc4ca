import { once } from 'node:events'
import { createServer as createHttp1Server } from 'node:http'
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { EventStreamCodec } from '@smithy/core/event-streams'
import { fromUtf8, toUtf8 } from '@smithy/core/serde'
import { decodeCbor, encodeCbor } from '../../cbor.js'

const codec = new EventStreamCodec(toUtf8, fromUtf8)

/** One message as the SDK's own codec writes it. */
export function encodeMessage(headers: Readonly<Record<string, string>>, payload: Uint8Array | string): Buffer {
  const typed = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, { type: 'string', value } as const]))
  return Buffer.from(codec.encode({ headers: typed, body: Buffer.from(payload) }))
}

/** A request that arrived, and the other end of its stream. */
export class ReceivedRequest {
  readonly session: ServerHttp2Session
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  readonly input: Record<string, unknown>
  /** Resolves with the code that the stream was closed with. */
  readonly closed: Promise<number>

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, body: Buffer) {
    this.session = stream.session as ServerHttp2Session
    this.stream = stream
    this.headers = headers
    this.input = (this.cbor ? decodeCbor(body) : JSON.parse(body.toString())) as Record<string, unknown>
    this.closed = new Promise((resolve) => stream.once('close', () => resolve(stream.rstCode)))
    stream.on('error', () => {})
  }

  get cbor(): boolean {
    return this.headers['content-type'] === 'application/x-amz-cbor-1.1'
  }

  accept(): this {
    this.stream.respond({
      ':status': 200,
      'content-type': 'application/vnd.amazon.eventstream',
      'x-amzn-requestid': 'request-7',
    })
    this.stream.write(encodeMessage({ ':message-type': 'event', ':event-type': 'initial-response' }, this.encoded({})))
    return this
  }

  refuse(status: number, body: object): void {
    this.stream.respond({
      ':status': status,
      'content-type': String(this.headers['content-type']),
      'x-amzn-requestid': 'request-8',
    })
    this.stream.end(this.encoded(body))
  }

  /** False when the client's window is full. */
  event(event: object): boolean {
    return this.stream.write(this.message({ ':message-type': 'event', ':event-type': 'SubscribeToShardEvent' }, event))
  }

  exception(type: string, body: object): void {
    this.stream.end(this.message({ ':message-type': 'exception', ':exception-type': type }, body))
  }

  message(headers: Readonly<Record<string, string>>, body: object): Buffer {
    return encodeMessage({ ...headers, ':content-type': String(this.headers['content-type']) }, this.encoded(body))
  }

  /** In the encoding of the request. Bytes and dates as each has them. */
  encoded(body: object): Uint8Array {
    if (this.cbor) return encodeCbor(body)
    return Buffer.from(
      JSON.stringify(body, function (this: Record<string, unknown>, key, value) {
        const given = this[key]
        if (given instanceof Date) return given.getTime() / 1000
        return given instanceof Uint8Array ? Buffer.from(given).toString('base64') : (value as unknown)
      }),
    )
  }
}

/** An HTTP/2 server that hands each request to `onRequest`. Without TLS it speaks HTTP/1.1 too, and answers each call with `answer`. */
export class EventStreamService {
  readonly sessions: ServerHttp2Session[] = []
  readonly requests: ReceivedRequest[] = []
  onRequest: (request: ReceivedRequest) => void = (request) => void request.accept()
  /** How a call over HTTP/1.1 is answered. */
  onCall: (operation: string) => { readonly status?: number; readonly body: object } = () => ({ body: {} })
  readonly calls: string[] = []
  #arrived: (() => void)[] = []
  readonly #sockets = new Set<Socket>()
  readonly #listening: Server
  readonly #secure: boolean

  constructor(options: ServerOptions & { readonly key?: string; readonly cert?: string } = {}) {
    this.#secure = options.key !== undefined
    const http2: Http2Server = this.#secure ? createSecureServer(options) : createServer(options)
    const http1 = this.#http1()
    this.#listening = this.#secure ? http2 : createTcpServer()
    this.#listening.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.#sockets.delete(socket))
      if (this.#secure) return
      socket.once('readable', () => {
        const first: Buffer | null = socket.read()
        if (first === null) return
        socket.unshift(first)
        const server = first.subarray(0, 3).toString() === 'PRI' ? http2 : http1
        server.emit('connection', socket)
      })
    })
    http2.on('session', (session) => {
      this.sessions.push(session)
      session.on('error', () => {})
    })
    http2.on('stream', (stream, headers) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', () => {})
      stream.on('end', () => {
        const request = new ReceivedRequest(stream, headers, Buffer.concat(chunks))
        this.requests.push(request)
        this.onRequest(request)
        for (const arrived of this.#arrived.splice(0)) arrived()
      })
    })
  }

  #http1(): Server {
    return createHttp1Server((request, response) => {
      request.resume().on('end', () => {
        const type = String(request.headers['content-type'])
        const operation = String(request.headers['x-amz-target']).replace('Kinesis_20131202.', '')
        this.calls.push(`${operation}:${/cbor/.test(type) ? 'cbor' : 'json'}`)
        const { status = 200, body } = this.onCall(operation)
        response.writeHead(status, { 'content-type': type })
        response.end(/cbor/.test(type) ? encodeCbor(body) : JSON.stringify(body))
      })
    })
  }

  async start(port = 0): Promise<string> {
    this.#listening.listen(port, '127.0.0.1')
    await once(this.#listening, 'listening')
    return `${this.#secure ? 'https' : 'http'}://127.0.0.1:${(this.#listening.address() as AddressInfo).port}`
  }

  /** The request of this number, as soon as it is there. */
  async request(index: number): Promise<ReceivedRequest> {
    while (this.requests[index] === undefined) await new Promise<void>((resolve) => this.#arrived.push(resolve))
    return this.requests[index]
  }

  /** What was sent over the connections that are open. */
  get bytesWritten(): number {
    let bytes = 0
    for (const socket of this.#sockets) bytes += socket.bytesWritten
    return bytes
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async stop(): Promise<void> {
    this.cut()
    this.#listening.close()
    await once(this.#listening, 'close')
  }
}
