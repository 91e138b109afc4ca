import { type Clock, systemClock } from './clock.js'
import { integerOption } from './options.js'

export interface KeyLimitsOptions {
  /**
   * Milliseconds that a data key serves: for writing, and for reading before the key service is asked for it again, which is how long access that was
   * withdrawn goes on. Default 300000; 1000 to 86400000. Writers ask for the next key at half of this, and of the two below, so that the key service
   * may be away for the other half.
   */
  readonly maxKeyAgeMs?: number | undefined
  /** Records written with one data key. Default 10,000,000; 1 to 2^32, above which random nonces of AES-GCM may repeat (NIST SP 800-38D, 8.3). */
  readonly maxKeyRecords?: number | undefined
  /** Bytes written with one data key. Default 64 GiB; 1 up. */
  readonly maxKeyBytes?: number | undefined
  /** Data keys kept for reading; those not used for longest go first. Some 500 bytes each. Default 10,000; 1 to 1,000,000. */
  readonly maxCachedKeys?: number | undefined
  /** Milliseconds that an answer of the key service may take. Default 10000; 100 to 60000. */
  readonly keyTimeoutMs?: number | undefined
  /** Default: the machine's. */
  readonly clock?: Clock | undefined
}

export const KEY_LIMITS_OPTIONS: readonly (keyof KeyLimitsOptions)[] = [
  'maxKeyAgeMs',
  'maxKeyRecords',
  'maxKeyBytes',
  'maxCachedKeys',
  'keyTimeoutMs',
  'clock',
]

export interface KeyLimits {
  readonly maxAgeMs: number
  readonly maxRecords: number
  readonly maxBytes: number
  readonly maxCached: number
  readonly timeoutMs: number
  readonly clock: Clock
}

export function checkKeyLimits(options: KeyLimitsOptions): KeyLimits {
  return {
    maxAgeMs: integerOption('maxKeyAgeMs', options.maxKeyAgeMs, { min: 1000, max: 86_400_000, fallback: 300_000 }),
    maxRecords: integerOption('maxKeyRecords', options.maxKeyRecords, { min: 1, max: 2 ** 32, fallback: 10_000_000 }),
    maxBytes: integerOption('maxKeyBytes', options.maxKeyBytes, { min: 1, fallback: 64 * 1024 ** 3 }),
    maxCached: integerOption('maxCachedKeys', options.maxCachedKeys, { min: 1, max: 1_000_000, fallback: 10_000 }),
    timeoutMs: integerOption('keyTimeoutMs', options.keyTimeoutMs, { min: 100, max: 60_000, fallback: 10_000 }),
    clock: options.clock ?? systemClock,
  }
}

/** What `work` resolves to, or a rejection when it takes longer: a client without a time limit of its own would hold up a shard for ever. */
export function inTime<R>(work: Promise<R>, { timeoutMs, clock }: Pick<KeyLimits, 'timeoutMs' | 'clock'>): Promise<R> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(timeoutMs, () => reject(new Error(`the key service has not answered for ${timeoutMs} ms`)))
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}
