/** Records accepted within so many milliseconds form one cohort. */
const SPAN_MS = 10

/** Records that were accepted at about the same time, and how many of them have not settled. */
export interface Cohort {
  readonly since: number
  size: number
  next: Cohort | undefined
}

/**
 * Since when the oldest record waits, to within ten milliseconds. For each record that is one addition and one subtraction, and nothing
 * that the record must keep: a list of the records themselves would tell it exactly.
 */
export class Cohorts {
  #oldest: Cohort | undefined
  #newest: Cohort | undefined

  /** When the oldest record that has not settled was accepted, or up to ten milliseconds before. Undefined when all have. */
  get oldestSince(): number | undefined {
    return this.#oldest?.since
  }

  /** The cohort of a record accepted now. */
  enter(now: number): Cohort {
    const newest = this.#newest
    if (newest !== undefined && now - newest.since < SPAN_MS) {
      newest.size++
      return newest
    }
    const cohort = { since: now, size: 1, next: undefined }
    if (newest === undefined) this.#oldest = cohort
    else newest.next = cohort
    this.#newest = cohort
    return cohort
  }

  /** One of the cohort's records has settled, or so many. */
  leave(cohort: Cohort, records = 1): void {
    cohort.size -= records
    if (cohort.size > 0 || cohort !== this.#oldest) return
    let oldest: Cohort | undefined = cohort
    while (oldest?.size === 0) oldest = oldest.next
    this.#oldest = oldest
    if (oldest === undefined) this.#newest = undefined
  }
}
