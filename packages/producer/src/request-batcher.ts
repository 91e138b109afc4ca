import { MAX_PUT_REQUEST_BYTES, MAX_RECORDS_PER_PUT } from '@shardwise/core/service-limits'
import type { Entry } from './entry.js'

export interface BatchLimits {
  readonly maxRecords: number
  /** A request takes no more than this. A single entry may be larger, up to the service's limit. */
  readonly targetBytes: number
  /** With this much it is worth a request that finds no other one under way. Who has one under way goes on collecting meanwhile. */
  readonly enoughBytes: number
  /** A request is sent early when one shard has this much in it: waiting would not fill it, and holds that shard up. */
  readonly shardBytes: number
}

/**
 * 500 records, 5 MiB and 256 KiB of one shard, as in the KPL (CollectionMaxCount, CollectionMaxSize, aws/kinesis/core/collector.h). The KPL has no
 * `enoughBytes`. Measured (`npm run bench -- producer-http`, and `put-ack-latency` with its load set to 300,000 records a second): without it half of the
 * records are acknowledged within 66 and 69 ms (two runs), with it 57 and 59 where 1 MiB was always enough, which took 100 requests a million
 * records at full load; now it takes 30, as without it. At the half load of `put-ack-latency` no
 * difference was seen.
 */
export const BATCH_LIMITS: BatchLimits = {
  maxRecords: MAX_RECORDS_PER_PUT,
  targetBytes: MAX_PUT_REQUEST_BYTES / 2,
  enoughBytes: 1024 * 1024,
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

  /** Whether it is worth a request while no other is under way. */
  get hasEnough(): boolean {
    return this.#bytes >= this.#limits.enoughBytes
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
