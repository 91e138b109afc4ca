import { InvalidOptionError } from '@shardwise/core/options'

/** How a caller stops waiting. */
export interface WaitOptions {
  /** When it aborts, the wait ends with its `reason`. What was accepted goes on being delivered. */
  readonly signal?: AbortSignal | undefined
}

/** Begins something and waits for its end, or rejects with the signal's reason: also then it is begun, and goes on. */
export function waitFor(begin: () => Promise<void>, { signal }: WaitOptions): Promise<void> {
  if (signal === undefined) return begin()
  return new Promise((resolve, reject) => {
    checkSignal(signal)
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

/** By what it can do: signals of other realms and libraries are as good. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined) return
  if (typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function') return
  throw new InvalidOptionError('signal', 'an AbortSignal', signal)
}
