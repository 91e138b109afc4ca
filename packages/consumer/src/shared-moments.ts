/** Into so many moments a pause is divided, whatever its length. */
const MOMENTS = 32
/** So much of the distance between two moments is less than a clock tells, and more than fractions are off: what is due at a moment is not put before it. */
const ROUNDING = 1e-9

/**
 * What recurs for each shard after the same pause, a read or a renewal, falls on the same few moments for all of them: so an idle process wakes once for
 * those that are due together, and not for each (measured with the worker of `idle-shards`, before and after: a
 * quarter of the processor time of 1,000 idle shards). What has begun at such a moment, or a little after it, is due at one again, a whole pause later.
 *
 * Renewals that once fell on one moment, after a pause of the process for instance, stay together: the table sees as many as before, in less time.
 *
 * Given back is the moment nearest to `at`, which is off by 1/64 of the pause at most. `pauseMs`: above 0.
 */
export function nearestMoment(at: number, pauseMs: number): number {
  const apart = pauseMs / MOMENTS
  return Math.round(at / apart) * apart
}

/** The same for what must not be later than `at`: it is earlier by less than 1/32 of the pause. */
export function momentBefore(at: number, pauseMs: number): number {
  const apart = pauseMs / MOMENTS
  return Math.floor(at / apart + ROUNDING) * apart
}
