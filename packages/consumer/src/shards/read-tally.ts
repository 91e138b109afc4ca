import type { UserRecordPart } from '../delivery/unpacked-read.js'

/** What one read came to, in user records. */
export interface ReadCounts {
  readonly records: number
  readonly outsideShardRange: number
  readonly duplicates: number
}

/** Counts a read that is handed over in parts, until all of it is completed. */
export class ReadTally {
  #records = 0
  #outsideShardRange = 0
  #duplicates = 0
  /** Parts in hand, and the read itself while parts may follow. */
  #open = 1

  handedIn({ records, outsideShardRange }: UserRecordPart): void {
    this.#open++
    this.#records += records.length
    this.#outsideShardRange += outsideShardRange
  }

  /** The counts, when nothing is open any more. Also to be called when no part follows, with 0. */
  completed(duplicates: number): ReadCounts | undefined {
    this.#open--
    this.#duplicates += duplicates
    if (this.#open > 0) return undefined
    return { records: this.#records, outsideShardRange: this.#outsideShardRange, duplicates: this.#duplicates }
  }
}
