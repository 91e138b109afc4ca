import type { Clock, Scheduled } from '@shardwise/core/clock'

/** Part of the pipeline: its one timer. Whoever has something to do later says when; `set` makes the timer agree. */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #wakeAt = Number.POSITIVE_INFINITY
  #timer: Scheduled | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #timerIsBackground = false

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** No later than this. */
  wakeBy(at: number | undefined): void {
    if (at !== undefined && at < this.#wakeAt) this.#wakeAt = at
  }

  /** Everything that wants to be woken will say so again. */
  reset(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY
  }

  /** `background`: the timer does not keep the process alive. */
  set(background: boolean): void {
    if (this.#wakeAt === this.#timerAt && background === this.#timerIsBackground) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerAt = this.#wakeAt
    this.#timerIsBackground = background
    if (this.#wakeAt === Number.POSITIVE_INFINITY) return
    this.#timer = this.#clock.schedule(
      // Whole milliseconds: a remainder too small to move the clock would have the timer fire before its time, for ever.
      Math.ceil(this.#wakeAt - this.#clock.now()),
      () => {
        this.#timer = undefined
        this.#timerAt = Number.POSITIVE_INFINITY
        this.#ring()
      },
      { background },
    )
  }

  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
  }
}
