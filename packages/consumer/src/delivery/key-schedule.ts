/**
 * Which record of a batch may be handed over next, when records of one key must wait for each other and others need not. Records are known
 * by their index in the batch; the oldest that may be taken is taken first, so that the completed prefix moves.
 */
export class KeySchedule {
  readonly #keys: readonly string[]
  /** Keys in hand, with their records that wait behind it, oldest first. */
  readonly #inHand = new Map<string, number[]>()
  /** Records before this one are taken, or wait behind their key. */
  #next = 0
  #closed = false

  /** `keys`: that of each record. */
  constructor(keys: readonly string[]) {
    this.#keys = keys
  }

  /**
   * A record whose key is not in hand; it is in hand now. Undefined when there is none, and then there will be none but what `after` gives:
   * all that is left waits behind keys in hand.
   */
  take(): number | undefined {
    while (!this.#closed && this.#next < this.#keys.length) {
      const index = this.#next++
      const waiting = this.#inHand.get(this.#keys[index]!)
      if (waiting === undefined) {
        this.#inHand.set(this.#keys[index]!, [])
        return index
      }
      waiting.push(index)
    }
    return undefined
  }

  /** A record was completed or given up: the next of its key, or else of another that is not in hand. Undefined as with `take`. */
  after(index: number): number | undefined {
    const key = this.#keys[index]!
    const next = this.#closed ? undefined : this.#inHand.get(key)?.shift()
    if (next !== undefined) return next
    this.#inHand.delete(key)
    return this.take()
  }

  /** No further record is given out. */
  close(): void {
    this.#closed = true
  }
}
