import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '@shardwise/core/random'

const PUTS_A_READING = 64

/**
 * Load that does not wait for what it loads: when each record is to be put is drawn beforehand, at random and independently (exponential
 * gaps), so that arrivals keep no step with anybody's timers. Where the putting falls behind, the times stay as they were: a latency
 * counted from them leaves out no wait (no coordinated omission).
 */
export class OpenLoop {
  /** When each record is to be put, in milliseconds from the start, ascending. */
  readonly dueMs: Float64Array
  /** To which shard, from 0. */
  readonly shard: Uint16Array

  private constructor(dueMs: Float64Array, shard: Uint16Array) {
    this.dueMs = dueMs
    this.shard = shard
  }

  /** `perSecond`: records to each of so many shards. */
  static draw(shards: number, perSecond: number, lastsMs: number, random: Random): OpenLoop {
    const meanGapMs = 1000 / (perSecond * shards)
    const due: number[] = []
    for (let at = 0; ; ) {
      at -= meanGapMs * Math.log(1 - random())
      if (at >= lastsMs) break
      due.push(at)
    }
    return new OpenLoop(
      Float64Array.from(due),
      Uint16Array.from(due, () => random() * shards),
    )
  }

  get length(): number {
    return this.dueMs.length
  }

  /**
   * Puts each record at its time, or as soon after it as this process comes to it, and what `put` returns has resolved. `startedAt` and
   * `performance.now` go by one clock, which is read once for up to 64 puts that are due: `now`, by which a put after one
   * that has sent something seems so much less late. Due times do not depend on it.
   */
  async run(startedAt: number, put: (index: number, now: number) => void | Promise<void>): Promise<void> {
    for (let i = 0; i < this.length; ) {
      const now = performance.now()
      const waitMs = startedAt + this.dueMs[i]! - now
      if (waitMs > 0) await delay(waitMs)
      let held: Promise<void> | undefined
      for (let puts = 0; puts < PUTS_A_READING && i < this.length && held === undefined; puts++) {
        if (startedAt + this.dueMs[i]! > now) break
        held = put(i++, now) as Promise<void> | undefined
      }
      if (held !== undefined) await held
    }
  }
}
