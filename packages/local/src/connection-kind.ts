import type { Socket } from 'node:net'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
const TLS_HANDSHAKE = 0x16

/**
 * What a client that sent these first bytes speaks; undefined while they could still be either. HTTP/2 begins with its connection preface
 * (RFC 9113 section 3.4), TLS with a handshake record; anything else is for HTTP/1.1 to judge.
 */
export function connectionKind(head: Uint8Array): 'http1' | 'http2' | 'tls' | undefined {
  if (head.length === 0) return undefined
  if (head[0] === TLS_HANDSHAKE) return 'tls'
  const compared = Math.min(head.length, PREFACE.length)
  if (PREFACE.compare(head, 0, compared, 0, compared) !== 0) return 'http1'
  return compared === PREFACE.length ? 'http2' : undefined
}

/**
 * Reads just enough of a fresh connection to call `then` with its kind, having put the bytes back. A client that leaves before never
 * gets there.
 */
export function recognise(socket: Socket, then: (kind: 'http1' | 'http2' | 'tls') => void): void {
  let head: Buffer = Buffer.alloc(0)
  const look = (chunk: Buffer): void => {
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk])
    const kind = connectionKind(head)
    if (kind === undefined) return
    socket.off('data', look)
    socket.pause()
    socket.unshift(head)
    then(kind)
    // The HTTP/1.1 server listens for data but leaves a paused socket paused. Resumed at once, the bytes put back would come out before
    // its parser is in place. HTTP/2 and TLS take the connection over below the stream, where this has no effect.
    process.nextTick(() => socket.resume())
  }
  socket.on('data', look)
}
