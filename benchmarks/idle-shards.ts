import { setTimeout as delay } from 'node:timers/promises'
import type { ConsumerOptions } from '@shardwise/consumer'
import { type Connection, type Elsewhere, OwnStream } from './elsewhere.js'
import { putToEach } from './fleet-load.js'
import { type FleetSample, FleetWorkerProcess } from './fleet-worker-process.js'
import { ACCOUNT } from './latency-turn.js'
import { LocalServiceProcess } from './local-service-process.js'
import { type ProcessorShares, sharesLine } from './processor-shares.js'
import { compared, inTurns, type Measurement, median, type Unit, WrongResult } from './rounds.js'
import type { Outcome, Scenarios } from './scenario.js'

const STREAM = 'idle'
const SHARDS = 1000
/** A new account has no more than 200, and each is paid for. */
const SHARDS_ELSEWHERE = 64
const FAILOVER_MS = 10_000
const POLL_MS = 1500
/** One window of measurement. */
const WINDOW_MS = 5000
/** From the last shard's start: everybody has read, and renewed, more than once, and V8 has compiled what is called all the time. */
const SETTLE_MS = 10_000
const PROFILE_MS = 5000
const PATIENCE_MS = 600_000
/** Of the reads of a window. Kept connections break now and then; where services cannot keep up it is more than a tenth. */
const MOST_FAILED = 0.01

const PERCENT: Unit = { name: '% of a core', of: (share) => share * 100 }
const KILOBYTES: Unit = { name: 'KB/shard', of: (bytes) => bytes / 1000 }
const SECONDS: Unit = { name: 's', of: (ms) => ms / 1000 }

/** One worker with a thousand shards to which nobody writes: what it takes to hold them. Services are in processes of their own. */
export const idleShards: Scenarios = { 'idle-shards': { ofWallClock: false, anywhere: true, run } }

interface Variant {
  readonly name: string
  readonly options: Partial<ConsumerOptions>
  /** Reads of each shard that a window must show, at least; subscriptions are only counted. */
  readonly leastReads: number
}

const VARIANTS: readonly Variant[] = [
  { name: 'polling', options: { idleTimeBetweenReadsMs: POLL_MS }, leastReads: WINDOW_MS / POLL_MS / 2 },
  { name: 'fan-out', options: { retrieval: { fanOut: { fallbackToPolling: false } } }, leastReads: 0 },
]

/** One round of one variant: a worker is started, watched for a window, and stopped. */
interface Turn {
  /** Until the last shard was being read, with the leases of the last stop. */
  readonly startMs: number
  readonly startCpuMs: number
  /** Parts of one core, of the worker and of the services. */
  readonly cores: number
  readonly serviceCores: number
  /** More than before the start, after the window. */
  readonly heapBytes: number
  readonly rssBytes: number
  readonly readsPerSecond: number
}

async function run(rounds: number, progress: (step: string) => void, elsewhere?: Elsewhere): Promise<Outcome> {
  const shards = elsewhere === undefined ? SHARDS : SHARDS_ELSEWHERE
  progress(`preparing ${shards} shards`)
  await using kinesis = elsewhere === undefined ? await LocalServiceProcess.start('kinesis') : undefined
  await using dynamodb = await LocalServiceProcess.start('lease-table')
  const where = elsewhere ?? { connection: { ...ACCOUNT, endpoint: kinesis!.endpoint }, stream: STREAM }
  await using stream = await OwnStream.make(where, shards)
  const place = { connection: where.connection, stream, kinesis, dynamodb }
  const contestants = VARIANTS.map((variant) => new Contestant(variant, place))
  for (const contestant of contestants) {
    progress(`${contestant.name}, first start`)
    await contestant.startFirst()
  }
  await inTurns(contestants, rounds, async (contestant, round) => {
    progress(`round ${round + 1} of ${rounds}, ${contestant.name}`)
    await contestant.turn(round === rounds - 1)
  })
  return outcome(contestants, shards)
}

interface Place {
  readonly connection: Connection
  readonly stream: OwnStream
  /** Undefined where it is none of ours. */
  readonly kinesis: LocalServiceProcess | undefined
  readonly dynamodb: LocalServiceProcess
}

