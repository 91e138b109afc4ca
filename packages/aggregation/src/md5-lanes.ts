import { BLOCK_BYTES, LANES, type LaneKernel, POINTERS, STATES, WINDOW_BLOCKS, windowOf } from './md5-lanes-kernel.js'
import { DIGEST_BYTES } from './wire-format.js'

const WINDOW_BYTES = WINDOW_BLOCKS * BLOCK_BYTES
/** Of the initial state (RFC 1321, section 3.3). */
const INITIAL = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476] as const

/** A message on its way through a lane. */
interface Lane {
  /** Which message, or -1. */
  item: number
  /** Bytes of it that have been copied to the lane's window, and to what length it is padded. */
  copied: number
  paddedBytes: number
  /** Blocks in the window that are not yet in the state. */
  blocks: number
}

/**
 * MD5 of many messages, eight at a time. A lane whose message has ended takes the next one, so that lengths may differ; near the end of the
 * batch lanes run empty, which is what a batch of few messages pays.
 */
export class Md5Lanes {
  readonly #kernel: LaneKernel
  readonly #words: Uint32Array
  readonly #lanes: readonly Lane[] = Array.from({ length: LANES }, () => ({ item: -1, copied: 0, paddedBytes: 0, blocks: 0 }))
  readonly #digest: Uint8Array = new Uint8Array(DIGEST_BYTES)

  constructor(kernel: LaneKernel) {
    this.#kernel = kernel
    this.#words = new Uint32Array(kernel.memory.buffer)
  }

  /** Calls `found` for each message, in whatever order. The digest is valid during the call only. */
  digest(messages: readonly Uint8Array[], found: (item: number, digest: Uint8Array) => void): void {
    let next = 0
    let busy = 0
    for (let lane = 0; lane < LANES; lane++) {
      if (next < messages.length) {
        this.#begin(lane, next, messages[next]!)
        next++
        busy++
      } else {
        this.#lanes[lane]!.item = -1
        this.#words[POINTERS / 4 + lane] = windowOf(lane)
      }
    }
    while (busy > 0) {
      const blocks = this.#fewestBlocks()
      this.#kernel.compress(blocks)
      for (let index = 0; index < LANES; index++) {
        const lane = this.#lanes[index]!
        lane.blocks -= blocks
        if (lane.item < 0) this.#words[POINTERS / 4 + index] = windowOf(index)
        else if (lane.blocks === 0) {
          const message = messages[lane.item]!
          if (lane.copied < lane.paddedBytes) this.#fill(index, message)
          else {
            found(lane.item, this.#digestOf(index))
            if (next < messages.length) {
              this.#begin(index, next, messages[next]!)
              next++
            } else {
              lane.item = -1
              busy--
              this.#words[POINTERS / 4 + index] = windowOf(index)
            }
          }
        }
      }
    }
  }

  #fewestBlocks(): number {
    let fewest = WINDOW_BLOCKS
    for (const { item, blocks } of this.#lanes) if (item >= 0 && blocks < fewest) fewest = blocks
    return fewest
  }

  #begin(index: number, item: number, message: Uint8Array): void {
    const lane = this.#lanes[index]!
    lane.item = item
    lane.copied = 0
    // A byte that marks the end, and eight of length.
    lane.paddedBytes = Math.ceil((message.length + 9) / BLOCK_BYTES) * BLOCK_BYTES
    for (let word = 0; word < INITIAL.length; word++) this.#words[STATES / 4 + word * LANES + index] = INITIAL[word]!
    this.#fill(index, message)
  }

  /** The next part of the message, or of what it is padded with, into the lane's window. */
  #fill(index: number, message: Uint8Array): void {
    const lane = this.#lanes[index]!
    const { memory } = this.#kernel
    const from = lane.copied
    const bytes = Math.min(WINDOW_BYTES, lane.paddedBytes - from)
    const at = windowOf(index)
    const part = message.subarray(from, Math.min(message.length, from + bytes))
    memory.set(part, at)
    if (part.length < bytes) {
      memory.fill(0, at + part.length, at + bytes)
      if (message.length >= from) memory[at + message.length - from] = 0x80
      if (from + bytes === lane.paddedBytes) {
        this.#words[(at + bytes) / 4 - 2] = message.length * 8
        this.#words[(at + bytes) / 4 - 1] = Math.floor(message.length / 0x2000_0000)
      }
    }
    lane.copied = from + bytes
    lane.blocks = bytes / BLOCK_BYTES
    this.#words[POINTERS / 4 + index] = at
  }

  #digestOf(index: number): Uint8Array {
    for (let word = 0; word < INITIAL.length; word++) {
      const value = this.#words[STATES / 4 + word * LANES + index]!
      for (let byte = 0; byte < 4; byte++) this.#digest[word * 4 + byte] = value >>> (byte * 8)
    }
    return this.#digest
  }
}
