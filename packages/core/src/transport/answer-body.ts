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

/** By its events: the iterator of a stream costs several promises for each chunk. */
function readToEnd(body: Readable, maxBytes: number): Promise<AnswerBody> {
  return new Promise((resolve) => {
    let chunks: Uint8Array[] = []
    let length = 0
    let isOver = false
    const end = (error?: Error): void => {
      if (isOver) return
      isOver = true
      const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      resolve(error === undefined ? { is: 'whole', bytes } : { is: 'broken', bytes, error })
    }
    body.on('data', (chunk: Uint8Array) => {
      length += chunk.length
      if (length <= maxBytes) {
        chunks.push(chunk)
        return
      }
      chunks = []
      end(new AnswerTooLargeError(maxBytes))
      body.destroy()
    })
    body.on('end', () => end())
    body.on('error', end)
    body.on('close', () => {
      // A body that has ended is closed too, and an error takes longer to make than all the rest here.
      if (!isOver) end(new Error('The body of the answer was closed before its end'))
    })
  })
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
