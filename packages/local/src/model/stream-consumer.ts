import { SubscriptionSlot } from './subscription-slot.js'
import { Watchers } from './watchers.js'

export type ConsumerState =
  | { readonly status: 'CREATING'; readonly until: number }
  | { readonly status: 'ACTIVE' }
  | { readonly status: 'DELETING'; readonly until: number }

/** A consumer with enhanced fan-out that is registered with a stream. */
export class StreamConsumer {
  readonly name: string
  readonly arn: string
  /** Epoch milliseconds. */
  readonly createdAt: number
  readonly tags: Map<string, string> = new Map()
  /** Told when the state changes. */
  readonly watchers: Watchers = new Watchers()
  readonly #slots = new Map<string, SubscriptionSlot>()
  #state: ConsumerState

  constructor(birth: { readonly name: string; readonly arn: string; readonly createdAt: number }, state: ConsumerState) {
    this.name = birth.name
    this.arn = birth.arn
    this.createdAt = birth.createdAt
    this.#state = state
  }

  get state(): ConsumerState {
    return this.#state
  }

  set state(state: ConsumerState) {
    this.#state = state
    this.watchers.tell()
  }

  /** Where it subscribes to one shard. */
  slot(shardId: string): SubscriptionSlot {
    const slot = this.#slots.get(shardId) ?? new SubscriptionSlot()
    this.#slots.set(shardId, slot)
    return slot
  }

  description(): object {
    return {
      ConsumerName: this.name,
      ConsumerARN: this.arn,
      ConsumerStatus: this.#state.status,
      ConsumerCreationTimestamp: new Date(this.createdAt),
    }
  }
}
