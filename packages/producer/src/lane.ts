import { type HashKeyRange, rangesOverlap } from '@shardwise/core/hash-key'
import type { Shard } from '@shardwise/core/shard-map'
import type { Chained } from './chain.js'
import type { Entry } from './entry.js'
import { LinkedSet } from './linked-set.js'
import type { WaitedFor } from './waited-for.js'
import type { Sleeper } from './wake-queue.js'

/** The way of one shard's entries from packing to settlement. */
export interface Lane {
  /** Undefined for the one lane of a stream whose service ignores keys. */
  readonly shardId: string | undefined
  /** Nothing leaves before this time: the last attempt failed. */
  notBefore: number
  /** What its head waited for when it was last asked. */
  heldBy: WaitedFor | undefined
}

/** What `ShardLanes` keeps of a lane. */
export class LaneState implements Lane, Chained<LaneState>, Sleeper {
  readonly shard: Shard | undefined
  // Its places in `LaneTurns`.
  before: LaneState | undefined = undefined
  after: LaneState | undefined = undefined
  isChained = false
  wakeAt: number = Number.POSITIVE_INFINITY
  wakeIndex = -1
  notBefore: number = Number.NEGATIVE_INFINITY
  heldBy: WaitedFor | undefined = undefined
  /** What leaves it keeps the order of the shard. Otherwise what expires first goes first, so that nothing outlives its time behind another. */
  readonly #keepsOrder: boolean
  /** Entries that go first: sent before, or older than what is queued. Where no order is kept, in that of expiry. */
  readonly #again: Entry[] = []
  /** From `queueStart` on. What is before it was taken, and is no longer held here. */
  queue: (Entry | undefined)[] = []
  queueStart = 0
  /** With order kept by key: entries behind others that hold their keys. In the order of expiry, as near as makes no difference. */
  readonly blocked: LinkedSet<Entry> = new LinkedSet()
  /** Entries taken and not settled. */
  unsettled = 0
  /** Retired lanes that this one must not overtake. Those that have settled are dropped when next looked at. */
  readonly behind: LaneState[]
  /** The other way round: those that wait for this one since it is retired. */
  readonly followers: LaneState[] = []

  constructor(shard: Shard | undefined, behind: LaneState[], keepsOrder: boolean) {
    this.shard = shard
    this.#keepsOrder = keepsOrder
    this.behind = behind
    for (const retired of behind) retired.followers.push(this)
  }

  get shardId(): string | undefined {
    return this.shard?.shardId
  }

  overlaps(range: HashKeyRange): boolean {
    return this.shard !== undefined && rangesOverlap(this.shard.range, range)
  }

  get queued(): number {
    return this.#again.length + this.queue.length - this.queueStart + this.blocked.size
  }

  get head(): Entry | undefined {
    return this.#isAgainNext() ? this.#again[0] : this.queue[this.queueStart]
  }

  /** An entry that goes before what is queued: before what came back earlier, too, where order is kept. */
  comeBack(entry: Entry): void {
    if (this.#keepsOrder) {
      this.#again.unshift(entry)
      return
    }
    // By halves: in an outage thousands come back, and where the service places records itself all to this lane.
    let [at, end] = [0, this.#again.length]
    while (at < end) {
      const middle = (at + end) >> 1
      if (this.#again[middle]!.expiresAt > entry.expiresAt) end = middle
      else at = middle + 1
    }
    this.#again.splice(at, 0, entry)
  }

  /** Removes the head. */
  shift(): Entry {
    if (this.#isAgainNext()) return this.#again.shift()!
    const entry = this.queue[this.queueStart]!
    // It may be settled long before the queue is emptied or cut: with all its records it would stay in memory.
    this.queue[this.queueStart++] = undefined
    if (this.queueStart === this.queue.length) {
      this.queue.length = 0
      this.queueStart = 0
    } else if (this.queueStart > 1000 && this.queueStart * 2 > this.queue.length) {
      this.queue.splice(0, this.queueStart)
      this.queueStart = 0
    }
    return entry
  }

  drain(): Entry[] {
    const entries = [...this.entries()]
    this.#again.length = 0
    this.queue = []
    this.queueStart = 0
    for (const entry of this.blocked) this.blocked.delete(entry)
    return entries
  }

  *entries(): Iterable<Entry> {
    yield* this.#again
    for (let i = this.queueStart; i < this.queue.length; i++) yield this.queue[i]!
    yield* this.blocked
  }

  #isAgainNext(): boolean {
    const again = this.#again[0]
    if (again === undefined || this.#keepsOrder) return again !== undefined
    const queued = this.queue[this.queueStart]
    return queued === undefined || again.expiresAt <= queued.expiresAt
  }
}
