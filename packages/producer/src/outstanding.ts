/**
 * Counts what has been put and not settled, so that a flush ends exactly when everything put before it has settled, whatever was put
 * since. Records carry the number of the epoch they were put in; a flush closes the present epoch and waits until all up to it are empty.
 */
export class Outstanding {
  #epoch = 0
  #total = 0
  /** Only epochs that still have records or that are the present one, oldest first. */
  readonly #counts: Map<number, number> = new Map([[0, 0]])

  get total(): number {
    return this.#total
  }

  /** The epoch for a record put now. */
  enter(): number {
    this.#total++
    this.#counts.set(this.#epoch, this.#counts.get(this.#epoch)! + 1)
    return this.#epoch
  }

  /** True when this emptied an epoch that a flush may be waiting for. */
  leave(epoch: number): boolean {
    this.#total--
    const left = this.#counts.get(epoch)! - 1
    if (left > 0 || epoch === this.#epoch) {
      this.#counts.set(epoch, left)
      return false
    }
    this.#counts.delete(epoch)
    return true
  }

  /** Closes the present epoch. What is put from now on is not waited for. */
  close(): number {
    const closed = this.#epoch++
    this.#counts.set(this.#epoch, 0)
    if (this.#counts.get(closed) === 0) this.#counts.delete(closed)
    return closed
  }

  /** Whether everything up to and including this closed epoch has settled. */
  isSettled(epoch: number): boolean {
    for (const oldest of this.#counts.keys()) return oldest > epoch
    return true
  }
}
