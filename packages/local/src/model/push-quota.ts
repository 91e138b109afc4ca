import { SUBSCRIPTION_BYTES_PER_SECOND } from '@shardwise/core/service-limits'

/**
 * What one consumer is sent of one shard: 2 MiB a second, partition keys included, however often it subscribes. A token bucket that holds
 * one second's worth. Events are never cut for it: one may leave the bucket in debt, and nothing is sent until that is paid off.
 */
export class PushQuota {
  #bytes = SUBSCRIPTION_BYTES_PER_SECOND
  #refilledAt = 0

  /** The earliest time, from `now` on (monotonic milliseconds), at which something may be sent. */
  freeAt(now: number): number {
    if (now > this.#refilledAt) {
      const refill = ((now - this.#refilledAt) / 1000) * SUBSCRIPTION_BYTES_PER_SECOND
      this.#bytes = Math.min(SUBSCRIPTION_BYTES_PER_SECOND, this.#bytes + refill)
      this.#refilledAt = now
    }
    // Refilling in fractions leaves the sum a hair below the whole number that it stands for.
    return this.#bytes >= -ROUNDING ? now : now + (-this.#bytes / SUBSCRIPTION_BYTES_PER_SECOND) * 1000
  }

  charge(bytes: number): void {
    this.#bytes -= bytes
  }
}

const ROUNDING = 1e-3
