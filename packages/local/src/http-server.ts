import { setMaxListeners } from 'node:events'
import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { recognise } from './connection-kind.js'
import { exchange, type WireHandler } from './http-exchange.js'
import { PortUnavailableError } from './port-unavailable-error.js'

export interface HttpServerOptions {
  readonly handler: WireHandler
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** The option that gave the port, for the message when it is taken. */
  readonly portOption: string
  readonly tls?: { readonly key: string; readonly cert: string } | undefined
}

/**
 * With the default of 64 KiB a sender waits for the reader sixteen times in a megabyte, and with the default memory of 10 MB four
 * requests of 5 MB on one connection are refused (ENHANCE_YOUR_CALM).
 */
const HTTP2_OPTIONS = { settings: { initialWindowSize: 4 * 1024 * 1024 }, maxSessionMemory: 512 } as const
const HTTP2_CONNECTION_WINDOW_BYTES = 32 * 1024 * 1024

const WILDCARDS: ReadonlyMap<string, string> = new Map([
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
])

type State = { readonly is: 'idle' } | { readonly is: 'started'; readonly front: Server } | { readonly is: 'stopped' }

/**
 * HTTP/1.1 and HTTP/2 on one port. In the clear the first bytes of a connection tell them apart (HTTP/2 by prior knowledge, as the AWS
 * SDK speaks it to Kinesis); over TLS, ALPN does. Knows nothing of AWS.
 */
export class HttpServer {
  readonly #options: HttpServerOptions
  readonly #sockets = new Set<Socket>()
  readonly #stopping = new AbortController()
  #state: State = { is: 'idle' }
  #stopped: Promise<void> | undefined

  constructor(options: HttpServerOptions) {
    this.#options = options
  }

  /** Resolves when connections are accepted. Rejects with PortUnavailableError. */
  async start(): Promise<void> {
    if (this.#state.is !== 'idle') throw new Error(`This server is ${this.#state.is}: make another one`)
    const front = createServer({ noDelay: true })
    // Every call that waits listens to it; eleven are no leak.
    setMaxListeners(0, this.#stopping.signal)
    this.#state = { is: 'started', front }
    const accept = this.#options.tls === undefined ? this.#acceptClear() : this.#acceptSecure(this.#options.tls)
    front.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      // A client that resets its connection is its own affair: without a listener it would end this process.
      socket.on('error', () => socket.destroy())
      accept(socket)
    })
    const { host, port, portOption } = this.#options
    await new Promise<void>((resolve, reject) => {
      front.once('error', (cause: NodeJS.ErrnoException) =>
        reject(new PortUnavailableError({ host, port, option: portOption }, cause)),
      )
      front.once('close', () => reject(new Error(`The server on ${host}:${port} was stopped while it started`)))
      front.listen({ host, port }, resolve)
    })
  }

  /** Host and port as a client's URL has them: loopback where all addresses are listened on. Only while started. */
  get authority(): string {
    const address = this.#state.is === 'started' ? (this.#state.front.address() as AddressInfo | null) : null
    if (address === null) throw new Error(`This server has no address: it is ${this.#state.is}`)
    const host = WILDCARDS.get(this.#options.host) ?? this.#options.host
    return `${host.includes(':') ? `[${host}]` : host}:${address.port}`
  }

  /** Breaks every connection and resolves when all are gone and the port is free. May be called at any time and more than once. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    const state = this.#state
    this.#state = { is: 'stopped' }
    this.#stopping.abort(new Error('The local service is stopping'))
    if (state.is !== 'started') return
    const closed = new Promise<void>((resolve) => state.front.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #exchange = (request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void =>
    exchange(request, response, {
      handler: this.#options.handler,
      signal: this.#stopping.signal,
      reset: () => this.#reset(request.socket),
    })

  /**
   * HTTP/2 and TLS show a socket of theirs, and to end that is an orderly affair: Node's client takes it for the end of the answer. The port
   * that the client has leads to the socket beneath.
   */
  #reset({
    remoteAddress,
    remotePort,
  }: {
    readonly remoteAddress?: string | undefined
    readonly remotePort?: number | undefined
  }): void {
    for (const socket of this.#sockets) {
      if (socket.remotePort === remotePort && socket.remoteAddress === remoteAddress) socket.resetAndDestroy()
    }
  }

  #acceptClear(): (socket: Socket) => void {
    // A client that keeps connections for reuse must not find one closed under its next request, so none is closed for being idle.
    const http1 = createHttp1Server({ keepAliveTimeout: 0 }, this.#exchange)
    const http2 = createHttp2Server(HTTP2_OPTIONS, this.#exchange)
    http2.on('session', (session) => session.setLocalWindowSize(HTTP2_CONNECTION_WINDOW_BYTES))
    return (socket) => {
      recognise(socket, (kind) => {
        if (kind === 'tls') socket.destroy()
        else (kind === 'http2' ? http2 : http1).emit('connection', socket)
      })
    }
  }

  #acceptSecure(tls: { readonly key: string; readonly cert: string }): (socket: Socket) => void {
    const secure = createSecureServer({ ...HTTP2_OPTIONS, ...tls, allowHTTP1: true }, this.#exchange)
    secure.on('session', (session) => session.setLocalWindowSize(HTTP2_CONNECTION_WINDOW_BYTES))
    return (socket) => {
      recognise(socket, (kind) => {
        if (kind === 'tls') secure.emit('connection', socket)
        else refuseCleartext(socket, `This port speaks TLS: use https://${this.authority}\n`)
      })
    }
  }
}

function refuseCleartext(socket: Socket, text: string): void {
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`,
  )
}
