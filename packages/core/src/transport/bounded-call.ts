import type { Clock } from '../clock.js'

/**
 * Runs a call that takes a signal, and rejects as soon as the caller's signal aborts (AbortError, the reason as its cause) or `timeoutMs`
 * have passed (TimeoutError), whether or not the call minds its signal. The SDK's own request timeout ends with the headers of an
 * answer: a body that stalls would hang for ever. And it reports an abort in the middle of a body as a broken connection.
 */
export function boundedCall<T>(
  call: (signal: AbortSignal) => Promise<T>,
  bounds: { readonly name: string; readonly clock: Clock; readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<T> {
  const { name, clock, timeoutMs, signal } = bounds
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortError(name, signal))
      return
    }
    const controller = new AbortController()
    const stop = (error: Error): void => {
      release()
      reject(error)
      controller.abort(error)
    }
    const onAbort = (): void => {
      if (signal !== undefined) stop(abortError(name, signal))
    }
    const timer = clock.schedule(timeoutMs, () => stop(timeoutError(name, timeoutMs)), { background: true })
    const release = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    // A client may throw before it has made a promise, or give none at all.
    new Promise<T>((settle) => settle(call(controller.signal))).then(resolve, reject).finally(release)
  })
}

/** As the SDK makes it, so that every abort looks the same. */
export function abortError(name: string, signal: AbortSignal): Error {
  const error = new Error(`${name} was aborted`, { cause: signal.reason })
  error.name = 'AbortError'
  return error
}

function timeoutError(name: string, timeoutMs: number): Error {
  const error = new Error(`${name} had no complete answer within ${timeoutMs} ms`)
  error.name = 'TimeoutError'
  return error
}
