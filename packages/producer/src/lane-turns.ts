import { Chain } from './chain.js'
import type { LaneState } from './lane.js'
import { LinkedSet } from './linked-set.js'
import { WakeQueue } from './wake-queue.js'

/**
 * Which lanes are worth looking at. A stream may have ten thousand shards, and most of those that have something queued wait for a time
 * that they know, or for something that happens to them. Measured: to ask each of 10,000 in every turn took 24 ms, and there was a turn each millisecond.
 *
 * A lane with something queued is **ready** (its time has come, or something about it has changed), or it **sleeps**, or it stands **in line**
 * for the rate of the stream, which is for one after the other. One in line sleeps as well, until its head expires.
 */
export class LaneTurns {
  readonly #ready = new Chain<LaneState>()
  readonly #line = new LinkedSet<LaneState>()
  readonly #asleep = new WakeQueue<LaneState>()

  /** Longest ready first. */
  get firstReady(): LaneState | undefined {
    return this.#ready.first
  }

  get firstInLine(): LaneState | undefined {
    return this.#line.first
  }

  get isEmpty(): boolean {
    return this.#ready.size === 0 && this.#line.size === 0 && this.#asleep.first === undefined
  }

  /** When the next one's time comes, Infinity for none. */
  get wakeAt(): number {
    return this.#asleep.first?.wakeAt ?? Number.POSITIVE_INFINITY
  }

  /** It may do what it could not before. */
  wake(lane: LaneState): void {
    if (lane.queued === 0) return
    this.#asleep.delete(lane)
    this.#ready.push(lane)
  }

  wakeDue(now: number): void {
    for (let lane = this.#asleep.first; lane !== undefined && lane.wakeAt <= now; lane = this.#asleep.first) this.wake(lane)
  }

  /** Nothing happens to it before this time, unless it is woken. */
  sleep(lane: LaneState, until: number): void {
    this.#ready.delete(lane)
    this.#line.delete(lane)
    this.#asleep.set(lane, until)
  }

  /** It could go, but for the rate of the stream: behind those that wait for the same. */
  standInLine(lane: LaneState, until: number): void {
    this.#ready.delete(lane)
    this.#line.push(lane)
    this.#asleep.set(lane, until)
  }

  /** It could go, but the next request takes no more. */
  stayReady(lane: LaneState, until: number): void {
    this.#ready.push(lane)
    this.#asleep.set(lane, until)
  }

  /** The lane had its turn: the others come first next time. */
  yieldTurn(lane: LaneState): void {
    if (lane.isChained) {
      this.#ready.delete(lane)
      this.#ready.push(lane)
    }
    if (this.#line.delete(lane)) this.#line.push(lane)
  }

  /** Nothing is queued any more. */
  remove(lane: LaneState): void {
    this.#ready.delete(lane)
    this.#asleep.delete(lane)
    this.#line.delete(lane)
  }
}
