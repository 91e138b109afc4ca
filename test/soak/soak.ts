import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { type Random, seededRandom } from '@shardwise/core/random'
import {
  DeliveryFailedError,
  LaneHaltedError,
  Producer,
  type ProducerOptions,
  type PutOutcome,
  StreamUnusableError,
} from '@shardwise/producer'
import { Ledger } from './ledger.js'
import { Places } from './place.js'
import { planOf, type SoakPlan } from './plan.js'
import { memoryAfterCollection, openResources, type ProcessMemory } from './process-memory.js'
import { Progress } from './progress.js'
import { nextReshard } from './resharding.js'
import { ServiceProcess } from './service-process.js'
import { commandOf, type SoakOptions } from './soak-options.js'
import { type ReadRecord, StreamReader } from './stream-reader.js'
import { checksOf, type SoakResult, verdictText } from './verdict.js'
import { KEYS, type OfferedRecord, type OpenShard, Workload } from './workload.js'

const STREAM = 'soak'
const ACCOUNT = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } }
const MIB = 1024 * 1024
const SHARD_RECORDS_PER_SECOND = 1000
/** Records between two looks at whether something else is due. */
const BURST = 64
const SAMPLE_MS = 50
const PAUSE_MS = 20
const RESUME_AFTER_MS = 50
const HALF_A_DAY_MS = 13 * 3_600_000
const PASS_TIME_EVERY_MS = 15_000
/** What settles or is read later than this after the end never does. */
const PATIENCE_MS = 60_000

/** Runs the soak and gives its account. Whatever happens, it leaves no process, socket or timer behind. */
export async function runSoak(options: SoakOptions, interrupted: AbortSignal): Promise<SoakResult> {
  const run = new SoakRun(options, interrupted)
  try {
    return await run.play()
  } finally {
    await run.end()
  }
}

class SoakRun {
  readonly #options: SoakOptions
  readonly #plan: SoakPlan
  readonly #ledger: Ledger
  readonly #places = new Places()
  readonly #workload: Workload
  readonly #reshardLots: Random
  readonly #progress: Progress
  readonly #service: ServiceProcess
  /** Rejects when the run cannot go on. */
  readonly #broken: Promise<never>
  #break: (reason: Error) => void = () => {}
  #producer: Producer | undefined
  #reader: StreamReader | undefined
  #shards: readonly OpenShard[] = []
  #putting: { readonly until: number } | 'paused' | 'over' = 'paused'
  #ended = false
  #inOutage = false
  #fullBuffer = 0
  #acknowledgedBytes = 0
  #acknowledged = 0
  #foreign = 0
  #flushes = 0
  #earlyFlushes = 0
  #refusedWhileHalted = 0
  #resumed = 0
  #splits = 0
  #merges = 0
  #highestBufferedBytes = 0
  #highestBufferedRecords = 0
  #highestRss = 0
  #shardSeconds = 0
  readonly #failures: Record<string, number> = {}