/** A variant with its application. While it is not its turn there is nobody of it. */
class Contestant {
  readonly name: string
  readonly turns: Turn[] = []
  /** Milliseconds until the last shard was being read, with a lease table and its leases to be made. */
  firstStartMs = 0
  /** Of the last turn. */
  shares: ProcessorShares | undefined
  readonly #place: Place
  readonly #leastReads: number
  readonly #options: ConsumerOptions

  constructor({ name, options, leastReads }: Variant, place: Place) {
    const { connection, stream, dynamodb } = place
    this.name = name
    this.#place = place
    this.#leastReads = leastReads
    this.#options = {
      ...{ ...connection, dynamodbEndpoint: dynamodb.endpoint, stream: stream.name },
      ...{ applicationName: `idle-${name}`, failoverTimeMs: FAILOVER_MS, initialPosition: 'trim-horizon', ...options },
    }
  }

  async startFirst(): Promise<void> {
    const { worker, startMs } = await started(this.#options, this.#shards)
    await using _ = worker
    await worker.stop()
    this.firstStartMs = startMs
  }

  /** `last`: whose code takes the time is found out as well, and whether a record that is put to each shard comes. */
  async turn(last: boolean): Promise<void> {
    const { kinesis } = this.#place
    const { worker, held, handled, startMs, startCpuMs, before } = await started(this.#options, this.#shards)
    await using _ = worker
    await delay(SETTLE_MS)
    const from = await worker.sample(false)
    const servicesFrom = await this.#serviceMs()
    const fromAt = performance.now()
    await delay(WINDOW_MS)
    const sample = await worker.sample(false)
    const tookMs = performance.now() - fromAt
    const serviceCores = ((await this.#serviceMs()) - servicesFrom) / tookMs
    const reads = sample.reads - from.reads
    const failures = sample.failures - from.failures
    if (failures > reads * MOST_FAILED)
      throw new WrongResult(`${failures} calls have failed in a window: the services cannot keep up`)
    if (held.size !== this.#shards) throw new WrongResult(`${held.size} of ${this.#shards} shards are held in a window`)
    if (reads < this.#leastReads * this.#shards) {
      throw new WrongResult(`${reads} reads in ${tookMs.toFixed(0)} ms are not those of ${this.#shards} shards`)
    }
    const { heapBytes } = await worker.sample(true)
    this.turns.push({
      ...{ startMs, startCpuMs, cores: (sample.cpuMs - from.cpuMs) / tookMs, serviceCores },
      ...{ heapBytes: heapBytes - before.heapBytes, rssBytes: sample.rssBytes, readsPerSecond: (reads / tookMs) * 1000 },
    })
    if (last) {
      this.shares = await worker.profile(PROFILE_MS)
      const own = (): number[] => [...handled].filter(([text]) => text.startsWith(`${this.name} `)).map(([, times]) => times)
      await putToEach(this.#place.stream, (shard) => `${this.name} ${shard}`)
      await within(
        () => own().length === this.#shards,
        () => `${own().length} of ${this.#shards} records came`,
      )
      // Elsewhere an answer may be lost, and its records put again.
      if (kinesis !== undefined && own().some((times) => times !== 1)) throw new WrongResult('a record was handled twice')
    }
    await worker.stop()
  }

  get #shards(): number {
    return this.#place.stream.shards.length
  }

  async #serviceMs(): Promise<number> {
    const { kinesis, dynamodb } = this.#place
    return ((await kinesis?.cpuMs()) ?? 0) + (await dynamodb.cpuMs())
  }
}

function outcome(contestants: readonly Contestant[], shards: number): Outcome {
  // Other shards, other names: no goal is for them.
  const name = shards === SHARDS ? 'idle-shards' : `idle-shards-${shards}`
  const each = (value: (turn: Turn) => number) =>
    contestants.map((contestant) => ({ name: contestant.name, ns: contestant.turns.map(value) }))
  const measurements: Measurement[] = [
    compared(
      name,
      PERCENT,
      each(({ cores }) => cores),
    ),
    compared(
      `${name}-heap`,
      KILOBYTES,
      each(({ heapBytes }) => heapBytes / shards),
    ),
    compared(
      `${name}-start`,
      SECONDS,
      each(({ startMs }) => startMs),
    ),
    besideKcl(
      compared(
        `${name}-first-start`,
        SECONDS,
        contestants.map((contestant) => ({ name: contestant.name, ns: [contestant.firstStartMs] })),
      ),
    ),
  ]
  return { measurements, report: report(contestants, shards) }
}

/**
 * KCL 3.x on an empty table: up to 30 s (random) until the leader has looked for shards, up to 20 s until it has given them to workers, and up to 10 s
 * until these see it; the middle is compared. What its tables and their index take until they are there is not in it.
 */
const KCL_FIRST_START = { name: 'KCL 3.x (derived: 0 to 60 s)', seconds: 30 }

function besideKcl(measurement: Measurement): Measurement {
  const { name, seconds: value } = KCL_FIRST_START
  return { ...measurement, peers: [...measurement.peers, { name, value, ratio: value / measurement.ours, spread: undefined }] }
}

interface Started {
  readonly worker: FleetWorkerProcess
  readonly held: ReadonlySet<string>
  readonly handled: ReadonlyMap<string, number>
  readonly startMs: number
  readonly startCpuMs: number
  readonly before: FleetSample
}

/** A worker that reads every shard, or has subscribed to it. */
async function started(options: ConsumerOptions, shards: number): Promise<Started> {
  const worker = new FleetWorkerProcess()
  const held = new Set<string>()
  const reading = new Set<string>()
  const handled = new Map<string, number>()
  const sign = options.retrieval === undefined ? 'started' : 'subscribed'
  worker.listen((message) => {
    if (message.type === 'started') held.add(message.shardId)
    else if (message.type === 'left') held.delete(message.shardId)
    else if (message.type === 'handled') handled.set(message.text, (handled.get(message.text) ?? 0) + 1)
    if (message.type === sign) reading.add(message.shardId)
  })
  try {
    const before = await worker.sample(true)
    const startedAt = performance.now()
    worker.run(options)
    await within(
      () => reading.size === shards,
      () => `${reading.size} of ${shards} shards are read`,
    )
    const startMs = performance.now() - startedAt
    const { cpuMs } = await worker.sample(false)
    return { worker, held, handled, startMs, startCpuMs: cpuMs - before.cpuMs, before }
  } catch (error) {
    await worker[Symbol.asyncDispose]()
    throw error
  }
}

async function within(holds: () => boolean, otherwise: () => string): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !holds(); await delay(5)) {
    if (performance.now() > end) throw new WrongResult(`${otherwise()}, after ${PATIENCE_MS / 1000} s`)
  }
}

function report(contestants: readonly Contestant[], shards: number): string {
  const lines = contestants.map(({ name, turns, firstStartMs, shares }) => {
    const of = (value: (turn: Turn) => number): number => median(turns.map(value))
    const [cores, serviceCores] = [of((turn) => turn.cores), of((turn) => turn.serviceCores)]
    const reads = of(({ readsPerSecond }) => readsPerSecond)
    const heapBytes = of((turn) => turn.heapBytes)
    const [startMs, startCpuMs] = [of((turn) => turn.startMs), of((turn) => turn.startCpuMs)]
    return `  ${name}: ${(cores * 100).toFixed(1)} % of a core (${shards === SHARDS ? 'the services' : 'the lease table'} ${(serviceCores * 100).toFixed(0)} %), ${reads.toFixed(0)} ${name === 'polling' ? 'reads' : 'events'} a second, heap ${(heapBytes / shards / 1000).toFixed(1)} KB a shard, resident ${(of(({ rssBytes }) => rssBytes) / 1e6).toFixed(0)} MB in all
    started in ${(startMs / 1000).toFixed(1)} s (${(startCpuMs / 1000).toFixed(1)} s of processor time), the first time, with table and leases to be made, in ${(firstStartMs / 1000).toFixed(1)} s
    where the time goes: ${sharesLine(shares!, 4)}
`
  })
  return `idle-shards: ${shards} shards, one worker, failoverTimeMs ${FAILOVER_MS}, idleTimeBetweenReadsMs ${POLL_MS}; windows of ${WINDOW_MS / 1000} s, each of a worker that was just started\n${lines.join('')}`
}
