import type { Clock } from '@shardwise/core/clock'

/**
 * Runs one call and rejects with a TimeoutError when it takes longer than `limitMs`, whether or not the call heeds its signal. The call may
 * still take effect.
 */
export function withinTime<T>(clock: Clock, limitMs: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(limitMs, () => {
      const error = Object.assign(new Error(`No answer within ${Math.round(limitMs)} ms`), { name: 'TimeoutError' })
      reject(error)
      controller.abort(error)
    })
    call(controller.signal)
      .then(resolve, reject)
      .finally(() => timer.cancel())
  })
}
