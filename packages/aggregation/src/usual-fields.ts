import { RECORD_DATA, RECORD_EXPLICIT_HASH_KEY_INDEX, RECORD_PARTITION_KEY_INDEX } from './wire-format.js'

// Fields as every known producer writes them, with lengths and indexes of one or two bytes, read without a call for each. What is not of this form
// is left to WireReader. No reading leaves the input: behind the message are the sixteen bytes of its trailer, and no more than ten are looked at
// from any position in it.
//
// Measured on Node 20: decode-100b takes 17 % less time, decode-100b-repeated 12 %.

/** How many of each an aggregate has. */
export interface Counts {
  readonly partitionKeys: number
  readonly explicitHashKeys: number
  readonly records: number
}

/** Where a field ends whose length is at this position, or -1. May lie beyond the message. */
export function usualEnd(bytes: Uint8Array, at: number): number {
  const length = bytes[at]!
  if (length < 0x80) return at + 1 + length
  const more = bytes[at + 1]!
  return more < 0x80 ? at + 2 + (length & 0x7f) + (more << 7) : -1
}

/**
 * Reads the record in bytes [start, end) into `records` at `at`: partition key index, explicit hash key index or none, data, in this order and
 * nothing else. False, with nothing written, for any other.
 */
export function indexUsualRecord(
  bytes: Uint8Array,
  start: number,
  end: number,
  counts: Counts,
  records: Int32Array,
  at: number,
): boolean {
  if (bytes[start] !== RECORD_PARTITION_KEY_INDEX) return false
  let next = start + 1
  let partitionKey = bytes[next++]!
  if (partitionKey >= 0x80) {
    const more = bytes[next++]!
    if (more >= 0x80) return false
    partitionKey = (partitionKey & 0x7f) | (more << 7)
  }
  let explicitHashKey = -1
  if (bytes[next] === RECORD_EXPLICIT_HASH_KEY_INDEX) {
    next++
    explicitHashKey = bytes[next++]!
    if (explicitHashKey >= 0x80) {
      const more = bytes[next++]!
      if (more >= 0x80) return false
      explicitHashKey = (explicitHashKey & 0x7f) | (more << 7)
    }
  }
  if (bytes[next] !== RECORD_DATA) return false
  // Then nothing of the above was read beyond `end` either.
  if (usualEnd(bytes, next + 1) !== end) return false
  if (partitionKey >= counts.partitionKeys || explicitHashKey >= counts.explicitHashKeys) return false
  records[at] = partitionKey
  records[at + 1] = explicitHashKey
  records[at + 2] = next + (bytes[next + 1]! < 0x80 ? 2 : 3)
  records[at + 3] = end
  records[at + 4] = -1
  records[at + 5] = end
  return true
}
