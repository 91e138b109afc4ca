import { describe, expect, test } from 'vitest'
import { type Counting, type Load, SharedShard, type Writer } from './testing/shared-shard.js'

/** Each holds for every seed that was tried; more of them take minutes. */
const SEEDS = Number(process.env.SHARDWISE_SHARD_SEEDS ?? 1)
const seeds = Array.from({ length: SEEDS }, (_, i) => i + 1)
const TIMEOUT = { timeout: 30_000 + 30_000 * SEEDS }

const MIB = 1024 * 1024
const SMALL: Load['options'] = { aggregation: 'off' }

interface Sharing {
  readonly seed: number
  readonly counting?: Counting
  readonly load: Omit<Load, 'fromMs'>
  /** When each producer starts, in seconds. */
  readonly starts: readonly number[]
  readonly roundTripMs?: SharedShard['roundTripMs']
  readonly seconds?: number
}

async function share({ seed, counting, load, starts, roundTripMs, seconds = 60 }: Sharing): Promise<readonly Writer[]> {
  const shard = new SharedShard(seed, counting)
  if (roundTripMs !== undefined) shard.roundTripMs = roundTripMs
  for (const start of starts) shard.load({ ...load, fromMs: start * 1000 })
  await shard.run(seconds * 1000)
  return shard.writers
}

const sum = (counts: readonly number[], from: number, to = counts.length): number => {
  let total = 0
  for (let second = from; second < to; second++) total += counts[second] ?? 0
  return total
}

/** Of the quota, from that second on, records or bytes: whichever limits. */
function used(writer: Writer, from: number, to: number): number {
  return Math.max(sum(writer.taken, from, to) / 1000, sum(writer.takenBytes, from, to) / MIB) / (to - from)
}

const goodput = (writers: readonly Writer[], from: number, to = 60): number =>
  writers.reduce((total, writer) => total + used(writer, from, to), 0)

/** Of the entries sent. */
function refused(writers: readonly Writer[], from: number): number {
  const [sent, taken] = (['sent', 'taken'] as const).map((of) =>
    writers.reduce((total, writer) => total + sum(writer[of], from), 0),
  )
  return 1 - taken! / sent!
}

/** Jain's fairness index: 1 when all have the same, 1/n when one has everything. */
function fairness(writers: readonly Writer[], from: number, to = 60): number {
  const rates = writers.map((writer) => used(writer, from, to))
  const total = rates.reduce((a, b) => a + b, 0)
  return total ** 2 / (rates.length * rates.reduce((a, b) => a + b * b, 0))
}

const EVERYONE_AT_ONCE = [0, 0, 0, 0, 0]

/** Aggregates of 50 KB, of members of 10 KB. */
const LARGE = { recordBytes: 10_000 }

describe('five producers, each with 60 % of what one shard takes, for 60 s (decision 7)', () => {
  // Aggregates of 50 KB are not fair with every seed: the seventh and the twelfth fall below 0.9. A known gap of decision 7.
  // Steady from the sixth second on: the producers start at the full rate, and it takes them some three seconds to find out.
  test.each<[string, Omit<Sharing, 'starts' | 'seed'>, { good: number; refused: number; fair: number }]>([
    ['small records', { load: { offered: 0.6, recordBytes: 200, options: SMALL } }, { good: 0.97, refused: 0.02, fair: 0.95 }],
    ['aggregates of 50 KB', { load: { offered: 0.6, ...LARGE } }, { good: 0.95, refused: 0.05, fair: 0.9 }],
    [
      'small records, far away',
      { load: { offered: 0.6, recordBytes: 200, options: SMALL }, roundTripMs: { least: 80, most: 250 } },
      { good: 0.95, refused: 0.05, fair: 0.95 },
    ],
    [
      'small records, where the shard counts seconds',
      { counting: 'seconds', load: { offered: 0.6, recordBytes: 200, options: SMALL } },
      { good: 0.9, refused: 0.03, fair: 0.95 },
    ],
    [
      'aggregates of 50 KB, where the shard counts seconds',
      { counting: 'seconds', load: { offered: 0.6, ...LARGE } },
      { good: 0.85, refused: 0.05, fair: 0.9 },
    ],
  ])('%s', TIMEOUT, async (_, given, least) => {
    for (const seed of seeds) {
      const writers = await share({ ...given, seed, starts: EVERYONE_AT_ONCE })
      const found = { seed, good: goodput(writers, 5), refused: refused(writers, 5), fair: fairness(writers, 5) }
      expect(found.good, JSON.stringify(found)).toBeGreaterThanOrEqual(least.good)
      expect(found.refused, JSON.stringify(found)).toBeLessThanOrEqual(least.refused)
      expect(found.fair, JSON.stringify(found)).toBeGreaterThanOrEqual(least.fair)
      // With the first seconds, too. Where the shard counts seconds these cost large entries a little more.
      expect(refused(writers, 0), JSON.stringify(found)).toBeLessThanOrEqual(given.counting === 'seconds' ? 0.06 : 0.05)
    }
  })
})

