/** So many calls in any window of one second. Refused calls do not count. */
export class CallQuota {
  readonly #perSecond: number
  readonly #calls: number[] = []

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Whether a call is allowed at `now` (monotonic milliseconds). If so it counts. */
  take(now: number): boolean {
    while (this.#calls.length > 0 && now - this.#calls[0]! >= 1000) this.#calls.shift()
    if (this.#calls.length >= this.#perSecond) return false
    this.#calls.push(now)
    return true
  }
}
