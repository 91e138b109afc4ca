/**
 * Counts what has been put and not settled, so that a flush ends exactly when everything put before it has settled, whatever was put
 * since. Records carry the number of the epoch they were put in; a flush closes the present epoch and waits until all up to it are empty.
 */
export class Outstanding {
  #epoch = 0
  #total = 0
  /** Of epochs that have records, oldest first. */
  readonly #ofEpochs: Map<number, number> = new Map()

  get total(): number {
    return this.#total
  }

  /** The epoch for a record put now. */
  enter(): number {
    this.#total++
    this.#ofEpochs.set(this.#epoch, (this.#ofEpochs.get(this.#epoch) ?? 0) + 1)
    return this.#epoch
  }

  /** A record of this epoch has settled, or so many. */
  leave(epoch: number, records = 1): void {
    this.#total -= records
    const left = this.#ofEpochs.get(epoch)! - records
    if (left > 0) this.#ofEpochs.set(epoch, left)
    else this.#ofEpochs.delete(epoch)
  }

  /** Closes the present epoch. What is put from now on is not waited for. */
  close(): number {
    return this.#epoch++
  }

  /** Whether everything up to and including this closed epoch has settled. */
  isSettled(epoch: number): boolean {
    for (const oldest of this.#ofEpochs.keys()) return oldest > epoch
    return true
  }
}