  constructor(options: SoakOptions, interrupted: AbortSignal) {
    this.#options = options
    this.#plan = planOf(options)
    this.#ledger = new Ledger(this.#plan.capacity)
    this.#workload = new Workload(seededRandom(options.seed))
    this.#reshardLots = seededRandom(options.seed + 1)
    this.#broken = new Promise((_, reject) => {
      this.#break = reject
      interrupted.addEventListener('abort', () => reject(interrupted.reason), { once: true })
    })
    this.#broken.catch(() => {})
    this.#service = new ServiceProcess((error) => this.#break(error))
    this.#progress = new Progress(process.stdout, () => this.#line())
  }

  async play(): Promise<SoakResult> {
    const { seed } = this.#options
    const { faultDensity, requestTimeoutMs } = this.#plan
    const setup = { stream: STREAM, shards: this.#options.shards, seed: seed + 2, faultDensity, requestTimeoutMs }
    const { endpoint } = await this.#orBroken(this.#service.ask('start', setup))
    this.#progress.say(commandOf(this.#options))
    this.#progress.say(`Kinesis (${endpoint}, pid ${this.#service.pid}) runs on this machine with its quotas on`)
    this.#reader = new StreamReader(new KinesisClient({ ...ACCOUNT, endpoint }), STREAM, {
      keysWithin: (shard) => this.#workload.keysWithin(shard),
      keyOf: ({ data, partitionKey }) => this.#workload.read(data, partitionKey)?.key,
      onRecord: (record, dropped) => this.#read(record, dropped),
      onFailure: (error) => this.#break(error),
    })
    this.#opened(await this.#orBroken(this.#service.ask('openShards', undefined)))
    this.#reader.start(this.#shards)
    this.#producer = this.#makeProducer(endpoint)
    this.#progress.start()
    const background = [this.#sample(), this.#passTime()]
    const started = performance.now()
    const baseline = await this.#orBroken(this.#put())
    const seconds = (performance.now() - started) / 1000
    await this.#orBroken(this.#settle())
    const end = this.#measure()
    const stats = this.#producer.stats()
    const report = await this.#orBroken(this.#service.ask('report', undefined))
    await this.#orBroken(this.#producer.close())
    this.#ended = true
    await Promise.all([...background, this.#reader.stop()])
    this.#progress.stop()
    const openSockets = await this.#orBroken(this.#socketsLeft())
    const { highestBufferedBytes, highestBufferedRecords } = this.#highest()
    const perSecond = (count: number): number => Math.round(count / seconds)
    const percent = (used: number, limit: number): number => Math.round((1000 * used) / (limit * this.#shardSeconds)) / 10
    const { kinesisRecords, kinesisBytes, droppedAggregates, shardsSeen } = this.#reader
    const result: SoakResult = {
      ...this.#ledger.verdict(KEYS),
      options: this.#options,
      memory: {
        baseline,
        end,
        heapGrowth: end.heapBytes / baseline.heapBytes - 1,
        heapTolerance: this.#plan.heapTolerance,
        highestRssBytes: this.#highestRss,
        serviceRssBytes: report.rssBytes,
      },
      seconds,
      splits: this.#splits,
      merges: this.#merges,
      shardsSeen,
      failures: this.#failures,
      refusedWhileHalted: this.#refusedWhileHalted,
      resumed: this.#resumed,
      rates: {
        recordsPerSecond: perSecond(this.#acknowledged),
        bytesPerSecond: perSecond(this.#acknowledgedBytes),
        kinesisRecordsPerSecond: perSecond(kinesisRecords),
        percentOfShardBytes: percent(kinesisBytes, MIB),
        percentOfShardRecords: percent(kinesisRecords, SHARD_RECORDS_PER_SECOND),
      },
      kinesisRecords,
      requests: stats.requests,
      requestsFailed: stats.requestsFailed,
      retries: stats.retries,
      throttled: stats.throttled,
      wrongShard: stats.wrongShard,
      droppedAggregates,
      fullBuffer: this.#fullBuffer,
      highestBufferedBytes,
      maxBufferedBytes: this.#plan.maxBufferedBytes,
      highestBufferedRecords,
      maxBufferedRecords: this.#plan.maxBufferedRecords,
      flushes: this.#flushes,
      earlyFlushes: this.#earlyFlushes,
      foreign: this.#foreign,
      faults: report.faults,
      openSockets,
      openResources: openResources(),
    }
    process.stdout.write(`${verdictText(result)}\n`)
    return result
  }

  /** Ends everything outside of this process. A producer that was interrupted ends with the process. */
  async end(): Promise<void> {
    this.#ended = true
    this.#putting = 'over'
    this.#progress.stop()
    await this.#reader?.stop()
    await this.#service.stop()
  }

  #makeProducer(endpoint: string): Producer {
    const { ordering, aggregation, seed } = this.#options
    const { recordTtlMs, requestTimeoutMs, maxBufferedBytes, maxBufferedRecords, aggregateMaxBytes } = this.#plan
    const producer = new Producer({
      ...ACCOUNT,
      endpoint,
      stream: STREAM,
      // Which of them exist is the producer's to say.
      ordering: ordering as ProducerOptions['ordering'],
      aggregation: aggregation as ProducerOptions['aggregation'],
      recordTtlMs,
      requestTimeoutMs,
      maxBufferedBytes,
      maxBufferedRecords,
      aggregateMaxBytes,
      random: seededRandom(seed + 3),
    })
    producer.events.on('lane-halted', () => {
      if (this.#resumed++ === 0) this.#progress.say('a record failed and its lane halted: resuming')
      setTimeout(() => producer.resume(), RESUME_AFTER_MS)
    })
    return producer
  }

  /** Puts for as long as the run lasts, with all that happens on the way; the memory after the first part of it. */
  async #put(): Promise<ProcessMemory> {
    const { durationMs, reshardEveryMs, baselineAtMs, outageAtMs, outageMs } = this.#plan
    const started = performance.now()
    const until = (ms: number): Promise<void> => this.#pauseFor(started + ms - performance.now())
    this.#putting = { until: started + durationMs }
    const offering = this.#offer()
    const reshards = (async () => {
      for (let at = reshardEveryMs / 2; at < durationMs && !this.#ended; at += reshardEveryMs) {
        await until(at)
        if (!this.#ended) await this.#reshard()
      }
    })()
    const outage = (async () => {
      await until(outageAtMs)
      if (!this.#ended) await this.#outage(outageMs)
    })()
    const all = [offering, reshards, outage, this.#flushNowAndThen()]
    // Whatever fails ends the run, whichever is waited for then.
    for (const part of all) part.catch((error: Error) => this.#break(error))
    await this.#orBroken(until(baselineAtMs))
    const baseline = await this.#orBroken(this.#measureInPause())
    await this.#orBroken(Promise.all(all))
    return baseline
  }

  async #offer(): Promise<void> {
    const producer = this.#producer!
    const outcome: PutOutcome<OfferedRecord> = (error, result, { record, data }) => {
      if (result !== undefined) {
        this.#acknowledged++
        this.#acknowledgedBytes += data.length
        const place = this.#places.of(result.shardId, result.sequenceNumber, result.subSequenceNumber)
        this.#ledger.acknowledge(record, place, result.attempts)
      } else this.#failed(record, error!)
    }
    while (this.#putting !== 'over') {
      if (this.#putting === 'paused') {
        await delay(PAUSE_MS)
        continue
      }
      if (performance.now() >= this.#putting.until) return
      let hasRoom = true
      for (let i = 0; i < BURST && hasRoom; i++) {
        if (this.#ledger.offered === this.#ledger.capacity)
          throw new Error('The ledger is full: the shards took more than they can')
        const key = this.#workload.key()
        const input = this.#workload.make(this.#ledger.offered, key)
        try {
          hasRoom = producer.offer(input, outcome)
        } catch (error) {
          if (!(error instanceof LaneHaltedError)) throw error
          this.#refusedWhileHalted++
          await delay(1)
          continue
        }
        if (hasRoom) this.#ledger.offer(key)
      }
      if (hasRoom) await turn()
      else {
        this.#fullBuffer++
        await producer.ready()
      }
    }
  }

  #failed(record: number, error: Error): void {
    const { reason, written } = failureOf(error)
    this.#failures[reason] = (this.#failures[reason] ?? 0) + 1
    this.#ledger.fail(record, written)
  }

  #read(record: ReadRecord, dropped: boolean): void {
    const made = this.#workload.read(record.data, record.partitionKey)
    const place = this.#places.of(record.shardId, record.sequenceNumber, record.subSequenceNumber)
    const known = made !== undefined && (dropped ? this.#ledger.dropped(made.record) : this.#ledger.see(made.record, place))
    if (!known) this.#foreign++
  }

  async #reshard(): Promise<void> {
    const { shards } = this.#options
    const { kind, ...step } = nextReshard(this.#shards, shards, this.#reshardLots)
    if (kind === 'split') {
      const { shardId, at } = step as { shardId: string; at: string }
      this.#opened(await this.#service.ask('split', { shardId, at }))
      this.#splits++
    } else {
      this.#opened(await this.#service.ask('merge', step as { shardId: string; with: string }))
      this.#merges++
    }
    this.#progress.say(`${kind} of ${step.shardId}: ${this.#shards.length} shards`)
  }

  async #outage(ms: number): Promise<void> {
    this.#inOutage = true
    this.#progress.say(`an outage of ${Math.round(ms / 100) / 10} s, longer than records live`)
    await this.#service.ask('outage', true)
    await this.#pauseFor(ms)
    await this.#service.ask('outage', false)
    this.#inOutage = false
    this.#progress.say('the outage is over')
  }

  async #flushNowAndThen(): Promise<void> {
    while (this.#putting !== 'over') {
      await this.#pauseFor(this.#plan.flushEveryMs)
      if (typeof this.#putting === 'object' && performance.now() >= this.#putting.until) return
      const putBefore = this.#ledger.offered
      await this.#producer!.flush()
      this.#flushes++
      if (!this.#ledger.hasSettledBelow(putBefore)) this.#earlyFlushes++
    }
  }

  /** Memory of a producer that has nothing to do, so that two measurements can be compared. */
  async #measureInPause(): Promise<ProcessMemory> {
    const putting = this.#putting
    this.#putting = 'paused'
    await this.#producer!.flush()
    const memory = this.#measure()
    this.#putting = putting
    return memory
  }

  #measure(): ProcessMemory {
    const memory = memoryAfterCollection(this.#ledger.bytes)
    this.#progress.say(
      `heap after collection ${(memory.heapBytes / MIB).toFixed(2)} MiB, and ${(memory.codeBytes / MIB).toFixed(2)} MiB of code`,
    )
    return memory
  }

  /** Everything settled, what hung in the service carried out, all of it read. */
  async #settle(): Promise<void> {
    this.#progress.say('the last record is offered: waiting until all have settled and are read')
    const giveUpAt = performance.now() + this.#plan.recordTtlMs + PATIENCE_MS
    await this.#service.ask('calm', undefined)
    const flushed = this.#producer!.flush().then(() => true)
    while (!(await Promise.race([flushed, delay(PAUSE_MS, false)])) && performance.now() < giveUpAt);
    // Hung calls of before are carried out until then.
    await this.#pauseFor(this.#plan.requestTimeoutMs * 1.5 + 500)
    const now = performance.now()
    while (!this.#reader!.hasCaughtUp(now) && performance.now() < giveUpAt) await delay(PAUSE_MS)
  }

  async #sample(): Promise<void> {
    let last = performance.now()
    while (!this.#ended) {
      this.#highest()
      const now = performance.now()
      if (!this.#inOutage && typeof this.#putting === 'object' && now < this.#putting.until) {
        this.#shardSeconds += (this.#shards.length * (now - last)) / 1000
      }
      last = now
      await delay(SAMPLE_MS)
    }
  }

  #highest(): { readonly highestBufferedBytes: number; readonly highestBufferedRecords: number } {
    const { bufferedBytes, bufferedRecords } = this.#producer!.stats()
    this.#highestBufferedBytes = Math.max(this.#highestBufferedBytes, bufferedBytes)
    this.#highestBufferedRecords = Math.max(this.#highestBufferedRecords, bufferedRecords)
    this.#highestRss = Math.max(this.#highestRss, process.memoryUsage.rss())
    return { highestBufferedBytes: this.#highestBufferedBytes, highestBufferedRecords: this.#highestBufferedRecords }
  }

  /**
   * Lets half a day pass in the service once everything from before the last half has been read. So its retention drops what was read, and
   * only that.
   */
  async #passTime(): Promise<void> {
    while (!this.#ended) {
      const passedAt = performance.now()
      await this.#service.ask('passTime', HALF_A_DAY_MS).catch((error: Error) => this.#break(error))
      await this.#pauseFor(PASS_TIME_EVERY_MS)
      while (!this.#ended && !this.#reader!.hasCaughtUp(passedAt)) await delay(PAUSE_MS)
    }
  }

  /** The service sees a socket go a moment after the client closed it. */
  async #socketsLeft(): Promise<number> {
    const giveUpAt = performance.now() + 2000
    for (;;) {
      const { openConnections } = await this.#service.ask('report', undefined)
      if (openConnections === 0 || performance.now() > giveUpAt) return openConnections
      await delay(PAUSE_MS)
    }
  }

  #opened(shards: readonly OpenShard[]): void {
    this.#shards = shards
    this.#workload.spread(shards)
  }

  /** Waits, but not beyond the end of the run. */
  async #pauseFor(ms: number): Promise<void> {
    const until = performance.now() + ms
    for (let left = ms; left > 0 && !this.#ended; left = until - performance.now()) await delay(Math.min(left, 100))
  }

  #orBroken<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#broken])
  }

  #line(): string {
    const stats = this.#producer?.stats()
    const heap = process.memoryUsage().heapUsed / MIB
    return (
      `offered ${this.#ledger.offered.toLocaleString('en-US')}  acknowledged ${this.#acknowledged.toLocaleString('en-US')}  ` +
      `buffered ${((stats?.bufferedBytes ?? 0) / MIB).toFixed(1)} MiB  in flight ${stats?.requestsInFlight ?? 0}  ` +
      `retries ${stats?.retries ?? 0}  shards ${this.#shards.length}  heap ${heap.toFixed(0)} MiB`
    )
  }
}

function failureOf(error: Error): { readonly reason: string; readonly written: 'no' | 'unknown' } {
  if (error instanceof DeliveryFailedError) return { reason: error.reason, written: error.written }
  if (error instanceof LaneHaltedError) return { reason: 'halted', written: error.written }
  return {
    reason: error instanceof StreamUnusableError ? `stream-unusable ${error.serviceCode}` : error.name,
    written: 'unknown',
  }
}

export function passed(result: SoakResult): boolean {
  return checksOf(result).every(({ holds }) => holds)
}
