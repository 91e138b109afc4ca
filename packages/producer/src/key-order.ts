import type { Entry } from './entry.js'
import { recordKey } from './record-key.js'
import type { UserRecord } from './user-record.js'

/** An entry's place among those that hold one key. */
interface Claim {
  readonly place: Place
  readonly key: string
  /** The next of the same entry's claims. */
  readonly sibling: Claim | undefined
  ahead: Claim | undefined
  behind: Claim | undefined
}

class Place {
  readonly entry: Entry
  /** One claim for each of its keys. */
  claims: Claim | undefined = undefined
  /** Keys for which another entry is ahead. */
  blockedBy = 0

  constructor(entry: Entry) {
    this.entry = entry
  }
}

/**
 * The order of entries that hold records of the same keys (decision 4, `ordering: 'perKey'`). All entries that hold a key stand in a line, in
 * the order in which its records were put, from packing to settlement; an entry is free when it is the first for all its keys. So of each
 * key at most one entry is under way, and entries without a key in common do not wait for each other.
 *
 * Nothing here knows of shards, so a reshard changes nothing: what is in flight to the parent keeps its place, and what goes to the child
 * stands behind it. An entry that is sent again as it is keeps its place, too; one that is packed anew is replaced by what became of it.
 * Once free, an entry stays so: nothing gets in ahead of it but the successors of one that stood there.
 */
export class KeyOrder {
  readonly #places = new Map<Entry, Place>()
  /** The last claim on each key. */
  readonly #last = new Map<string, Claim>()

  /** Keys that anything holds. */
  get keys(): number {
    return this.#last.size
  }

  has(entry: Entry): boolean {
    return this.#places.has(entry)
  }

  isFree(entry: Entry): boolean {
    return this.#places.get(entry)?.blockedBy === 0
  }

  /** Whether anything waits for the entry. */
  isAwaited(entry: Entry): boolean {
    for (let claim = this.#places.get(entry)?.claims; claim !== undefined; claim = claim.sibling) {
      if (claim.behind !== undefined) return true
    }
    return false
  }

  /** Whether it stands right behind such an entry for any of its keys. */
  isBehind(entry: Entry, such: (ahead: Entry) => boolean): boolean {
    for (let claim = this.#places.get(entry)?.claims; claim !== undefined; claim = claim.sibling) {
      if (claim.ahead !== undefined && such(claim.ahead.place.entry)) return true
    }
    return false
  }

  /** Behind all that hold any of its keys. True if it is free. */
  add(entry: Entry): boolean {
    const place = new Place(entry)
    this.#places.set(entry, place)
    for (const record of entry.records) {
      const key = recordKey(record)
      const last = this.#last.get(key)
      if (last?.place === place) continue
      const claim: Claim = { place, key, sibling: place.claims, ahead: last, behind: undefined }
      place.claims = claim
      this.#last.set(key, claim)
      if (last === undefined) continue
      last.behind = claim
      place.blockedBy++
    }
    return place.blockedBy === 0
  }

  /** The entry is over. Returns those that this makes free. */
  remove(entry: Entry): Entry[] {
    const freed: Entry[] = []
    const place = this.#places.get(entry)
    this.#places.delete(entry)
    for (let claim = place?.claims; claim !== undefined; claim = claim.sibling) {
      const { ahead, behind, key } = claim
      if (ahead !== undefined) ahead.behind = behind
      if (behind !== undefined) {
        behind.ahead = ahead
        if (ahead === undefined && --behind.place.blockedBy === 0) freed.push(behind.place.entry)
      } else if (ahead !== undefined) this.#last.set(key, ahead)
      else this.#last.delete(key)
    }
    return freed
  }

  /**
   * Records of the entry go on in others, made in the order of these: they take its place in each line. Returns those that wait no longer,
   * for the entry held a key that no successor holds. Whether a successor is free, ask.
   */
  replace(entry: Entry, successors: readonly Entry[]): Entry[] {
    const claims = new Map<string, Claim>()
    for (let claim = this.#places.get(entry)?.claims; claim !== undefined; claim = claim.sibling) claims.set(claim.key, claim)
    for (const successor of successors) {
      const place = new Place(successor)
      this.#places.set(successor, place)
      for (const record of successor.records) {
        const replaced = claims.get(recordKey(record))!
        const { key, ahead } = replaced
        if (ahead?.place === place) continue
        const claim: Claim = { place, key, sibling: place.claims, ahead, behind: replaced }
        place.claims = claim
        replaced.ahead = claim
        if (ahead === undefined) continue
        ahead.behind = claim
        place.blockedBy++
      }
    }
    return this.remove(entry)
  }

  /** The entries behind this one that hold one of the keys of these records of it, each once. */
  behind(entry: Entry, records: readonly UserRecord[]): Set<Entry> {
    const keys = new Set(records.map(recordKey))
    const found = new Set<Entry>()
    for (let claim = this.#places.get(entry)?.claims; claim !== undefined; claim = claim.sibling) {
      if (!keys.has(claim.key)) continue
      for (let next = claim.behind; next !== undefined; next = next.behind) found.add(next.place.entry)
    }
    return found
  }
}
