import type { SubscribeToShardEvent } from '@shardwise/core/fan-out-port'
import { MAX_GET_RECORDS, SUBSCRIPTION_LIFETIME_MS } from '@shardwise/core/service-limits'
import type { Account } from './account.js'
import { inUse, type KinesisModelError, notFound } from './kinesis-error.js'
import type { Shard } from './shard.js'
import { childShards, millisBehindLatest, readRecords, wireRecord } from './shard-reading.js'
import { noSuchShard } from './starting-position.js'
import type { Stream } from './stream.js'
import type { StreamConsumer } from './stream-consumer.js'
import { noSuchStream } from './stream-lifecycle.js'
import type { SubscriptionSlot } from './subscription-slot.js'

/** A subscriber that has nothing to be told hears that at this interval. The service does the same; it does not document how often. */
export const QUIET_EVENT_INTERVAL_MS = 5000

/** Data and partition keys in one event, unless a single record has more. Half of what a second allows, so that it flows evenly. */
const MAX_EVENT_BYTES = 1024 * 1024

/** What a subscription has to say. After `ended` and `failed` it says nothing else. */
export type SubscriptionStep =
  | { readonly kind: 'event'; readonly event: SubscribeToShardEvent }
  /** Nothing before this time (monotonic milliseconds), unless the subscription wakes its listener. */
  | { readonly kind: 'wait'; readonly until: number }
  | { readonly kind: 'ended' }
  | { readonly kind: 'failed'; readonly error: KinesisModelError }

type Outcome = Extract<SubscriptionStep, { readonly kind: 'ended' | 'failed' }>

/**
 * One consumer's subscription to one shard, as a plain object without timer or promise: it is asked for its next step, by whoever sends the
 * events on, at the time of the model's clock. Who does not ask is sent nothing, and nothing is kept for them.
 */
export class ShardSubscription {
  readonly #account: Account
  readonly #stream: Stream
  readonly #consumer: StreamConsumer
  readonly #slot: SubscriptionSlot
  readonly #shardId: string
  readonly #endsAt: number
  readonly #unwatch: readonly (() => void)[]
  #position: number
  #quietEventAt: number
  #takenOver = false
  #outcome: Outcome | undefined
  #listener: (() => void) | undefined

  constructor(account: Account, at: { stream: Stream; consumer: StreamConsumer; shard: Shard; position: number }) {
    this.#account = account
    this.#stream = at.stream
    this.#consumer = at.consumer
    this.#slot = at.consumer.slot(at.shard.shardId)
    this.#shardId = at.shard.shardId
    this.#position = at.position
    this.#endsAt = account.now + SUBSCRIPTION_LIFETIME_MS
    this.#quietEventAt = account.now + QUIET_EVENT_INTERVAL_MS
    const changed = (): void => account.changed(this)
    this.#unwatch = [at.stream, at.consumer, at.shard].map(({ watchers }) => watchers.add(changed))
    this.#slot.take(this, account.now)
  }

  next(): SubscriptionStep {
    this.#account.arrive()
    const step = this.#next()
    this.#account.wake()
    return step
  }

  /**
   * The one who is told, after the call that brought it about, that `next` may have something to say before the time it gave. They may ask at
   * once.
   */
  onWake(listener: (() => void) | undefined): void {
    this.#listener = listener
  }

  /** The subscriber is gone. May be called at any time and more than once. */
  close(): void {
    this.#over({ kind: 'ended' })
    this.#listener = undefined
  }

  /** For the account: something has changed. */
  wake(): void {
    this.#listener?.()
  }

  /** For the slot: somebody else has subscribed. */
  takenOver(): void {
    this.#takenOver = true
    this.#account.changed(this)
  }

  #next(): SubscriptionStep {
    if (this.#outcome !== undefined) return this.#outcome
    const { now, wallTime } = this.#account
    const error = this.#lost()
    if (error !== undefined) return this.#over({ kind: 'failed', error })
    if (now >= this.#endsAt) return this.#over({ kind: 'ended' })
    const shard = this.#stream.shard(this.#shardId, wallTime)
    if (shard === undefined) {
      return this.#over({ kind: 'failed', error: noSuchShard(this.#account, this.#stream.name, this.#shardId) })
    }
    this.#position = Math.max(this.#position, shard.firstPosition)
    const freeAt = this.#stream.quotas ? this.#slot.pushQuota.freeAt(now) : now
    return freeAt > now ? this.#wait(freeAt) : this.#read(shard)
  }

  #read(shard: Shard): SubscriptionStep {
    const { now, wallTime } = this.#account
    const { records, bytes } = readRecords(shard, this.#position, { records: MAX_GET_RECORDS, bytes: MAX_EVENT_BYTES })
    const last = records.at(-1)
    this.#position += records.length
    const event = { Records: records.map(wireRecord), MillisBehindLatest: millisBehindLatest(shard, this.#position, wallTime) }
    if (last !== undefined) {
      if (this.#stream.quotas) this.#slot.pushQuota.charge(bytes)
      this.#quietEventAt = now + QUIET_EVENT_INTERVAL_MS
      return { kind: 'event', event: { ...event, ContinuationSequenceNumber: last.sequenceNumber } }
    }
    if (!shard.isOpen) {
      this.#over({ kind: 'ended' })
      return { kind: 'event', event: { ...event, ChildShards: childShards(this.#stream, shard, wallTime) } }
    }
    if (now < this.#quietEventAt) return this.#wait(this.#quietEventAt)
    this.#quietEventAt = now + QUIET_EVENT_INTERVAL_MS
    return { kind: 'event', event: { ...event, ContinuationSequenceNumber: shard.numberBefore(this.#position, wallTime) } }
  }

  #wait(until: number): SubscriptionStep {
    return { kind: 'wait', until: Math.min(until, this.#endsAt, this.#stream.nextChangeAt) }
  }

  /** Why it can not go on, if it can not. */
  #lost(): KinesisModelError | undefined {
    const { streams, accountId } = this.#account
    if (streams.get(this.#stream.name) !== this.#stream) return noSuchStream(this.#stream.name, accountId)
    if (this.#consumer.state.status !== 'ACTIVE') return notFound(`Consumer ${this.#consumer.arn} not found.`)
    if (this.#takenOver)
      return inUse(`Another active subscription exists for this consumer: ${this.#consumer.arn}:${this.#shardId}`)
    return undefined
  }

  #over(outcome: Outcome): Outcome {
    this.#outcome ??= outcome
    for (const unwatch of this.#unwatch) unwatch()
    this.#slot.leave(this)
    return this.#outcome
  }
}
