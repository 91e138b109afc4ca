import type { Random } from '@shardwise/core/random'

/** For small entries and for large ones; what is between them has what is between. */
type BySize = readonly [small: number, large: number]

/** Seconds of the shard's quota that an entry uses up for it to be a large one. */
const LARGE_COST = 0.05
/** Of the shard's quota, gained each second. */
const INCREASE_PER_SECOND: BySize = [0.022, 0.0056]
/** What a refusal takes away of the rate. */
const SMALL_DECREASE = 0.15
/** With large entries in proportion to the rate, from a fifth of it to a third. */
const LARGE_DECREASE = { slope: 1.25, least: 0.2, most: 0.35 }
/** The first for a minute: a shard of one's own may be one of five from now on, and what is refused until then is lost. */
const FIRST_DECREASE = 0.6
const FIRST_AFTER_MS = 60_000
/** Nothing is sent for half of this to all of it after a decrease. */
const PAUSE_MS: BySize = [200, 400]
/** Without a refusal for this long the shard has room: from then on the increase grows with the square of the time, by this a second. */
const CALM_SECONDS: BySize = [6, 20]
const ACCELERATION = 0.03
/** Of the shard's quota: a producer that goes below it would not notice for long that the shard is free again. */
const FLOOR = 0.02
/** A refusal is doubted by those who may send at least so many entries a second, */
const DOUBT_FROM_PER_SECOND = 10
/** if the answer came within this time, */
const DOUBT_WITHIN_MS = 60
/** and of the last second's worth of the quota that was answered less than this was refused. */
const DOUBT_BELOW = 0.15
/** How much asks again: entries, or seconds of the quota if that is more. */
const PROBE_ENTRIES = 2
const PROBE_SECONDS = 0.005

/**
 * How fast to send to one shard, as a multiple of its quota: additive increase, multiplicative decrease, so that producers that share a
 * shard and know nothing of each other come to equal rates whose sum is what the shard takes. It starts at the most, for most shards have
 * one busy producer or fewer, and comes down within seconds where there are more.
 *
 * **One decrease a round trip.** Entries that were sent before the last decrease say nothing about the rate since: their refusals are not
 * counted. A request in which a hundred entries are refused is one refusal.
 *
 * **The doubt.** The service also refuses now and then when the shard is not full. Were each refusal believed, one request in thirty of that
 * kind would take nine tenths of the rate of small records and three quarters of that of aggregates. A shard that is full has nothing left
 * a moment later either. So a refusal changes nothing at first: it goes again at once and a little more with it, on credit if there are no
 * tokens, and only if something of the first that is answered of what was sent since is refused, too, the rate goes down. That asks the shard for
 * more where it is full, so a refusal is believed at once by who sends few entries a second (a fifth of a shard in aggregates of 50 KB is
 * four), by who is so far away that the shard has something left again when the probe arrives, and where a good part of all is refused.
 *
 * **The pause.** The service has been described as a tank that fills steadily (https://docs.aws.amazon.com/streams/latest/dev/large-records.html)
 * and as a limit for each second (https://repost.aws/knowledge-center/kinesis-data-stream-throttling). Where it counts by seconds, all that
 * is sent in the rest of the second is refused, and a rate that went down for each of these would collapse for one excess. Where it is a
 * tank, the pause lets it rise. So after a decrease nothing is sent for a while, of random length, so that producers do not come back together.
 *
 * **The acceleration.** Who else writes may stop. A silence longer than is usual among producers that keep a shard full means room, and the
 * rate goes up ever faster. A refusal that is doubted ends it as well: else a lucky one that did not believe its refusals would take half of
 * what five share.
 *
 * **Large entries** (aggregates of 50 KB: twenty fill a second). The producers are as fair as they hear often of the shard being full. How
 * often is increase / decrease times the square of their number, a second, whatever the size: twenty-five times 0.15 among small entries'
 * hundreds costs little, among twenty large ones it would be a fifth of all. So the rate creeps, and a calm has to last: of five that each
 * hear every seven seconds one hears nothing for fifteen all the time, by chance, and must not take that for room. To make more of the little
 * that is heard, the higher rate also loses more of itself.
 *
 * shared-shard.test.ts shows what the numbers do (decision 7), and where they do not help: where a shard is a tank and entries of a few KB
 * and of 50 KB compete for it, the small ones find room when the large ones do not.
 */
