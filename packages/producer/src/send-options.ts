import type { Clock } from '@shardwise/core/clock'

/** What `send` of an SDK client may be told beside its command, as far as it can be kept for a record that travels with others. */
export interface SendOptions {
  readonly abortSignal: AbortSignal | undefined
  /** Milliseconds; 0 for none. */
  readonly requestTimeout: number
}

/** Undefined if there is anything else in it. */
export function readSendOptions(options: unknown): SendOptions | undefined {
  if (options === undefined || options === null) return { abortSignal: undefined, requestTimeout: 0 }
  if (typeof options !== 'object') return undefined
  const { abortSignal, requestTimeout = 0, ...others } = options as Readonly<Record<string, unknown>>
  if (Object.values(others).some((value) => value !== undefined)) return undefined
  if (abortSignal !== undefined && !(abortSignal instanceof AbortSignal)) return undefined
  return typeof requestTimeout === 'number' ? { abortSignal, requestTimeout } : undefined
}

/**
 * The promise, for as long as its caller wants to wait: rejects with the SDK's AbortError, or with a TimeoutError after the linger and
 * `requestTimeout`. What it stood for goes on, and its outcome is not looked at any more.
 */
export function whileWanted<T>(promise: Promise<T>, options: SendOptions, clock: Clock, lingerMs: number): Promise<T> {
  const { abortSignal, requestTimeout } = options
  if (abortSignal === undefined && !(requestTimeout > 0)) return promise
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      release()
      reject(abortError(abortSignal?.reason))
    }
    const onTimeout = (): void => {
      release()
      reject(timeoutError(requestTimeout))
    }
    const timer = requestTimeout > 0 ? clock.schedule(lingerMs + requestTimeout, onTimeout, { background: true }) : undefined
    const release = (): void => {
      timer?.cancel()
      abortSignal?.removeEventListener('abort', onAbort)
    }
    abortSignal?.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(release)
  })
}

/** As the SDK makes it. */
export function abortError(reason: unknown): Error {
  const error = new Error('Request aborted', reason === undefined ? {} : { cause: reason })
  error.name = 'AbortError'
  return error
}

function timeoutError(requestTimeout: number): Error {
  const error = new Error(
    `The put was not acknowledged within requestTimeout (${requestTimeout} ms, after lingerMs). It may still be written`,
  )
  error.name = 'TimeoutError'
  return error
}
