/** Where a user record lies in its shard. */
export interface RecordPosition {
  readonly sequenceNumber: string
  readonly subSequenceNumber: number
}

interface Batch {
  readonly first: number
  readonly count: number
  /** Records not done. */
  left: number
  /** Once all are done the last is left alone: nothing keeps the others in memory while an older record is still open. */
  records: readonly RecordPosition[]
}

/**
 * Which records of a shard are done without a gap: the only thing that may be checkpointed. Records are numbered from 0 as they are
 * appended; they may complete in any order.
 */
export class CompletedPrefix {
  /** Appended and not yet all inside the prefix, oldest first. */
  readonly #batches: Batch[] = []
  /** Completed runs beyond the prefix, from their first index to the one after their last. */
  readonly #ahead = new Map<number, number>()
  #appended = 0
  #completed = 0
  #position: RecordPosition | undefined

  /** Takes records in shard order and returns the number of the first. */
  append(records: readonly RecordPosition[]): number {
    const first = this.#appended
    const count = records.length
    if (count > 0) this.#batches.push({ first, count, left: count, records })
    this.#appended += count
    return first
  }

  /** Marks `count` records from number `first` on as done. Each may be completed once. */
  complete(first: number, count = 1): void {
    if (count < 1 || first < this.#completed || first + count > this.#appended || this.#ahead.has(first)) {
      throw new RangeError(
        `Records ${first} to ${first + count - 1} cannot complete: ${this.#completed} are complete, ${this.#appended} known`,
      )
    }
    this.#count(first, first + count)
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

  #count(first: number, end: number): void {
    for (let at = this.#indexOf(first), next = first; next < end; at++) {
      const batch = this.#batches[at]!
      const till = Math.min(end, batch.first + batch.count)
      batch.left -= till - next
      next = till
      if (batch.left > 0) continue
      const { sequenceNumber, subSequenceNumber } = batch.records.at(-1)!
      batch.records = [{ sequenceNumber, subSequenceNumber }]
    }
  }

  /** Of the batch that holds a record: the last that does not begin after it. */
  #indexOf(number: number): number {
    let low = 0
    let high = this.#batches.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if (this.#batches[middle]!.first <= number) low = middle
      else high = middle - 1
    }
    return low
  }

  #advance(): void {
    const last = this.#completed - 1
    for (let batch = this.#batches[0]; batch !== undefined && batch.first <= last; batch = this.#batches[0]) {
      this.#position = batch.records[Math.min(last - batch.first, batch.records.length - 1)]
      if (batch.first + batch.count > this.#completed) break
      this.#batches.shift()
    }
  }
}
