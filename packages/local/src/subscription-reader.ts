import type { Clock } from '@shardwise/core/clock'
import type { SubscribeToShardEvent } from '@shardwise/core/fan-out-port'
import type { ShardSubscription } from './model/shard-subscription.js'

/** Where the events of a subscription come from. */
export interface EventSource {
  /** Undefined: it has ended in good order. Rejects with what ends it otherwise. Call it again only after it has settled. */
  next(): Promise<SubscribeToShardEvent | undefined>
  /** Ends it at once; a pending `next` resolves to undefined. May be called at any time and more than once. */
  close(): void
}

/** Waits where a subscription says that there is nothing yet: for its wake-up call, or on the clock. */
export class SubscriptionReader implements EventSource {
  readonly #subscription: ShardSubscription
  readonly #clock: Clock
  #proceed = (): void => {}

  constructor(subscription: ShardSubscription, clock: Clock) {
    this.#subscription = subscription
    this.#clock = clock
    subscription.onWake(() => this.#proceed())
  }

  async next(): Promise<SubscribeToShardEvent | undefined> {
    for (;;) {
      const step = this.#subscription.next()
      switch (step.kind) {
        case 'event':
          return step.event
        case 'ended':
          return undefined
        case 'failed':
          throw step.error
        case 'wait':
          await this.#wait(step.until)
      }
    }
  }

  close(): void {
    this.#subscription.close()
    this.#proceed()
  }

  #wait(until: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.schedule(until - this.#clock.now(), resolve)
      this.#proceed = () => {
        timer.cancel()
        resolve()
      }
    })
  }
}
