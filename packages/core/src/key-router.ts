import { hashKeyWords } from './hash-key.js'
import { bytesOfKey } from './partition-key.js'
import type { ShardMap } from './shard-map.js'

/** Characters of the longest key that is remembered: a UUID, and more. */
const MOST_CHARACTERS = 64
const SLOT_BITS = 13
/** Of what is known of a key: by slot its shard, its bytes, and whether it is used. */
const STRIDE = 4
const BYTES = 1
const IS_USED = 2
/** Characters of a key that are looked at first. */
const SAMPLES = 6
/** So many look-ups tell whether remembering pays: it does where half are found. Where they are not, none is tried for 32 times as many. */
const TRIAL = 4096
const LEAST_FOUND = TRIAL / 2
const PAUSE = 32 * TRIAL

/** By which characters of a key its slot is found, or that none is for now. The next trial is by the next of these: the first of a pair finds it cold. */
const TRIALS = ['some', 'some', 'all', 'all'] as const
type Search = (typeof TRIALS)[number] | 'pausing'

/**
 * The shard of a partition key, by one map. What MD5 said of keys seen lately is remembered, one key to a slot. Which slot comes of six characters of
 * the key or, where keys are alike in these, of all; the key found there is compared as a whole. Of two keys that come in turns one stays.
 *
 * Measured on Node 20: where a thousand keys return each takes a third of the time (key-to-shard-seen); of many more too few are found. Keys that never
 * come again cost 5 % more (key-to-shard). That the length of a key is remembered with it, and its one string, is for
 * the put path (`npm run bench -- put-path-repeated --cpu` without and with, five pairs): 1.17 times the records a second of router and builder alone, 1.05 of `offer`.
 */
export class KeyRouter {
  /** What `indexOf` was asked for last: the string given or, where the key is remembered, one that is equal, the same each time: cheap to compare. */
  key = ''
  /** Of that key; see `bytesOfKey`. */
  keyBytes = 0
  readonly #map: ShardMap
  readonly #words: Uint32Array = new Uint32Array(4)
  /** Made when the first trial is due: of thousands of streams most have few records. The empty key is no key. */
  #keys: string[] = []
  /** Of each the shard, its bytes, and 1 if it was found, or put there, since another one wanted the slot. */
  #known: Int32Array = new Int32Array(0)
  #found = 0
  #left = TRIAL
  #search: Search = 'pausing'
  #trials = 0

  constructor(map: ShardMap) {
    this.#map = map
  }

  /** The index in the map's `open`; -1 in a hole, and for what is no partition key. */
  indexOf(partitionKey: string): number {
    if (--this.#left === 0) this.#judge()
    const { length } = partitionKey
    if (this.#search === 'pausing' || length > MOST_CHARACTERS || length === 0) return this.#digested(partitionKey)
    const slot =
      (this.#search === 'some' && length > SAMPLES ? hashOfSome(partitionKey) : hashOfAll(partitionKey)) >>> (32 - SLOT_BITS)
    const key = this.#keys[slot]!
    if (key !== partitionKey) return this.#missed(partitionKey, slot)
    const known = this.#known
    const at = slot * STRIDE
    this.#found++
    known[at + IS_USED] = 1
    this.key = key
    this.keyBytes = known[at + BYTES]!
    return known[at]!
  }

  /** Of a key that is not in its slot. */
  #missed(partitionKey: string, slot: number): number {
    const known = this.#known
    const at = slot * STRIDE
    const index = this.#digested(partitionKey)
    if (known[at + IS_USED] === 1) known[at + IS_USED] = 0
    else {
      this.#keys[slot] = copied(partitionKey)
      known[at] = index
      known[at + BYTES] = this.keyBytes
      known[at + IS_USED] = 1
    }
    return index
  }

  #judge(): void {
    if (this.#search === 'pausing') this.#search = TRIALS[this.#trials++ % TRIALS.length]!
    else if (this.#found < LEAST_FOUND) this.#search = 'pausing'
    this.#left = this.#search === 'pausing' ? PAUSE : TRIAL
    this.#found = 0
    if (this.#keys.length > 0) return
    this.#keys = new Array<string>(1 << SLOT_BITS).fill('')
    this.#known = new Int32Array(STRIDE << SLOT_BITS)
  }

  #digested(partitionKey: string): number {
    this.key = partitionKey
    this.keyBytes = bytesOfKey(partitionKey)
    // No key: nobody asks where it would lie, and it may be as long as a text can be.
    if (this.keyBytes === 0) return -1
    hashKeyWords(partitionKey, this.#words)
    return this.#map.indexOf(this.#words)
  }
}

/** Of the last four, where numbered keys differ, and of two before. */
function hashOfSome(key: string): number {
  const { length } = key
  const tail = key.charCodeAt(length - 1) ^ (key.charCodeAt(length - 2) << 8) ^ (key.charCodeAt(length - 3) << 16)
  const rest = key.charCodeAt(length - 4) ^ (key.charCodeAt(length >> 1) << 8) ^ (key.charCodeAt(length >> 2) << 16)
  return Math.imul(Math.imul(length ^ tail, 0x9e3779b1) ^ rest, 0x85ebca6b)
}

function hashOfAll(key: string): number {
  let hash = key.length
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x9e3779b1)
  return hash
}

/** Of each length one, used again and again. */
const units: readonly number[][] = Array.from({ length: MOST_CHARACTERS + 1 }, (_, length) => new Array<number>(length).fill(0))

/** The same key in characters of its own: with a key that was cut out of a text V8 would keep the whole of it. */
function copied(key: string): string {
  const own = units[key.length]!
  for (let i = 0; i < key.length; i++) own[i] = key.charCodeAt(i)
  return String.fromCharCode(...own)
}
