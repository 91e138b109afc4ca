import type { Clock } from '@shardwise/core/clock'
import type { EventLoopWatch } from './event-loop-watch.js'

/** What a loop waits with: until a time, or until somebody has a reason to wake it before. */
export class Alarm {
  readonly #clock: Clock
  readonly #watch: EventLoopWatch | undefined
  #wake: (() => void) | undefined

  constructor(clock: Clock, watch?: EventLoopWatch) {
    this.#clock = clock
    this.#watch = watch
  }

  /** Ends the wait, if there is one. It is not remembered for a later one. */
  ring(): void {
    this.#wake?.()
  }

  /** One wait at a time. `at`: on the clock's `now` scale. */
  wait(at: number): Promise<void> {
    const clock = this.#clock
    const due = Math.max(at, clock.now())
    return new Promise((resolve) => {
      const timer = clock.schedule(due - clock.now(), () => {
        this.#wake?.()
        this.#watch?.ran(due, clock.now())
      })
      this.#wake = () => {
        timer.cancel()
        this.#wake = undefined
        resolve()
      }
    })
  }
}