describe('a shard that others write to', () => {
  test.each<[string, Omit<Load, 'fromMs'>]>([
    ['small records', { offered: 0.9, recordBytes: 200, options: SMALL }],
    ['aggregates of 50 KB', { offered: 0.9, ...LARGE }],
  ])('a second producer that comes 30 s later gets its half: %s', TIMEOUT, async (_, load) => {
    for (const seed of seeds) {
      const writers = await share({ seed, load, starts: [0, 30], seconds: 90 })
      expect(used(writers[0]!, 5, 30)).toBeGreaterThan(0.88)
      expect(fairness(writers, 45, 90)).toBeGreaterThan(0.9)
      expect(goodput(writers, 45, 90)).toBeGreaterThan(0.95)
      expect(refused(writers, 30)).toBeLessThan(0.03)
    }
  })

  test.each<[string, Omit<Load, 'fromMs'>, number]>([
    ['small records', { offered: 1.2, recordBytes: 200, options: SMALL }, 11],
    ['aggregates of 50 KB', { offered: 1.2, ...LARGE }, 16],
  ])('alone it has all of it, and again soon after an intruder has gone: %s', TIMEOUT, async (_, load, seconds) => {
    for (const seed of seeds) {
      const shard = new SharedShard(seed)
      const writer = shard.load({ ...load })
      shard.intrude({ quotas: 0.9, fromMs: 20_000, untilMs: 35_000 })
      await shard.run(70_000)
      expect(used(writer, 5, 20)).toBeGreaterThan(0.98)
      // Not starved by one who does not give way, nor in a loop of retries.
      expect(used(writer, 25, 35)).toBeGreaterThan(0.02)
      expect(sum(writer.sent, 25, 35)).toBeLessThan(2 * sum(writer.taken, 25, 35))
      expect(used(writer, 35 + seconds, 70)).toBeGreaterThan(0.97)
    }
  })
})

describe('a lone producer with more than a shard takes', () => {
  test.each<[string, Omit<Load, 'fromMs'>, Counting, number]>([
    ['small records', { offered: 2, recordBytes: 200, options: SMALL }, 'tank', 0.98],
    ['aggregates', { offered: 2, recordBytes: 2000 }, 'tank', 0.98],
    ['large records', { offered: 2, recordBytes: 300_000, options: SMALL }, 'tank', 0.98],
    ['small records, where the shard counts seconds', { offered: 2, recordBytes: 200, options: SMALL }, 'seconds', 0.88],
  ])('fills it, and has next to nothing refused: %s', TIMEOUT, async (_, load, counting, least) => {
    const [writer] = await share({ seed: 1, counting, load, starts: [0] })
    expect(used(writer!, 5, 60)).toBeGreaterThan(least)
    expect(refused([writer!], 0)).toBeLessThan(0.005)
    // What waits for the limit shares requests: a thousand records a second are not a thousand requests.
    expect(writer!.requests).toBeLessThan(60 * 100)
  })

  test('with a part of the quota to itself it keeps to that', async () => {
    const [writer] = await share({
      seed: 1,
      load: { offered: 2, recordBytes: 200, options: { ...SMALL, shardRatePercent: 40 } },
      starts: [0],
      seconds: 20,
    })
    expect(used(writer!, 5, 20)).toBeCloseTo(0.4, 1)
    expect(refused([writer!], 0)).toBe(0)
  })

  test('with more than the quota it finds what the shard takes, by refusals', async () => {
    const [writer] = await share({
      seed: 1,
      load: { offered: 2, recordBytes: 200, options: { ...SMALL, shardRatePercent: 150 } },
      starts: [0],
    })
    expect(used(writer!, 10, 60)).toBeGreaterThan(0.97)
    expect(refused([writer!], 10)).toBeGreaterThan(0)
    expect(refused([writer!], 10)).toBeLessThan(0.03)
  })
})
