import { type ClientHttp2Stream, constants } from 'node:http2'

/** Tells the peer at once that nobody reads this stream any more, and drops what of it has arrived. */
export function reset(stream: ClientHttp2Stream): void {
  if (stream.destroyed) return
  stream.close(constants.NGHTTP2_CANCEL)
  stream.destroy()
}
