import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type OutgoingHttpHeaders } from 'node:http2'
import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { Clock, Scheduled } from '../clock.js'
import { connectionError, type Place, sessionFault } from './http2-fault.js'

/**
 * What a peer may send on a stream that nobody reads: KCL's value. Enough for the 2 MiB/s of a shard over 250 ms of round trip.
 * Source: KinesisClientUtil.java of the KCL
 */
export const STREAM_WINDOW_BYTES: number = 512 * 1024
/**
 * Streams on a session at most, where the peer allows as many. RFC 9113 recommends that it allow 100 or more; what Kinesis allows is not
 * documented, so that its SETTINGS decide. With more, one broken connection would stop more shards, and 200 MiB/s are much for one already.
 */
export const MOST_STREAMS = 100
/** For all streams together, so that none waits for room that another has taken. */
const CONNECTION_WINDOW_BYTES = STREAM_WINDOW_BYTES * (MOST_STREAMS + 1)
/** A session that has been silent for this long is pinged... */
export const SILENCE_MS = 5_000
/** ...and given up after so many of these times in a row. Counted, since a process that was suspended finds its timers due before it reads. */
export const MOST_SILENCES = 4
/** A session without streams is closed after this time. Until then it is there for subscriptions that are renewed, or come from another worker. */
export const IDLE_MS = 60_000

export interface Http2SessionOptions {
  readonly clock: Clock
  /** Milliseconds until the peer must have sent its SETTINGS, from the start of the connection. */
  readonly connectTimeoutMs: number
  readonly tls: () => ConnectionOptions
}

export interface Http2SessionListener {
  /** There may be room for a stream where there was none. */
  readonly onRoom: () => void
  /** It has ended, and so have its streams. With the reason when it never was open. */
  readonly onOver: (error: Error | undefined) => void
}

/**
 * `connecting` until the peer's SETTINGS have come: they say how many streams it allows, and streams beyond that would wait in Node without
 * end. `open`: takes streams. `retired`: keeps those that it has, after a GOAWAY. `over`: has none, and will have none.
 */
type State =
  | { readonly kind: 'connecting'; readonly timeout: Scheduled }
  | { readonly kind: 'open' | 'retired'; readonly timer: Scheduled }
  | { readonly kind: 'over' }

/** One connection and the streams on it. It keeps the process alive while it has streams, or while it is awaited. */
export class Http2Session {
  readonly place: Place
  readonly #options: Http2SessionOptions
  readonly #listener: Http2SessionListener
  readonly #session: ClientHttp2Session
  #socket: Socket | undefined
  #state: State
  #streams = 0
  #bytesRead = 0
  #silences = 0
  #idle: Scheduled | undefined

  static open(origin: URL, options: Http2SessionOptions, listener: Http2SessionListener): Http2Session {
    const settings = { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES }
    const secure = origin.protocol === 'https:'
    // An http: origin means HTTP/2 from the first byte; with https: it is agreed on in the handshake (ALPN).
    return new Http2Session(origin, connect(origin, secure ? { ...options.tls(), settings } : { settings }), options, listener)
  }

