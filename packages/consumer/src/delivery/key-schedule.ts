/** What is scheduled: numbered from 0 on in the order in which it was appended. */
export interface Keyed {
  readonly key: string
  readonly number: number
}

/**
 * Which of many may be begun next, when those of one key must wait for each other and others need not. The oldest that may be taken is taken
 * first, so that the completed prefix moves.
 */
export class KeySchedule<T extends Keyed> {
  /** Appended and not looked at, oldest first. */
  #fresh: readonly T[][] = []
  /** In the first of these. */
  #next = 0
  /** Keys in hand, with those that wait behind it, oldest first. */
  readonly #inHand = new Map<string, T[]>()
  /** The highest number that was given out. */
  #furthest = -1
  /** Only those before this one are given out. */
  #end = Number.POSITIVE_INFINITY

  append(items: T[]): void {
    if (items.length > 0) this.#fresh = [...this.#fresh, items]
  }

  /**
   * One whose key is not in hand; it is in hand now. Undefined when there is none, and then there will be none but what `after` gives and what
   * is appended: all that is left waits behind keys in hand.
   */
  take(): T | undefined {
    for (let item = this.#shift(); item !== undefined; item = this.#shift()) {
      const waiting = this.#inHand.get(item.key)
      if (waiting === undefined) {
        this.#inHand.set(item.key, [])
        return this.#give(item)
      }
      waiting.push(item)
    }
    return undefined
  }

  /** One is done: the next of its key, or else of another that is not in hand. Undefined as with `take`. */
  after({ key }: T): T | undefined {
    const waiting = this.#inHand.get(key)
    if (waiting?.[0] !== undefined && waiting[0].number < this.#end) return this.#give(waiting.shift()!)
    this.#inHand.delete(key)
    return this.take()
  }

  /** From now on nothing is given out that lies beyond all that was: what is left closes gaps. */
  closeGaps(): void {
    this.endBefore(this.#furthest)
  }

  /** From now on nothing is given out that lies behind this one. */
  endBefore(number: number): void {
    this.#end = Math.min(this.#end, number)
  }

  #give(item: T): T {
    this.#furthest = Math.max(this.#furthest, item.number)
    return item
  }

  #shift(): T | undefined {
    const item = this.#fresh[0]?.[this.#next]
    if (item === undefined || item.number >= this.#end) return undefined
    this.#next++
    if (this.#next === this.#fresh[0]!.length) {
      this.#fresh = this.#fresh.slice(1)
      this.#next = 0
    }
    return item
  }
}
