import type { Clock } from '@shardwise/core/clock'

/**
 * Runs one call and rejects with a TimeoutError when it takes longer than `limitMs`, whether or not the call heeds its signal. The call may
 * still take effect. A call of several parts says when each is done, and has that time for the next. `signal` ends it before, with its reason.
 */
export function withinTime<T>(
  clock: Clock,
  limitMs: number,
  call: (signal: AbortSignal, partDone: () => void) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const controller = new AbortController()
  return new Promise((resolve, reject) => {
    const end = (error: unknown): void => {
      reject(error)
      controller.abort(error)
    }
    const abort = (): void => end(signal!.reason)
    const limit = () =>
      clock.schedule(limitMs, () => {
        end(Object.assign(new Error(`No answer within ${Math.round(limitMs)} ms`), { name: 'TimeoutError' }))
      })
    let timer = limit()
    const partDone = (): void => {
      if (controller.signal.aborted) return
      timer.cancel()
      timer = limit()
    }
    if (signal?.aborted === true) abort()
    signal?.addEventListener('abort', abort)
    call(controller.signal, partDone)
      .then(resolve, reject)
      .finally(() => {
        timer.cancel()
        signal?.removeEventListener('abort', abort)
      })
  })
}