  private constructor(origin: URL, session: ClientHttp2Session, options: Http2SessionOptions, listener: Http2SessionListener) {
    this.place = {
      hostname: origin.hostname.replace(/^\[|\]$/g, ''),
      port: origin.port || (origin.protocol === 'https:' ? 443 : 80),
    }
    this.#session = session
    this.#options = options
    this.#listener = listener
    const { clock, connectTimeoutMs } = options
    const timeout = clock.schedule(connectTimeoutMs, () => this.destroy(this.#notConnected()), { background: true })
    this.#state = { kind: 'connecting', timeout }
    session.on('connect', (_session, socket) => {
      this.#socket = socket
      // Told a tick late: it may be over by now, and then would throw at nobody.
      if (!session.destroyed) session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
    })
    session.on('remoteSettings', () => this.#onSettings())
    session.on('goaway', () => this.#retire())
    session.on('error', (error) => this.#end(sessionFault(this.place, error)))
    session.on('close', () => this.#end(undefined))
  }

  /** Streams that it takes now. */
  get room(): number {
    // Of a session that broke the streams end first.
    if (this.#state.kind !== 'open' || this.#session.closed || this.#session.destroyed) return 0
    return Math.max(0, this.#allowed - this.#streams)
  }

  /** The peer may change its mind at any time. */
  get #allowed(): number {
    return Math.min(MOST_STREAMS, this.#session.remoteSettings.maxConcurrentStreams ?? MOST_STREAMS)
  }

  /** Whether somebody waits for it to connect: only then does it keep the process alive meanwhile. */
  await(awaited: boolean): void {
    if (this.#state.kind !== 'connecting') return
    if (awaited) this.#session.ref()
    else this.#session.unref()
  }

  /** Begins a stream. Only while there is room. It has to have an error listener before this turn of the event loop ends. */
  request(headers: OutgoingHttpHeaders, body: string | Uint8Array): ClientHttp2Stream {
    const stream = this.#session.request(headers)
    this.#streams++
    this.#idle?.cancel()
    this.#session.ref()
    stream.once('close', () => {
      this.#streams--
      if (this.#streams === 0) this.#rest()
      this.#listener.onRoom()
    })
    stream.end(body)
    return stream
  }

  /** Ends all its streams with this error, or as aborted. */
  destroy(error?: Error): void {
    this.#end(error)
    // To the peer it is no error, whatever it is to us.
    this.#session.destroy(error, constants.NGHTTP2_CANCEL)
  }

  #onSettings(): void {
    if (this.#state.kind === 'connecting') {
      if (this.#allowed === 0) {
        // Else one connection after the other would be opened.
        this.destroy(connectionError(this.place, 'The endpoint allows no stream on a new HTTP/2 connection'))
        return
      }
      this.#state.timeout.cancel()
      this.#state = { kind: 'open', timer: this.#watch() }
      this.#rest()
    }
    this.#listener.onRoom()
  }

  /** What the event stream itself brings counts as a sign of life, a heartbeat each five seconds: so pings are rare. */
  #watch(): Scheduled {
    return this.#options.clock.schedule(SILENCE_MS, () => this.#onWatch(), { background: true })
  }

  #onWatch(): void {
    const state = this.#state
    if (state.kind !== 'open' && state.kind !== 'retired') return
    const bytesRead = this.#socket?.bytesRead ?? 0
    this.#silences = bytesRead === this.#bytesRead ? this.#silences + 1 : 0
    this.#bytesRead = bytesRead
    if (this.#silences >= MOST_SILENCES) {
      this.destroy(
        connectionError(this.place, `The HTTP/2 connection was silent for ${MOST_SILENCES * SILENCE_MS} ms and answered no ping`),
      )
      return
    }
    if (this.#silences > 0 && !this.#session.destroyed) this.#session.ping(() => {})
    this.#state = { kind: state.kind, timer: this.#watch() }
  }

  #rest(): void {
    this.#session.unref()
    this.#idle?.cancel()
    if (this.#state.kind !== 'open') return
    this.#idle = this.#options.clock.schedule(
      IDLE_MS,
      () => {
        this.#retire()
        this.#session.close()
      },
      { background: true },
    )
  }

  #retire(): void {
    if (this.#state.kind === 'connecting') {
      this.destroy(connectionError(this.place, 'The endpoint turned the HTTP/2 connection away (GOAWAY)'))
    } else if (this.#state.kind === 'open') {
      this.#state = { kind: 'retired', timer: this.#state.timer }
    }
  }

  #end(error: Error | undefined): void {
    const state = this.#state
    if (state.kind === 'over') return
    this.#state = { kind: 'over' }
    this.#idle?.cancel()
    if (state.kind !== 'connecting') {
      state.timer.cancel()
      this.#listener.onOver(undefined)
      return
    }
    state.timeout.cancel()
    const early = 'The HTTP/2 connection was closed before it was established'
    this.#listener.onOver(error ?? connectionError(this.place, early))
  }

  #notConnected(): Error {
    const { hostname, port } = this.place
    // In the words of the SDK's handler for HTTP/1.1, by which service-error.ts knows that nothing was sent.
    const message = `${hostname}:${port} did not establish a connection (HTTP/2) within ${this.#options.connectTimeoutMs} ms`
    return Object.assign(new Error(message), { name: 'TimeoutError', hostname, port })
  }
}
