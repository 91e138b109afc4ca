import { type Clock, type Scheduled, sleep } from '@shardwise/core/clock'
import { ConsumerStoppingError } from './consumer-error.js'
import { sharedAbort } from './shared-abort.js'

/** How long a stop waits for handler calls. Each default holds where the option is absent or undefined. */
export interface StopOptions {
  /**
   * Milliseconds for the handler calls in hand. Then `context.signal` of those that are left aborts with ConsumerStoppingError, their
   * returning completes nothing any more, and a second later their shards are given back without them, at the last completed record.
   * Default: as long as they last; 0 or more.
   */
  readonly timeoutMs?: number | undefined
  /** As if `timeoutMs` had passed, when it aborts. */
  readonly signal?: AbortSignal | undefined
}

export interface StopOutcome {
  /** Shards whose handler did not return in time: they were given back at their last completed record. */
  readonly abandonedShards: readonly AbandonedShard[]
}

export interface AbandonedShard {
  /** As given in the options. */
  readonly stream: string
  readonly shardId: string
}

/** From the word to the handlers that time is up to giving their shards back without them. */
const GRACE_MS = 1_000

/** How patient a stop is with handler calls that do not return: the stop of a consumer, or of its work on one stream. */
export class StopLimit {
  readonly #clock: Clock
  readonly #what: string | undefined
  readonly #expired = sharedAbort()
  readonly #abandoned = sharedAbort()
  #grace: Scheduled | undefined

  /** `what`: as the reason of `expired` begins. Default: the consumer stops. */
  constructor(clock: Clock, what?: string) {
    this.#clock = clock
    this.#what = what
  }

  /** Handlers should give up what they can. The reason is a ConsumerStoppingError. */
  get expired(): AbortSignal {
    return this.#expired.signal
  }

  /** Handlers are not waited for any more. */
  get abandoned(): AbortSignal {
    return this.#abandoned.signal
  }

  /** Waits for the end of everything, no more patiently than told. May be called again meanwhile: the least patient call counts. */
  async enforce({ timeoutMs, signal }: StopOptions, stopped: Promise<unknown>): Promise<void> {
    const over = new AbortController()
    const expire = (): void => this.#expire()
    signal?.addEventListener('abort', expire, { once: true, signal: over.signal })
    if (signal?.aborted === true || timeoutMs === 0) expire()
    else if (timeoutMs !== undefined) void sleep(this.#clock, timeoutMs, { signal: over.signal }).then(expire, () => {})
    try {
      await stopped
    } finally {
      over.abort()
      this.#grace?.cancel()
    }
  }

  #expire(): void {
    if (this.#expired.signal.aborted) return
    this.#grace = this.#clock.schedule(GRACE_MS, () => this.#abandoned.abort())
    this.#expired.abort(new ConsumerStoppingError(this.#what))
  }
}
