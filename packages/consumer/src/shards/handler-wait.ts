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

  constructor(options: HandlerWaitOptions) {
    this.#options = options
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned
  }

  /** What `work` resolves to; false when it is not waited for any longer. */
  until(work: Promise<boolean>): Promise<boolean> {
    const { abandoned } = this.#options.stopLimit
    return new Promise((resolve, reject) => {
      const abandon = (): void => {
        this.#abandon()
        resolve(false)
      }
      if (abandoned.aborted && this.#options.isHandling()) abandon()
      abandoned.addEventListener('abort', abandon)
      void work.then(resolve, reject).finally(() => abandoned.removeEventListener('abort', abandon))
    })
  }

  #abandon(): void {
    if (this.#isAbandoned) return
    this.#isAbandoned = true
    this.#options.onAbandoned()
  }
}
