import { type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks'
import { seededRandom } from '@shardwise/core/random'
import { connectKinesis } from '@shardwise/core/transport'
import type { Elsewhere } from './elsewhere.js'
import { type PutPlace, placeElsewhere, stubPlace } from './http-place.js'
import { type HttpProducer, ours, stockSdk } from './http-producers.js'
import { quantileOf } from './latency-turn.js'
import { MarkedLoad, markedRecords } from './marked-records.js'
import { OpenLoop } from './open-loop.js'
import { installPeers } from './peers.js'
import { processorShares, sharesLine } from './processor-shares.js'
import { collectGarbage, compared, inTurns, type Measurement, median, type Unit, WrongResult } from './rounds.js'
import type { Outcome, Scenarios } from './scenario.js'
import { cpuMs } from './service-process.js'
import {
  aggregatesStreaming,
  LINGER_MS,
  oursStreaming,
  type StreamingProducer,
  stockSdkStreaming,
  writableStreaming,
} from './streaming-producers.js'

const LASTS_MS = 3000
const WARM_UP_MS = 1000
/** Outcomes of one answer come one after the other: so many share a reading of the clock. */
const OUTCOMES_A_READING = 64
/** Of the stub, for an answer: as far as Kinesis is from its neighbours. */
const SERVICE_MS = 5
/** On top of linger and round trip. */
const GOAL_MS = 10
const STOCK = 'stock SDK PutRecords'
const SHORT_LINGER_MS = 10
const FULL_LOADS = [ours('offer', 400_000), stockSdk(STOCK, 50_000, false)] as const
const FULL_LOAD_TURNS = 3
const ROUND_TRIPS = 50

const producers = (withWritable: boolean): readonly StreamingProducer[] => [
  oursStreaming('offer'),
  stockSdkStreaming(STOCK, false),
  stockSdkStreaming('stock SDK, HTTP/1.1 keep-alive', true),
  aggregatesStreaming('aws-kinesis-agg + SDK keep-alive'),
  ...(withWritable ? [writableStreaming('aws-kinesis-writable')] : []),
  oursStreaming(`ours, lingerMs ${SHORT_LINGER_MS}`, { lingerMs: SHORT_LINGER_MS }),
]

/** From when a record was to be put to its acknowledgement: at half of what goes through, and beside others at half of what goes through the stock SDK. */
export const putAckLatency: Scenarios = {
  'put-ack-latency': { ofWallClock: true, anywhere: true, run: measureBoth },
  'put-ack-latency-tls': { ofWallClock: true, run: (rounds, progress) => measureOverTls(rounds, progress) },
}

interface Turn {
  /** For each record from its due time, ascending, in milliseconds; and its first part, until it was put. */
  readonly ackMs: Float64Array
  readonly lateMs: Float64Array
  readonly cores: number
  /** In which it did nothing but to collect garbage, ascending. */
  readonly collectedMs: Float64Array
  /** A second; NaN where nobody counts. */
  readonly requests: number
}

async function measureBoth(rounds: number, progress: (step: string) => void, elsewhere?: Elsewhere): Promise<Outcome> {
  // Elsewhere a shard refuses something now and then: then `aws-kinesis-writable` loses records, and no figure of the run would count.
  const withoutWritable = elsewhere === undefined ? await installPeers(progress) : 'it loses what a shard refuses'
  progress('preparing, service')
  await using place =
    elsewhere === undefined ? await stubPlace({ tls: false, delayMs: SERVICE_MS }) : await placeElsewhere(elsewhere)
  const turns = new Turns(place)
  const own = await measureAlone('put-ack-latency', rounds, progress, turns)
  const beside = await measureBeside(rounds, progress, turns, withoutWritable)
  return { measurements: [...own.measurements, ...beside.measurements], report: `${own.report}${beside.report}` }
}

async function measureOverTls(rounds: number, progress: (step: string) => void): Promise<Outcome> {
  progress('preparing, service')
  await using place = await stubPlace({ tls: true, delayMs: SERVICE_MS })
  return await measureAlone('put-ack-latency-tls', rounds, progress, new Turns(place))
}

/** Ours, at half of what goes through. */
async function measureAlone(name: string, rounds: number, progress: (step: string) => void, at: Turns): Promise<Outcome> {
  const perSecond = await at.halfLoad(FULL_LOADS[0], progress)
  const roundTripMs = await at.roundTrip()
  const producer = oursStreaming('offer')
  const turns: Turn[] = []
  for (let round = 0; round < rounds; round++) {
    progress(`round ${round + 1} of ${rounds}`)
    turns.push(await at.measure(perSecond, producer))
  }
  progress('where the time goes')
  let report = ''
  await at.measure(perSecond, producer, async (act) => {
    report = `where its time goes, in a round of its own: ${sharesLine(await processorShares(act), 3)}`
  })
  const within = LINGER_MS + roundTripMs + GOAL_MS
  const own = [{ name: 'offer', turns }]
  return {
    measurements: [
      { ...latency(name, own, 0.99), goal: { atMost: Number(within.toPrecision(3)) } },
      latency(`${name}-p50`, own, 0.5),
      latency(`${name}-max`, own, 1, (ns) => Math.max(...ns)),
    ],
    report: `${name}: ${inWords(perSecond)} records of 100 bytes a second, half of what went through; open loop, ${LASTS_MS / 1000} s a round
  goal: p99 within linger (${LINGER_MS}) + round trip (${roundTripMs.toFixed(1)}) + ${GOAL_MS} = ${within.toFixed(1)} ms
  ${conduct(turns)}
  ${report}
`,
  }
}

/** All, at half of what goes through the stock SDK. */
async function measureBeside(
  rounds: number,
  progress: (step: string) => void,
  at: Turns,
  withoutWritable: string | undefined,
): Promise<Outcome> {
  const perSecond = await at.halfLoad(FULL_LOADS[1], progress)
  const contestants = producers(withoutWritable === undefined).map((producer) => ({ producer, turns: [] as Turn[] }))
  for (const { producer } of contestants) {
    progress(`beside others, warming up ${producer.name}`)
    await at.measure(perSecond, producer)
  }
  await inTurns(contestants, rounds, async ({ producer, turns }, round) => {
    progress(`beside others, round ${round + 1} of ${rounds}, ${producer.name}`)
    turns.push(await at.measure(perSecond, producer))
  })
  const all = contestants.map(({ producer: { name }, turns }) => ({ name, turns }))
  return {
    measurements: [latency('put-ack-latency-peers', all, 0.99), latency('put-ack-latency-peers-p50', all, 0.5)],
    report: `put-ack-latency-peers: ${inWords(perSecond)} records of 100 bytes a second, half of what the stock SDK put through
${all.map(({ name, turns }) => `  ${name}: ${conduct(turns)}\n`).join('')}${withoutWritable === undefined ? '' : `  without aws-kinesis-writable: ${withoutWritable}\n`}`,
  }
}

/** Turns at one place, each with a number of its own, which its records bear. */
class Turns {
  readonly #place: PutPlace
  #last = 0

  constructor(place: PutPlace) {
    this.#place = place
  }

  /** Records a second. */
  async halfLoad(producer: HttpProducer, progress: (step: string) => void): Promise<number> {
    const perSecond: number[] = []
    for (let i = 0; i < FULL_LOAD_TURNS; i++) {
      progress(`full load, ${producer.name}, turn ${i + 1} of ${FULL_LOAD_TURNS}`)
      perSecond.push(await fullLoad(++this.#last, this.#place, producer))
    }
    return median(perSecond) / 2
  }

  roundTrip(): Promise<number> {
    return roundTrip(++this.#last, this.#place)
  }

  /** `around` is given the part that is measured. */
  measure(
    perSecond: number,
    producer: StreamingProducer,
    around: (act: () => Promise<void>) => Promise<void> = (act) => act(),
  ): Promise<Turn> {
    return measureTurn(++this.#last, this.#place, perSecond, producer, around)
  }
}

interface Streamed {
  readonly name: string
  readonly turns: readonly Turn[]
}

const MS: Unit = { name: 'ms', of: (ns) => ns / 1e6 }

function latency(
  name: string,
  all: readonly Streamed[],
  quantile: number,
  over?: (ns: readonly number[]) => number,
): Measurement {
  const contestants = all.map(({ name, turns }) => ({ name, ns: turns.map(({ ackMs }) => quantileOf(ackMs, quantile) * 1e6) }))
  return compared(name, MS, contestants, over)
}

function conduct(turns: readonly Turn[]): string {
  const requests = median(turns.map((turn) => turn.requests))
  const late = (quantile: number): string => median(turns.map(({ lateMs }) => quantileOf(lateMs, quantile))).toFixed(1)
  const collected = Float64Array.from(turns.flatMap(({ collectedMs }) => [...collectedMs])).sort()
  const garbage =
    collected.length === 0
      ? 'no collection of garbage'
      : `${(collected.length / turns.length).toFixed(0)} collections of garbage a round, p50 ${quantileOf(collected, 0.5).toFixed(1)}, max ${quantileOf(collected, 1).toFixed(1)} ms`
  return `until put, so late was this process: p50 ${late(0.5)}, p99 ${late(0.99)} ms; ${garbage}; cores in use: ${median(turns.map(({ cores }) => cores)).toFixed(2)}${Number.isNaN(requests) ? '' : `; ${requests.toFixed(0)} requests a second`}`
}

function inWords(perSecond: number): string {
  return Math.round(perSecond).toLocaleString('en-US')
}

/** Records a second, as many as go through. */
async function fullLoad(turn: number, place: PutPlace, producer: HttpProducer): Promise<number> {
  const records = markedRecords(turn, producer.records / place.fewer)
  await place.expect(turn, records.length)
  const client = await producer.open(place, records)
  const startedAt = performance.now()
  const delivered = await client.putAll()
  const tookMs = performance.now() - startedAt
  await client.close()
  await place.examine()
  return (delivered * 1000) / tookMs
}

/** Of a request with one record, and nothing else under way. */
async function roundTrip(turn: number, place: PutPlace): Promise<number> {
  const records = markedRecords(turn, ROUND_TRIPS)
  await place.expect(turn, records.length)
  const { port, close } = connectKinesis(place.connection)
  const tookMs: number[] = []
  for (const { partitionKey, data } of records) {
    const startedAt = performance.now()
    await port.putRecords({ StreamName: place.stream, Records: [{ Data: data, PartitionKey: partitionKey }] })
    tookMs.push(performance.now() - startedAt)
  }
  close()
  await place.examine()
  return median(tookMs)
}

async function measureTurn(
  turn: number,
  place: PutPlace,
  perSecond: number,
  producer: StreamingProducer,
  around: (act: () => Promise<void>) => Promise<void>,
): Promise<Turn> {
  const load = OpenLoop.draw(1, perSecond, WARM_UP_MS + LASTS_MS, seededRandom(turn))
  const records = new MarkedLoad(turn, load.length)
  const putAt = new Float64Array(load.length)
  const ackAt = new Float64Array(load.length).fill(Number.NaN)
  await place.expect(turn, load.length)
  let failure: Error | undefined
  const readings = new SharedReadings()
  const client = await producer.open(place, {
    acknowledged(index) {
      ackAt[index] = readings.now()
    },
    failed(error) {
      failure ??= error
    },
  })
  collectGarbage('minor')
  const cpuBefore = cpuMs()
  let startedAt = 0
  let collectedMs: Float64Array = new Float64Array(0)
  await around(async () => {
    startedAt = performance.now()
    collectedMs = await collections(async () => {
      await load.run(startedAt, (index, now) => {
        putAt[index] = now
        return client.put(records.record(index))
      })
      await client.flush()
    })
  })
  const cores = (cpuMs() - cpuBefore) / (performance.now() - startedAt)
  await client.close()
  const counts = await place.examine()
  if (failure !== undefined) throw new WrongResult(`${producer.name}: a record was not delivered: ${failure.message}`)
  const unknown = ackAt.findIndex(Number.isNaN)
  if (unknown !== -1) throw new WrongResult(`${producer.name}: nobody has heard of record ${unknown} that it was acknowledged`)
  const since = (at: Float64Array): Float64Array =>
    at
      .map((time, i) => time - startedAt - load.dueMs[i]!)
      .filter((_, i) => load.dueMs[i]! >= WARM_UP_MS)
      .sort()
  return {
    ackMs: since(ackAt),
    lateMs: since(putAt),
    cores,
    collectedMs,
    requests: ((counts?.requests ?? Number.NaN) * 1000) / (WARM_UP_MS + LASTS_MS),
  }
}

/** How long this process stood still for each collection of garbage while `act` ran, ascending, in milliseconds. */
async function collections(act: () => Promise<void>): Promise<Float64Array> {
  const ms: number[] = []
  const note = (entries: readonly PerformanceEntry[]): void => {
    for (const { duration } of entries) ms.push(duration)
  }
  const observer = new PerformanceObserver((list) => note(list.getEntries()))
  observer.observe({ entryTypes: ['gc'] })
  await act()
  note(observer.takeRecords())
  observer.disconnect()
  return Float64Array.from(ms).sort()
}

/** The time, read once for many calls of one synchronous run: else the reading would be a good part of what a record costs. */
class SharedReadings {
  #now = 0
  #left = 0
  #endsRun = false

  now(): number {
    if (this.#left-- > 0) return this.#now
    this.#left = OUTCOMES_A_READING - 1
    this.#now = performance.now()
    if (!this.#endsRun) queueMicrotask(() => this.#end())
    this.#endsRun = true
    return this.#now
  }

  #end(): void {
    this.#left = 0
    this.#endsRun = false
  }
}
