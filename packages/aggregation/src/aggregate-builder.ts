import { AggregationError, described } from './aggregation-error.js'
import { BufferPool } from './buffer-pool.js'
import { isUint8Array } from './byte-array.js'
import { KeyTable } from './key-table.js'
import { PooledAggregate, type SealedAggregate } from './sealed-aggregate.js'
import { tagsBytes, writeTags } from './tag-fields.js'
import type { Tag } from './user-record.js'
import { usualBodyBytes, usualRecordBytes, writeUsualRecord } from './usual-record.js'
import {
  DIGEST_BYTES,
  EXPLICIT_HASH_KEY_ENTRY,
  lengthDelimitedBytes,
  MAGIC,
  MAGIC_BYTES,
  PARTITION_KEY_ENTRY,
  RECORD,
  RECORD_DATA,
  RECORD_EXPLICIT_HASH_KEY_INDEX,
  RECORD_PARTITION_KEY_INDEX,
  varintBytes,
  writeVarint,
} from './wire-format.js'

export interface AggregateBuilderOptions {
  /**
   * The encoded size an aggregate must not exceed, in bytes, magic number and trailer included. Default 51200, as in the KPL
   * (AggregationMaxSize); 64 to 10485760, the largest Kinesis record. The partition key of the Kinesis record counts on top.
   */
  readonly maxBytes?: number | undefined
  /** Where buffers come from. Default: a pool of the builder's own. Its buffers must hold `maxBytes`. */
  readonly pool?: BufferPool | undefined
}

const DEFAULT_MAX_BYTES = 51_200
const MIN_MAX_BYTES = 64
const MAX_MAX_BYTES = 10_485_760
/** Enough for one aggregate being sent while the next one is filled, for a builder that shares no pool. */
const OWN_POOL_IDLE = 4
/** Of a builder's first buffer, which may grow. */
const FIRST_BYTES = 512
/** As much as it may have for its last aggregate's sake: ten thousand builders that were busy hold 40 MB when each has a record again. */
const MOST_FIRST_BYTES = 4096

/**
 * Collects user records into one Kinesis record in the KPL's format, byte for byte as the KPL writes it. A builder is empty again after
 * `seal` or `discard` and meant to be used on.
 *
 * It does not judge keys: that a partition key has 1 to 256 characters and an explicit hash key is a 128-bit decimal is for the caller
 * to check. Key tables come before the records on the wire but are complete only at the end, so records are written straight into the
 * buffer and moved up once, by the size of the tables, when the aggregate is sealed.
 */
export class AggregateBuilder {
  readonly #maxBytes: number
  readonly #pool: BufferPool
  readonly #partitionKeys: KeyTable = new KeyTable(PARTITION_KEY_ENTRY)
  readonly #explicitHashKeys: KeyTable = new KeyTable(EXPLICIT_HASH_KEY_ENTRY)
  #buffer: Uint8Array | undefined
  /** What a buffer begins with: a little more than the last aggregate took. */
  #firstBytes = FIRST_BYTES
  #recordsEnd = MAGIC_BYTES
  #count = 0
  /** Body size of the record measured last. */
  #measuredBytes = 0

  constructor(options: AggregateBuilderOptions = {}) {
    const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES
    if (!Number.isInteger(maxBytes) || maxBytes < MIN_MAX_BYTES || maxBytes > MAX_MAX_BYTES) {
      throw new AggregationError(
        `Option \`maxBytes\` must be a whole number from ${MIN_MAX_BYTES} to ${MAX_MAX_BYTES}, got ${described(maxBytes)}`,
      )
    }
    const pool = options.pool ?? new BufferPool({ bufferBytes: maxBytes, maxIdle: OWN_POOL_IDLE })
    if (pool.bufferBytes < maxBytes) {
      throw new AggregationError(
        `Option \`pool\` must have buffers of at least \`maxBytes\` (${maxBytes}) bytes, got ${pool.bufferBytes}: raise \`bufferBytes\``,
      )
    }
    this.#maxBytes = maxBytes
    this.#pool = pool
  }

  /** User records added. */
  get count(): number {
    return this.#count
  }

  /** Exact size of the aggregate if it were sealed now, in bytes; 0 while empty. */
  get byteLength(): number {
    return this.#count === 0 ? 0 : this.#encodedBytes()
  }

