import { Readable } from 'node:stream'
import { AnswerTooLargeError } from './answer-limit.js'

/** An HTTP answer as a request handler of the SDK gives it. */
export interface SdkAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly reason?: string | undefined
  body: unknown
}

export type AnswerBody =
  | { readonly is: 'whole'; readonly bytes: Uint8Array }
  /** It broke off after these. */
  | { readonly is: 'broken'; readonly bytes: Uint8Array; readonly error: Error }

/** Reads a body to its end, or to where it breaks off, which is here where it has more than `maxBytes`. Undefined for one that is neither bytes nor a stream of Node: nothing of it has been read then. */
export async function answerBody(body: unknown, maxBytes: number): Promise<AnswerBody | undefined> {
  if (body instanceof Uint8Array) return { is: 'whole', bytes: body }
  return body instanceof Readable ? readToEnd(body, maxBytes) : undefined
}

async function readToEnd(body: Readable, maxBytes: number): Promise<AnswerBody> {
  // What breaks after its end, as a stream of HTTP/2 may that is open to write still, concerns nobody.
  body.on('error', () => {})
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      length += chunk.length
      if (length > maxBytes) return { is: 'broken', bytes: new Uint8Array(0), error: new AnswerTooLargeError(maxBytes) }
      chunks.push(chunk)
    }
  } catch (error) {
    return { is: 'broken', bytes: Buffer.concat(chunks), error: error as Error }
  }
  return { is: 'whole', bytes: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks) }
}

/** A body that gives again what was read, and breaks off again where it broke off. */
export function bodyAgain(body: AnswerBody): Uint8Array | Readable {
  if (body.is === 'whole') return body.bytes
  let given = false
  return new Readable({
    read() {
      if (given || body.bytes.length === 0) this.destroy(body.error)
      else this.push(body.bytes)
      given = true
    },
  })
}
