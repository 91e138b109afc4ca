import { Http2Session, type Http2SessionOptions } from './http2-session.js'

/** Somebody who wants a stream. Exactly one of the two is called, once, unless it is withdrawn before. */
export interface StreamSeeker {
  /** Must begin its stream on this session at once. */
  readonly begin: (session: Http2Session) => void
  readonly fail: (error: Error) => void
}

/** The sessions to one origin, in the order in which they were opened, and who waits for room. */
interface Origin {
  readonly url: URL
  readonly sessions: Set<Http2Session>
  readonly seekers: Set<StreamSeeker>
  connecting: Http2Session | undefined
}

/**
 * Few sessions for many streams: the oldest session with room takes the next stream, so that the younger ones empty and are closed. One is
 * opened at a time and only when none has room, for how many streams a session takes is known when it is open.
 */
export class Http2Sessions {
  readonly #options: Http2SessionOptions
  readonly #origins = new Map<string, Origin>()
  #destroyed: Error | undefined

  constructor(options: Http2SessionOptions) {
    this.#options = options
  }

  /** Sessions that have not ended, those that are being opened included. */
  get count(): number {
    let count = 0
    for (const origin of this.#origins.values()) count += origin.sessions.size
    return count
  }

  /** Begins a stream as soon as there is room. Returns what withdraws the wish. */
  seek(url: URL, seeker: StreamSeeker): () => void {
    if (this.#destroyed !== undefined) {
      seeker.fail(this.#destroyed)
      return () => {}
    }
    const origin = this.#origin(url)
    origin.seekers.add(seeker)
    this.#serve(origin)
    return () => {
      origin.seekers.delete(seeker)
      origin.connecting?.await(origin.seekers.size > 0)
    }
  }

  /** Ends all sessions with this error, and so all streams, also those that are sought later. */
  destroy(error: Error): void {
    this.#destroyed ??= error
    for (const origin of this.#origins.values()) for (const session of [...origin.sessions]) session.destroy(error)
  }

  #origin(url: URL): Origin {
    const known = this.#origins.get(url.origin)
    if (known !== undefined) return known
    const origin: Origin = { url, sessions: new Set(), seekers: new Set(), connecting: undefined }
    this.#origins.set(url.origin, origin)
    return origin
  }

  #serve(origin: Origin): void {
    for (const session of origin.sessions) {
      for (const seeker of origin.seekers) {
        if (session.room === 0) break
        origin.seekers.delete(seeker)
        seeker.begin(session)
      }
    }
    if (origin.seekers.size === 0) return
    try {
      origin.connecting ??= this.#open(origin)
      origin.connecting.await(true)
    } catch (error) {
      // TLS settings that Node refuses.
      this.#turnAway(origin, error as Error)
    }
  }

  #open(origin: Origin): Http2Session {
    const session: Http2Session = Http2Session.open(origin.url, this.#options, {
      onRoom: () => {
        if (origin.connecting === session) origin.connecting = undefined
        this.#serve(origin)
      },
      onOver: (error) => {
        origin.sessions.delete(session)
        if (origin.connecting === session) origin.connecting = undefined
        // Whoever waited for this connection is told; the next to come tries again.
        if (error !== undefined) this.#turnAway(origin, error)
      },
    })
    origin.sessions.add(session)
    return session
  }

  #turnAway(origin: Origin, error: Error): void {
    const turnedAway = [...origin.seekers]
    origin.seekers.clear()
    for (const seeker of turnedAway) seeker.fail(error)
  }
}
