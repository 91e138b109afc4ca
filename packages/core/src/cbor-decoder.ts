import { CborError, MAX_CBOR_DEPTH } from './cbor-error.js'
import { memberName } from './member-names.js'

// The hot path of every read: an answer has up to 10 MiB. And it comes from the network, so that nothing is read outside the input, and
// memory is taken in proportion to the input, never to a length that the input declares.

const UNSIGNED = 0
const NEGATIVE = 1
const BYTES = 2
const TEXT = 3
const ARRAY = 4
const MAP = 5
const TAG = 6
const SIMPLE = 7

const BREAK = 0xff
const INDEFINITE = 31

const TAG_TIMESTAMP = 1
const TAG_POSITIVE_BIGNUM = 2
const TAG_NEGATIVE_BIGNUM = 3
const LONGEST_BIGNUM = 64

/**
 * Reads one value that fills the whole input. Maps become plain objects, byte strings views into `bytes` (they keep all of it alive),
 * integers beyond 2^53 bigint. Throws CborError.
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes)
  const value = reader.value(0)
  reader.expectEnd()
  return value
}

class Reader {
  readonly #bytes: Buffer
  readonly #length: number
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#length = bytes.byteLength
  }

  expectEnd(): void {
    if (this.#at !== this.#length) throw new CborError(`${this.#length - this.#at} bytes follow the value`, this.#at)
  }

  value(depth: number): unknown {
    if (depth > MAX_CBOR_DEPTH) throw new CborError(`nested more than ${MAX_CBOR_DEPTH} deep`, this.#at)
    const initial = this.#byte()
    const info = initial & 31
    switch (initial >> 5) {
      case UNSIGNED:
        return this.#argument(info)
      case NEGATIVE: {
        const argument = this.#argument(info)
        return typeof argument === 'bigint' || argument === Number.MAX_SAFE_INTEGER ? -1n - BigInt(argument) : -1 - argument
      }
      case BYTES:
        return info === INDEFINITE ? this.#chunks(BYTES) : this.#slice(this.#size(info))
      case TEXT:
        return info === INDEFINITE ? this.#chunks(TEXT).toString('utf8') : this.#text(this.#size(info))
      case ARRAY:
        return this.#array(info, depth)
      case MAP:
        return this.#map(info, depth)
      case TAG:
        return this.#tagged(info, depth)
      default:
        return this.#simple(info)
    }
  }

  #byte(): number {
    if (this.#at >= this.#length) throw new CborError('the input ends too early', this.#at)
    return this.#bytes[this.#at++]!
  }

  /** The number that follows the initial byte's low five bits. */
  #argument(info: number): number | bigint {
    if (info < 24) return info
    const at = this.#at
    const width = info === 24 ? 1 : info === 25 ? 2 : info === 26 ? 4 : info === 27 ? 8 : 0
    if (width === 0) throw new CborError(`a head with the reserved length ${info}`, at - 1)
    if (at + width > this.#length) throw new CborError('the input ends too early', this.#length)
    this.#at = at + width
    const bytes = this.#bytes
    if (width === 1) return bytes[at]!
    if (width === 2) return (bytes[at]! << 8) | bytes[at + 1]!
    if (width === 4) return bytes.readUInt32BE(at)
    const high = bytes.readUInt32BE(at)
    const low = bytes.readUInt32BE(at + 4)
    return high < 0x200000 ? high * 0x1_0000_0000 + low : (BigInt(high) << 32n) | BigInt(low)
  }

  /** A count of bytes or of items. Each takes a byte of input at least, so that a greater count than bytes are left is a lie. */
  #size(info: number, perItem = 1): number {
    const argument = this.#argument(info)
    if (argument > (this.#length - this.#at) / perItem) throw new CborError(`a length of ${argument}, beyond the input`, this.#at)
    return argument as number
  }

  #slice(size: number): Buffer {
    const start = this.#at
    this.#at = start + size
    return this.#bytes.subarray(start, this.#at)
  }

  #text(size: number): string {
    const start = this.#at
    this.#at = start + size
    return this.#bytes.toString('utf8', start, this.#at)
  }

  #chunks(major: number): Buffer {
    const chunks: Buffer[] = []
    for (;;) {
      const at = this.#at
      const initial = this.#byte()
      if (initial === BREAK) return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      if (initial >> 5 !== major || (initial & 31) === INDEFINITE) throw new CborError('a chunk of another type', at)
      chunks.push(this.#slice(this.#size(initial & 31)))
    }
  }

  #array(info: number, depth: number): unknown[] {
    const items: unknown[] = []
    if (info === INDEFINITE) {
      while (!this.#atBreak()) items.push(this.value(depth + 1))
    } else {
      for (let left = this.#size(info); left > 0; left--) items.push(this.value(depth + 1))
    }
    return items
  }

  #map(info: number, depth: number): Record<string, unknown> {
    const members: Record<string, unknown> = {}
    if (info === INDEFINITE) {
      while (!this.#atBreak()) this.#member(members, depth)
    } else {
      for (let left = this.#size(info, 2); left > 0; left--) this.#member(members, depth)
    }
    return members
  }

  #member(members: Record<string, unknown>, depth: number): void {
    const name = this.#memberName()
    const value = this.value(depth + 1)
    // Assigned, this one name would replace the object's prototype instead of making a member.
    if (name === '__proto__')
      Object.defineProperty(members, name, { value, enumerable: true, configurable: true, writable: true })
    else members[name] = value
  }

  #memberName(): string {
    const at = this.#at
    const initial = this.#byte()
    if (initial >> 5 !== TEXT) throw new CborError('a map key that is not text', at)
    if (initial === ((TEXT << 5) | INDEFINITE)) return this.#chunks(TEXT).toString('utf8')
    const size = this.#size(initial & 31)
    const start = this.#at
    this.#at = start + size
    return memberName(this.#bytes, start, this.#at)
  }

  #atBreak(): boolean {
    if (this.#at >= this.#length) throw new CborError('the input ends too early', this.#at)
    if (this.#bytes[this.#at] !== BREAK) return false
    this.#at++
    return true
  }

  #tagged(info: number, depth: number): unknown {
    const at = this.#at - 1
    const tag = this.#argument(info)
    const isFloat = this.#at < this.#length && this.#bytes[this.#at]! >> 5 === SIMPLE
    const content = this.value(depth + 1)
    if (tag === TAG_TIMESTAMP) {
      // Today a double of seconds is off by 0.2 microseconds at most: rounding gives the millisecond that was meant.
      const millis = isFloat ? Math.round(Number(content) * 1000) : Number(content)
      const date = typeof content === 'number' || typeof content === 'bigint' ? new Date(millis) : undefined
      if (date === undefined || Number.isNaN(date.getTime())) throw new CborError('a timestamp that is not a date', at)
      return date
    }
    if (tag === TAG_POSITIVE_BIGNUM || tag === TAG_NEGATIVE_BIGNUM) {
      if (!Buffer.isBuffer(content) || content.length > LONGEST_BIGNUM)
        throw new CborError('a big number that is not a few bytes', at)
      const magnitude = BigInt(`0x0${content.toString('hex')}`)
      return tag === TAG_POSITIVE_BIGNUM ? magnitude : -1n - magnitude
    }
    return content
  }

  #simple(info: number): unknown {
    const at = this.#at
    switch (info) {
      case 20:
        return false
      case 21:
        return true
      case 22:
        return null
      case 23:
        return undefined
      case 25:
        return halfFloat(Number(this.#argument(info)))
      case 26:
        this.#argument(info)
        return this.#bytes.readFloatBE(at)
      case 27:
        this.#argument(info)
        return this.#bytes.readDoubleBE(at)
      default:
        throw new CborError(info === INDEFINITE ? 'a break outside a list' : `the unknown simple value ${info}`, at - 1)
    }
  }
}

function halfFloat(half: number): number {
  const exponent = (half >> 10) & 31
  const fraction = half & 0x3ff
  const magnitude =
    exponent === 0
      ? fraction * 2 ** -24
      : exponent < 31
        ? (1024 + fraction) * 2 ** (exponent - 25)
        : fraction === 0
          ? Infinity
          : NaN
  return half & 0x8000 ? -magnitude : magnitude
}
