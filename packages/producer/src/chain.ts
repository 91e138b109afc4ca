/** What can stand in a chain, in one at a time. */
export interface Chained<T> {
  before: T | undefined
  after: T | undefined
  isChained: boolean
}

/**
 * A queue from whose middle items may be taken, whose links are the items themselves: nothing is allocated and nothing looked up. For items
 * that come and go all the time; `LinkedSet` is for those that are not of one's own making.
 *
 * Measured on Node 20: with a LinkedSet in its place a record that goes by itself to one of 10,000 shards at their limits takes a tenth more processor time;
 * where nothing waits, no more.
 */
export class Chain<T extends Chained<T>> {
  #first: T | undefined
  #last: T | undefined
  #size = 0

  get first(): T | undefined {
    return this.#first
  }

  get last(): T | undefined {
    return this.#last
  }

  get size(): number {
    return this.#size
  }

  /** At the end. An item that is there stays where it is. */
  push(item: T): void {
    if (item.isChained) return
    item.isChained = true
    item.before = this.#last
    if (this.#last === undefined) this.#first = item
    else this.#last.after = item
    this.#last = item
    this.#size++
  }

  delete(item: T): void {
    if (!item.isChained) return
    const { before, after } = item
    if (before === undefined) this.#first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
    item.before = undefined
    item.after = undefined
    item.isChained = false
    this.#size--
  }
}
