import type { HashKeyRange } from '@shardwise/core/hash-key'
import type { Shard, ShardMap } from '@shardwise/core/shard-map'
import type { Entry } from './entry.js'
import { KeyOrder } from './key-order.js'
import { type Lane, LaneState } from './lane.js'
import { LaneTurns } from './lane-turns.js'
import type { Ordering } from './producer-options.js'
import { isSameShard } from './shard-directory.js'
import type { UserRecord } from './user-record.js'

/**
 * One queue for each shard, and the promise of order (decision 4): of one shard (`perShard`) or of one key (`perKey`) there is at most one
 * entry between taking and settlement, and so never two in one request. Why one: PutRecords keeps no order among its entries and each
 * fails by itself.
 *
 * A reshard retires the lanes of shards that closed. What they still queue moves to the children's lanes; what they have in flight stays
 * theirs. By shard, a child's lane does not start before every retired lane that overlaps it has settled. Otherwise: record 1 of a key is in
 * flight to the parent, record 2 goes to the child and is acknowledged, then record 1 turns out throttled and lands behind record 2. By
 * key, record 2 is behind record 1 in the order of its key, whatever lane it is in: `KeyOrder`. An entry that is behind another does not
 * stand in its lane's queue at all, so that a hot key's thousands are not looked at again and again.
 */
export class ShardLanes {
  readonly #ordering: Ordering
  readonly #order = new KeyOrder()
  readonly #lanes = new Map<string | undefined, LaneState>()
  readonly #turns = new LaneTurns()
  /** Lanes of shards that are no longer open, with something in flight. */
  readonly #retired = new Set<LaneState>()
  /** The lanes of entries that were taken and have not settled. */
  readonly #taken = new Map<Entry, LaneState>()
  #queued = 0

  constructor(options: { readonly ordering: Ordering }) {
    this.#ordering = options.ordering
  }

  get queuedEntries(): number {
    return this.#queued
  }

  /** Whether nothing is queued, in flight, or known of any key. */
  get isEmpty(): boolean {
    return (
      this.#queued === 0 && this.#turns.isEmpty && this.#taken.size === 0 && this.#retired.size === 0 && this.#order.keys === 0
    )
  }

