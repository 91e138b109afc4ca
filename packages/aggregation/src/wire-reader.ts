const MAX_GROUP_DEPTH = 100

/** What every reading method returns for bytes that are not valid protobuf. The position is then meaningless. */
export const MALFORMED = -1

/**
 * Reads protobuf from bytes that may be hostile. Every method takes the end of the message it reads in and never looks beyond it; work
 * is linear in the bytes passed over. Accepted is what current C++ protobuf accepts: tags and lengths of at most five bytes without
 * excess bits, other varints of at most ten, groups nested up to 100 deep with matching ends.
 *
 * Most numbers are one byte, and are read without the loop. Measured on Node 20: with it aggregates whose records have a tag take a tenth more time to read.
 */
export class WireReader {
  at: number
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  /** A field's tag, or MALFORMED also for field number 0. */
  tag(end: number): number {
    if (this.at < end) {
      const first = this.#bytes[this.at]!
      if (first < 0x80) {
        this.at++
        return first < 8 ? MALFORMED : first
      }
    }
    const tag = this.#varint(end, 5)
    return tag < 8 || tag > 0xffff_ffff ? MALFORMED : tag
  }

  /** The length of a field whose content lies entirely before `end`. The position is at the content then. */
  length(end: number): number {
    if (this.at < end) {
      const first = this.#bytes[this.at]!
      if (first < 0x80) {
        this.at++
        return first <= end - this.at ? first : MALFORMED
      }
    }
    const length = this.#varint(end, 5)
    return length <= end - this.at ? length : MALFORMED
  }

  /** An unsigned 64-bit number, rounded above 2^53. */
  uint64(end: number): number {
    if (this.at < end) {
      const first = this.#bytes[this.at]!
      if (first < 0x80) {
        this.at++
        return first
      }
    }
    return this.#varint(end, 10)
  }

  /** Passes over the content of a field that means nothing to us. False if it is malformed. */
  skip(tag: number, end: number): boolean {
    return (tag & 7) === 3 ? this.#skipGroup(tag >>> 3, end) : this.#skipScalar(tag & 7, end)
  }

  #varint(end: number, maxBytes: number): number {
    const bytes = this.#bytes
    const stop = Math.min(end, this.at + maxBytes)
    let value = 0
    let unit = 1
    for (let at = this.at; at < stop; at++, unit *= 0x80) {
      const byte = bytes[at]!
      value += (byte & 0x7f) * unit
      if (byte < 0x80) {
        this.at = at + 1
        return value
      }
    }
    return MALFORMED
  }

  #skipScalar(wireType: number, end: number): boolean {
    switch (wireType) {
      case 0:
        return this.#varint(end, 10) !== MALFORMED
      case 1:
        return this.#advance(8, end)
      case 2: {
        const length = this.length(end)
        return length !== MALFORMED && this.#advance(length, end)
      }
      case 5:
        return this.#advance(4, end)
      default:
        return false
    }
  }

  #skipGroup(field: number, end: number): boolean {
    const open = [field]
    while (open.length > 0) {
      const tag = this.tag(end)
      if (tag === MALFORMED) return false
      const wireType = tag & 7
      if (wireType === 4) {
        if (open.pop() !== tag >>> 3) return false
      } else if (wireType === 3) {
        if (open.push(tag >>> 3) > MAX_GROUP_DEPTH) return false
      } else if (!this.#skipScalar(wireType, end)) return false
    }
    return true
  }

  #advance(bytes: number, end: number): boolean {
    this.at += bytes
    return this.at <= end
  }
}
