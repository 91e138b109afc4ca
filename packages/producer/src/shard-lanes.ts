import { type HashKeyRange, inRange, rangesOverlap } from '@shardwise/core/hash-key'
import type { Shard, ShardMap } from '@shardwise/core/shard-map'
import type { Entry } from './entry.js'
import { isSameShard } from './shard-directory.js'

/** The way of one shard's entries from packing to settlement. */
export interface Lane {
  /** Undefined for the one lane of a stream whose service ignores keys. */
  readonly shardId: string | undefined
  /** Nothing leaves before this time: the last attempt failed. */
  notBefore: number
}

class LaneState implements Lane {
  readonly shard: Shard | undefined
  notBefore = Number.NEGATIVE_INFINITY
  /** Entries that go first: sent before, or older than anything queued. */
  again: Entry[] = []
  queue: Entry[] = []
  queueStart = 0
  /** Entries taken and not settled. */
  unsettled = 0
  /** Retired lanes that this one must not overtake. Those that have settled are dropped when next looked at. */
  readonly behind: LaneState[]

  constructor(shard: Shard | undefined, behind: LaneState[]) {
    this.shard = shard
    this.behind = behind
  }

  get shardId(): string | undefined {
    return this.shard?.shardId
  }

  overlaps(range: HashKeyRange): boolean {
    return this.shard !== undefined && rangesOverlap(this.shard.range, range)
  }

  get queued(): number {
    return this.again.length + this.queue.length - this.queueStart
  }

  drain(): Entry[] {
    const entries = [...this.again, ...this.queue.slice(this.queueStart)]
    this.again = []
    this.queue = []
    this.queueStart = 0
    return entries
  }
}

/**
 * One queue for each shard, and with `serial` the promise of order (decision 4): of one lane there is at most one entry between taking and
 * settlement, and so never two in one request. Why one: PutRecords keeps no order among its entries and each fails by itself.
 *
 * A reshard retires the lanes of shards that closed. What they still queue moves to the children's lanes; what they have in flight stays
 * theirs, and a child's lane does not start before every retired lane that overlaps it has settled. Otherwise: record 1 of a key is in
 * flight to the parent, record 2 goes to the child and is acknowledged, then record 1 turns out throttled and lands behind record 2.
 */
export class ShardLanes {
  readonly #serial: boolean
  readonly #lanes = new Map<string | undefined, LaneState>()
  /** Lanes with something queued, in order of service. */
  readonly #active = new Set<LaneState>()
  /** Lanes of shards that are no longer open, with something in flight. */
  readonly #retired = new Set<LaneState>()
  /** The lanes of entries that were taken and have not settled. */
  readonly #taken = new Map<Entry, LaneState>()
  #queued = 0

  constructor(options: { readonly serial: boolean }) {
    this.#serial = options.serial
  }

  get queuedEntries(): number {
    return this.#queued
  }

