import { DelayPerOrigin } from './flights.js'

/** What a worker reports of one batch: column by column, in the order in which its handler saw the records. */
export interface DeliveredBatch {
  readonly shardId: string
  readonly rows: Int32Array
  readonly delays: Int32Array
  readonly origins: readonly string[]
  /** Identifies the stored copy of each record: a hash of shard, sequence number and sub-sequence number. Never 0. */
  readonly copies: Uint32Array
}

/**
 * The independent account of what was delivered. It lives outside the product, in the parent process, and sees only what handlers saw.
 * Rows are numbered in the order they were put, so per key the first deliveries must come with growing row numbers.
 */
export class Ledger {
  readonly #copyOfRow: Uint32Array
  readonly #lastRowOfOrigin = new Map<string, number>()
  readonly answer: DelayPerOrigin = new DelayPerOrigin()
  readonly deliveredByShard: Map<string, number> = new Map()
  delivered = 0
  outOfOrder = 0
  /** The same stored record again: a worker ended between handling it and checkpointing it. */
  replayed = 0
  /** Another stored copy of the record: the producer sent it again because the first answer was lost or unusable. */
  resent = 0
  /** Rows that were never put. */
  unknown = 0

  constructor(flights: number) {
    this.#copyOfRow = new Uint32Array(flights)
  }

  record(batch: DeliveredBatch): void {
    this.deliveredByShard.set(batch.shardId, (this.deliveredByShard.get(batch.shardId) ?? 0) + batch.rows.length)
    for (let i = 0; i < batch.rows.length; i++)
      this.#recordOne(batch.rows[i]!, batch.origins[i]!, batch.delays[i]!, batch.copies[i]!)
  }

  #recordOne(row: number, origin: string, delay: number, copy: number): void {
    const first = this.#copyOfRow[row]
    if (first === undefined) {
      this.unknown++
    } else if (first !== 0) {
      if (first === copy) this.replayed++
      else this.resent++
    } else {
      this.#copyOfRow[row] = copy
      this.delivered++
      if (row < (this.#lastRowOfOrigin.get(origin) ?? -1)) this.outOfOrder++
      else this.#lastRowOfOrigin.set(origin, row)
      this.answer.add(origin, delay)
    }
  }

  get duplicates(): number {
    return this.replayed + this.resent
  }

  /** The first few rows that nobody delivered. */
  missing(atMost: number): number[] {
    const rows: number[] = []
    for (let row = 0; row < this.#copyOfRow.length && rows.length < atMost; row++) if (this.#copyOfRow[row] === 0) rows.push(row)
    return rows
  }
}

/** FNV-1a over the three parts, as `DeliveredBatch.copies` wants it. */
export function copyHash(shardId: string, sequenceNumber: string, subSequenceNumber: number): number {
  let hash = 0x811c9dc5
  const text = `${shardId}/${sequenceNumber}/${subSequenceNumber}`
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0 || 1
}