  queuedByShard(): Map<string, number> {
    const queued = new Map<string, number>()
    for (const [shardId, lane] of this.#lanes) if (shardId !== undefined && lane.queued > 0) queued.set(shardId, lane.queued)
    return queued
  }

  /** Which lanes to look at. They are told of whatever happens to a lane here. */
  get turns(): LaneTurns {
    return this.#turns
  }

  /** Behind all that is queued. */
  enqueue(entry: Entry): Lane {
    const lane = this.#lane(entry.shard)
    if (this.#ordering !== 'perKey' || this.#order.add(entry)) lane.queue.push(entry)
    else lane.blocked.push(entry)
    this.#queued++
    this.#turns.wake(lane)
    return lane
  }

  /** A taken entry is to go again as it is, ahead of what is queued. Not before `notBefore`, and then without lingering: it has had its time. */
  requeue(entry: Entry, notBefore: number): void {
    entry.deadline = Math.min(entry.deadline, notBefore)
    this.#giveBack(entry)
    this.#toFront([entry], notBefore)
  }

  /**
   * A taken, dropped or blocked entry goes on in others, which hold its records in their order: in its place, and so ahead of what is
   * queued behind it. Not before `notBefore`.
   */
  replace(entry: Entry, successors: readonly Entry[], notBefore: number): void {
    this.#giveBack(entry)
    if (this.#ordering !== 'perKey') {
      this.#toFront(successors, notBefore)
      return
    }
    const freed = this.#order.replace(entry, successors)
    for (const successor of successors) {
      if (this.#order.isFree(successor)) this.#toFront([successor], notBefore)
      else {
        const lane = this.#lane(successor.shard)
        lane.blocked.insert(successor, entry)
        this.#queued++
        this.#turns.wake(lane)
      }
    }
    this.#unblock(entry)
    for (const other of freed) this.#free(other)
  }

  head(lane: Lane): Entry | undefined {
    return (lane as LaneState).head
  }

  /** The oldest of those that must not leave for what is ahead of them: their time may be over all the same. */
  firstBlocked(lane: Lane): Entry | undefined {
    return (lane as LaneState).blocked.first
  }

  /** From when on the head may leave: -Infinity for at once, Infinity while another entry must settle first. */
  opensAt(lane: Lane): number {
    if (this.#ordering !== 'perShard') return lane.notBefore
    const { unsettled, behind } = lane as LaneState
    if (unsettled > 0) return Number.POSITIVE_INFINITY
    while (behind.length > 0 && behind.at(-1)!.unsettled === 0) behind.pop()
    return behind.length > 0 ? Number.POSITIVE_INFINITY : lane.notBefore
  }

  /** By shard: whether something waits behind an entry that was taken. */
  isCrowded(lane: Lane): boolean {
    return this.#ordering === 'perShard' && (lane as LaneState).unsettled > 0 && (lane as LaneState).queued > 0
  }

  /** By key: whether something waits behind the entry. */
  isAwaited(entry: Entry): boolean {
    return this.#order.isAwaited(entry)
  }

  /** By key: whether the entry waits right behind such a one. */
  isBehind(entry: Entry, such: (ahead: Entry) => boolean): boolean {
    return this.#order.isBehind(entry, such)
  }

  /** Those of the blocked entries behind this one that hold keys of these records of it. They stay where they are: replace each. */
  behind(entry: Entry, records: readonly UserRecord[]): Entry[] {
    return [...this.#order.behind(entry, records)].filter((other) => this.#lanes.get(other.shardId)?.blocked.has(other) === true)
  }

  /** Removes the head. It is unsettled until `settled`, `requeue`, `replace` or `putBack`. */
  take(lane: Lane): Entry {
    const entry = this.drop(lane)
    ;(lane as LaneState).unsettled++
    this.#taken.set(entry, lane as LaneState)
    return entry
  }

  /** Removes the head for good: it will not be sent. It keeps its place in the order until `settled` or `replace`. */
  drop(lane: Lane): Entry {
    const entry = (lane as LaneState).shift()
    this.#queued--
    if ((lane as LaneState).queued === 0) this.#turns.remove(lane as LaneState)
    return entry
  }

  /** The same with the first that is blocked. */
  dropBlocked(lane: Lane): Entry {
    const entry = (lane as LaneState).blocked.first!
    this.#unblock(entry)
    return entry
  }

  /** A taken or dropped entry is over: delivered or failed, or its records wait for a map. */
  settled(entry: Entry): void {
    this.#giveBack(entry)
    if (this.#ordering === 'perKey') for (const other of this.#order.remove(entry)) this.#free(other)
  }

  /** Returns taken entries of any lanes, given in the order they were taken, to where they were. They were not sent. */
  putBack(entries: readonly Entry[]): void {
    for (const entry of this.#ordering === 'perShard' ? entries.toReversed() : entries) {
      const lane = this.#taken.get(entry)!
      this.#giveBack(entry)
      lane.comeBack(entry)
      this.#queued++
      this.#turns.wake(lane)
    }
  }

  /** Everything queued may go now: a flush. */
  hurry(now: number): void {
    for (const lane of this.#lanes.values()) for (const entry of lane.entries()) entry.deadline = Math.min(entry.deadline, now)
  }

  /**
   * Retires the lanes that are none of the map's open shards (of none, when undefined), and returns what they had queued, lane by lane, to be
   * predicted again in the order of putting, and enqueued. Nothing may be taken and unsent: put it back first.
   */
  changeMap(map: ShardMap | undefined): Entry[] {
    const open = new Map(map?.open.map((shard) => [shard.shardId, shard]))
    return this.#drain(({ shard }) => {
      if (map === undefined || shard === undefined) return map === undefined ? shard !== undefined : true
      const known = open.get(shard.shardId)
      return known === undefined || !isSameShard(shard, known)
    }, true)
  }

  /** Removes and returns what is queued for the range. What is in flight stays. */
  clear(range: HashKeyRange): Entry[] {
    return this.#drain((lane) => lane.overlaps(range), false)
  }

  /** Removes and returns everything queued. */
  clearAll(): Entry[] {
    return this.#drain(() => true, false)
  }

  #drain(which: (lane: LaneState) => boolean, retire: boolean): Entry[] {
    const drained: Entry[] = []
    for (const lane of [...this.#lanes.values()]) {
      if (!which(lane)) continue
      const entries = lane.drain()
      this.#queued -= entries.length
      this.#turns.remove(lane)
      for (const entry of entries) drained.push(entry)
      if (!retire) continue
      this.#lanes.delete(lane.shardId)
      if (lane.unsettled > 0) this.#retired.add(lane)
    }
    if (this.#ordering === 'perKey') {
      const freed = drained.flatMap((entry) => this.#order.remove(entry))
      for (const entry of freed) this.#free(entry)
    }
    return drained
  }

  /** It was taken: not any more. */
  #giveBack(entry: Entry): void {
    const lane = this.#taken.get(entry)
    if (lane === undefined) return
    this.#taken.delete(entry)
    lane.unsettled--
    if (lane.unsettled > 0) return
    if (this.#ordering === 'perShard') this.#turns.wake(lane)
    if (!this.#retired.delete(lane)) return
    for (const follower of lane.followers) this.#turns.wake(follower)
  }

  /** Ahead of what is queued. Where a lane's order matters, ahead of what came back before, too: that was behind. */
  #toFront(entries: readonly Entry[], notBefore: number): void {
    for (const entry of this.#ordering === 'perShard' ? entries.toReversed() : entries) {
      const lane = this.#lane(entry.shard)
      lane.comeBack(entry)
      lane.notBefore = Math.max(lane.notBefore, notBefore)
      this.#queued++
      this.#turns.wake(lane)
    }
  }

  /** Nothing is ahead of it any more. It has waited long enough to go before what came later. One that was dropped stays so. */
  #free(entry: Entry): void {
    if (this.#unblock(entry)) this.#toFront([entry], Number.NEGATIVE_INFINITY)
  }

  #unblock(entry: Entry): boolean {
    const lane = this.#lanes.get(entry.shardId)
    if (lane?.blocked.delete(entry) !== true) return false
    this.#queued--
    if (lane.queued === 0) this.#turns.remove(lane)
    return true
  }

  /** Lanes of one map do not overlap, so what a lane must wait for is known when it is made. */
  #lane(shard: Shard | undefined): LaneState {
    let lane = this.#lanes.get(shard?.shardId)
    if (lane === undefined) {
      const behind = shard === undefined ? [] : [...this.#retired].filter((retired) => retired.overlaps(shard.range))
      lane = new LaneState(shard, behind, this.#ordering === 'perShard')
      this.#lanes.set(shard?.shardId, lane)
    }
    return lane
  }
}
