import { type ClientHttp2Stream, constants } from 'node:http2'
import { decodeMessage, type EventStreamMessage, messageLength, PRELUDE_BYTES } from './event-stream-message.js'
import { connectionError, type Place, streamFault } from './http2-fault.js'
import { reset } from './http2-reset.js'

/** How the stream is over: `ended` by the service in good order, `closed` by us, or `failed`. */
type Outcome = { readonly kind: 'ended' | 'closed' } | { readonly kind: 'failed'; readonly error: unknown }

/**
 * Takes messages from an HTTP/2 stream, one when asked. It reads no byte beyond the message that was asked for, so that the rest waits in
 * the stream's buffer, which is a part of the window that the peer was given, and then at the peer. The SDK's reader takes all that is
 * there, and so lets the peer send a second window's worth; and it decodes base64 in JavaScript.
 */
export class EventStreamReader {
  readonly #stream: ClientHttp2Stream
  readonly #place: Place
  #chunks: Buffer[] = []
  #held = 0
  #outcome: Outcome | undefined
  #wake: (() => void) | undefined

  constructor(stream: ClientHttp2Stream, place: Place) {
    this.#stream = stream
    this.#place = place
    const wake = (): void => this.#wake?.()
    stream.on('readable', wake)
    stream.on('error', (error) => this.#finish({ kind: 'failed', error: streamFault(place, stream, error) }))
    stream.on('close', () => {
      // Node also ends the readable side of a stream that was reset, or whose connection is gone: only its code tells.
      const complete = stream.readableEnded && stream.rstCode === constants.NGHTTP2_NO_ERROR
      this.#finish(complete ? { kind: 'ended' } : { kind: 'failed', error: streamFault(place, stream, undefined) })
    })
  }

  /** The next message; undefined when there is none more, because the service or we have ended the stream. */
  async next(): Promise<EventStreamMessage | undefined> {
    const prelude = await this.#bytes(PRELUDE_BYTES)
    if (prelude === undefined) return undefined
    const message = await this.#bytes(messageLength(prelude))
    if (message === undefined) return undefined
    this.#chunks = []
    this.#held = 0
    return decodeMessage(message)
  }

  /** Resets the stream, at once. A pending `next` and all further ones settle: with undefined, or with the error if there is one. */
  close(error?: unknown): void {
    if (this.#outcome?.kind === 'ended') this.#outcome = undefined
    this.#finish(error === undefined ? { kind: 'closed' } : { kind: 'failed', error })
    this.#chunks = []
    this.#held = 0
    reset(this.#stream)
  }

  #finish(outcome: Outcome): void {
    this.#outcome ??= outcome
    this.#wake?.()
  }

  /** The first `length` bytes of the message at hand, which stay held. Undefined when the stream is over before its first byte. */
  async #bytes(length: number): Promise<Buffer | undefined> {
    while (this.#held < length) {
      // A stream that was closed by us gives nothing more, one that ended or failed was emptied or is lost.
      if (this.#outcome !== undefined) return this.#over(this.#outcome)
      // Asked for a byte that is not there, the stream reads on, and ends when that was all.
      const chunk: Buffer | null = this.#stream.read(Math.min(length - this.#held, Math.max(1, this.#stream.readableLength)))
      if (chunk === null) await this.#event()
      else {
        this.#chunks.push(chunk)
        this.#held += chunk.length
      }
    }
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks, this.#held)]
    return this.#chunks[0]
  }

  #over(outcome: Outcome): undefined {
    if (outcome.kind === 'failed') throw outcome.error
    if (outcome.kind === 'ended' && this.#held > 0) {
      throw connectionError(this.#place, 'The event stream ended in the middle of an event', {
        code: 'ERR_STREAM_PREMATURE_CLOSE',
      })
    }
  }

  #event(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined
        resolve()
      }
    })
  }
}
