import type { Copy } from './stream-log.js'

export interface SinkPlace {
  readonly sequenceNumber: string
  readonly subSequenceNumber: number
}

interface SinkRow {
  readonly fence: number
  /** The last that was stored. */
  readonly last: Copy | undefined
}

/** Somebody else has the shard: the transaction is refused. */
export class FencedError extends Error {
  override readonly name = 'FencedError'
}

/**
 * A database of the application's own, each method one transaction: records are stored together with how far their shard has come, and only under
 * the highest fencing token that was ever shown for it. What it promises is what it has to show: each record once, without a gap.
 */
export class RecordSink {
  readonly #rows = new Map<string, SinkRow>()
  readonly #stored = new Set<Copy>()
  /** By what they bring: one whose packets arrive twice is one (as with the ClientRequestToken of DynamoDB). */
  readonly #made = new WeakSet<readonly Copy[]>()
  readonly #violated: (what: string) => void

  constructor(violated: (what: string) => void) {
    this.#violated = violated
  }

  /** `shard`: the stream's name and creation, and the shard's id. */
  claim(shard: string, fence: number): SinkPlace | undefined {
    const row = this.#rows.get(shard)
    if (row !== undefined && row.fence > fence)
      throw new FencedError(`${shard} belongs to generation ${row.fence}, not to ${fence}`)
    this.#rows.set(shard, { fence, last: row?.last })
    if (row?.last === undefined) return undefined
    const [sequenceNumber, subSequenceNumber] = row.last.place.split('/')
    return { sequenceNumber: sequenceNumber!, subSequenceNumber: Number(subSequenceNumber) }
  }

  commit(shard: string, fence: number, copies: readonly Copy[]): void {
    const row = this.#rows.get(shard)
    if (row?.fence !== fence) throw new FencedError(`${shard} belongs to generation ${row?.fence}, not to ${fence}`)
    if (this.#made.has(copies)) return
    this.#made.add(copies)
    const last = copies.at(-1)!
    const from = row.last === undefined ? 0 : row.last.index + 1
    if (row.last !== undefined && row.last.shard !== last.shard) this.#violated(`${shard} has records of two streams in the sink`)
    for (const copy of last.shard.copies.slice(from, last.index + 1)) {
      if (!copies.includes(copy) && !copy.isExpired)
        this.#violated(`the sink goes on behind ${copy.put.id} of ${shard}, which it has not (generation ${fence})`)
    }
    for (const copy of copies) {
      if (copy.index < from || this.#stored.has(copy))
        this.#violated(`the sink was given ${copy.put.id} of ${shard} twice (generation ${fence})`)
      this.#stored.add(copy)
      copy.isCompleted = true
    }
    this.#rows.set(shard, { fence, last })
  }
}
