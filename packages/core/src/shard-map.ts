import { type HashKeyRange, MAX_HASH_KEY, parseHashKey, toWords, uncovered } from './hash-key.js'
import type { KinesisPort, ShardFilter, ShardListing, StreamReference } from './kinesis-port.js'

export interface Shard {
  readonly shardId: string
  readonly range: HashKeyRange
  readonly parentShardId?: string
  /** The second parent of a shard that a merge made. */
  readonly adjacentParentShardId?: string
  readonly startingSequenceNumber: string
  /** Present when the shard is closed: it takes no more records. */
  readonly endingSequenceNumber?: string
}

/** A list of shards that cannot be right. `shardId` is the entry at fault, undefined where it has none. List again; the map was not made. */
export class ShardListingError extends Error {
  override readonly name = 'ShardListingError'
  readonly code = 'ERR_SHARDWISE_SHARD_LISTING'
  readonly shardId: string | undefined

  constructor(shardId: string | undefined, problem: string) {
    super(`ListShards gave a list that cannot be used: shard ${shardId ?? '(without ShardId)'} ${problem}`)
    this.shardId = shardId
  }
}

/** 2^16 buckets of 4 bytes stay within the second-level cache and leave about one shard to a bucket of the largest streams. */
const MOST_BUCKET_BITS = 16
const MAX_TOP = 2 ** 31 - 1

/**
 * Which shard takes which hash key. Immutable: a reshard makes a new map.
 *
 * Lookup is an index by the top bits of the hash key: each bucket holds the last open shard that starts at or before the bucket's first
 * hash key, so the answer lies between this bucket's entry and the next one's. Shards that resharding made narrow may crowd into one
 * bucket; then those are bisected, comparing all 128 bits.
 *
 * Measured on Node 20: bisecting all shards a key takes 30 % more time among 1,000 (key-to-shard) and 45 % among 10,000 (key-to-shard-10000).
 */
export class ShardMap {
  /** Open shards in order of `range.start`. They do not overlap. */
  readonly open: readonly Shard[]
  /** Parts of the hash space that no open shard covers: a listing taken in the middle of a reshard can have them. */
  readonly holes: readonly HashKeyRange[]
  readonly #byId: ReadonlyMap<string, Shard>
  readonly #starts: Uint32Array
  readonly #ends: Uint32Array
  /** The topmost 31 bits of each shard's start, and behind the last a number that none is beyond. */
  readonly #tops: Int32Array
  readonly #buckets: Uint32Array
  readonly #bucketShift: number
  readonly #gapless: boolean

  private constructor(byId: ReadonlyMap<string, Shard>, open: readonly Shard[]) {
    this.#byId = byId
    this.open = open
    this.holes = uncovered(open.map((shard) => shard.range))
    this.#gapless = this.holes.length === 0
    this.#starts = packed(open, 'start')
    this.#ends = packed(open, 'end')
    this.#tops = Int32Array.from([...open.map((shard) => Number(shard.range.start >> 97n)), MAX_TOP])
    const bits = Math.min(MOST_BUCKET_BITS, Math.ceil(Math.log2(Math.max(1, open.length))) + 2)
    this.#bucketShift = 32 - bits
    this.#buckets = bucketIndex(open, bits)
  }

  /**
   * From shards as ListShards gives them, closed ones too. A shard that is listed as the parent of another is closed even where the
   * listing does not say so yet. Throws ShardListingError for an entry without identity, sequence number or proper hash key range, and
   * for open shards that overlap.
   */
  static from(listing: Iterable<ShardListing>): ShardMap {
    const byId = new Map<string, Shard>()
    const parents = new Set<string>()
    for (const entry of listing) {
      const shard = parseShard(entry)
      byId.set(shard.shardId, shard)
      if (shard.parentShardId !== undefined) parents.add(shard.parentShardId)
      if (shard.adjacentParentShardId !== undefined) parents.add(shard.adjacentParentShardId)
    }
    const open = [...byId.values()].filter((shard) => shard.endingSequenceNumber === undefined && !parents.has(shard.shardId))
    open.sort((a, b) => (a.range.start < b.range.start ? -1 : a.range.start > b.range.start ? 1 : 0))
    for (let i = 1; i < open.length; i++) {
      const [before, shard] = [open[i - 1]!, open[i]!]
      if (shard.range.start <= before.range.end) {
        throw new ShardListingError(shard.shardId, `starts inside ${before.shardId}, and both are open: list again`)
      }
    }
    return new ShardMap(byId, Object.freeze(open))
  }

