import { md5Words } from '@shardwise/aggregation/md5'

/**
 * Where a record lies: an unsigned 128-bit number, the MD5 of the partition key's UTF-8 bytes, or the explicit hash key in its place.
 * Cold paths use bigint; the hot paths use four 32-bit words, most significant first (`npm run bench -- key-to-shard` has a bigint beside them).
 * Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html
 */
export const MAX_HASH_KEY: bigint = 2n ** 128n - 1n

/** Both ends are inclusive. */
export interface HashKeyRange {
  readonly start: bigint
  readonly end: bigint
}

const scratch = new Uint32Array(4)

export function hashKeyOf(partitionKey: string): bigint {
  md5Words(partitionKey, scratch)
  return fromWords(scratch)
}

/** Writes the hash key of a partition key as four words, most significant first. Allocates nothing. */
export function hashKeyWords(partitionKey: string, out: Uint32Array): void {
  md5Words(partitionKey, out)
}

/** Reads an explicit hash key: a decimal integer from 0 to 2^128-1 without sign or leading zeros. Undefined if it is anything else. */
export function parseHashKey(decimal: string): bigint | undefined {
  if (!/^(0|[1-9]\d{0,38})$/.test(decimal)) return undefined
  const value = BigInt(decimal)
  return value <= MAX_HASH_KEY ? value : undefined
}

/** The hash key that Kinesis uses for a record with these keys. The explicit hash key must be valid. */
export function effectiveHashKey(partitionKey: string, explicitHashKey: string | undefined): bigint {
  return explicitHashKey === undefined ? hashKeyOf(partitionKey) : BigInt(explicitHashKey)
}

export function inRange(hashKey: bigint, range: HashKeyRange): boolean {
  return hashKey >= range.start && hashKey <= range.end
}

export function rangesOverlap(a: HashKeyRange, b: HashKeyRange): boolean {
  return a.start <= b.end && b.start <= a.end
}

export function toWords(hashKey: bigint, out: Uint32Array): void {
  for (let word = 0; word < 4; word++) out[word] = Number((hashKey >> BigInt(96 - 32 * word)) & 0xffffffffn)
}

export function fromWords(words: Uint32Array): bigint {
  let value = 0n
  for (let word = 0; word < 4; word++) value = (value << 32n) | BigInt(words[word]!)
  return value
}

/** Whether each hash key of `whole` lies in one of the ranges. They may overlap, and reach beyond it. */
export function rangesCover(ranges: Iterable<HashKeyRange>, whole: HashKeyRange): boolean {
  return !uncovered(ranges).some((hole) => rangesOverlap(hole, whole))
}

/** The parts of the whole hash space that lie outside every range: the holes, in order. Used to audit shard maps and lease tables. */
export function uncovered(ranges: Iterable<HashKeyRange>): HashKeyRange[] {
  const sorted = [...ranges].sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))
  const holes: HashKeyRange[] = []
  let next = 0n
  for (const range of sorted) {
    if (range.start > next) holes.push({ start: next, end: range.start - 1n })
    if (range.end >= next) next = range.end + 1n
  }
  if (next <= MAX_HASH_KEY) holes.push({ start: next, end: MAX_HASH_KEY })
  return holes
}
