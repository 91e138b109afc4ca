import type { Random } from '@shardwise/core/random'

/** Of the shard's quota, gained each second after a throttle. */
const INCREASE_PER_SECOND = 0.03
/** Without a throttle for this long the shard has room: from then on the increase grows with the square of the time, by this a second. */
const CALM_SECONDS = 6
const ACCELERATION = 0.03
/** What a throttle takes away of the rate. */
const DECREASE = 0.2
/** Nothing is sent for half of this to all of it after a throttle. */
const PAUSE_MS = 200
/** Of the shard's quota: a producer that goes below it would not notice for long that the shard is free again. */
const FLOOR = 0.02
/** Seconds of the shard's quota that an entry uses up for it to be a large one. */
const LARGE_COST = 0.05

/**
 * How fast to send to one shard, as a multiple of its quota: additive increase, multiplicative decrease, so that producers that share a
 * shard and know nothing of each other come to equal rates whose sum is what the shard takes. It starts at the most, for most shards have
 * one busy producer or fewer, and comes down within seconds where there are more.
 *
 * **One decrease a round trip.** Entries that were sent before the last decrease say nothing about the rate since: their refusals are not
 * counted. A request in which a hundred entries are refused is one refusal.
 *
 * **The pause.** The service has been described as a tank that fills steadily (https://docs.aws.amazon.com/streams/latest/dev/large-records.html)
 * and as a limit for each second (https://repost.aws/knowledge-center/kinesis-data-stream-throttling). Where it counts by seconds, all that
 * is sent in the rest of the second is refused, and a rate that went down for each of these would collapse for one excess. Where it is a
 * tank, the pause lets it rise. So after a refusal nothing is sent for a while, of random length, so that producers do not come back together.
 *
 * **The acceleration.** Who else writes may stop. Refusals come every few seconds among producers that keep a shard full, so a longer
 * silence means room, and the rate goes up ever faster: from the floor to the full quota in some ten seconds.
 *
 * **Large entries** (aggregates of 50 KB: twenty fill a second) tell by their refusals twenty times less often than small ones, so each
 * has to count for more, and the rate must creep between them. Else a fixed share of all that is sent would have to be refused to be heard.
 *
 * The numbers are those that did well together, for tank and seconds, one to twenty producers, round trips of 10 to 250 ms, records of
 * any size. shared-shard.test.ts shows what they do (decision 7). Of what five producers at 3 times the quota send in 55 s, after the first
 * 5 s, 0.6 % is refused (small records) and 3 to 4 % (aggregates of 50 KB). Twice the increase refuses half as much again; a decrease of a
 * tenth refuses more, and one of three tenths leaves a shard that counts seconds a tenth idle.
 */
export class AdaptiveRate {
  readonly #most: number
  #factor: number
  #countedAt = Number.NEGATIVE_INFINITY
  #backedOffAt = Number.NEGATIVE_INFINITY
  #opensAt = Number.NEGATIVE_INFINITY
  /** 1 for small entries, 2 for large ones. */
  #weight = 1

  /** `most`: 1 for the shard's quota. */
  constructor(most: number) {
    this.#most = most
    this.#factor = most
  }

  /** Nothing is sent before. */
  get opensAt(): number {
    return this.#opensAt
  }

  /** The rate at this time. Time does not go back. */
  at(now: number): number {
    if (this.#factor < this.#most && now > this.#countedAt) {
      const [from, to] = [this.#calmAt(this.#countedAt), this.#calmAt(now)]
      const crept = (INCREASE_PER_SECOND / this.#weight ** 1.5) * ((now - this.#countedAt) / 1000)
      // The integral of the acceleration: however often it is asked, by stats() too, it comes to the same.
      const gained = crept + (ACCELERATION * (to ** 3 - from ** 3)) / 3
      this.#factor = Math.min(this.#most, this.#factor + gained)
    }
    this.#countedAt = now
    return this.#factor
  }

  /**
   * The shard refused, for its quota, an entry that was sent at `sentAt` and that costs `cost` seconds of the quota. True if that is news.
   */
  throttled(sentAt: number, now: number, cost: number, random: Random): boolean {
    if (sentAt < this.#opensAt || sentAt <= this.#backedOffAt) return false
    const before = this.at(now)
    this.#weight = 1 + Math.min(1, cost / LARGE_COST)
    this.#factor = Math.max(Math.min(FLOOR, this.#most), before * (1 - DECREASE * this.#weight))
    this.#backedOffAt = now
    this.#opensAt = now + Math.round(PAUSE_MS * this.#weight * (0.5 + random() / 2))
    return true
  }

  /** Seconds of acceleration by then. */
  #calmAt(time: number): number {
    return Math.max(0, (time - this.#backedOffAt) / 1000 - CALM_SECONDS * this.#weight)
  }
}
