import { type Clock, systemClock } from '@shardwise/core/clock'

/**
 * So many times as fast as the machine's, for what waits by design. For the service too where subscriptions must be heard of in time. Its
 * wall clock keeps pace: clocks that part are those of a machine that was suspended.
 */
export function clockFaster(times: number): Clock {
  const wallTime = systemClock.wallTime()
  const now = systemClock.now()
  return {
    now: () => systemClock.now() * times,
    wallTime: () => Math.floor(wallTime + (systemClock.now() - now) * times),
    schedule: (delayMs, run, options) => systemClock.schedule(delayMs / times, run, options),
  }
}
