import type { Random } from '@shardwise/core/random'

export interface RetryOptions {
  readonly baseMs: number
  readonly maxMs: number
}

export type RetryDecision =
  | { readonly kind: 'retry'; readonly at: number }
  /** It could be tried again but its time is over. */
  | { readonly kind: 'expire' }
  /** Trying again would be refused again. */
  | { readonly kind: 'fail' }

/**
 * What to do with an entry that was not delivered: exponential with full jitter, the wait before attempt n+1 being uniform in
 * [0, min(maxMs, baseMs * 2^(n-1))) (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * A wait that would end after the expiry is cut to just before it, so that every record gets its last attempt.
 */
export function decideRetry(
  entry: { readonly attempts: number; readonly expiresAt: number },
  retryable: boolean,
  now: number,
  options: RetryOptions,
  random: Random,
): RetryDecision {
  if (!retryable) return { kind: 'fail' }
  if (now >= entry.expiresAt) return { kind: 'expire' }
  const ceiling = Math.min(options.maxMs, options.baseMs * 2 ** Math.max(0, entry.attempts - 1))
  const at = now + random() * ceiling
  return { kind: 'retry', at: at < entry.expiresAt ? at : now + (entry.expiresAt - now) / 2 }
}
