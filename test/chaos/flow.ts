import type { Socket } from 'node:net'
import type { Random } from '@shardwise/core/random'
import { machineNow } from './machine-time.js'

/** What a connection is like. */
export interface Weather {
  /** Milliseconds that each piece takes, in each direction. */
  readonly latencyMs: number
  /** Up to so many more, at random. What was sent first arrives first. */
  readonly jitterMs: number
  /** Infinity: as much as there is. */
  readonly bytesPerSecond: number
}

export const CALM: Weather = { latencyMs: 0, jitterMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY }

/** What is on its way before the sender has to wait. */
const MOST_BYTES = 256 * 1024

interface Piece {
  readonly due: number
  /** Undefined: the sender has ended. */
  readonly bytes: Buffer | undefined
}

export interface FlowOptions {
  readonly weather: () => Weather
  /** Nothing arrives while it is so; it arrives later. */
  readonly isHeld: () => boolean
  readonly random: Random
  readonly onBytes: (bytes: Buffer) => void
  /** So many bytes vanished. */
  readonly onSwallowed: (bytes: number) => void
  /** A piece has to wait for its time. */
  readonly onLate: () => void
  /** After the last byte that `cutAfter` left. */
  readonly onCut: () => void
}

/** One direction of a connection: bytes that are late, few at a time, held back, cut short or never arrive. */
export class Flow {
  readonly #from: Socket
  readonly #to: Socket
  readonly #options: FlowOptions
  readonly #pieces: Piece[] = []
  #queuedBytes = 0
  #lastDue = 0
  #timer: NodeJS.Timeout | undefined
  #isDead = false
  #left = Number.POSITIVE_INFINITY

  constructor(from: Socket, to: Socket, options: FlowOptions) {
    this.#from = from
    this.#to = to
    this.#options = options
    from.on('data', (bytes: Buffer) => this.#take(bytes))
    from.on('end', () => this.#queue({ due: Math.max(machineNow(), this.#lastDue), bytes: undefined }))
    to.on('drain', () => this.#resume())
  }

  /** Nothing arrives any more, and nobody is told. */
  die(): void {
    this.#isDead = true
    clearTimeout(this.#timer)
    this.#pieces.splice(0)
    this.#queuedBytes = 0
    this.#from.resume()
  }

  /** So many bytes more arrive, and then the connection breaks. */
  cutAfter(bytes: number): void {
    this.#left = Math.min(this.#left, bytes)
  }

  /** When the last of what is on its way is due. */
  get settlesAt(): number {
    return this.#pieces.length === 0 ? 0 : this.#lastDue
  }

  /** Looks again at what is due. */
  pump(): void {
    clearTimeout(this.#timer)
    while (this.#pieces.length > 0 && !this.#options.isHeld()) {
      const { due, bytes } = this.#pieces[0]!
      const now = machineNow()
      if (due > now) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(due - now))
        return
      }
      this.#pieces.shift()
      this.#deliver(bytes)
    }
  }

  #take(bytes: Buffer): void {
    this.#options.onBytes(bytes)
    if (this.#isDead) {
      this.#options.onSwallowed(bytes.length)
      return
    }
    const { latencyMs, jitterMs, bytesPerSecond } = this.#options.weather()
    const arrives = Math.max(machineNow() + latencyMs + jitterMs * this.#options.random(), this.#lastDue)
    this.#lastDue = arrives + (bytes.length * 1000) / bytesPerSecond
    if (this.#lastDue > machineNow() || this.#options.isHeld()) this.#options.onLate()
    this.#queue({ due: this.#lastDue, bytes })
    if (this.#queuedBytes > MOST_BYTES) this.#from.pause()
  }

  #queue(piece: Piece): void {
    if (this.#isDead) return
    this.#pieces.push(piece)
    this.#queuedBytes += piece.bytes?.length ?? 0
    if (this.#pieces.length === 1) this.pump()
  }

  #deliver(bytes: Buffer | undefined): void {
    if (bytes === undefined) return void this.#to.end()
    this.#queuedBytes -= bytes.length
    const isCut = bytes.length >= this.#left
    const accepted = this.#to.write(isCut ? bytes.subarray(0, this.#left) : bytes)
    this.#left -= bytes.length
    if (isCut) {
      this.die()
      this.#options.onCut()
    } else if (!accepted) this.#from.pause()
    else this.#resume()
  }

  #resume(): void {
    if (this.#queuedBytes <= MOST_BYTES && !this.#to.writableNeedDrain) this.#from.resume()
  }
}
