interface Link<T> {
  readonly item: T
  before: Link<T> | undefined
  after: Link<T> | undefined
}

/**
 * A queue from whose middle items may be taken, each at the price of a map's lookup. A plain Set keeps the places of what was deleted, and
 * whoever asks it for the first item walks over them all: a queue that empties from the front takes time by the square of its length.
 */
export class LinkedSet<T> {
  readonly #links = new Map<T, Link<T>>()
  #first: Link<T> | undefined
  #last: Link<T> | undefined

  get size(): number {
    return this.#links.size
  }

  get first(): T | undefined {
    return this.#first?.item
  }

  has(item: T): boolean {
    return this.#links.has(item)
  }

  /** At the end. An item that is there stays where it is. */
  push(item: T): void {
    if (this.#links.has(item)) return
    const link: Link<T> = { item, before: this.#last, after: undefined }
    if (this.#last === undefined) this.#first = link
    else this.#last.after = link
    this.#last = link
    this.#links.set(item, link)
  }

  /** Before `next`, or in front of all where that is not there. An item that is there stays where it is. */
  insert(item: T, next?: T): void {
    if (this.#links.has(item)) return
    const after = (next === undefined ? undefined : this.#links.get(next)) ?? this.#first
    const link: Link<T> = { item, before: after?.before, after }
    if (after === undefined) this.#last = link
    else after.before = link
    if (link.before === undefined) this.#first = link
    else link.before.after = link
    this.#links.set(item, link)
  }

  delete(item: T): boolean {
    const link = this.#links.get(item)
    if (link === undefined) return false
    this.#links.delete(item)
    if (link.before === undefined) this.#first = link.after
    else link.before.after = link.after
    if (link.after === undefined) this.#last = link.before
    else link.after.before = link.before
    return true
  }

  /** From the first to the last. The item that was just given out may be deleted meanwhile. */
  *[Symbol.iterator](): Iterator<T> {
    for (let link = this.#first; link !== undefined; link = link.after) yield link.item
  }
}
