import pRetry from 'p-retry'
import { integerOption } from '../options.js'
import { classifyFailure } from '../service-error.js'

/** How often control-plane calls (ListShards, DescribeStreamSummary, CreateTable) are tried. Data-plane calls are sent once, always. */
export interface ControlRetryOptions {
  /** Attempts in all. Default 5, 1 to 100. */
  readonly controlAttempts?: number | undefined
  /** Milliseconds before the second attempt; doubled for each further one, up to 5,000, and stretched at random up to twofold. Default 200. */
  readonly controlRetryBaseMs?: number | undefined
}

export interface ControlRetry {
  readonly attempts: number
  readonly baseMs: number
}

const LONGEST_WAIT_MS = 5_000

export function controlRetry(options: ControlRetryOptions): ControlRetry {
  return {
    attempts: integerOption('controlAttempts', options.controlAttempts, { min: 1, max: 100, fallback: 5 }),
    baseMs: integerOption('controlRetryBaseMs', options.controlRetryBaseMs, { min: 1, max: LONGEST_WAIT_MS, fallback: 200 }),
  }
}

/** Tries again while the failure may pass by itself, unless `isFinal` says otherwise. Real timers and chance, so for the adapter to AWS only. */
export function withControlRetry<T>(
  retry: ControlRetry,
  signal: AbortSignal | undefined,
  call: () => Promise<T>,
  isFinal: (error: unknown) => boolean = () => false,
): Promise<T> {
  return pRetry(call, {
    retries: retry.attempts - 1,
    minTimeout: retry.baseMs,
    maxTimeout: Math.max(LONGEST_WAIT_MS, retry.baseMs),
    randomize: true,
    shouldRetry: ({ error }) => classifyFailure(error).retryable && !isFinal(error),
    ...(signal && { signal }),
  })
}
