import { setTimeout as delay } from 'node:timers/promises'
import type { ConsumerOptions } from '@shardwise/consumer'
import { type Connection, type Elsewhere, OwnStream } from './elsewhere.js'
import { putToEach } from './fleet-load.js'
import { type FleetSample, FleetWorkerProcess } from './fleet-worker-process.js'
import { ACCOUNT } from './latency-turn.js'
import { LocalServiceProcess } from './local-service-process.js'
import { type ProcessorShares, sharesLine } from './processor-shares.js'
import { compared, type Measurement, median, type Unit, WrongResult } from './rounds.js'
import type { Outcome, Scenarios } from './scenario.js'

const STREAM = 'idle'
const SHARDS = 1000
/** A new account has no more than 200, and each is paid for. */
const SHARDS_ELSEWHERE = 64
const FAILOVER_MS = 10_000
const POLL_MS = 1500
/** One window of measurement. */
const WINDOW_MS = 5000
/** From the last shard's start: everybody has read, and renewed, more than once. */
const SETTLE_MS = 5000
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

interface Idling {
  readonly name: string
  /** Milliseconds until the last shard was being read: with a lease table to be made, and with what was left by the last stop. */
  readonly firstStartMs: number
  readonly startMs: number
  readonly startCpuMs: number
  /** Parts of one core, window by window. */
  readonly cores: readonly number[]
  readonly serviceCores: readonly number[]
  /** More than before the start, after the windows, as often. */
  readonly heapBytes: readonly number[]
  readonly rssBytes: number
  readonly readsPerSecond: number
  readonly shares: ProcessorShares
}

async function run(rounds: number, progress: (step: string) => void, elsewhere?: Elsewhere): Promise<Outcome> {
  const shards = elsewhere === undefined ? SHARDS : SHARDS_ELSEWHERE
  const idled: Idling[] = []
  for (const variant of VARIANTS) {
    progress(`${variant.name}, preparing ${shards} shards`)
    await using kinesis = elsewhere === undefined ? await LocalServiceProcess.start('kinesis') : undefined
    await using dynamodb = await LocalServiceProcess.start('lease-table')
    const where = elsewhere ?? { connection: { ...ACCOUNT, endpoint: kinesis!.endpoint }, stream: STREAM }
    await using stream = await OwnStream.make(where, shards)
    idled.push(await idle(variant, { connection: where.connection, stream, kinesis, dynamodb }, rounds, progress))
  }
  // Other shards, other names: no goal is for them.
  const name = shards === SHARDS ? 'idle-shards' : `idle-shards-${shards}`
  const each = (values: (idling: Idling) => readonly number[]) =>
    idled.map((idling) => ({ name: idling.name, ns: values(idling) }))
  const measurements: Measurement[] = [
    compared(
      name,
      PERCENT,
      each(({ cores }) => cores),
    ),
    compared(
      `${name}-heap`,
      KILOBYTES,
      each(({ heapBytes }) => heapBytes.map((bytes) => bytes / shards)),
    ),
    compared(
      `${name}-start`,
      SECONDS,
      each(({ startMs }) => [startMs]),
    ),
    compared(
      `${name}-first-start`,
      SECONDS,
      each(({ firstStartMs }) => [firstStartMs]),
    ),
  ]
  return { measurements, report: report(idled, shards) }
}

interface Place {
  readonly connection: Connection
  readonly stream: OwnStream
  /** Undefined where it is none of ours. */
  readonly kinesis: LocalServiceProcess | undefined
  readonly dynamodb: LocalServiceProcess
}

