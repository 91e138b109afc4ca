import type { Clock } from '@shardwise/core/clock'

/**
 * Runs one call and rejects with a TimeoutError when it takes longer than `limitMs`, whether or not the call heeds its signal. The call may
 * still take effect. `signal` ends it before, with its reason.
 */
export function withinTime<T>(
  clock: Clock,
  limitMs: number,
  call: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const controller = new AbortController()
  return new Promise((resolve, reject) => {
    const end = (error: unknown): void => {
      reject(error)
      controller.abort(error)
    }
    const abort = (): void => end(signal!.reason)
    const timer = clock.schedule(limitMs, () => {
      end(Object.assign(new Error(`No answer within ${Math.round(limitMs)} ms`), { name: 'TimeoutError' }))
    })
    if (signal?.aborted === true) abort()
    signal?.addEventListener('abort', abort)
    call(controller.signal)
      .then(resolve, reject)
      .finally(() => {
        timer.cancel()
        signal?.removeEventListener('abort', abort)
      })
  })
}
