const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const FRAME_HEADER_BYTES = 9
const HEADERS = 1
const REQUEST_LINE = /(?:POST|GET) \/[^\r\n]* HTTP\/1\.1\r\n/g

type State =
  | { readonly speaks: 'unknown'; readonly begin: Buffer }
  | { readonly speaks: 'http1' }
  /** `skip`: bytes of the frame in hand that are to come; `header`: what is there of the next one's header. */
  | { readonly speaks: 'http2'; skip: number; header: Buffer }

/** Counts the requests that a client sends on one connection, HTTP/1.1 or HTTP/2 in the clear, by its bytes alone. */
export class RequestCount {
  #state: State = { speaks: 'unknown', begin: Buffer.alloc(0) }

  /** Requests that begin in these bytes. */
  count(bytes: Buffer): number {
    if (this.#state.speaks === 'http1') return bytes.toString('latin1').match(REQUEST_LINE)?.length ?? 0
    if (this.#state.speaks === 'http2') return this.#frames(this.#state, bytes)
    const begin = Buffer.concat([this.#state.begin, bytes])
    if (begin.length < PREFACE.length) {
      this.#state = { speaks: 'unknown', begin }
      return 0
    }
    const isHttp2 = begin.subarray(0, PREFACE.length).equals(PREFACE)
    this.#state = isHttp2 ? { speaks: 'http2', skip: 0, header: Buffer.alloc(0) } : { speaks: 'http1' }
    return this.count(isHttp2 ? begin.subarray(PREFACE.length) : begin)
  }

  #frames(state: Extract<State, { speaks: 'http2' }>, bytes: Buffer): number {
    let requests = 0
    let at = 0
    while (at < bytes.length) {
      const skipped = Math.min(state.skip, bytes.length - at)
      state.skip -= skipped
      at += skipped
      const taken = bytes.subarray(at, at + FRAME_HEADER_BYTES - state.header.length)
      state.header = Buffer.concat([state.header, taken])
      at += taken.length
      if (state.header.length < FRAME_HEADER_BYTES) continue
      if (state.header[3] === HEADERS) requests++
      state.skip = state.header.readUIntBE(0, 3)
      state.header = Buffer.alloc(0)
    }
    return requests
  }
}
