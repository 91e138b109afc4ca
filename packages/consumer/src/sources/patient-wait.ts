import type { Clock, Scheduled } from '@shardwise/core/clock'

/**
 * Waits for one thing after the other, for each no longer than the limit, and no longer than the signal allows. One timer and one listener
 * serve all of them: of what comes thousands of times a second these two took more than the rest.
 */
export class PatientWait {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #onAbort = (): void => {
    const giveUp = this.#giveUp
    const reason: unknown = this.#signal?.reason
    this.end()
    giveUp?.(reason)
  }
  #signal: AbortSignal | undefined
  #timer: Scheduled | undefined
  /** Of the wait under way. */
  #giveUp: ((error: unknown) => void) | undefined
  #since = 0

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock
    this.#limitMs = limitMs
  }

  /** As the call, or rejects with a TimeoutError, or with the signal's reason; the call may still take effect. One at a time. */
  for<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(signal.reason)
    this.#heed(signal)
    this.#since = this.#clock.now()
    this.#timer ??= this.#ringIn(this.#limitMs)
    return new Promise((resolve, reject) => {
      this.#giveUp = reject
      const over = (): void => {
        if (this.#giveUp === reject) this.#giveUp = undefined
      }
      call().then(
        (value) => {
          over()
          resolve(value)
        },
        (error: unknown) => {
          over()
          reject(error)
        },
      )
    })
  }

  /** Nothing is waited for any more. */
  end(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#giveUp = undefined
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#signal = undefined
  }

  #heed(signal: AbortSignal): void {
    if (signal === this.#signal) return
    this.#signal?.removeEventListener('abort', this.#onAbort)
    signal.addEventListener('abort', this.#onAbort)
    this.#signal = signal
  }

  /** The timer is that of the first wait: what began later has time left when it rings. */
  #ringIn(ms: number): Scheduled {
    return this.#clock.schedule(ms, () => {
      this.#timer = undefined
      if (this.#giveUp === undefined) return
      const leftMs = this.#since + this.#limitMs - this.#clock.now()
      if (leftMs > 0) this.#timer = this.#ringIn(leftMs)
      else this.#giveUp(Object.assign(new Error(`No answer within ${this.#limitMs} ms`), { name: 'TimeoutError' }))
    })
  }
}
