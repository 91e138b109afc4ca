import type { Random } from '@shardwise/core/random'

/** Exponential growth from `baseMs` to `maxMs`. */
export interface Backoff {
  readonly baseMs: number
  readonly maxMs: number
}

/**
 * How long to wait after the `attempt`-th failure in a row (from 1): between half and all of the exponential value. Half is kept so that
 * a failing dependency always gets a pause; the other half is drawn so that many workers do not come back at the same moment.
 */
export function backoffDelay(attempt: number, { baseMs, maxMs }: Backoff, random: Random): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 52))
  return ceiling / 2 + (random() * ceiling) / 2
}
