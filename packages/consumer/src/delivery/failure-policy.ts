import type { Random } from '@shardwise/core/random'
import { type Backoff, backoffDelay } from '../backoff.js'

/** What becomes of records whose handler failed. There is no verdict that skips: a failure never moves the checkpoint. */
export type FailureVerdict = { readonly kind: 'retry'; readonly delayMs: number }

/**
 * Decides after the `attempt`-th failure in a row of the same records (from 1). They are retried for as long as the lease is held; the
 * shard stands still meanwhile, since going on would either skip them or break its order.
 */
export function afterFailure(attempt: number, backoff: Backoff, random: Random): FailureVerdict {
  return { kind: 'retry', delayMs: backoffDelay(attempt, backoff, random) }
}
