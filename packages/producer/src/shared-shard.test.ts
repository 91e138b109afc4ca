import { describe, expect, test } from 'vitest'
import { type Counting, type Load, SharedShard, type Writer } from './testing/shared-shard.js'

/**
 * Of a few large entries it depends on the draw how even the parts become: twenty seeds, a third of a second each. Small ones say so much
 * that the seeds hardly differ, and take four times as long. `SHARDWISE_SHARD_SEEDS` is for both.
 */
const [MANY, FEW] = [20, 2].map((count) => Number(process.env.SHARDWISE_SHARD_SEEDS ?? count)) as [number, number]
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)
const seeds = upTo(FEW)
const TIMEOUT = { timeout: 60_000 + 15_000 * MANY }

const MIB = 1024 * 1024
const SMALL: Load['options'] = { aggregation: 'off' }

interface Sharing {
  readonly seed: number
  readonly counting?: Counting
  readonly load: Omit<Load, 'fromMs'>
  /** When each producer starts, in seconds. */
  readonly starts: readonly number[]
  readonly roundTripMs?: SharedShard['roundTripMs']
  readonly strayShare?: number
  readonly seconds?: number
}

async function share({
  seed,
  counting,
  load,
  starts,
  roundTripMs,
  strayShare = 0,
  seconds = 60,
}: Sharing): Promise<readonly Writer[]> {
  const shard = new SharedShard(seed, counting)
  if (roundTripMs !== undefined) shard.roundTripMs = roundTripMs
  shard.strayShare = strayShare
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
function used(writer: Writer, from: number, to = 60): number {
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
const FAR = { least: 80, most: 250 }

/** Aggregates of 50 KB, of members of 10 KB. */
const LARGE = { recordBytes: 10_000 }

describe('five producers, each with 60 % of what one shard takes, for 60 s (decision 7)', () => {
  // A shard that counts seconds takes twenty aggregates of 50 KB of the twenty-one a second that its quota is: 95.4 %. One that was refused
  // for what is left of the second knows no more of it than in a tank, and so does who waits for the next.
  const TANK = { good: 0.9, refused: 0.05, fair: 0.9 }
  test.each<[string, number, Omit<Sharing, 'starts' | 'seed'>, { good: number; refused: number; fair: number }]>([
    ['aggregates of 50 KB', MANY, { load: { offered: 0.6, ...LARGE } }, TANK],
    ['small records', FEW, { load: { offered: 0.6, recordBytes: 200, options: SMALL } }, TANK],
    ['small records, far away', FEW, { load: { offered: 0.6, recordBytes: 200, options: SMALL }, roundTripMs: FAR }, TANK],
    ['aggregates of 50 KB, far away', FEW, { load: { offered: 0.6, ...LARGE }, roundTripMs: FAR }, TANK],
    [
      'small records, where the shard counts seconds',
      FEW,
      { counting: 'seconds', load: { offered: 0.6, recordBytes: 200, options: SMALL } },
      { ...TANK, refused: 0.06 },
    ],
    [
      'aggregates of 50 KB, where the shard counts seconds',
      MANY,
      { counting: 'seconds', load: { offered: 0.6, ...LARGE } },
      { good: 0.89, refused: 0.06, fair: 0.9 },
    ],
  ])('%s', TIMEOUT, async (_, count, given, least) => {
    for (const seed of upTo(count)) {
      const writers = await share({ ...given, seed, starts: EVERYONE_AT_ONCE })
      // Of all 60 s: the producers start at the full rate, and the seconds that it takes them to find out count, too.
      const found = { seed, good: goodput(writers, 0), refused: refused(writers, 0), fair: fairness(writers, 0) }
      expect(found.good, JSON.stringify(found)).toBeGreaterThanOrEqual(least.good)
      expect(found.refused, JSON.stringify(found)).toBeLessThanOrEqual(least.refused)
      expect(found.fair, JSON.stringify(found)).toBeGreaterThanOrEqual(least.fair)
    }
  })
})

/** When something is refused decides a good deal of a minute: of one seed the mean is not enough. */
const STRAY_SEEDS = 6

describe('refusals out of nothing', () => {
  test.each<[string, Omit<Load, 'fromMs'>, number, number]>([
    ['one request in two hundred, small records', { offered: 2, recordBytes: 200, options: SMALL }, 0.005, 0.9],
    ['one request in two hundred, aggregates of 50 KB', { offered: 2, ...LARGE }, 0.005, 0.95],
    ['three requests in a hundred, small records', { offered: 2, recordBytes: 200, options: SMALL }, 0.03, 0.6],
    ['three requests in a hundred, aggregates of 50 KB', { offered: 2, ...LARGE }, 0.03, 0.7],
  ])('take little of the rate of a lone producer: %s', TIMEOUT, async (_, load, strayShare, least) => {
    let total = 0
    for (const seed of upTo(STRAY_SEEDS)) {
      const [writer] = await share({ seed, load, strayShare, starts: [0] })
      expect(refused([writer!], 0)).toBeGreaterThan(0)
      total += used(writer!, 5)
    }
    expect(total / STRAY_SEEDS).toBeGreaterThan(least)
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
      expect(goodput(writers, 45, 90)).toBeGreaterThan(0.93)
      expect(refused(writers, 30)).toBeLessThan(0.03)
    }
  })

  test.each<[string, Omit<Load, 'fromMs'>, number]>([
    ['small records', { offered: 1.2, recordBytes: 200, options: SMALL }, 11],
    ['aggregates of 50 KB', { offered: 1.2, ...LARGE }, 30],
  ])('alone it has all of it, and again soon after an intruder has gone: %s', TIMEOUT, async (_, load, seconds) => {
    for (const seed of seeds) {
      const shard = new SharedShard(seed)
      const writer = shard.load({ ...load })
      shard.intrude({ quotas: 0.9, fromMs: 20_000, untilMs: 35_000 })
      await shard.run(80_000)
      expect(used(writer, 5, 20)).toBeGreaterThan(0.98)
      // Not starved by one who does not give way, nor in a loop of retries.
      expect(used(writer, 25, 35)).toBeGreaterThan(0.02)
      expect(sum(writer.sent, 25, 35)).toBeLessThan(2 * sum(writer.taken, 25, 35))
      expect(used(writer, 35 + seconds, 80)).toBeGreaterThan(0.97)
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
    expect(refused([writer!], 0)).toBeLessThan(0.01)
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
