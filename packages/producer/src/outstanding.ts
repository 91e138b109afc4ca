/**
 * Counts what has been put and not settled, so that a flush ends exactly when everything put before it has settled, whatever was put
 * since. Records carry the number of the epoch they were put in; a flush closes the present epoch and waits until all up to it are empty.
 */
export class Outstanding {
  #epoch = 0
  #total = 0
  /** Of the present epoch. Not among the others: each record that is put and settles would pay for finding it there. */
  #present = 0
  /** Only closed epochs that still have records, oldest first. */
  readonly #closed: Map<number, number> = new Map()

  get total(): number {
    return this.#total
  }

  /** The epoch for a record put now. */
  enter(): number {
    this.#total++
    this.#present++
    return this.#epoch
  }

  /** A record of this epoch has settled, or so many. */
  leave(epoch: number, records = 1): void {
    this.#total -= records
    if (epoch === this.#epoch) {
      this.#present -= records
      return
    }
    const left = this.#closed.get(epoch)! - records
    if (left > 0) this.#closed.set(epoch, left)
    else this.#closed.delete(epoch)
  }

  /** Closes the present epoch. What is put from now on is not waited for. */
  close(): number {
    const closed = this.#epoch++
    if (this.#present > 0) this.#closed.set(closed, this.#present)
    this.#present = 0
    return closed
  }

  /** Whether everything up to and including this closed epoch has settled. */
  isSettled(epoch: number): boolean {
    for (const oldest of this.#closed.keys()) return oldest > epoch
    return true
  }
}
