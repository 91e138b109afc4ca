import { MAX_PUT_REQUEST_BYTES, MAX_RECORDS_PER_PUT } from '@shardwise/core/service-limits'
import type { Entry } from './entry.js'

export interface BatchLimits {
  readonly maxRecords: number
  /** A request takes no more than this. A single entry may be larger, up to the service's limit. */
  readonly targetBytes: number
  /** A request is sent early when one shard has this much in it: waiting would not fill it, and holds that shard up. */
  readonly shardBytes: number
}

/** 500 records, 5 MiB and 256 KiB of one shard, as in the KPL (CollectionMaxCount, CollectionMaxSize, aws/kinesis/core/collector.h). */
export const BATCH_LIMITS: BatchLimits = {
  maxRecords: MAX_RECORDS_PER_PUT,
  targetBytes: MAX_PUT_REQUEST_BYTES / 2,
  shardBytes: 256 * 1024,
}

/**
 * Collects entries of several shards for one PutRecords. It holds at most one request's worth: what does not fit stays in its lane.
 */
export class RequestBatcher {
  readonly #limits: BatchLimits
  #entries: Entry[] = []
  #bytes = 0
  #dueAt = Number.POSITIVE_INFINITY
  #expiresAt = Number.POSITIVE_INFINITY
  #company = Number.POSITIVE_INFINITY
  readonly #shardBytes = new Map<string, number>()

  constructor(limits: BatchLimits = BATCH_LIMITS) {
    this.#limits = limits
  }

  get count(): number {
    return this.#entries.length
  }

  has(entry: Entry): boolean {
    return this.#entries.includes(entry)
  }

  /** When the request must go; -Infinity when at once, Infinity while it is empty. */
  get dueAt(): number {
    return this.#dueAt
  }

  /** When the first member of an entry in it expires. */
  get expiresAt(): number {
    return this.#expiresAt
  }

  /** Whether the entry can still join. When not, the request is due. */
  accepts({ bytes, company }: Pick<Entry, 'bytes' | 'company'>): boolean {
    const { length } = this.#entries
    if (length === 0) return true
    const isWelcome = length < this.#company && length < company
    const fits = isWelcome && length < this.#limits.maxRecords && this.#bytes + bytes <= this.#limits.targetBytes
    if (!fits) this.hurry()
    return fits
  }

  add(entry: Entry): void {
    this.#entries.push(entry)
    this.#bytes += entry.bytes
    if (entry.deadline < this.#dueAt) this.#dueAt = entry.deadline
    if (entry.expiresAt < this.#expiresAt) this.#expiresAt = entry.expiresAt
    if (entry.company < this.#company) this.#company = entry.company
    const { maxRecords, targetBytes } = this.#limits
    if (this.#entries.length >= Math.min(maxRecords, this.#company) || this.#bytes >= targetBytes) this.hurry()
    if (entry.shardId !== undefined) {
      const ofShard = (this.#shardBytes.get(entry.shardId) ?? 0) + entry.bytes
      this.#shardBytes.set(entry.shardId, ofShard)
      if (ofShard >= this.#limits.shardBytes) this.hurry()
    }
  }

  /** What there is goes at the next occasion. */
  hurry(): void {
    if (this.#entries.length > 0) this.#dueAt = Number.NEGATIVE_INFINITY
  }

  /** Empties it. */
  take(): Entry[] {
    const entries = this.#entries
    this.#entries = []
    this.#bytes = 0
    this.#dueAt = Number.POSITIVE_INFINITY
    this.#expiresAt = Number.POSITIVE_INFINITY
    this.#company = Number.POSITIVE_INFINITY
    this.#shardBytes.clear()
    return entries
  }
}
