import type { Clock } from '../clock.js'
import { MAX_ANSWER_BYTES } from './answer-limit.js'
import type { Attempt } from './one-attempt.js'

export interface Bounds {
  readonly name: string
  readonly clock: Clock
  /** Until the answer must be complete. */
  readonly timeoutMs: number
  /** Until it must have begun. Undefined: `timeoutMs`. */
  readonly firstByteTimeoutMs?: number | undefined
  readonly signal: AbortSignal | undefined
  /** Default: more than any answer has. */
  readonly maxAnswerBytes?: number | undefined
}

/**
 * Runs a call that takes a signal, and rejects as soon as the caller's signal aborts (AbortError, the reason as its cause) or time is up
 * (TimeoutError), whether or not the call minds its signal. The SDK's own request timeout ends with the headers of an
 * answer: a body that stalls would hang for ever. And it reports an abort in the middle of a body as a broken connection.
 */
export function boundedCall<T>(call: (attempt: Attempt) => Promise<T>, bounds: Bounds): Promise<T> {
  const { name, clock, timeoutMs, signal, maxAnswerBytes = MAX_ANSWER_BYTES } = bounds
  const silenceMs = Math.min(timeoutMs, bounds.firstByteTimeoutMs ?? timeoutMs)
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortError(name, signal))
      return
    }
    const attempt = new BoundedAttempt(maxAnswerBytes)
    const stop = (error: Error): void => {
      release()
      reject(error)
      attempt.stop(error)
    }
    const onAbort = (): void => {
      if (signal !== undefined) stop(abortError(name, signal))
    }
    const onSilence = (): void => {
      // A process that stood still finds this timer due before it reads what came meanwhile.
      timer = clock.schedule(0, judgeSilence, { background: true })
    }
    const judgeSilence = (): void => {
      if (attempt.hasBegun) timer = clock.schedule(timeoutMs - silenceMs, onSlowness, { background: true })
      else stop(timeoutError(`${name} had no answer`, silenceMs))
    }
    const onSlowness = (): void => stop(timeoutError(`${name} had no complete answer`, timeoutMs))
    // One timer after the other: most calls are over before the first.
    let timer = clock.schedule(silenceMs, silenceMs < timeoutMs ? onSilence : onSlowness, { background: true })
    const release = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    const fail = (error: unknown): void => {
      release()
      reject(error)
    }
    try {
      // A client may give no promise at all, or throw before it has made one.
      Promise.resolve(call(attempt)).then((output) => {
        release()
        resolve(output)
      }, fail)
    } catch (error) {
      fail(error)
    }
  })
}

class BoundedAttempt implements Attempt {
  readonly maxAnswerBytes: number
  hasBegun = false
  readonly begun = (): void => {
    this.hasBegun = true
  }
  #controller: AbortController | undefined
  #stopped: Error | undefined
  #onStop: ((why: Error) => void) | undefined

  constructor(maxAnswerBytes: number) {
    this.maxAnswerBytes = maxAnswerBytes
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#stopped !== undefined) this.#controller.abort(this.#stopped)
    return this.#controller.signal
  }

  get stopped(): Error | undefined {
    return this.#stopped
  }

  onStop(act: (why: Error) => void): void {
    this.#onStop = act
    if (this.#stopped !== undefined) act(this.#stopped)
  }

  stop(why: Error): void {
    this.#stopped = why
    this.#onStop?.(why)
    this.#controller?.abort(why)
  }
}

/** As the SDK makes it, so that every abort looks the same. */
export function abortError(name: string, signal: AbortSignal): Error {
  const error = new Error(`${name} was aborted`, { cause: signal.reason })
  error.name = 'AbortError'
  return error
}

function timeoutError(what: string, ms: number): Error {
  const error = new Error(`${what} within ${ms} ms`)
  error.name = 'TimeoutError'
  return error
}
