import { type Clock, systemClock } from '@shardwise/core/clock'

/** So many times as fast as the machine’s, for what waits half a minute by design. Not above 6: a quiet subscription would be taken for a dead one. */
export function fastClock(times: number): Clock {
  return {
    now: () => systemClock.now() * times,
    wallTime: () => systemClock.wallTime(),
    schedule: (delayMs, run, options) => systemClock.schedule(delayMs / times, run, options),
  }
}
