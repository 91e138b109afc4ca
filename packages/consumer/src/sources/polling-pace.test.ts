import { seededRandom } from '@shardwise/core/random'
import { describe, expect, it } from 'vitest'
import { PollingPace } from './polling-pace.js'

const MIB = 1024 * 1024

describe('PollingPace', () => {
  it('reads at once in the beginning', () => {
    expect(new PollingPace(500).readAt).toBe(Number.NEGATIVE_INFINITY)
  })

  it.each([
    { name: 'caught up', records: 3, bytes: 300, millisBehindLatest: 0, readAt: 1500 },
    { name: 'nothing there', records: 0, bytes: 0, millisBehindLatest: 0, readAt: 1500 },
    { name: 'behind: only the five reads a second', records: 3, bytes: 300, millisBehindLatest: 60_000, readAt: 1200 },
    { name: 'behind with an empty answer (a sparse shard)', records: 0, bytes: 0, millisBehindLatest: 60_000, readAt: 1200 },
    { name: 'behind by less than the idle pause', records: 3, bytes: 300, millisBehindLatest: 400, readAt: 1500 },
    { name: 'lag unknown, records came', records: 3, bytes: 300, millisBehindLatest: undefined, readAt: 1200 },
    { name: 'lag unknown, nothing came', records: 0, bytes: 0, millisBehindLatest: undefined, readAt: 1500 },
    { name: 'a full answer: five seconds', records: 9000, bytes: 10 * MIB, millisBehindLatest: 60_000, readAt: 1050 + 5000 },
    { name: '1 MiB: half a second', records: 900, bytes: MIB, millisBehindLatest: 60_000, readAt: 1050 + 500 },
    { name: '2 MiB though caught up', records: 900, bytes: 2 * MIB, millisBehindLatest: 0, readAt: 1050 + 1000 },
  ])('$name', ({ records, bytes, millisBehindLatest, readAt }) => {
    const pace = new PollingPace(500)
    pace.succeeded({ sentAt: 1000, receivedAt: 1050, records, bytes, millisBehindLatest })
    expect(pace.readAt).toBeCloseTo(readAt)
  })

  it('reads shards that were read at about the same time at the same moment', () => {
    const readAt = [996, 1000, 1003, 1007].map((sentAt) => {
      const pace = new PollingPace(500)
      pace.succeeded({ sentAt, receivedAt: sentAt + 5, records: 0, bytes: 0, millisBehindLatest: 0 })
      return pace.readAt
    })
    expect(readAt).toEqual([1500, 1500, 1500, 1500])
  })

  it('does not read before the quota of the shard allows it for the sake of that', () => {
    const pace = new PollingPace(200)
    pace.succeeded({ sentAt: 1002, receivedAt: 1005, records: 0, bytes: 0, millisBehindLatest: 0 })
    expect(pace.readAt).toBe(1202)
  })

  it('halves its rate each time it is throttled, spread by chance, down to one read in ten seconds', () => {
    const pace = new PollingPace(500)
    const waits = [1, 2, 3, 4, 5, 6, 7].map(() => {
      pace.throttled(1000, () => 0.5)
      return pace.readAt - 1000
    })
    expect(waits).toEqual([400, 800, 1600, 3200, 6400, 10_000, 10_000])
    pace.throttled(1000, () => 0)
    expect(pace.readAt).toBe(6000)
  })

  it('comes back to full speed by successes', () => {
    const pace = new PollingPace(200)
    for (let i = 0; i < 3; i++) pace.throttled(0, () => 0.5)
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      pace.succeeded({ sentAt: 1000, receivedAt: 1000, records: 1, bytes: 1, millisBehindLatest: 60_000 })
      waits.push(Math.round(pace.readAt - 1000))
    }
    expect(waits).toEqual([1058, 865, 752, 676, 619, 575, 539, 510])
    for (let i = 0; i < 100; i++)
      pace.succeeded({ sentAt: 1000, receivedAt: 1000, records: 1, bytes: 1, millisBehindLatest: 60_000 })
    expect(pace.readAt).toBe(1200)
  })

  it.each([
    { pace: 'passing', waits: [100, 200, 400, 5000] },
    { pace: 'lasting', waits: [1000, 2000, 4000, 30_000] },
    { pace: 'waited', waits: [100, 200, 400, 500] },
  ] as const)('backs off from $pace failures, and forgets them with a success', ({ pace: kind, waits }) => {
    const pace = new PollingPace(500)
    for (const attempt of [1, 2, 3]) {
      pace.failed(kind, 0, () => 0)
      expect(pace.failures).toBe(attempt)
      expect(pace.readAt).toBe(waits[attempt - 1])
    }
    for (let i = 0; i < 20; i++) pace.failed(kind, 0, () => 0)
    expect(pace.readAt).toBe(waits[3])
    pace.succeeded({ sentAt: 0, receivedAt: 0, records: 0, bytes: 0, millisBehindLatest: 0 })
    expect(pace.failures).toBe(0)
  })

  it('lets five applications that are all behind share one shard evenly', () => {
    const readers = Array.from({ length: 5 }, (_, i) => ({
      pace: new PollingPace(500),
      random: seededRandom(i + 1),
      reads: 0,
      refused: 0,
    }))
    const accepted: number[] = []
    const end = 120_000
    for (let now = 0; now < end; now++) {
      for (const reader of readers) {
        if (now < reader.pace.readAt) continue
        while (accepted.length > 0 && now - accepted[0]! >= 1000) accepted.shift()
        if (accepted.length >= 5) {
          reader.refused++
          reader.pace.throttled(now, reader.random)
        } else {
          accepted.push(now)
          reader.reads++
          reader.pace.succeeded({ sentAt: now, receivedAt: now + 5, records: 10, bytes: 1000, millisBehindLatest: 3_600_000 })
        }
      }
    }
    const reads = readers.map((reader) => reader.reads)
    const total = reads.reduce((sum, count) => sum + count, 0)
    const jain = total ** 2 / (reads.length * reads.reduce((sum, count) => sum + count ** 2, 0))
    expect(total).toBeGreaterThan(0.75 * 5 * (end / 1000))
    expect(jain).toBeGreaterThan(0.95)
    expect(readers.reduce((sum, reader) => sum + reader.refused, 0) / total).toBeLessThan(0.35)
  })
})
