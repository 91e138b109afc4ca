/** What a handler saw of one record: the row that was put, and which stored copy of it. */
export type Sighting = readonly [row: number, copy: string]

/**
 * The account of what was put and what handlers saw, outside both products. Rows are numbered in the order of the puts, and row r has the
 * key r % keys: so the first sightings of a key must come with growing rows.
 */
export class Ledger {
  readonly #keys: number
  readonly #copyOfRow: string[] = []
  readonly #lastRowOfKey: number[] = []
  readonly #seenBy = new Map<string, number>()
  put = 0
  seen = 0
  outOfOrder = 0
  /** The same stored record again. */
  seenTwice = 0
  /** Another stored copy of the record: the producer has sent it again after a reshard. */
  storedTwice = 0
  /** Rows that were never put. */
  unknown = 0

  constructor(keys: number) {
    this.#keys = keys
  }

  /** The next row, for its record. */
  nextRow(): { readonly row: number; readonly key: string } {
    const row = this.put++
    return { row, key: `key-${row % this.#keys}` }
  }

  record(worker: string, sightings: readonly Sighting[]): void {
    this.#seenBy.set(worker, this.seenBy(worker) + sightings.length)
    for (const [row, copy] of sightings) this.#recordOne(row, copy)
  }

  #recordOne(row: number, copy: string): void {
    if (!Number.isInteger(row) || row < 0 || row >= this.put) {
      this.unknown++
      return
    }
    const first = this.#copyOfRow[row]
    if (first !== undefined) {
      if (first === copy) this.seenTwice++
      else this.storedTwice++
      return
    }
    this.#copyOfRow[row] = copy
    this.seen++
    const key = row % this.#keys
    if (row < (this.#lastRowOfKey[key] ?? -1)) this.outOfOrder++
    else this.#lastRowOfKey[key] = row
  }

  /** How often this worker's handler saw a record. */
  seenBy(worker: string): number {
    return this.#seenBy.get(worker) ?? 0
  }

  get missing(): number {
    return this.put - this.seen
  }

  /** The first few rows that no handler saw. */
  missingRows(atMost: number): number[] {
    const rows: number[] = []
    for (let row = 0; row < this.put && rows.length < atMost; row++) if (this.#copyOfRow[row] === undefined) rows.push(row)
    return rows
  }
}
