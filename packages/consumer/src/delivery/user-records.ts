import type { DecodedAggregate } from '@shardwise/aggregation'
import { bytes, type Codec } from '@shardwise/core/codec'
import { type HashKeyRange, hashKeyWords, parseHashKey, toWords } from '@shardwise/core/hash-key'
import type { KinesisRecord } from '@shardwise/core/kinesis-port'
import { compareSequenceNumbers, type Position } from '../checkpoints/position.js'
import { UserRecord } from './consumed-record.js'

/**
 * Keys remembered with their verdict, for few keys make most records. Measured on Node 20: hashing the key of each record consumer-noop-batch, which has a
 * thousand keys, takes 40 % more time.
 */
const REMEMBERED_KEYS = 1024

/** Makes the user records of one shard of its Kinesis records: all of them, without those up to the checkpoint. Reads come to it in order. */
export class UserRecords {
  readonly #stream: string
  readonly #shardId: string
  readonly #range: { readonly start: Uint32Array; readonly end: Uint32Array } | undefined
  readonly #words: Uint32Array = new Uint32Array(4)
  readonly #outside: Map<string, boolean> = new Map()
  readonly #codec: Codec<unknown>
  #completed: Extract<Position, { kind: 'sequence' }> | undefined

  constructor(options: {
    readonly stream: string
    readonly shardId: string
    readonly range: HashKeyRange | undefined
    readonly resumeFrom: Position
    /** Default: bytes as they are. */
    readonly codec?: Codec<unknown> | undefined
  }) {
    this.#stream = options.stream
    this.#shardId = options.shardId
    this.#codec = options.codec ?? bytes()
    this.#range = options.range === undefined ? undefined : { start: words(options.range.start), end: words(options.range.end) }
    this.#completed = options.resumeFrom.kind === 'sequence' ? options.resumeFrom : undefined
  }

  /** From now on no record is left out. */
  forgetCheckpoint(): void {
    this.#completed = undefined
  }

  /** The index of the first member behind the checkpoint. */
  firstToDeliver(sequenceNumber: string, count: number): number {
    if (this.#completed === undefined) return 0
    const order = compareSequenceNumbers(sequenceNumber, this.#completed.sequenceNumber)
    if (order < 0) return count
    if (order === 0) return this.#completed.subSequenceNumber + 1
    this.#completed = undefined
    return 0
  }

  /** One member of an aggregate, or the Kinesis record itself. */
  userRecord(record: KinesisRecord, aggregate: DecodedAggregate | undefined, index: number): UserRecord {
    const partitionKey = aggregate === undefined ? (record.PartitionKey ?? '') : aggregate.partitionKey(index)
    const explicitHashKey = aggregate?.explicitHashKey(index)
    const outside = aggregate !== undefined && this.#isOutside(partitionKey, explicitHashKey)
    return new UserRecord(
      this.#stream,
      this.#shardId,
      record,
      aggregate,
      index,
      partitionKey,
      explicitHashKey,
      outside,
      this.#codec,
    )
  }

  #isOutside(partitionKey: string, explicitHashKey: string | undefined): boolean {
    if (this.#range === undefined) return false
    const explicit = explicitHashKey === undefined ? undefined : parseHashKey(explicitHashKey)
    if (explicit !== undefined) {
      toWords(explicit, this.#words)
      return !between(this.#words, this.#range)
    }
    let outside = this.#outside.get(partitionKey)
    if (outside === undefined) {
      hashKeyWords(partitionKey, this.#words)
      outside = !between(this.#words, this.#range)
      if (this.#outside.size >= REMEMBERED_KEYS) this.#outside.clear()
      this.#outside.set(partitionKey, outside)
    }
    return outside
  }
}

function words(hashKey: bigint): Uint32Array {
  const out = new Uint32Array(4)
  toWords(hashKey, out)
  return out
}

function between(hash: Uint32Array, range: { readonly start: Uint32Array; readonly end: Uint32Array }): boolean {
  return compareWords(hash, range.start) >= 0 && compareWords(hash, range.end) <= 0
}

function compareWords(a: Uint32Array, b: Uint32Array): number {
  for (let word = 0; word < 4; word++) if (a[word] !== b[word]) return a[word]! - b[word]!
  return 0
}
