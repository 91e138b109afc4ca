import { SUBSCRIBE_INTERVAL_MS, SUBSCRIPTION_EXCLUSIVE_MS } from '@shardwise/core/service-limits'
import { inUse, limitExceeded } from './kinesis-error.js'
import { PushQuota } from './push-quota.js'

/** What a slot knows of the subscription in it. */
interface Occupant {
  takenOver(): void
}

/**
 * The place of one consumer at one shard, which one subscription has at a time. The rules for who gets it are those of
 * https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html. They go by when subscriptions began: that one has ended
 * since, or its connection broke, does not free the slot any earlier.
 */
export class SubscriptionSlot {
  readonly pushQuota: PushQuota = new PushQuota()
  #calledAt = Number.NEGATIVE_INFINITY
  #begunAt = Number.NEGATIVE_INFINITY
  #occupant: Occupant | undefined

  /** Throws where a subscription may not begin at `now` (monotonic milliseconds). `limited`: whether calls have their limit. */
  admit(name: string, now: number, limited: boolean): void {
    if (limited && now - this.#calledAt < SUBSCRIBE_INTERVAL_MS) {
      throw limitExceeded(`Rate exceeded for ${name}: one call of SubscribeToShard a second.`)
    }
    this.#calledAt = now
    if (now - this.#begunAt < SUBSCRIPTION_EXCLUSIVE_MS)
      throw inUse(`Another active subscription exists for this consumer: ${name}`)
  }

  /** After `admit`. Whoever has the slot loses it. */
  take(occupant: Occupant, now: number): void {
    this.#occupant?.takenOver()
    this.#occupant = occupant
    this.#begunAt = now
  }

  leave(occupant: Occupant): void {
    if (this.#occupant === occupant) this.#occupant = undefined
  }
}
