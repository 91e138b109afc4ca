import type { StopOptions } from './stop-limit.js'

export interface ConsumingLoopOptions<T> {
  /** Stops the consumer when it aborts. */
  readonly signal: AbortSignal | undefined
  /** Throws when the consumer ran before. */
  readonly run: () => Promise<void>
  /** As `stop` of the consumer. */
  readonly stop: (options?: StopOptions) => Promise<unknown>
  /** How long the loop's end waits for calls in hand. */
  readonly limit: StopOptions
  /** What the loop gives next; undefined some time after `over`. */
  readonly ask: () => Promise<T | undefined>
  /** The loop was left while its body had an item. */
  readonly left?: () => void
  /** The consumer has stopped. */
  readonly over: () => void
}

/** A loop over what a consumer gives: it runs from the first item asked for on, and is stopped by whoever leaves the loop. */
export function consumingLoop<T>(options: ConsumingLoopOptions<T>): AsyncIterableIterator<T> {
  const { signal, run, stop, limit, ask, left, over } = options
  let running: Promise<void> | undefined
  const quit = (): void => void stop()

  async function* generate(): AsyncGenerator<T, void, void> {
    running = run()
    void running.catch(() => {}).then(over)
    try {
      if (signal?.aborted === true) quit()
      signal?.addEventListener('abort', quit)
      for (let item = await ask(); item !== undefined; item = await ask()) {
        let askedOn = false
        try {
          yield item
          askedOn = true
        } finally {
          if (!askedOn) left?.()
        }
      }
      await running
    } finally {
      signal?.removeEventListener('abort', quit)
      await stop(limit)
    }
  }

  const generator = generate()
  /** Somebody who waits for an item shall not have to wait until one comes. */
  const leave = <R>(settle: () => Promise<R>): Promise<R> => {
    if (running !== undefined) quit()
    return settle()
  }
  return {
    next: () => generator.next(),
    return: () => leave(() => generator.return()),
    throw: (error) => leave(() => generator.throw(error)),
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
