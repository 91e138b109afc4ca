/** Where a user record lies in its shard. */
export interface RecordPosition {
  readonly sequenceNumber: string
  readonly subSequenceNumber: number
}

/**
 * Which records of a shard are done without a gap: the only thing that may be checkpointed. Records are numbered from 0 as they are
 * appended; they may complete in any order.
 */
export class CompletedPrefix {
  /** Appended and not yet all inside the prefix, oldest first. */
  readonly #batches: { readonly first: number; readonly records: readonly RecordPosition[] }[] = []
  /** Completed runs beyond the prefix, from their first index to the one after their last. */
  readonly #ahead = new Map<number, number>()
  #appended = 0
  #completed = 0
  #position: RecordPosition | undefined

  /** Takes records in shard order and returns the number of the first. */
  append(records: readonly RecordPosition[]): number {
    const first = this.#appended
    if (records.length > 0) this.#batches.push({ first, records })
    this.#appended += records.length
    return first
  }

  /** Marks `count` records from number `first` on as done. Each may be completed once. */
  complete(first: number, count = 1): void {
    if (count < 1 || first < this.#completed || first + count > this.#appended || this.#ahead.has(first)) {
      throw new RangeError(
        `Records ${first} to ${first + count - 1} cannot complete: ${this.#completed} are complete, ${this.#appended} known`,
      )
    }
    if (first !== this.#completed) {
      this.#ahead.set(first, first + count)
      return
    }
    let end = first + count
    for (let next = this.#ahead.get(end); next !== undefined; next = this.#ahead.get(end)) {
      this.#ahead.delete(end)
      end = next
    }
    this.#completed = end
    this.#advance()
  }

  /** The last record of the prefix, or undefined while the first record is not done. */
  get position(): RecordPosition | undefined {
    return this.#position
  }

  /** Records appended that the prefix does not cover. */
  get outstanding(): number {
    return this.#appended - this.#completed
  }

  #advance(): void {
    const last = this.#completed - 1
    for (let batch = this.#batches[0]; batch !== undefined && batch.first <= last; batch = this.#batches[0]) {
      this.#position = batch.records[Math.min(last - batch.first, batch.records.length - 1)]
      if (batch.first + batch.records.length > this.#completed) break
      this.#batches.shift()
    }
  }
}
