/** What can wait in a wake queue, in one at a time. */
export interface Sleeper {
  /** When its time comes. Set by the queue. */
  wakeAt: number
  /** Its place in the queue, -1 outside. Set by the queue. */
  wakeIndex: number
}

/** Items by the time at which they want to be looked at: a binary heap that knows the place of each. */
export class WakeQueue<T extends Sleeper> {
  readonly #heap: T[] = []

  /** The one whose time comes first. */
  get first(): T | undefined {
    return this.#heap[0]
  }

  /** Puts the item in, or changes its time. */
  set(item: T, wakeAt: number): void {
    if (item.wakeIndex < 0) {
      item.wakeIndex = this.#heap.length
      this.#heap.push(item)
    }
    item.wakeAt = wakeAt
    this.#settle(item)
  }

  delete(item: T): void {
    const index = item.wakeIndex
    if (index < 0) return
    item.wakeIndex = -1
    const last = this.#heap.pop()!
    if (last === item) return
    this.#heap[index] = last
    last.wakeIndex = index
    this.#settle(last)
  }

  #settle(item: T): void {
    const heap = this.#heap
    let index = item.wakeIndex
    while (index > 0) {
      const parent = heap[(index - 1) >> 1]!
      if (parent.wakeAt <= item.wakeAt) break
      this.#place(parent, index)
      index = (index - 1) >> 1
    }
    for (let child = this.#earlierChild(index); child !== undefined && child.wakeAt < item.wakeAt; ) {
      const at = child.wakeIndex
      this.#place(child, index)
      index = at
      child = this.#earlierChild(index)
    }
    this.#place(item, index)
  }

  #earlierChild(index: number): T | undefined {
    const left = this.#heap[index * 2 + 1]
    const right = this.#heap[index * 2 + 2]
    return right !== undefined && right.wakeAt < left!.wakeAt ? right : left
  }

  #place(item: T, index: number): void {
    this.#heap[index] = item
    item.wakeIndex = index
  }
}