  /** Exact size of the aggregate with this record added, whether or not that is within `maxBytes`. Adds nothing. */
  sizeWith(partitionKey: string, data: Uint8Array, explicitHashKey?: string, tags?: readonly Tag[]): number {
    if (typeof partitionKey !== 'string')
      throw new AggregationError(`\`partitionKey\` must be a string, got ${described(partitionKey)}`)
    if (!isUint8Array(data)) throw new AggregationError(`\`data\` must be a Uint8Array, got ${described(data)}: encode it first`)
    this.#partitionKeys.locate(partitionKey)
    let body = 1 + varintBytes(this.#partitionKeys.index) + lengthDelimitedBytes(data.length)
    let growth = this.#partitionKeys.growth
    if (explicitHashKey !== undefined) {
      if (typeof explicitHashKey !== 'string') {
        throw new AggregationError(
          `\`explicitHashKey\` must be a string of decimal digits or undefined, got ${described(explicitHashKey)}`,
        )
      }
      this.#explicitHashKeys.locate(explicitHashKey)
      body += 1 + varintBytes(this.#explicitHashKeys.index)
      growth += this.#explicitHashKeys.growth
    }
    if (tags !== undefined) body += tagsBytes(tags)
    this.#measuredBytes = body
    return this.#encodedBytes() + growth + lengthDelimitedBytes(body)
  }

  /**
   * Adds a copy of the record, or returns false and changes nothing if the aggregate would exceed `maxBytes`, even as its first
   * record. Throws AggregationError, with nothing changed, if an argument is of the wrong type.
   */
  tryAdd(partitionKey: string, data: Uint8Array, explicitHashKey?: string, tags?: readonly Tag[]): boolean {
    if (explicitHashKey === undefined && tags === undefined && typeof partitionKey === 'string' && data instanceof Uint8Array) {
      return this.#tryAddUsual(partitionKey, data)
    }
    return this.#tryAddAny(partitionKey, data, explicitHashKey, tags)
  }

  #tryAddAny(partitionKey: string, data: Uint8Array, explicitHashKey?: string, tags?: readonly Tag[]): boolean {
    const size = this.sizeWith(partitionKey, data, explicitHashKey, tags)
    if (size > this.#maxBytes) return false
    const buffer = this.#buffer !== undefined && this.#buffer.length >= size ? this.#buffer : this.#room(size)
    this.#partitionKeys.addLocated()

    let at = this.#recordsEnd
    buffer[at++] = RECORD
    at = writeVarint(buffer, at, this.#measuredBytes)
    buffer[at++] = RECORD_PARTITION_KEY_INDEX
    at = writeVarint(buffer, at, this.#partitionKeys.index)
    if (explicitHashKey !== undefined) {
      this.#explicitHashKeys.addLocated()
      buffer[at++] = RECORD_EXPLICIT_HASH_KEY_INDEX
      at = writeVarint(buffer, at, this.#explicitHashKeys.index)
    }
    buffer[at++] = RECORD_DATA
    at = writeVarint(buffer, at, data.length)
    buffer.set(data, at)
    at += data.length
    if (tags !== undefined) at = writeTags(buffer, at, tags)
    this.#recordsEnd = at
    this.#count++
    return true
  }

  /** As `tryAdd`: a record of nothing else. */
  #tryAddUsual(partitionKey: string, data: Uint8Array): boolean {
    const keys = this.#partitionKeys
    keys.locate(partitionKey)
    const bodyBytes = usualBodyBytes(keys.index, data.length)
    const size = this.#encodedBytes() + keys.growth + usualRecordBytes(bodyBytes)
    if (size > this.#maxBytes) return false
    const buffer = this.#buffer !== undefined && this.#buffer.length >= size ? this.#buffer : this.#room(size)
    keys.addLocated()
    this.#recordsEnd = writeUsualRecord(buffer, this.#recordsEnd, bodyBytes, keys.index, data)
    this.#count++
    return true
  }

  /** Ends the aggregate; see `finishAggregates`. The builder is empty afterwards. Throws AggregationError if it is empty now. */
  seal(): SealedAggregate {
    const buffer = this.#buffer
    if (buffer === undefined) throw new AggregationError('There is nothing to seal: add a record first, or check `count`')
    const count = this.#count
    const byteLength = this.#encodedBytes()
    const tableBytes = this.#partitionKeys.byteLength + this.#explicitHashKeys.byteLength
    buffer.copyWithin(MAGIC_BYTES + tableBytes, MAGIC_BYTES, this.#recordsEnd)
    buffer.set(MAGIC)
    this.#explicitHashKeys.copyTo(buffer, this.#partitionKeys.copyTo(buffer, MAGIC_BYTES))
    this.#clear()
    return new PooledAggregate(this.#pool, buffer, byteLength, count)
  }

  /** Forgets the records added and gives the buffer back. */
  discard(): void {
    const buffer = this.#buffer
    this.#clear()
    if (buffer !== undefined && this.#pool.owns(buffer)) this.#pool.release(buffer)
  }

  /**
   * A buffer of at least this size that holds what there is. Without one at hand it begins as large as the builder's last aggregate was, or small, and grows:
   * of ten thousand builders that have a record each, none may hold a buffer for thousands, or not for long.
   *
   * Measured (`npm run bench -- growth-producer-shards`, aggregates of 50 records, with and without, twice): where each begins small, a record takes twice as long with a hundred
   * shards, for what is outgrown must be collected, 1.1 times with ten thousand, and with one no longer.
   */
  #room(size: number): Uint8Array {
    const isFirst = this.#buffer === undefined
    const small = isFirst ? Math.max(size, this.#firstBytes) : size * 2
    const takesPooled = (isFirst && this.#pool.idle > 0) || small * 4 > this.#pool.bufferBytes
    const buffer = takesPooled ? this.#pool.acquire() : new Uint8Array(small)
    if (!isFirst) buffer.set(this.#buffer!.subarray(0, this.#recordsEnd))
    this.#buffer = buffer
    return buffer
  }

  #encodedBytes(): number {
    return this.#recordsEnd + this.#partitionKeys.byteLength + this.#explicitHashKeys.byteLength + DIGEST_BYTES
  }

  #clear(): void {
    this.#firstBytes = Math.max(FIRST_BYTES, Math.min(this.#encodedBytes() * 1.25, MOST_FIRST_BYTES)) | 0
    this.#buffer = undefined
    this.#recordsEnd = MAGIC_BYTES
    this.#count = 0
    this.#partitionKeys.clear()
    this.#explicitHashKeys.clear()
  }
}
