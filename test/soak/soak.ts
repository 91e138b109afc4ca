import { setTimeout as delay } from 'node:timers/promises'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { seededRandom } from '@shardwise/core/random'
import { Producer, type ProducerOptions } from '@shardwise/producer'
import { Disturbances } from './disturbances.js'
import { Ledger } from './ledger.js'
import { Offering } from './offering.js'
import { Places } from './place.js'
import { planOf, type SoakPlan } from './plan.js'
import { memoryAfterCollection, openResources, type ProcessMemory } from './process-memory.js'
import { Progress } from './progress.js'
import { ServiceProcess } from './service-process.js'
import { commandOf, type SoakOptions } from './soak-options.js'
import { type ReadRecord, StreamReader } from './stream-reader.js'
import { checksOf, LEAST_ACKNOWLEDGED, type SoakResult, verdictText } from './verdict.js'
import { KEYS, Workload } from './workload.js'

const STREAM = 'soak'
const ACCOUNT = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } }
const MIB = 1024 * 1024
const SHARD_RECORDS_PER_SECOND = 1000
const SAMPLE_MS = 50
const PAUSE_MS = 20
const RESUME_AFTER_MS = 50
const HALF_A_DAY_MS = 13 * 3_600_000
const PASS_TIME_EVERY_MS = 15_000
/** What settles or is read later than this after the end never does. */
const PATIENCE_MS = 120_000
const CLOSE_MS = 5000

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
  readonly #progress: Progress
  readonly #service: ServiceProcess
  /** Rejects when the run cannot go on. */
  readonly #broken: Promise<never>
  #break: (reason: Error) => void = () => {}
  #producer: Producer | undefined
  #offering: Offering | undefined
  #disturbances: Disturbances | undefined
  #reader: StreamReader | undefined
  #ended = false
  #foreign = 0
  #flushes = 0
  #earlyFlushes = 0
  #stuckFlushes = 0
  #resumed = 0
  #highestBufferedBytes = 0
  #highestBufferedRecords = 0
  #highestRss = 0
  #shardSeconds = 0

  constructor(options: SoakOptions, interrupted: AbortSignal) {
    this.#options = options
    this.#plan = planOf(options)
    this.#ledger = new Ledger(this.#plan.capacity)
    this.#workload = new Workload(seededRandom(options.seed))
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
    const shards = await this.#orBroken(this.#service.ask('openShards', undefined))
    this.#workload.spread(shards)
    this.#reader.start(shards)
    this.#disturbances = new Disturbances(shards, {
      service: this.#service,
      plan: this.#plan,
      usualShards: this.#options.shards,
      lots: seededRandom(seed + 1),
      onOpened: (opened) => this.#workload.spread(opened),
      say: (text) => this.#progress.say(text),
      wait: (ms) => this.#wait(ms),
      isOver: () => this.#offering?.state === 'over',
    })
    this.#producer = this.#makeProducer(endpoint)
    this.#offering = new Offering(this.#producer, this.#workload, this.#ledger)
    this.#progress.start()
    const background = [this.#sample(), this.#passTime()]
    const started = performance.now()
    const baseline = await this.#orBroken(this.#put())
    const seconds = (performance.now() - started) / 1000
    await this.#orBroken(this.#settle())
    const end = this.#measure()
    const stats = this.#producer.stats()
    const report = await this.#orBroken(this.#service.ask('report', undefined))
    // What has not settled by now never does: the account says so, and waits no more.
    await this.#orBroken(this.#producer.close({ signal: AbortSignal.timeout(CLOSE_MS) }).catch(() => {}))
    this.#ended = true
    await Promise.all([...background, this.#reader.stop()])
    this.#progress.stop()
    const openSockets = await this.#orBroken(this.#socketsLeft())
    const { highestBufferedBytes, highestBufferedRecords } = this.#highest()
    const perSecond = (count: number): number => Math.round(count / seconds)
    const percent = (used: number, limit: number): number => Math.round((1000 * used) / (limit * this.#shardSeconds)) / 10
    const { acknowledged, acknowledgedBytes, failures, refusedWhileHalted, fullBuffer } = this.#offering
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
      splits: this.#disturbances.splits,
      merges: this.#disturbances.merges,
      shardsSeen,
      failures,
      refusedWhileHalted,
      resumed: this.#resumed,
      rates: {
        recordsPerSecond: perSecond(acknowledged),
        bytesPerSecond: perSecond(acknowledgedBytes),
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
      fullBuffer,
      highestBufferedBytes,
      maxBufferedBytes: this.#plan.maxBufferedBytes,
      highestBufferedRecords,
      maxBufferedRecords: this.#plan.maxBufferedRecords,
      flushes: this.#flushes,
      earlyFlushes: this.#earlyFlushes,
      stuckFlushes: this.#stuckFlushes,
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
    this.#offering?.end()
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
    const { durationMs, longestMs, baselineAtMs } = this.#plan
    const offering = this.#offering!
    const disturbances = [this.#disturbances!.reshards(), this.#disturbances!.outage()]
    let disturbed = false
    const disturbing = Promise.all(disturbances).then(() => {
      disturbed = true
    })
    const started = performance.now()
    const offered = offering.run(() => {
      const lastedMs = performance.now() - started
      const isProof = disturbed && offering.fullBuffer > 0 && offering.acknowledged >= LEAST_ACKNOWLEDGED
      return lastedMs >= (isProof ? durationMs : longestMs)
    })
    const all = [offered, disturbing, this.#flushNowAndThen()]
    // Whatever fails ends the run, whichever is waited for then.
    for (const part of all) part.catch((error: Error) => this.#break(error))
    await this.#orBroken(this.#wait(baselineAtMs))
    const baseline = await this.#orBroken(this.#measureInPause())
    await this.#orBroken(Promise.all(all))
    return baseline
  }

  #read(record: ReadRecord, dropped: boolean): void {
    const made = this.#workload.read(record.data, record.partitionKey)
    const place = this.#places.of(record.shardId, record.sequenceNumber, record.subSequenceNumber)
    const known = made !== undefined && (dropped ? this.#ledger.dropped(made.record) : this.#ledger.see(made.record, place))
    if (!known) this.#foreign++
  }

  async #flushNowAndThen(): Promise<void> {
    for (;;) {
      await this.#wait(this.#plan.flushEveryMs)
      if (this.#offering!.state === 'over') return
      const putBefore = this.#ledger.offered
      await this.#flush()
      this.#flushes++
      if (!this.#ledger.hasSettledBelow(putBefore)) this.#earlyFlushes++
    }
  }

  /** Memory of a producer that has nothing to do, so that two measurements can be compared. */
  #measureInPause(): Promise<ProcessMemory> {
    return this.#offering!.pausedFor(async () => {
      await this.#flush()
      return this.#measure()
    })
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
    await this.#service.ask('calm', undefined)
    await this.#flush()
    // Hung calls of before are carried out until then.
    await this.#wait(this.#plan.requestTimeoutMs * 1.5 + 500)
    const now = performance.now()
    while (!this.#reader!.hasCaughtUp(now) && performance.now() < now + PATIENCE_MS) await delay(PAUSE_MS)
  }

  /** No longer than records can take: what is unsettled then is in the account at the end. */
  async #flush(): Promise<void> {
    const signal = AbortSignal.timeout(this.#plan.recordTtlMs + PATIENCE_MS)
    await this.#producer!.flush({ signal }).catch(() => {
      this.#stuckFlushes++
      this.#progress.say('a flush did not end')
    })
  }

  async #sample(): Promise<void> {
    let last = performance.now()
    while (!this.#ended) {
      this.#highest()
      const now = performance.now()
      if (!this.#disturbances!.inOutage && this.#offering!.state === 'offering') {
        this.#shardSeconds += (this.#disturbances!.openShards * (now - last)) / 1000
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
      await this.#wait(PASS_TIME_EVERY_MS)
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

  /** Waits, but not beyond the end of the run; false when that has come. */
  async #wait(ms: number): Promise<boolean> {
    const until = performance.now() + ms
    for (let left = ms; left > 0 && !this.#ended; left = until - performance.now()) await delay(Math.min(left, 100))
    return !this.#ended
  }

  #orBroken<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#broken])
  }

  #line(): string {
    const count = (value: number): string => value.toLocaleString('en-US')
    const mib = (bytes: number, digits: number): string => `${(bytes / MIB).toFixed(digits)} MiB`
    return (
      `offered ${count(this.#ledger.offered)}  acknowledged ${count(this.#offering?.acknowledged ?? 0)}  ` +
      `buffered ${mib(this.#producer?.stats().bufferedBytes ?? 0, 1)}  shards ${this.#disturbances?.openShards ?? 0}  ` +
      `heap ${mib(process.memoryUsage().heapUsed, 0)}`
    )
  }
}

export function passed(result: SoakResult): boolean {
  return checksOf(result).every(({ holds }) => holds)
}
