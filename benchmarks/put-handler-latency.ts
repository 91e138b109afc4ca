import type { ConsumerOptions } from '@shardwise/consumer'
import { type Elsewhere, OwnStream } from './elsewhere.js'
import { latencyReport } from './latency-report.js'
import { ACCOUNT, type LatencyLoad, type LatencyTurn, latencyTurn, quantileOf } from './latency-turn.js'
import { LocalServiceProcess } from './local-service-process.js'
import { compared, inTurns, type Measurement, median, type Unit, WrongResult } from './rounds.js'
import type { Outcome, Scenarios } from './scenario.js'

const LINGER_MS = 20
const STREAM = 'latency'
/** Records of 1,000 bytes: both limits of a shard, 1,000 records and 1 MiB a second, are about as far. */
const SHARD_RECORDS_PER_SECOND = 1000
const LEAST_MS = 4000
/** For a p99 that is more than the slowest of a few. */
const LEAST_RECORDS = 100

const MILLISECONDS: Unit = { name: 'ms', of: (ns) => ns / 1e6 }

export interface LatencyVariant {
  readonly name: string
  readonly options: Partial<ConsumerOptions>
}

/** Ours first: what a measurement calls ours is fan-out. */
const VARIANTS: readonly LatencyVariant[] = [
  { name: 'fan-out', options: { retrieval: { fanOut: { consumerName: 'latency', fallbackToPolling: false } } } },
  { name: 'polling', options: {} },
]

/** By name. From when a record was to be put to the call of its handler, with what each of so many shards gets in percent of its capacity. */
export const putHandlerLatency: Scenarios = Object.fromEntries(
  Object.entries({
    'put-handler-latency-1': load(1, 1),
    'put-handler-latency-10': load(1, 10),
    'put-handler-latency-80': load(1, 80),
    'put-handler-latency-64-shards-1': load(64, 1),
    'put-handler-latency-64-shards-10': load(64, 10),
  }).map(([name, each]) => [
    name,
    { ofWallClock: true, anywhere: true, run: (...how): Promise<Outcome> => measureLatency(name, each, ...how) },
  ]),
)

function load(shards: number, percent: number): LatencyLoad {
  const perSecond = (SHARD_RECORDS_PER_SECOND * percent) / 100
  return { shards, perSecond, lastsMs: Math.max(LEAST_MS, (LEAST_RECORDS * 1000) / (perSecond * shards)), lingerMs: LINGER_MS }
}

/** Fan-out and polling take turns on one stream of local services of their own. Gives p50, p99 and max, each with a name of its own. */
async function measureLatency(
  name: string,
  load: LatencyLoad,
  rounds: number,
  progress: (step: string) => void,
  elsewhere?: Elsewhere,
): Promise<Outcome> {
  progress('preparing, local services')
  await using kinesis = elsewhere === undefined ? await LocalServiceProcess.start('kinesis') : undefined
  await using dynamodb = await LocalServiceProcess.start('dynamodb')
  const where = elsewhere ?? { connection: { ...ACCOUNT, endpoint: kinesis!.endpoint }, stream: STREAM }
  await using stream = await OwnStream.make(where, load.shards)
  const place = {
    ...where,
    kinesisCpuMs: async () => (kinesis === undefined ? Number.NaN : kinesis.cpuMs()),
    dynamodb,
    hashKeys: stream.shards.map(({ range }) => String(range.start)),
  }
  const contestants = VARIANTS.map((variant) => ({ variant, turns: [] as LatencyTurn[] }))
  let turn = 0
  await inTurns(contestants, rounds, async ({ variant, turns }, round) => {
    progress(`round ${round + 1} of ${rounds}, ${variant.name}`)
    try {
      turns.push(await latencyTurn(++turn, place, load, variant.options))
    } catch (error) {
      throw error instanceof WrongResult ? new WrongResult(`${name}, ${variant.name}: ${error.message}`) : error
    }
  })
  const measurement = (figure: string, quantile: number, over?: (ns: readonly number[]) => number): Measurement => {
    const ns = ({ totalMs }: LatencyTurn): number => quantileOf(totalMs, quantile) * 1e6
    const each = contestants.map(({ variant, turns }) => ({ name: variant.name, ns: turns.map(ns) }))
    return compared(`${name}-${figure}`, MILLISECONDS, each, over)
  }
  return {
    measurements: [
      measurement('p50', 0.5, median),
      measurement('p99', 0.99, median),
      measurement('max', 1, (ns) => Math.max(...ns)),
    ],
    report: latencyReport(
      name,
      load,
      contestants.map(({ variant, turns }) => ({ name: variant.name, turns })),
    ),
  }
}
