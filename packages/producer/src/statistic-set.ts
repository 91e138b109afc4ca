/** Samples summed up as CloudWatch takes them. `min` and `max` are 0 while there is no sample; the mean is `sum / count`. */
export interface StatisticSet {
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
}

/** Sums samples up. */
export class Tally {
  #count = 0
  #sum = 0
  #min = Number.POSITIVE_INFINITY
  #max = Number.NEGATIVE_INFINITY

  add(value: number): void {
    this.#count++
    this.#sum += value
    if (value < this.#min) this.#min = value
    if (value > this.#max) this.#max = value
  }

  /** As `count` samples of the same value. */
  repeat(value: number, count: number): void {
    this.merge(count, value * count, value, value)
  }

  /** As `count` samples, of which these are sum, least and greatest. */
  merge(count: number, sum: number, min: number, max: number): void {
    if (count === 0) return
    this.#count += count
    this.#sum += sum
    if (min < this.#min) this.#min = min
    if (max > this.#max) this.#max = max
  }

  get snapshot(): StatisticSet {
    if (this.#count === 0) return NO_SAMPLES
    return { count: this.#count, sum: this.#sum, min: this.#min, max: this.#max }
  }
}

export const NO_SAMPLES: StatisticSet = { count: 0, sum: 0, min: 0, max: 0 }

/** The samples of all of them. */
export function united(sets: readonly StatisticSet[]): StatisticSet {
  const tally = new Tally()
  for (const { count, sum, min, max } of sets) tally.merge(count, sum, min, max)
  return tally.snapshot
}
