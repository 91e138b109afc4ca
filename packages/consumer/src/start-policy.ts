import type { Random } from '@shardwise/core/random'
import type { FailureKind, ServiceFailure } from '@shardwise/core/service-error'
import { type Backoff, backoffDelay } from './backoff.js'

/** What becomes of a start after a step of it failed. */
export type StartVerdict = { readonly kind: 'retry'; readonly delayMs: number } | { readonly kind: 'fail' }

const BACKOFF: Backoff = { baseMs: 500, maxMs: 5_000 }
/** As KCL's maxInitializationAttempts. */
const ATTEMPTS = 20
/** An address that nobody answers at is usually a wrong one, and waiting hides that. */
const CONNECTION_ATTEMPTS = 3
const UNREACHED: ReadonlySet<FailureKind> = new Set(['connection', 'timeout'])
/** Of our own: a reshard under way shows holes in the list of shards until it is done; peers that do not know of a new stream find out. */
const PASSING: ReadonlySet<string> = new Set(['IncompleteShardListError', 'FormerLeasesError'])

/** Decides after the `attempt`-th failure in a row of one step: what may pass by itself is tried again, what needs a person is reported. */
export function afterStartFailure(failure: ServiceFailure, attempt: number, random: Random): StartVerdict {
  const attempts = UNREACHED.has(failure.kind)
    ? CONNECTION_ATTEMPTS
    : failure.retryable || PASSING.has(failure.code)
      ? ATTEMPTS
      : 1
  return attempt < attempts ? { kind: 'retry', delayMs: backoffDelay(attempt, BACKOFF, random) } : { kind: 'fail' }
}
