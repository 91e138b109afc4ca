import { seededRandom } from '@shardwise/core/random'
import { connectKinesis } from '@shardwise/core/transport'
import { Producer } from '@shardwise/producer'
import type { Elsewhere } from './elsewhere.js'
import { type PutPlace, placeElsewhere, stubPlace } from './http-place.js'
import { ours } from './http-producers.js'
import { quantileOf } from './latency-turn.js'
import { MarkedLoad, markedRecords } from './marked-records.js'
import { OpenLoop } from './open-loop.js'
import { type ProcessorShares, processorShares, sharesLine } from './processor-shares.js'
import { collectGarbage, compared, type Measurement, median, type Unit, WrongResult } from './rounds.js'
import type { Outcome, Scenarios } from './scenario.js'
import { cpuMs } from './service-process.js'

const LASTS_MS = 3000
const WARM_UP_MS = 1000
/** Outcomes of one answer come one after the other: so many share a reading of the clock. */
const OUTCOMES_A_READING = 64
/** Of the stub, for an answer: as far as Kinesis is from its neighbours. */
const SERVICE_MS = 5
/** On top of linger and round trip. */
const GOAL_MS = 10
/** The producer's default. */
const LINGER_MS = 100
const FULL_LOAD_RECORDS = 400_000
const FULL_LOAD_TURNS = 3
const ROUND_TRIPS = 50

/** From when a record was to be put to its acknowledgement, at half of what `producer-http` reaches. */
export const putAckLatency: Scenarios = {
  'put-ack-latency': { ofWallClock: true, anywhere: true, run: measurePutAck },
}

interface Turn {
  /** For each record from its due time, ascending, in milliseconds; and its first part, until it was put. */
  readonly ackMs: Float64Array
  readonly lateMs: Float64Array
  readonly cores: number
}

async function measurePutAck(rounds: number, progress: (step: string) => void, elsewhere?: Elsewhere): Promise<Outcome> {
  progress('preparing, service')
  await using place =
    elsewhere === undefined ? await stubPlace({ tls: false, delayMs: SERVICE_MS }) : await placeElsewhere(elsewhere)
  let turn = 0
  const fullLoads: number[] = []
  for (let i = 0; i < FULL_LOAD_TURNS; i++) {
    progress(`full load, turn ${i + 1} of ${FULL_LOAD_TURNS}`)
    fullLoads.push(await fullLoad(++turn, place))
  }
  const perSecond = median(fullLoads) / 2
  const roundTripMs = await roundTrip(++turn, place)
  const turns: Turn[] = []
  for (let round = 0; round < rounds; round++) {
    progress(`round ${round + 1} of ${rounds}`)
    turns.push(await measureTurn(++turn, place, perSecond))
  }
  progress('where the time goes')
  let shares: ProcessorShares = []
  await measureTurn(++turn, place, perSecond, async (act) => {
    shares = await processorShares(act)
  })
  const unit: Unit = { name: 'ms', of: (ns) => ns / 1e6 }
  const measurement = (figure: string, quantile: number, over?: (ns: readonly number[]) => number): Measurement => {
    const ns = turns.map(({ ackMs }) => quantileOf(ackMs, quantile) * 1e6)
    return compared(`put-ack-latency${figure}`, unit, [{ name: 'offer', ns }], over)
  }
  const within = LINGER_MS + roundTripMs + GOAL_MS
  const part = (values: (turn: Turn) => Float64Array, quantile: number): string =>
    median(turns.map((each) => quantileOf(values(each), quantile))).toFixed(1)
  return {
    measurements: [
      { ...measurement('', 0.99), goal: { atMost: Number(within.toPrecision(3)) } },
      measurement('-p50', 0.5),
      measurement('-max', 1, (ns) => Math.max(...ns)),
    ],
    report: `put-ack-latency: ${Math.round(perSecond).toLocaleString('en-US')} records of 100 bytes a second, half of what went through; open loop, ${LASTS_MS / 1000} s a round
  goal: p99 within linger (${LINGER_MS}) + round trip (${roundTripMs.toFixed(1)}${elsewhere === undefined ? `, of it ${SERVICE_MS} the stub's` : ''}) + ${GOAL_MS} = ${within.toFixed(1)} ms
  until put, so late was this process: p50 ${part(({ lateMs }) => lateMs, 0.5)}, p99 ${part(({ lateMs }) => lateMs, 0.99)} ms; cores in use: ${median(turns.map(({ cores }) => cores)).toFixed(2)}
  where its time goes, in a round of its own: ${sharesLine(shares, 3)}
`,
  }
}

/** Records a second, as many as go through. */
async function fullLoad(turn: number, place: PutPlace): Promise<number> {
  const records = markedRecords(turn, FULL_LOAD_RECORDS / place.fewer)
  await place.expect(turn, records.length)
  const producer = await ours('offer', FULL_LOAD_RECORDS).open(place, records)
  const startedAt = performance.now()
  const delivered = await producer.putAll()
  const tookMs = performance.now() - startedAt
  await producer.close()
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

/** `around` is given the part that is measured. */
async function measureTurn(
  turn: number,
  place: PutPlace,
  perSecond: number,
  around: (act: () => Promise<void>) => Promise<void> = (act) => act(),
): Promise<Turn> {
  const load = OpenLoop.draw(1, perSecond, WARM_UP_MS + LASTS_MS, seededRandom(turn))
  const records = new MarkedLoad(turn, load.length)
  const putAt = new Float64Array(load.length)
  const ackAt = new Float64Array(load.length)
  await place.expect(turn, load.length)
  const producer = new Producer({ ...place.connection, stream: place.stream, shardRatePercent: place.shardRatePercent })
  await producer.start()
  let failure: Error | undefined
  const readings = new SharedReadings()
  const outcome = (error: Error | undefined, _: unknown, { index }: { readonly index: number }): void => {
    failure ??= error
    ackAt[index] = readings.now()
  }
  collectGarbage('minor')
  const cpuBefore = cpuMs()
  let startedAt = 0
  const offerLate = async (record: ReturnType<MarkedLoad['record']>): Promise<void> => {
    do await producer.ready()
    while (!producer.offer(record, outcome))
    putAt[record.index] = performance.now()
  }
  await around(async () => {
    startedAt = performance.now()
    await load.run(startedAt, (index, now) => {
      putAt[index] = now
      const record = records.record(index)
      return producer.offer(record, outcome) ? undefined : offerLate(record)
    })
    await producer.flush()
  })
  const cores = (cpuMs() - cpuBefore) / (performance.now() - startedAt)
  await producer.close()
  await place.examine()
  if (failure !== undefined) throw new WrongResult(`a record was not delivered: ${failure.message}`)
  const since = (at: Float64Array): Float64Array =>
    at
      .map((time, i) => time - startedAt - load.dueMs[i]!)
      .filter((_, i) => load.dueMs[i]! >= WARM_UP_MS)
      .sort()
  return { ackMs: since(ackAt), lateMs: since(putAt), cores }
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
