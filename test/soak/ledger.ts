/** What became of a record that was offered. */
const FREE = 0
const OFFERED = 1
const ACKNOWLEDGED = 2
const FAILED_UNKNOWN = 3
const FAILED_NOT_WRITTEN = 4

const MOST_COUNTED = 255
const EXAMPLES = 5

/** One broken promise: how often, and the numbers of the first records. */
export interface Breach {
  readonly count: number
  readonly examples: readonly number[]
}

export interface LedgerVerdict {
  readonly offered: number
  readonly acknowledged: number
  readonly failed: number
  /** Never told what became of them. */
  readonly unsettled: Breach
  /** Told more than once. */
  readonly settledTwice: Breach
  /** Acknowledged, and no reader gets to see it. */
  readonly lost: Breach
  /** Acknowledged and readable, but never at the place that the result names. */
  readonly misplaced: Breach
  /** Failed as surely not written, and yet stored. */
  readonly denied: Breach
  /** Stored more often than there were attempts. */
  readonly unexplainedCopies: Breach
  /** Acknowledged records that were first stored before one of the same key that was put earlier. */
  readonly outOfOrder: Breach
  /** Copies that readers see beyond the first, of all records. */
  readonly duplicates: number
  /** Acknowledged records that took more than one attempt. */
  readonly retried: number
}

/**
 * The independent account of what was offered, told and read. Records are numbered in the order in which they were offered. All room is
 * taken at the start and none per record, so that the account itself keeps the heap flat.
 */
export class Ledger {
  readonly capacity: number
  offered = 0
  readonly #state: Uint8Array
  readonly #attempts: Uint8Array
  /** Copies stored, those in aggregates that readers drop included. */
  readonly #copies: Uint8Array
  readonly #key: Uint16Array
  readonly #acknowledgedAt: Uint32Array
  readonly #firstSeenAt: Uint32Array
  /** 1 when the acknowledged place was read. */
  readonly #confirmed: Uint8Array
  /** Counts first sights over all shards, parents before children: within a key it is the order of storage. */
  readonly #sight: Uint32Array
  #sights = 0
  /** Further places of records that were read before they settled. Few, and gone when they settle. */
  readonly #furtherPlaces = new Map<number, number[]>()
  readonly #settledTwice = new Count()
  #duplicates = 0
  #settledBelow = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.#state = new Uint8Array(capacity)
    this.#attempts = new Uint8Array(capacity)
    this.#copies = new Uint8Array(capacity)
    this.#confirmed = new Uint8Array(capacity)
    this.#key = new Uint16Array(capacity)
    this.#acknowledgedAt = new Uint32Array(capacity)
    this.#firstSeenAt = new Uint32Array(capacity)
    this.#sight = new Uint32Array(capacity)
  }

  /** What it holds outside of the heap, from the first moment on. */
  get bytes(): number {
    return this.capacity * (4 + 2 + 12)
  }

  /** A record was accepted; its number is the next one. */
  offer(key: number): void {
    this.#key[this.offered] = key
    this.#state[this.offered] = OFFERED
    this.offered++
  }

  acknowledge(record: number, place: number, attempts: number): void {
    if (!this.#settles(record, ACKNOWLEDGED)) return
    this.#attempts[record] = Math.min(attempts, MOST_COUNTED)
    this.#acknowledgedAt[record] = place
    if (this.#firstSeenAt[record] === place || this.#furtherPlaces.get(record)?.includes(place) === true) {
      this.#confirmed[record] = 1
    }
    this.#furtherPlaces.delete(record)
  }

  fail(record: number, written: 'no' | 'unknown'): void {
    if (!this.#settles(record, written === 'no' ? FAILED_NOT_WRITTEN : FAILED_UNKNOWN)) return
    this.#furtherPlaces.delete(record)
  }

  /** A reader by the KCL's rules got the record from this place. False for a number that was never offered. */
  see(record: number, place: number): boolean {
    if (!this.dropped(record)) return false
    if (this.#firstSeenAt[record] === 0) {
      this.#firstSeenAt[record] = place
      this.#sight[record] = ++this.#sights
    } else {
      this.#duplicates++
      if (this.#state[record] === OFFERED) {
        const places = this.#furtherPlaces.get(record)
        if (places === undefined) this.#furtherPlaces.set(record, [place])
        else places.push(place)
      }
    }
    if (this.#acknowledgedAt[record] === place) this.#confirmed[record] = 1
    return true
  }

  /** It is stored, in an aggregate that readers drop. */
  dropped(record: number): boolean {
    if (record >= this.offered) return false
    if (this.#copies[record]! < MOST_COUNTED) this.#copies[record]!++
    return true
  }

  /** Whether all records with a lower number have settled. */
  hasSettledBelow(record: number): boolean {
    while (this.#settledBelow < record && this.#state[this.#settledBelow] !== OFFERED) this.#settledBelow++
    return this.#settledBelow >= record
  }

  /** The account of the whole run. `keys`: how many keys there are. */
  verdict(keys: number): LedgerVerdict {
    const counts = { unsettled: new Count(), lost: new Count(), misplaced: new Count(), denied: new Count(), copies: new Count() }
    const outOfOrder = new Count()
    const lastSight = new Uint32Array(keys)
    let acknowledged = 0
    let retried = 0
    for (let record = 0; record < this.offered; record++) {
      const state = this.#state[record]!
      const copies = this.#copies[record]!
      if (state === OFFERED) counts.unsettled.add(record)
      if (state === FAILED_NOT_WRITTEN && copies > 0) counts.denied.add(record)
      if (state !== ACKNOWLEDGED) continue
      acknowledged++
      if (this.#attempts[record]! > 1) retried++
      if (copies > this.#attempts[record]!) counts.copies.add(record)
      const sight = this.#sight[record]!
      if (sight === 0) {
        counts.lost.add(record)
        continue
      }
      if (this.#confirmed[record] === 0) counts.misplaced.add(record)
      const key = this.#key[record]!
      if (sight < lastSight[key]!) outOfOrder.add(record)
      else lastSight[key] = sight
    }
    return {
      offered: this.offered,
      acknowledged,
      failed: this.offered - acknowledged - counts.unsettled.count,
      unsettled: counts.unsettled.breach,
      settledTwice: this.#settledTwice.breach,
      lost: counts.lost.breach,
      misplaced: counts.misplaced.breach,
      denied: counts.denied.breach,
      unexplainedCopies: counts.copies.breach,
      outOfOrder: outOfOrder.breach,
      duplicates: this.#duplicates,
      retried,
    }
  }

  #settles(record: number, state: number): boolean {
    if (this.#state[record] === OFFERED) {
      this.#state[record] = state
      return true
    }
    this.#settledTwice.add(this.#state[record] === FREE ? -1 : record)
    return false
  }
}

class Count {
  count = 0
  readonly #examples: number[] = []

  add(record: number): void {
    this.count++
    if (this.#examples.length < EXAMPLES) this.#examples.push(record)
  }

  get breach(): Breach {
    return { count: this.count, examples: this.#examples }
  }
}
