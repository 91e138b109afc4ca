import { createHash } from 'node:crypto'
import type { Random } from '@shardwise/core/random'

export const KEYS = 256
/** Every eighth key comes with an explicit hash key. */
const EXPLICIT_EVERY = 8
const HEADER_BYTES = 8
const NOISE_BYTES = 1 << 17
const MOST_BYTES = 100_000
/** Most records are small, some fill a good part of an aggregate, a few are larger than one and travel alone. */
const SIZES = [
  { share: 0.95, min: 40, max: 1200 },
  { share: 0.995, min: 1200, max: 20_000 },
  { share: 1, min: 20_000, max: MOST_BYTES },
] as const
/** Of the above, for planning. */
export const MEAN_RECORD_BYTES = 1430

export interface OfferedRecord {
  readonly partitionKey: string
  readonly explicitHashKey?: string
  readonly data: Uint8Array
  readonly record: number
}

export interface OpenShard {
  readonly shardId: string
  readonly start: string
  readonly end: string
}

/**
 * Makes records that tell their number and key, with contents that can be checked, for all open shards alike: so each is offered what
 * it takes, whatever part of the hash space it has.
 */
export class Workload {
  readonly #random: Random
  readonly #noise = Buffer.alloc(NOISE_BYTES)
  readonly #partitionKeys: readonly string[]
  readonly #explicitHashKeys: readonly (string | undefined)[]
  /** Where each key lies, by MD5 of node:crypto and not of ours. */
  readonly #hashKeys: readonly bigint[]
  #keysOfShards: number[][] = []

  constructor(random: Random) {
    this.#random = random
    for (let i = 0; i < NOISE_BYTES; i++) this.#noise[i] = Math.floor(random() * 256)
    const keys = Array.from({ length: KEYS }, (_, key) => key)
    this.#partitionKeys = keys.map((key) => `key-${key}-${'ø'.repeat(key % 5)}`)
    this.#explicitHashKeys = keys.map((key) => (key % EXPLICIT_EVERY === 0 ? md5(`explicit-${key}`).toString() : undefined))
    this.#hashKeys = keys.map((key) => BigInt(this.#explicitHashKeys[key] ?? md5(this.#partitionKeys[key]!)))
  }

  /** From now on records are made for these shards. */
  spread(shards: readonly OpenShard[]): void {
    const lists = shards.map((shard) => this.keysWithin(shard).flatMap((within, key) => (within ? [key] : [])))
    this.#keysOfShards = lists.filter((list) => list.length > 0)
  }

  /** For each key whether it belongs to the shard. */
  keysWithin({ start, end }: Pick<OpenShard, 'start' | 'end'>): boolean[] {
    const [first, last] = [BigInt(start), BigInt(end)]
    return this.#hashKeys.map((hashKey) => hashKey >= first && hashKey <= last)
  }

  key(): number {
    const keys = this.#keysOfShards[Math.floor(this.#random() * this.#keysOfShards.length)]!
    // Some keys are much busier than others.
    return keys[Math.floor(this.#random() ** 2 * keys.length)]!
  }

  make(record: number, key: number): OfferedRecord {
    const size = this.#size()
    const data = Buffer.allocUnsafe(size)
    data.writeUInt32LE(record, 0)
    data.writeUInt16LE(key, 4)
    data.writeUInt16LE(size & 0xffff, 6)
    const from = noiseStart(record)
    this.#noise.copy(data, HEADER_BYTES, from, from + size - HEADER_BYTES)
    const partitionKey = this.#partitionKeys[key]!
    const explicitHashKey = this.#explicitHashKeys[key]
    return explicitHashKey === undefined ? { partitionKey, data, record } : { partitionKey, explicitHashKey, data, record }
  }

  /** Number and key of a record that was made here; undefined when a byte is not as it was made. */
  read(data: Uint8Array, partitionKey: string): { readonly record: number; readonly key: number } | undefined {
    if (data.length < HEADER_BYTES) return undefined
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.length)
    const record = bytes.readUInt32LE(0)
    const key = bytes.readUInt16LE(4)
    const from = noiseStart(record)
    const body = this.#noise.subarray(from, from + data.length - HEADER_BYTES)
    const intact = bytes.readUInt16LE(6) === (data.length & 0xffff) && bytes.subarray(HEADER_BYTES).equals(body)
    return intact && this.#partitionKeys[key] === partitionKey ? { record, key } : undefined
  }

  #size(): number {
    const at = this.#random()
    const { min, max } = SIZES.find(({ share }) => at < share) ?? SIZES[0]
    return min + Math.floor(this.#random() * (max - min))
  }
}

/** Records of neighbouring numbers have other parts of the noise. */
function noiseStart(record: number): number {
  return (Math.imul(record, 0x9e3779b1) >>> 0) % (NOISE_BYTES - MOST_BYTES)
}

function md5(text: string): bigint {
  return BigInt(`0x${createHash('md5').update(text).digest('hex')}`)
}
