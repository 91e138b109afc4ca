import { utf8Bytes, wellFormed, writeUtf8 } from './utf8.js'
import { lengthDelimitedBytes, writeVarint } from './wire-format.js'

const INITIAL_BYTES = 1024

/**
 * One of the two key tables of an aggregate while it is built: which key has which index, and the table's encoded entries.
 *
 * Adding is in two steps, so that a key is looked up and measured once although the builder must know the size first: `locate` sets
 * `index` and `growth` and changes nothing else; `addLocated` then writes the entry. Map keys are exact for every string.
 */
export class KeyTable {
  /** Index of the located key, or the one it would get. */
  index = 0
  /** Bytes by which the table grows when the located key is added; 0 if it is there already. */
  growth = 0
  readonly #tag: number
  readonly #indexes: Map<string, number> = new Map()
  #located = ''
  #locatedBytes = 0
  #entries: Uint8Array = new Uint8Array(INITIAL_BYTES)
  #byteLength = 0

  constructor(tag: number) {
    this.#tag = tag
  }

  get byteLength(): number {
    return this.#byteLength
  }

  locate(key: string): void {
    let index = this.#indexes.get(key)
    if (index === undefined) {
      const bytes = utf8Bytes(key)
      // Two different strings can be the same key on the wire, but only when a lone surrogate is in one of them.
      const written = bytes === key.length ? key : wellFormed(key)
      if (written !== key) index = this.#indexes.get(written)
      if (index === undefined) {
        this.index = this.#indexes.size
        this.growth = lengthDelimitedBytes(bytes)
        this.#located = written
        this.#locatedBytes = bytes
        return
      }
    }
    this.index = index
    this.growth = 0
  }

  /** Adds what the last `locate` found missing. */
  addLocated(): void {
    if (this.growth === 0) return
    const needed = this.#byteLength + this.growth
    if (needed > this.#entries.length) {
      const larger = new Uint8Array(Math.max(needed, this.#entries.length * 2))
      larger.set(this.#entries.subarray(0, this.#byteLength))
      this.#entries = larger
    }
    this.#entries[this.#byteLength] = this.#tag
    const at = writeVarint(this.#entries, this.#byteLength + 1, this.#locatedBytes)
    this.#byteLength = writeUtf8(this.#entries, at, this.#located, this.#locatedBytes)
    this.#indexes.set(this.#located, this.index)
  }

  /** Copies the encoded entries and returns the position after them. */
  copyTo(target: Uint8Array, at: number): number {
    target.set(this.#entries.subarray(0, this.#byteLength), at)
    return at + this.#byteLength
  }

  clear(): void {
    this.#indexes.clear()
    this.#byteLength = 0
    this.#located = ''
  }
}