export class AdaptiveRate {
  readonly #most: number
  #factor: number
  #countedAt = Number.NEGATIVE_INFINITY
  #backedOffAt = Number.NEGATIVE_INFINITY
  #opensAt = Number.NEGATIVE_INFINITY
  #calmFrom = Number.NEGATIVE_INFINITY
  /** Of what is sent since then the first answer decides. Infinity without a doubt. */
  #doubtedAt = Number.POSITIVE_INFINITY
  /** When that was sent which ended the last doubt. Something else in the same request may be refused. */
  #clearedBy = Number.NEGATIVE_INFINITY
  #probes = 0
  /** Of what was answered, weighted by cost, the last second's worth most. */
  #refused = 0
  /** 0 for small entries, 1 for large ones. */
  #size = 0

  /** `most`: 1 for the shard's quota. */
  constructor(most: number) {
    this.#most = most
    this.#factor = most
  }

  /** Nothing is sent before, but for probes. */
  get opensAt(): number {
    return this.#opensAt
  }

  /** The rate at this time. Time does not go back. */
  at(now: number): number {
    if (this.#factor < this.#most && now > this.#countedAt) {
      const [from, to] = [this.#calmAt(this.#countedAt), this.#calmAt(now)]
      const crept = this.#sized(INCREASE_PER_SECOND) * ((now - this.#countedAt) / 1000)
      // The integral of the acceleration: however often it is asked, by stats() too, it comes to the same.
      const gained = crept + (ACCELERATION * (to ** 3 - from ** 3)) / 3
      this.#factor = Math.min(this.#most, this.#factor + gained)
    }
    this.#countedAt = now
    return this.#factor
  }

  /** Whether an entry goes now whatever the rate, to find out about a refusal. */
  probes(): boolean {
    if (this.#probes === 0) return false
    this.#probes--
    return true
  }

  /**
   * The shard refused, for its quota, an entry that was sent at `sentAt` and that costs `cost` seconds of the quota. True if the rate goes down.
   */
  throttled(sentAt: number, now: number, cost: number, random: Random): boolean {
    this.#refused += (1 - this.#refused) * Math.min(1, cost)
    if (sentAt < this.#opensAt || sentAt <= this.#backedOffAt || sentAt < this.#clearedBy) return false
    const before = this.at(now)
    if (this.#doubtedAt < Number.POSITIVE_INFINITY) {
      if (sentAt < this.#doubtedAt) return false
    } else if (sentAt !== this.#clearedBy && this.#isDoubtful(before, now - sentAt, cost)) {
      this.#doubtedAt = now
      this.#calmFrom = now
      this.#probes = Math.max(PROBE_ENTRIES, Math.ceil(PROBE_SECONDS / cost))
      return false
    }
    this.#endDoubt()
    this.#size = Math.min(1, cost / LARGE_COST)
    this.#factor = Math.max(Math.min(FLOOR, this.#most), before * (1 - this.#decrease(before, now)))
    this.#backedOffAt = now
    this.#calmFrom = now
    this.#opensAt = now + Math.round(this.#sized(PAUSE_MS) * (0.5 + random() / 2))
    return true
  }

  /** The shard took such an entry. */
  accepted(sentAt: number, cost: number): void {
    this.#refused -= this.#refused * Math.min(1, cost)
    if (sentAt < this.#doubtedAt) return
    this.#clearedBy = sentAt
    this.#endDoubt()
  }

  #isDoubtful(rate: number, tookMs: number, cost: number): boolean {
    return this.#refused < DOUBT_BELOW && tookMs <= DOUBT_WITHIN_MS && rate >= DOUBT_FROM_PER_SECOND * cost
  }

  #endDoubt(): void {
    this.#doubtedAt = Number.POSITIVE_INFINITY
    this.#probes = 0
  }

  #decrease(rate: number, now: number): number {
    if (now - this.#backedOffAt > FIRST_AFTER_MS) return FIRST_DECREASE
    const { slope, least, most } = LARGE_DECREASE
    return this.#sized([SMALL_DECREASE, Math.max(least, Math.min(most, rate * slope))])
  }

  /** Seconds of acceleration by then. */
  #calmAt(time: number): number {
    return Math.max(0, (time - this.#calmFrom) / 1000 - this.#sized(CALM_SECONDS))
  }

  #sized([small, large]: BySize): number {
    return small + (large - small) * this.#size
  }
}