  queuedByShard(): Map<string, number> {
    const queued = new Map<string, number>()
    for (const lane of this.#active) if (lane.shardId !== undefined) queued.set(lane.shardId, lane.queued)
    return queued
  }

  /** Lanes with something queued, longest unserved first. Lanes may gain and lose entries while one walks through. */
  get active(): Iterable<Lane> {
    return this.#active
  }

  /** Behind all that is queued. */
  enqueue(entry: Entry): Lane {
    const lane = this.#lane(entry.shard)
    lane.queue.push(entry)
    this.#queued++
    this.#active.add(lane)
    return lane
  }

  /** In front of the queue, behind what came back before. Not before `notBefore`, and from then on without lingering: it has had its time. */
  requeue(entry: Entry, notBefore: number): Lane {
    const lane = this.#lane(entry.shard)
    entry.deadline = Math.min(entry.deadline, notBefore)
    lane.again.push(entry)
    lane.notBefore = Math.max(lane.notBefore, notBefore)
    this.#queued++
    this.#active.add(lane)
    return lane
  }

  head(lane: Lane): Entry | undefined {
    const state = lane as LaneState
    return state.again[0] ?? state.queue[state.queueStart]
  }

  /** From when on the head may leave: -Infinity for at once, Infinity while another entry must settle first. */
  opensAt(lane: Lane): number {
    if (!this.#serial) return lane.notBefore
    const { unsettled, behind } = lane as LaneState
    if (unsettled > 0) return Number.POSITIVE_INFINITY
    while (behind.length > 0 && behind.at(-1)!.unsettled === 0) behind.pop()
    return behind.length > 0 ? Number.POSITIVE_INFINITY : lane.notBefore
  }

  /** Whether something waits behind an entry that was taken. */
  isCrowded(lane: Lane): boolean {
    return (lane as LaneState).unsettled > 0 && (lane as LaneState).queued > 0
  }

  /** Removes the head. It is unsettled until `settled` or `putBack`. */
  take(lane: Lane): Entry {
    const entry = this.drop(lane)
    ;(lane as LaneState).unsettled++
    this.#taken.set(entry, lane as LaneState)
    return entry
  }

  /** Removes the head for good: it will not be sent. */
  drop(lane: Lane): Entry {
    const state = lane as LaneState
    let entry = state.again.shift()
    if (entry === undefined) {
      entry = state.queue[state.queueStart++]!
      if (state.queueStart > 1000 && state.queueStart * 2 > state.queue.length) {
        state.queue.splice(0, state.queueStart)
        state.queueStart = 0
      }
    }
    this.#queued--
    if (state.queued === 0) {
      state.queue.length = 0
      state.queueStart = 0
      this.#active.delete(state)
    }
    return entry
  }

  /** The lane had its turn: the others come first next time. */
  yieldTurn(lane: Lane): void {
    if (this.#active.delete(lane as LaneState)) this.#active.add(lane as LaneState)
  }

  /** A taken entry is over: delivered, failed, or about to be queued anew. */
  settled(entry: Entry): void {
    const lane = this.#giveBack(entry)
    if (lane.unsettled === 0) this.#retired.delete(lane)
  }

  /** Returns taken entries of any lanes, in the order they were taken, to the very front. They were not sent. */
  putBack(entries: readonly Entry[]): void {
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i]!
      const lane = this.#giveBack(entry)
      lane.again.unshift(entry)
      this.#queued++
      this.#active.add(lane)
    }
  }

  /** Everything queued may go now: a flush. */
  hurry(now: number): void {
    for (const { again, queue, queueStart } of this.#active) {
      for (const entry of again) entry.deadline = Math.min(entry.deadline, now)
      for (let i = queueStart; i < queue.length; i++) queue[i]!.deadline = Math.min(queue[i]!.deadline, now)
    }
  }

  /**
   * Retires the lanes that are none of the map's open shards (of none, when undefined), and returns what they had queued, lane by lane in
   * order, to be predicted again and enqueued. Nothing may be taken and unsent: put it back first.
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
      this.#active.delete(lane)
      for (const entry of entries) drained.push(entry)
      if (!retire) continue
      this.#lanes.delete(lane.shardId)
      if (lane.unsettled > 0) this.#retired.add(lane)
    }
    return drained
  }

  #giveBack(entry: Entry): LaneState {
    const lane = this.#taken.get(entry)!
    this.#taken.delete(entry)
    lane.unsettled--
    return lane
  }

  /** Lanes of one map do not overlap, so what a lane must wait for is known when it is made. */
  #lane(shard: Shard | undefined): LaneState {
    let lane = this.#lanes.get(shard?.shardId)
    if (lane === undefined) {
      const behind = shard === undefined ? [] : [...this.#retired].filter((retired) => retired.overlaps(shard.range))
      lane = new LaneState(shard, behind)
      this.#lanes.set(shard?.shardId, lane)
    }
    return lane
  }
}

/** A part of the hash space that takes no records until the caller resumes, and the failure that halted it. */
export interface Halt {
  readonly range: HashKeyRange
  readonly cause: Error
}

/** The halted parts of a stream whose order is kept. Ranges and not shards, so that a halt outlives a reshard. */
export class LaneHalts {
  #halts: Halt[] = []

  get any(): boolean {
    return this.#halts.length > 0
  }

  /** The first failure stays the one that is named. False if all of the range was halted already. */
  halt(range: HashKeyRange, cause: Error): boolean {
    if (this.#halts.some((halt) => range.start >= halt.range.start && range.end <= halt.range.end)) return false
    this.#halts.push({ range, cause })
    return true
  }

  causeFor(hashKey: bigint): Error | undefined {
    return this.#halts.find((halt) => inRange(hashKey, halt.range))?.cause
  }

  resume(): void {
    this.#halts = []
  }
}
