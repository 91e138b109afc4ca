import { consumerPoint } from './growth-consumer.js'
import { producerPoint } from './growth-producer.js'
import { AGGREGATE_BYTES, type GrowthPoint, type GrowthTurn, LARGEST_RECORD, MIB, RECORDS_AN_AGGREGATE } from './growth-turn.js'
import { compared, inTurns, type Measurement, median, type Unit } from './rounds.js'
import type { Outcome, Scenario, Scenarios } from './scenario.js'

const SHARDS = [1, 10, 100, 1000, 10_000]
const STREAMS = [1, 4, 16, 64]
const BYTES = [32, 100, 1024, 10 * 1024, 100 * 1024, MIB, LARGEST_RECORD]

/** Where the records grow. */
const FEW_SHARDS = 4
/** Of all streams together, where the streams grow. */
const SHARDS_OF_STREAMS = 256
/** User records in a turn, where not their bytes or their shards say otherwise. */
const RECORDS = 100_000
/** So much data that large records come more than a few times. */
const BYTES_A_TURN = 64 * MIB
const LEAST_RECORDS = 8
const LEAST_RECORDS_READ = 100
/** Before those that are timed: of the first few of a point with few shards V8 compiles much, and each takes several times as long. */
const WARM_UP_ROUNDS = 4

/** With fewer shards heap and start are mostly what is needed once, and chance: the heap of a producer of 100 has come out below nothing. */
const LEAST_FOR_ONE = 1000

interface Curve {
  readonly axis: 'shards' | 'streams' | 'bytes'
  readonly at: readonly number[]
  readonly open: (at: number) => Promise<GrowthPoint>
}

const producerRecords = (bytes: number): number => Math.max(LEAST_RECORDS, Math.min(RECORDS, Math.floor(BYTES_A_TURN / bytes)))

const curves: Readonly<Record<string, Curve>> = {
  'growth-producer-shards': {
    axis: 'shards',
    at: SHARDS,
    open(shards) {
      const records = Math.max(RECORDS, shards * RECORDS_AN_AGGREGATE)
      return producerPoint({ streams: 1, shards, recordBytes: 100, records })
    },
  },
  'growth-producer-streams': {
    axis: 'streams',
    at: STREAMS,
    open: (streams) => producerPoint({ streams, shards: SHARDS_OF_STREAMS / streams, recordBytes: 100, records: RECORDS }),
  },
  'growth-producer-bytes': {
    axis: 'bytes',
    at: BYTES,
    open: (bytes) => producerPoint({ streams: 1, shards: FEW_SHARDS, recordBytes: bytes, records: producerRecords(bytes) }),
  },
  'growth-consumer-shards': {
    axis: 'shards',
    at: SHARDS,
    open(shards) {
      const reads = Math.max(shards, RECORDS / RECORDS_AN_AGGREGATE)
      return consumerPoint({ streams: 1, shards, recordBytes: 100, reads })
    },
  },
  'growth-consumer-streams': {
    axis: 'streams',
    at: STREAMS,
    open(streams) {
      const reads = RECORDS / RECORDS_AN_AGGREGATE
      return consumerPoint({ streams, shards: SHARDS_OF_STREAMS / streams, recordBytes: 100, reads })
    },
  },
  'growth-consumer-bytes': {
    axis: 'bytes',
    at: BYTES,
    open(bytes) {
      const perRead = Math.max(1, Math.min(RECORDS_AN_AGGREGATE, Math.floor(AGGREGATE_BYTES / (bytes + 32))))
      const records = Math.max(LEAST_RECORDS_READ, Math.min(RECORDS, Math.floor((4 * BYTES_A_TURN) / bytes)))
      const reads = Math.ceil(records / perRead)
      return consumerPoint({ streams: 1, shards: FEW_SHARDS, recordBytes: bytes, reads })
    },
  },
}

/** Whether a record costs the same with many shards, with many streams, and when it is large. */
export const growth: Scenarios = Object.fromEntries(Object.entries(curves).map(([name, curve]) => [name, scenario(name, curve)]))

interface Measured {
  readonly at: number
  readonly point: GrowthPoint
  readonly turns: GrowthTurn[]
}

function scenario(name: string, curve: Curve): Scenario {
  return {
    ofWallClock: false,
    async run(rounds, progress) {
      // The largest first: it is `ours`, and the others are what it is compared with, the smallest before all.
      const [smallest, ...others] = curve.at as [number, ...number[]]
      const largest = others.pop()!
      const label = (at: number): string => `${at.toLocaleString('en-US')} ${at === 1 ? curve.axis.slice(0, -1) : curve.axis}`
      const points: Measured[] = []
      for (const at of [largest, smallest, ...others]) {
        progress(`starting, ${label(at)}`)
        const point = await curve.open(at)
        points.push({ at, point, turns: [] })
        progress(`verifying, ${label(at)}`)
        await point.turn(true)
      }
      await inTurns(points, WARM_UP_ROUNDS + rounds, async ({ at, point, turns }, round) => {
        const timed = round - WARM_UP_ROUNDS
        progress(timed < 0 ? `warming up, ${label(at)}` : `round ${timed + 1} of ${rounds}, ${label(at)}`)
        const turn = await point.turn(false)
        if (timed >= 0) turns.push(turn)
      })
      for (const { point } of points) await point.close()
      return outcome(name, curve, points, label)
    },
  }
}

const NANOSECONDS: Unit = { name: 'CPU ns/record', of: (ns) => ns }
const NANOSECONDS_A_BYTE: Unit = { name: 'CPU ns/byte', of: (ns) => ns }
const KILOBYTES: Unit = { name: 'KB heap/shard', of: (bytes) => bytes / 1000 }
const MICROSECONDS: Unit = { name: 'CPU us/shard', of: (ns) => ns / 1000 }

function outcome(name: string, { axis }: Curve, points: readonly Measured[], label: (at: number) => string): Outcome {
  const perRecord = ({ cpuMs, records }: GrowthTurn): number => (cpuMs * 1e6) / records
  const turns = (value: (ns: number, at: number) => number) =>
    points.map((measured) => ({
      name: label(measured.at),
      ns: measured.turns.map((turn) => value(perRecord(turn), measured.at)),
    }))
  const once = (value: (point: GrowthPoint) => number) =>
    points.filter(({ at }) => at >= LEAST_FOR_ONE).map(({ at, point }) => ({ name: label(at), ns: [value(point) / at] }))
  const isBytes = axis === 'bytes'
  const measurements: Measurement[] = [
    compared(
      name,
      isBytes ? NANOSECONDS_A_BYTE : NANOSECONDS,
      turns((ns, at) => (isBytes ? ns / at : ns)),
    ),
  ]
  if (axis === 'shards') {
    measurements.push(
      compared(
        `${name}-heap`,
        KILOBYTES,
        once(({ heapBytes }) => heapBytes),
      ),
    )
    measurements.push(
      compared(
        `${name}-start`,
        MICROSECONDS,
        once(({ startCpuMs }) => startCpuMs * 1e6),
      ),
    )
  }
  const line = ({ at, turns }: Measured): string => {
    const records = turns[0]!.records.toLocaleString('en-US')
    return `  ${label(at).padEnd(18)} ${median(turns.map(perRecord)).toFixed(0).padStart(12)} ns a record, ${records} records a turn\n`
  }
  const ascending = [...points].sort((a, b) => a.at - b.at)
  return { measurements, report: `${name}: processor time for a user record\n${ascending.map(line).join('')}` }
}
