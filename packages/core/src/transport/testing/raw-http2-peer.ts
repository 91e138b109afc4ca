import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

/** Types of frames: https://www.rfc-editor.org/rfc/rfc9113#section-6 */
export const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7 } as const
const PREFACE_BYTES = 24
const HEAD_BYTES = 9
const ACK = 1
const END_HEADERS = 4
/** `:status: 200` in HPACK. */
const STATUS_200 = Buffer.from([0x88])

export interface ReceivedFrame {
  readonly type: number
  readonly flags: number
  readonly stream: number
}

/** One connection, frame by frame, so that it can do what Node's server does not. */
export class RawConnection {
  readonly frames: ReceivedFrame[] = []
  readonly socket: Socket
  #held = Buffer.alloc(0)
  #at = PREFACE_BYTES

  constructor(socket: Socket, onFrame: (connection: RawConnection, frame: ReceivedFrame) => void) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      this.#held = Buffer.concat([this.#held, chunk])
      while (this.#held.length >= this.#at + HEAD_BYTES) {
        const end = this.#at + HEAD_BYTES + this.#held.readUIntBE(this.#at, 3)
        if (this.#held.length < end) break
        const [type, flags] = [this.#held.readUInt8(this.#at + 3), this.#held.readUInt8(this.#at + 4)]
        const frame = { type, flags, stream: this.#held.readUInt32BE(this.#at + 5) }
        this.#at = end
        this.frames.push(frame)
        onFrame(this, frame)
      }
    })
  }

  send(type: number, stream: number, payload: Buffer = Buffer.alloc(0), flags = 0): void {
    const head = Buffer.alloc(HEAD_BYTES)
    head.writeUIntBE(payload.length, 0, 3)
    head.writeUInt8(type, 3)
    head.writeUInt8(flags, 4)
    head.writeUInt32BE(stream, 5)
    this.socket.write(Buffer.concat([head, payload]))
  }

  settings(maxConcurrentStreams?: number): void {
    const payload = Buffer.alloc(maxConcurrentStreams === undefined ? 0 : 6)
    if (maxConcurrentStreams !== undefined) {
      payload.writeUInt16BE(3, 0)
      payload.writeUInt32BE(maxConcurrentStreams, 2)
    }
    this.send(FRAME.settings, 0, payload)
    this.send(FRAME.settings, 0, undefined, ACK)
  }

  accept(stream: number): void {
    this.send(FRAME.headers, stream, STATUS_200, END_HEADERS)
  }

  reset(stream: number, code: number): void {
    this.send(FRAME.reset, stream, word(code))
  }

  goaway(lastStream: number, code: number): void {
    this.send(FRAME.goaway, 0, Buffer.concat([word(lastStream), word(code)]))
  }
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export class RawHttp2Peer {
  readonly connections: RawConnection[] = []
  onConnection: (connection: RawConnection) => void = (connection) => connection.settings()
  onFrame: (connection: RawConnection, frame: ReceivedFrame) => void = () => {}
  readonly #server: Server

  constructor() {
    this.#server = createServer((socket) => {
      const connection = new RawConnection(socket, (from, frame) => this.onFrame(from, frame))
      this.connections.push(connection)
      this.onConnection(connection)
    })
  }

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Resolves when so many connections have come. */
  async connected(count: number): Promise<void> {
    while (this.connections.length < count) await once(this.#server, 'connection')
  }

  async stop(): Promise<void> {
    for (const { socket } of this.connections) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
