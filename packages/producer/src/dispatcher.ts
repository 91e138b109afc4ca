import type { HashKeyRange } from '@shardwise/core/hash-key'
import type { ShardMap } from '@shardwise/core/shard-map'
import type { Entry } from './entry.js'
import type { Lane, LaneState } from './lane.js'
import type { Hold, Meter } from './meter.js'
import type { Ordering } from './producer-options.js'
import { RateLimits, type RateOptions } from './rate-limits.js'
import { BATCH_LIMITS, type BatchLimits, RequestBatcher } from './request-batcher.js'
import type { ShardsNow } from './shard-heat.js'
import { ShardLanes } from './shard-lanes.js'
import type { UserRecord } from './user-record.js'
import type { WaitedFor } from './waited-for.js'

export interface DispatcherOptions extends RateOptions {
  readonly ordering: Ordering
  readonly meter: Meter
  readonly request?: Partial<Pick<BatchLimits, 'maxRecords' | 'targetBytes'>>
}

/** Part of the pipeline: the way of entries from their lanes through the limits into requests. */
export class Dispatcher implements ShardsNow {
  readonly #ordering: Ordering
  readonly #lanes: ShardLanes
  readonly #meter: Meter
  readonly #limits: RateLimits
  readonly #batcher: RequestBatcher
  #expired: Entry[] = []
  /** Lanes in which something expired that must be dealt with before the rest. */
  readonly #stopped: LaneState[] = []
  /** Those that wait for a write limit now. Each is asked for again at every occasion, and counts once. */
  readonly #kept = new WeakSet<Entry>()
  #limited = 0
  readonly #isPicked = (entry: Entry): boolean => this.#batcher.has(entry)

  constructor(options: DispatcherOptions) {
    this.#meter = options.meter
    this.#ordering = options.ordering
    this.#lanes = new ShardLanes(options)
    this.#limits = new RateLimits(options)
    this.#batcher = new RequestBatcher({ ...BATCH_LIMITS, ...options.request })
  }

  get queued(): number {
    return this.#lanes.queuedEntries + this.#batcher.count
  }

  /** Whether something waits in a lane: for a limit, for order, before a retry, or for room in a request. */
  get isHeldBack(): boolean {
    return this.#lanes.queuedEntries > 0
  }

  queuedByShard(): ReadonlyMap<string, number> {
    return this.#lanes.queuedByShard()
  }

  allowance(shardId: string, now: number): number {
    return this.#limits.allowance(shardId, now)
  }

  /** Times that an entry had to wait for a write limit, its shard's or the stream's. */
  get limited(): number {
    return this.#limited
  }

