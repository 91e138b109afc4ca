import type { Random } from '@shardwise/core/random'

export interface Backoff {
  readonly baseMs: number
  readonly maxMs: number
}

export interface RetryOptions extends Backoff {
  /** Requests that may carry a record; beyond counting where only its time to live limits them. */
  readonly maxAttempts: number
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
 * A wait that would end after the expiry is cut to just before it, so that a record gets a last attempt. Not past what its lane waits for:
 * its shard's write limit, also after a throttle, or the later retry of another entry. What expires there fails with its last refusal.
 */
export function decideRetry(
  entry: { readonly attempts: number; readonly expiresAt: number },
  retryable: boolean,
  now: number,
  options: Backoff,
  random: Random,
): RetryDecision {
  if (!retryable) return { kind: 'fail' }
  if (now >= entry.expiresAt) return { kind: 'expire' }
  const ceiling = Math.min(options.maxMs, options.baseMs * 2 ** Math.max(0, entry.attempts - 1))
  const at = now + random() * ceiling
  return { kind: 'retry', at: at < entry.expiresAt ? at : now + (entry.expiresAt - now) / 2 }
}

/** What forbids another attempt of a record, out of its entry: its time or its attempts are used up. */
export function spentBy(
  record: { readonly attempts: number; readonly pardoned: number; readonly expiresAt: number },
  now: number,
  { maxAttempts }: RetryOptions,
): 'time' | 'attempts' | undefined {
  if (record.expiresAt <= now) return 'time'
  return record.attempts - record.pardoned >= maxAttempts ? 'attempts' : undefined
}

/** Whether the refusal of an entry, or of a whole request, ends its records at once. As the KPL, which asks for this very code. */
export function failsAtOnce(code: string, settings: { readonly failIfThrottled: boolean }): boolean {
  return settings.failIfThrottled && /^ProvisionedThroughputExceeded(Exception)?$/.test(code)
}
