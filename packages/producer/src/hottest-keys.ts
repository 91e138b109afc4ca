import type { Random } from '@shardwise/core/random'
import { SpaceSaving } from './space-saving.js'

/**
 * A partition key that many records have. Its share of the stream's records of about the last minute is at most `share` and at least `atLeast`,
 * apart from the chance in sampling. Where `atLeast` is near 0 the key is one of many, and not a hot one.
 */
export interface HotKey {
  readonly stream: string
  readonly partitionKey: string
  /** From 0 to 1. */
  readonly share: number
  readonly atLeast: number
}

/** From there on keys are sampled: enough for a share of 1 % to be known to about a tenth. */
const SAMPLES_PER_SECOND = 1000
/** Above a million records a second there are more samples. It bounds what one sample may stand for when the load falls off. */
const LARGEST_MEAN_GAP = 1000
const HALF_LIFE_MS = 30_000
const FEWEST_COUNTERS = 100
const COUNTERS_PER_KEY = 10

/**
 * Which partition keys are put most, in bounded memory. Up to a thousand records a second are all counted; of more, samples at random
 * distances stand for those between them (at even distances, keys that take turns would be missed or counted alone).
 */
export class HottestKeys {
  readonly #limit: number
  readonly #random: Random
  readonly #sketch: SpaceSaving
  #meanGap = 1
  #gap = 1
  #left = 1
  /** Since the mean was set. */
  #since = Number.NEGATIVE_INFINITY
  #samples = 0
  #records = 0

  /** `limit`: how many to report; with 0 nothing is counted. */
  constructor(limit: number, random: Random) {
    this.#limit = limit
    this.#random = random
    this.#sketch = new SpaceSaving(Math.max(FEWEST_COUNTERS, limit * COUNTERS_PER_KEY))
  }

  note(partitionKey: string, now: number): void {
    if (this.count()) this.sample(partitionKey, now)
  }

  /** The same in two steps: counts a record, and says whether its key is to be sampled. */
  count(): boolean {
    return this.#limit > 0 && --this.#left <= 0
  }

  report(): Omit<HotKey, 'stream'>[] {
    const { total } = this.#sketch
    return this.#sketch
      .top(this.#limit)
      .filter(({ count }) => count > 0)
      .map(({ key, count, error }) => ({ partitionKey: key, share: count / total, atLeast: (count - error) / total }))
  }

  sample(partitionKey: string, now: number): void {
    this.#samples++
    this.#records += this.#gap
    const elapsedMs = now - this.#since
    if (elapsedMs >= 1000 || this.#samples >= SAMPLES_PER_SECOND) this.#adjust(elapsedMs, now)
    this.#sketch.add(partitionKey, this.#gap)
    this.#gap = this.#meanGap === 1 ? 1 : 1 + Math.floor(this.#random() * (2 * this.#meanGap - 1))
    this.#left = this.#gap
  }

  #adjust(elapsedMs: number, now: number): void {
    const recordsPerSecond = (this.#records / Math.max(elapsedMs, 1)) * 1000
    this.#meanGap = Math.min(Math.max(1, Math.round(recordsPerSecond / SAMPLES_PER_SECOND)), LARGEST_MEAN_GAP)
    this.#sketch.scale(2 ** (-elapsedMs / HALF_LIFE_MS))
    this.#since = now
    this.#samples = 0
    this.#records = 0
  }
}