  /** The index in `open` of the shard that takes this hash key (four words, most significant first), -1 in a hole. Allocates nothing. */
  indexOf(words: Uint32Array): number {
    const buckets = this.#buckets
    const top = words[0]!
    const bucket = top >>> this.#bucketShift
    let low = buckets[bucket]!
    let high = buckets[bucket + 1]!
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (this.#startsAtOrBefore(middle, top, words)) low = middle
      else high = middle - 1
    }
    if (this.#gapless) {
      // The one or the other, at random, so that a branch would be predicted wrong. What is shifted out of the difference leaves 0 or -1. With what
      // is below in its place key-to-shard takes 8 % more time (Node 20).
      const beyond = (top >>> 1) - this.#tops[low + 1]!
      if (beyond !== 0) return low + 1 + (beyond >> 31)
    }
    if (low < high && this.#startsAtOrBefore(low + 1, top, words)) low++
    return this.#gapless || this.#holds(low, words) ? low : -1
  }

  at(hashKey: bigint): Shard | undefined {
    const words = new Uint32Array(4)
    toWords(hashKey, words)
    return this.open[this.indexOf(words)]
  }

  /** Open or closed. */
  get(shardId: string): Shard | undefined {
    return this.#byId.get(shardId)
  }

  #startsAtOrBefore(index: number, top: number, words: Uint32Array): boolean {
    const start = this.#starts[index * 4]!
    return start === top ? compare(this.#starts, index * 4, words) <= 0 : start < top
  }

  #holds(index: number, words: Uint32Array): boolean {
    if (this.open.length === 0) return false
    return compare(this.#starts, index * 4, words) <= 0 && compare(this.#ends, index * 4, words) >= 0
  }
}

/** As a comparator: the four words at `offset` of `packedWords` against `words`. */
function compare(packedWords: Uint32Array, offset: number, words: Uint32Array): number {
  for (let word = 0; word < 4; word++) {
    const difference = packedWords[offset + word]! - words[word]!
    if (difference !== 0) return difference
  }
  return 0
}

function packed(shards: readonly Shard[], edge: keyof HashKeyRange): Uint32Array {
  const words = new Uint32Array(shards.length * 4)
  shards.forEach((shard, index) => {
    toWords(shard.range[edge], words.subarray(index * 4))
  })
  return words
}

/** One entry a bucket and one behind the last: the last shard that starts at or before the bucket's first hash key, else the first shard. */
function bucketIndex(open: readonly Shard[], bits: number): Uint32Array {
  const buckets = new Uint32Array(2 ** bits + 1)
  const width = 2n ** BigInt(128 - bits)
  let shard = 0
  for (let bucket = 0; bucket < buckets.length; bucket++) {
    const first = BigInt(bucket) * width
    while (shard + 1 < open.length && open[shard + 1]!.range.start <= first) shard++
    buckets[bucket] = shard
  }
  return buckets
}

function parseShard(entry: ShardListing): Shard {
  const shardId = entry.ShardId
  if (!shardId) throw new ShardListingError(undefined, `has no ShardId: ${JSON.stringify(entry)}`)
  const start = parseHashKey(entry.HashKeyRange?.StartingHashKey ?? '')
  const end = parseHashKey(entry.HashKeyRange?.EndingHashKey ?? '')
  if (start === undefined || end === undefined || start > end) {
    throw new ShardListingError(
      shardId,
      `has a HashKeyRange that is not two ascending integers from 0 to ${MAX_HASH_KEY}: ${JSON.stringify(entry.HashKeyRange)}`,
    )
  }
  const startingSequenceNumber = entry.SequenceNumberRange?.StartingSequenceNumber
  if (!startingSequenceNumber) throw new ShardListingError(shardId, 'has no StartingSequenceNumber')
  const endingSequenceNumber = entry.SequenceNumberRange?.EndingSequenceNumber
  return Object.freeze({
    shardId,
    range: Object.freeze({ start, end }),
    startingSequenceNumber,
    ...(entry.ParentShardId ? { parentShardId: entry.ParentShardId } : {}),
    ...(entry.AdjacentParentShardId ? { adjacentParentShardId: entry.AdjacentParentShardId } : {}),
    ...(endingSequenceNumber ? { endingSequenceNumber } : {}),
  })
}

/**
 * All pages of ListShards, in the order given. The pages after the first are asked for by NextToken alone, as the service demands.
 * Rejects as the port does; with ShardListingError when the service gives the same token twice, which would never end.
 * Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html
 */
export async function listAllShards(
  port: Pick<KinesisPort, 'listShards'>,
  stream: StreamReference,
  options: { readonly filter?: ShardFilter; readonly signal?: AbortSignal | undefined } = {},
): Promise<ShardListing[]> {
  const { filter, signal } = options
  const shards: ShardListing[] = []
  let page = await port.listShards({ ...stream, ...(filter && { ShardFilter: filter }) }, { signal })
  for (;;) {
    for (const shard of page.Shards ?? []) shards.push(shard)
    const token = page.NextToken
    if (!token) return shards
    page = await port.listShards({ NextToken: token }, { signal })
    if (page.NextToken === token)
      throw new ShardListingError(page.Shards?.[0]?.ShardId, 'begins a page that points to itself (NextToken)')
  }
}
