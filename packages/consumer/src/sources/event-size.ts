import { SUBSCRIPTION_BYTES_PER_SECOND } from '@shardwise/core/service-limits'

const LEAST = 16 * 1024

/**
 * How much the next event of a subscription may bring: what is set aside for it while it is waited for. A shard where nothing happens must not
 * keep the room of one that is behind, so it is told by the events before.
 */
export class EventSize {
  #recent = SUBSCRIPTION_BYTES_PER_SECOND

  /** Payload bytes. An event may bring more; that is counted when it is there. */
  get most(): number {
    return Math.min(SUBSCRIPTION_BYTES_PER_SECOND, Math.max(LEAST, 2 * this.#recent))
  }

  brought(bytes: number): void {
    this.#recent = Math.max(bytes, this.#recent / 2)
  }
}
