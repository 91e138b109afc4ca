import type { StopLimit } from '../stop-limit.js'

export interface HandlerWaitOptions {
  readonly stopLimit: Pick<StopLimit, 'abandoned'>
  /** Whether records are in its hands. */
  readonly isHandling: () => boolean
  /** Called once. */
  readonly onAbandoned: () => void
}

/** Waits for what the handler of a shard does, for as long as a stop has patience (of the consumer, or of its work on the stream). Then the handler runs on, and what it does counts for nothing. */
export class HandlerWait {
  readonly #options: HandlerWaitOptions
  #isAbandoned = false
  /**
   * What is being waited for. Of the signal, which all shards share, it is one listener. Measured on Node 20: to take one of 10,000 listeners off a signal and put it back
   * takes 100 us, which would be so for each wait where as many handlers are at work; where few are there is no difference (`npm run bench -- growth-consumer-shards`).
   */
  readonly #waits = new Set<() => void>()
  readonly #onAbandoned = (): void => {
    for (const giveUp of [...this.#waits]) giveUp()
  }
  #heeds = false

  constructor(options: HandlerWaitOptions) {
    this.#options = options
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned
  }

  /** What `work` resolves to; false when it is not waited for any longer. */
  until(work: Promise<boolean>): Promise<boolean> {
    const { abandoned } = this.#options.stopLimit
    if (!this.#heeds) abandoned.addEventListener('abort', this.#onAbandoned)
    this.#heeds = true
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#abandon()
        resolve(false)
      }
      if (abandoned.aborted && this.#options.isHandling()) giveUp()
      this.#waits.add(giveUp)
      work.then(
        (value) => {
          this.#waits.delete(giveUp)
          resolve(value)
        },
        (error: unknown) => {
          this.#waits.delete(giveUp)
          reject(error)
        },
      )
    })
  }

  /** Nothing is waited for any more. */
  end(): void {
    this.#options.stopLimit.abandoned.removeEventListener('abort', this.#onAbandoned)
    this.#heeds = false
  }

  #abandon(): void {
    if (this.#isAbandoned) return
    this.#isAbandoned = true
    this.#options.onAbandoned()
  }
}
