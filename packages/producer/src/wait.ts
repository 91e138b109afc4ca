import { InvalidOptionError } from '@shardwise/core/options'

/** How a caller stops waiting. */
export interface WaitOptions {
  /** When it aborts, the wait ends with its `reason`. What was accepted goes on being delivered. */
  readonly signal?: AbortSignal | undefined
}

/** Begins something and waits for its end, or rejects with the signal's reason: also then it is begun, and goes on. */
export function waitFor(begin: () => Promise<void>, options: WaitOptions): Promise<void> {
  let signal: AbortSignal | undefined
  try {
    signal = signalOf(options)
  } catch (error) {
    return Promise.reject(error)
  }
  return signal === undefined ? begin() : beginUntil(signal, begin)
}

function beginUntil(signal: AbortSignal, begin: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', abort)
      settle()
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    begin().then(
      () => end(resolve),
      (error: unknown) => end(() => reject(error)),
    )
  })
}

/** Throws InvalidOptionError. A signal in place of the options would otherwise be no limit at all. */
export function signalOf(options: WaitOptions): AbortSignal | undefined {
  if (!isOptions(options)) throw new InvalidOptionError('options', 'an object such as { signal }', options)
  const { signal } = options
  if (signal === undefined || isSignal(signal)) return signal
  throw new InvalidOptionError('signal', 'an AbortSignal', signal)
}

function isOptions(given: unknown): boolean {
  return typeof given === 'object' && given !== null && !isSignal(given)
}

/** By what it can do: signals of other realms and libraries are as good. */
function isSignal(given: Partial<AbortSignal> | null): boolean {
  return typeof given?.aborted === 'boolean' && typeof given.addEventListener === 'function'
}
