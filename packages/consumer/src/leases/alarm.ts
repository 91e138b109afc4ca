import type { Clock } from '@shardwise/core/clock'

/** What a loop waits with: until a time, or until somebody has a reason to wake it before. */
export class Alarm {
  readonly #clock: Clock
  #wake: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Ends the wait, if there is one. It is not remembered for a later one. */
  ring(): void {
    this.#wake?.()
  }

  /** One wait at a time. `at`: on the clock's `now` scale. */
  wait(at: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.schedule(at - this.#clock.now(), () => this.#wake?.())
      this.#wake = () => {
        timer.cancel()
        this.#wake = undefined
        resolve()
      }
    })
  }
}