  /** When something that was passed over may go, or expires. What waits for room in a request is looked at when that has left. */
  get wakeAt(): number {
    const { turns } = this.#lanes
    const isFull = this.#batcher.dueAt === Number.NEGATIVE_INFINITY
    const lineMovesAt = turns.firstInLine === undefined || isFull ? Number.POSITIVE_INFINITY : this.#limits.streamOpensAt
    return Math.min(lineMovesAt, turns.wakeAt, this.#batcher.expiresAt)
  }

  /** When a request must go. */
  get dueAt(): number {
    return this.#batcher.dueAt
  }

  /** Queues a new entry; `release` lets it go. */
  enqueue(entry: Entry): Lane {
    const lane = this.#lanes.enqueue(entry)
    if (this.#ordering === 'perKey' && this.#batcher.count > 0 && this.#lanes.isBehind(entry, this.#isPicked))
      this.#batcher.hurry()
    return lane
  }

  /** An entry that was in flight goes again as it is, ahead of the new ones. */
  requeue(entry: Entry, notBefore: number): void {
    this.#lanes.requeue(entry, notBefore)
  }

  /** An entry that is not in a lane's queue goes on in others that hold its records, in its place. */
  replace(entry: Entry, successors: readonly Entry[], notBefore: number): void {
    this.#lanes.replace(entry, successors, notBefore)
  }

  /** By key: the queued entries behind this one that hold keys of these records of it. They stay where they are: replace each. */
  behind(entry: Entry, records: readonly UserRecord[]): Entry[] {
    return this.#lanes.behind(entry, records)
  }

  settled(entry: Entry): void {
    this.#lanes.settled(entry)
  }

  /**
   * The service refused the entry for the quota of its shard, in an answer to what was sent at `sentAt`: less is sent there from now on.
   * Returns from when on the shard may be sent to again.
   */
  throttled(entry: Entry, sentAt: number, now: number): number {
    return this.#limits.throttled(entry, sentAt, now)
  }

  /** The service took the entry, in an answer to what was sent at `sentAt`. */
  accepted(entry: Entry, sentAt: number): void {
    this.#limits.accepted(entry, sentAt)
  }

  /** What these entries took of the limits is there again: they have used up nothing. */
  giveBack(entries: readonly Entry[]): void {
    this.#limits.giveBack(entries)
  }

  /** Moves what may leave the lane into the next request. Others that wait in line for the same come first. */
  release(lane: Lane, now: number): void {
    this.#visit(lane as LaneState, now, false)
    this.#wakeStopped()
  }

  /** The same with each lane that has something new or whose time has come. */
  releaseAll(now: number): void {
    // A request that is due may wait long for its turn, and what expires meanwhile must not be sent: decided in the lanes, as ever.
    if (this.#batcher.expiresAt <= now) this.#putBack()
    this.#lanes.turns.wakeDue(now)
    this.#visitDue(now)
    this.#wakeStopped()
  }

  #visitDue(now: number): void {
    const { turns } = this.#lanes
    let isFull = false
    for (let lane = turns.firstInLine; lane !== undefined && !isFull; lane = turns.firstInLine) {
      if (this.#limits.streamOpensAt > now) break
      isFull = this.#visit(lane, now, true)
      if (isFull) turns.yieldTurn(lane)
    }
    for (let lane = turns.firstReady; lane !== undefined && !isFull; lane = turns.firstReady) {
      isFull = this.#visit(lane, now, false)
      if (isFull) turns.yieldTurn(lane)
    }
  }

  /** `isItsTurn`: it is the first in line. True when the next request takes no more. */
  #visit(lane: LaneState, now: number, isItsTurn: boolean): boolean {
    const { turns } = this.#lanes
    if (this.#ordering === 'perKey') this.#expireBlocked(lane, now)
    let released = false
    for (let entry = this.#lanes.head(lane); ; entry = this.#lanes.head(lane)) {
      if (entry === undefined) {
        // By key, all that it has waits for others. Else it has nothing, and the turns know.
        if (lane.queued > 0) turns.sleep(lane, this.#expiresAt(lane))
        break
      }
      if (entry.expiresAt <= now) {
        this.#expire(this.#lanes.drop(lane), lane.heldBy, now)
        // Where order is kept, what is behind stays until this one has been dealt with: its failure halts the lane, and whatever had been
        // let past it by then would be written behind a gap. By key, what is behind it is not in the queue.
        if (this.#ordering !== 'perShard') continue
        turns.remove(lane)
        this.#stopped.push(lane)
        return false
      }
      const opensAt = this.#lanes.opensAt(lane)
      if (opensAt > now) {
        turns.sleep(lane, Math.min(opensAt, this.#expiresAt(lane)))
        this.#hold(lane, entry, opensAt === Number.POSITIVE_INFINITY ? 'order' : 'retry', now)
        break
      }
      if (!this.#batcher.accepts(entry)) {
        lane.heldBy = 'requests'
        turns.stayReady(lane, this.#expiresAt(lane))
        return true
      }
      const isBehind = !isItsTurn && turns.firstInLine !== undefined
      const wait = isBehind ? 1 : this.#limits.take(lane.shardId, entry.bytes, now)
      if (wait > 0) {
        if (!this.#kept.has(entry)) {
          this.#kept.add(entry)
          this.#limited++
        }
        const inLine = isBehind || now < this.#limits.streamOpensAt
        this.#hold(lane, entry, inLine ? 'stream-limit' : 'limit', now)
        if (inLine) {
          turns.standInLine(lane, this.#expiresAt(lane))
          // What the stream's rate let through was this lane's turn.
          if (released) turns.yieldTurn(lane)
        } else turns.sleep(lane, Math.min(now + wait, this.#expiresAt(lane)))
        break
      }
      this.#kept.delete(entry)
      lane.heldBy = undefined
      this.#meter.release(entry, now)
      this.#batcher.add(this.#lanes.take(lane))
      if (this.#ordering === 'perKey' && this.#lanes.isAwaited(entry)) this.#batcher.hurry()
      released = true
    }
    // Lingering fills requests; of a lane, or a key, that lets one entry out at a time it would only hold up what waits behind.
    if (this.#lanes.isCrowded(lane)) this.#batcher.hurry()
    return false
  }

  #wakeStopped(): void {
    for (const lane of this.#stopped) this.#lanes.turns.wake(lane)
    this.#stopped.length = 0
  }

  /** What expires in the lane does not wait for its turn to do so. */
  #expiresAt(lane: LaneState): number {
    const head = this.#lanes.head(lane)?.expiresAt ?? Number.POSITIVE_INFINITY
    return Math.min(head, this.#lanes.firstBlocked(lane)?.expiresAt ?? Number.POSITIVE_INFINITY)
  }

  /** The entries of a request that is due, or undefined. They are in flight from here on. */
  takeDue(now: number): Entry[] | undefined {
    return this.#batcher.dueAt <= now ? this.#batcher.take() : undefined
  }

  /** Whether a lane was stopped for `takeExpired`. */
  get hasExpired(): boolean {
    return this.#expired.length > 0
  }

  /** Entries that a member's time to live overtook on the way. They are out of their lanes. */
  takeExpired(): Entry[] {
    const expired = this.#expired
    if (expired.length > 0) this.#expired = []
    return expired
  }

  /** What is queued goes without lingering. */
  hurry(now: number): void {
    this.#lanes.hurry(now)
    this.#batcher.hurry()
  }

  /**
   * Removes and returns, in order, what waits for shards that are not open in the map: those of no map, when undefined, since the service
   * places records itself on its `openShards` shards.
   */
  changeMap(map: ShardMap | undefined, openShards: number = map?.open.length ?? 1): Entry[] {
    this.#putBack()
    this.#limits.keepOnly(map && new Set(map.open.map((shard) => shard.shardId)), openShards)
    return this.#lanes.changeMap(map)
  }

  /** Removes and returns what waits for the range, except what has been picked for the next request. */
  clear(range: HashKeyRange): Entry[] {
    return this.#lanes.clear(range)
  }

  /** Removes and returns all that is not in flight. */
  clearAll(): Entry[] {
    this.#putBack()
    return this.#lanes.clearAll()
  }

  /** What was picked for the next request goes back to its lanes. */
  #putBack(): void {
    const entries = this.#batcher.take()
    this.#lanes.putBack(entries)
    this.giveBack(entries)
  }

  #expireBlocked(lane: LaneState, now: number): void {
    let first = this.#lanes.firstBlocked(lane)
    for (; first !== undefined && first.expiresAt <= now; first = this.#lanes.firstBlocked(lane)) {
      this.#expire(this.#lanes.dropBlocked(lane), 'order', now)
    }
  }

  #hold(lane: Lane, entry: Entry, by: Hold, now: number): void {
    // No record's time ends with the wait before a retry: that comes before.
    if (by !== 'retry') lane.heldBy = by
    this.#meter.hold(entry, by, now)
  }

  /** A lane that nothing is known to hold back waits for its turn in a request. */
  #expire(entry: Entry, waitedFor: WaitedFor | undefined, now: number): void {
    this.#meter.release(entry, now)
    entry.waitedFor = waitedFor ?? 'requests'
    this.#expired.push(entry)
  }
}