async function idle(
  { name, options, leastReads }: Variant,
  place: Place,
  rounds: number,
  progress: (step: string) => void,
): Promise<Idling> {
  const { connection, stream, kinesis, dynamodb } = place
  const shards = stream.shards.length
  const consumer: ConsumerOptions = {
    ...{ ...connection, dynamodbEndpoint: dynamodb.endpoint, stream: stream.name },
    ...{ applicationName: `idle-${name}`, failoverTimeMs: FAILOVER_MS, initialPosition: 'trim-horizon', ...options },
  }
  progress(`${name}, first start`)
  const first = await started(consumer, shards)
  await first.worker.stop()
  await first.worker[Symbol.asyncDispose]()

  progress(`${name}, start`)
  const { worker, held, handled, startMs, startCpuMs, before } = await started(consumer, shards)
  await using _ = worker
  await delay(SETTLE_MS)
  const cores: number[] = []
  const serviceCores: number[] = []
  const heapBytes: number[] = []
  let reads = 0
  let sample = await worker.sample(false)
  const serviceMs = async (): Promise<number> => ((await kinesis?.cpuMs()) ?? 0) + (await dynamodb.cpuMs())
  for (let round = 0; round < rounds; round++) {
    progress(`${name}, window ${round + 1} of ${rounds}`)
    const from = await worker.sample(false)
    const servicesFrom = await serviceMs()
    const fromAt = performance.now()
    await delay(WINDOW_MS)
    sample = await worker.sample(false)
    const tookMs = performance.now() - fromAt
    cores.push((sample.cpuMs - from.cpuMs) / tookMs)
    serviceCores.push(((await serviceMs()) - servicesFrom) / tookMs)
    reads += sample.reads - from.reads
    if (sample.failures - from.failures > (sample.reads - from.reads) * MOST_FAILED) {
      throw new WrongResult(`${sample.failures - from.failures} calls have failed in a window: the services cannot keep up`)
    }
    if (held.size !== shards) throw new WrongResult(`${held.size} of ${shards} shards are held in a window`)
    if (sample.reads - from.reads < leastReads * shards) {
      throw new WrongResult(`${sample.reads - from.reads} reads in ${tookMs.toFixed(0)} ms are not those of ${shards} shards`)
    }
  }
  progress(`${name}, profile`)
  const shares = await worker.profile(PROFILE_MS)
  for (let round = 0; round < rounds; round++) {
    progress(`${name}, heap ${round + 1} of ${rounds}`)
    await delay(POLL_MS)
    heapBytes.push((await worker.sample(true)).heapBytes - before.heapBytes)
  }
  progress(`${name}, a record to each shard`)
  await putToEach(stream, String)
  await within(
    () => handled.size === shards,
    () => `${handled.size} of ${shards} records came`,
  )
  // Elsewhere an answer may be lost, and its records put again.
  if (kinesis !== undefined && [...handled.values()].some((times) => times !== 1))
    throw new WrongResult('a record was handled twice')
  await worker.stop()
  return {
    ...{ name, firstStartMs: first.startMs, startMs, startCpuMs, cores, serviceCores, heapBytes, shares },
    ...{ rssBytes: sample.rssBytes, readsPerSecond: reads / ((rounds * WINDOW_MS) / 1000) },
  }
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

function report(idled: readonly Idling[], shards: number): string {
  const lines = idled.map((idling) => {
    const { name, cores, serviceCores, heapBytes, rssBytes, readsPerSecond, firstStartMs, startMs, startCpuMs, shares } = idling
    return `  ${name}: ${(median(cores) * 100).toFixed(1)} % of a core (${shards === SHARDS ? 'the services' : 'the lease table'} ${(median(serviceCores) * 100).toFixed(0)} %), ${readsPerSecond.toFixed(0)} ${name === 'polling' ? 'reads' : 'events'} a second, heap ${(median(heapBytes) / shards / 1000).toFixed(1)} KB a shard, resident ${(rssBytes / 1e6).toFixed(0)} MB in all
    started in ${(startMs / 1000).toFixed(1)} s (${(startCpuMs / 1000).toFixed(1)} s of processor time), the first time, with table and leases to be made, in ${(firstStartMs / 1000).toFixed(1)} s
    where the time goes: ${sharesLine(shares, 4)}
`
  })
  return `idle-shards: ${shards} shards, one worker, failoverTimeMs ${FAILOVER_MS}, idleTimeBetweenReadsMs ${POLL_MS}; windows of ${WINDOW_MS / 1000} s\n${lines.join('')}`
}
