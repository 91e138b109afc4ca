import type { ServerResponse } from 'node:http'
import { Http2ServerResponse } from 'node:http2'

/** An answer without an end of its own: chunks go out as they come. */
export interface WirePush {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly chunks: WireChunks
}

export interface WireChunks {
  /** Undefined: that was all. Rejects with BrokenOff where no proper end is to come. Asked for only when the one before it is on its way. */
  next(): Promise<Uint8Array | undefined>
  /** The client is gone, or nothing more will be asked for. Called in every case, perhaps more than once. */
  close(): void
}

/** The answer stops without an end: over HTTP/2 this one stream alone, or the whole connection. Over HTTP/1.1 they are the same. */
export class BrokenOff extends Error {
  override readonly name = 'BrokenOff'
  readonly scope: 'stream' | 'connection'

  constructor(scope: 'stream' | 'connection') {
    super(`The answer breaks off, and with it the ${scope}`)
    this.scope = scope
  }
}

/** One chunk at a time: the next is asked for when the client's window has room for it, so that no more than one is ever held here. */
export async function push(
  response: ServerResponse | Http2ServerResponse,
  { status, headers, chunks }: WirePush,
  { signal, ...breaks }: { readonly signal: AbortSignal; readonly reset: () => void; readonly resetStream: () => void },
): Promise<void> {
  let gone = isGone(response)
  let released = (): void => {}
  response.on('drain', () => released())
  const leave = (): void => {
    gone = true
    chunks.close()
    released()
  }
  response.on('close', leave)
  // The connections go when the server stops, but their answers only hear of it later, when the stop is over.
  signal.addEventListener('abort', leave)
  try {
    if (!gone) writeHead(response, status, headers)
    while (!gone) {
      const chunk = await chunks.next()
      if (gone) return
      if (chunk === undefined) return void response.end()
      if (write(response, chunk)) continue
      await new Promise<void>((resolve) => {
        released = resolve
      })
    }
  } catch (error) {
    if (gone) return
    if (error instanceof BrokenOff && error.scope === 'stream') breaks.resetStream()
    else breaks.reset()
  } finally {
    signal.removeEventListener('abort', leave)
    chunks.close()
  }
}

/** A client that left while the answer was on its way has closed the response already, and that is told only once. */
function isGone(response: ServerResponse | Http2ServerResponse): boolean {
  return response instanceof Http2ServerResponse ? response.stream === undefined || response.stream.destroyed : response.destroyed
}

export function writeHead(
  response: ServerResponse | Http2ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
): void {
  if (response instanceof Http2ServerResponse) response.writeHead(status, headers)
  else response.writeHead(status, headers)
}

function write(response: ServerResponse | Http2ServerResponse, chunk: Uint8Array): boolean {
  return response instanceof Http2ServerResponse ? response.write(chunk) : response.write(chunk)
}
