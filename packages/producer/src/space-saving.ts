/** A key that the sketch counts. Its true weight is from `count - error` to `count`. */
export interface CountedKey {
  readonly key: string
  readonly count: number
  readonly error: number
}

interface Counter {
  key: string
  count: number
  error: number
  /** Index in the heap. */
  at: number
}

/**
 * The heaviest keys of a stream in the memory of `capacity` counters: Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient Computation of
 * Frequent and Top-k Elements in Data Streams", ICDT 2005). A key without a counter takes over the least one and its count, which is then
 * how much of the new count may be wrong.
 *
 * Guaranteed: no count is too low, none is too high by more than its `error`, no error is above `total / capacity`, and every key with more
 * than that share of the total has a counter.
 */
export class SpaceSaving {
  readonly #capacity: number
  readonly #byKey = new Map<string, Counter>()
  /** A binary heap, the least count first. */
  readonly #heap: Counter[] = []
  #total = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** The weight of all that was added. */
  get total(): number {
    return this.#total
  }

  add(key: string, weight: number): void {
    this.#total += weight
    let counter = this.#byKey.get(key)
    if (counter === undefined) {
      counter = this.#counterFor(detached(key))
      this.#byKey.set(counter.key, counter)
    }
    counter.count += weight
    this.#sink(counter)
  }

  /** Multiplies every weight, so that what comes later counts for more. What is guaranteed stays so, for the scaled weights. */
  scale(factor: number): void {
    this.#total *= factor
    for (const counter of this.#heap) {
      counter.count *= factor
      counter.error *= factor
    }
  }

  /** At most `limit` keys, the greatest count first. */
  top(limit: number): CountedKey[] {
    const sorted = [...this.#heap].sort((a, b) => b.count - a.count).slice(0, limit)
    return sorted.map(({ key, count, error }) => ({ key, count, error }))
  }

  #counterFor(key: string): Counter {
    const least = this.#heap[0]
    if (least === undefined || this.#heap.length < this.#capacity) {
      const counter: Counter = { key, count: 0, error: 0, at: this.#heap.length }
      this.#heap.push(counter)
      this.#rise(counter)
      return counter
    }
    this.#byKey.delete(least.key)
    least.key = key
    least.error = least.count
    return least
  }

  #rise(counter: Counter): void {
    while (counter.at > 0) {
      const parent = this.#heap[(counter.at - 1) >> 1]!
      if (parent.count <= counter.count) return
      this.#swap(parent, counter)
    }
  }

  #sink(counter: Counter): void {
    for (;;) {
      const left = this.#heap[2 * counter.at + 1]
      const right = this.#heap[2 * counter.at + 2]
      const child = right !== undefined && right.count < left!.count ? right : left
      if (child === undefined || child.count >= counter.count) return
      this.#swap(counter, child)
    }
  }

  /** `above` is the parent of `below`. */
  #swap(above: Counter, below: Counter): void {
    const { at } = above
    above.at = below.at
    below.at = at
    this.#heap[above.at] = above
    this.#heap[below.at] = below
  }
}

/** A copy: V8 keeps the whole text that a long key was cut out of, for as long as the key lives. */
function detached(key: string): string {
  return key.length > 12 ? Buffer.from(key).toString() : key
}
