import { uncovered } from '@shardwise/core/hash-key'
import type { Random } from '@shardwise/core/random'
import { ConsumerApp } from './consumer-app.js'
import { type Disturbance, type Plan, planOf, type Whom } from './disturbance.js'
import { DynamoDBService } from './dynamodb-service.js'
import { type FleetSettings, fleetSettings, pick, producerVariant, randomOf } from './fleet-settings.js'
import { KinesisService, STREAM } from './kinesis-service.js'
import { actualOwner, LeaseTruth, processOf } from './lease-truth.js'
import { CALM, Network, type Service } from './network.js'
import { ProducerApp } from './producer-app.js'
import { placeOf, RecordLedger } from './record-ledger.js'
import { SimulatedProcess } from './simulated-process.js'
import { VirtualTime } from './virtual-time.js'

const TABLE = 'flights-app'
const MOST_OPEN_SHARDS = 8
const MOST_CONSUMERS = 6
const DAY_MS = 86_400_000
/** Between two looks at everything. */
const LOOK_EVERY_MS = 500
/** A call to Kinesis of which nothing is heard is given up after 30 s. */
const READ_PATIENCE_MS = 45_000
/** A start that fails in calm weather fails within this time of the last bad one. */
const STARTS_WITHIN_MS = 45_000

export interface SimulationOptions {
  readonly seed: number
  /** Which of the plan's disturbances happen. Default: all. */
  readonly only?: ReadonlySet<number> | undefined
  /** Is told of whatever happens. */
  readonly trace?: ((line: string) => void) | undefined
  /** Goes on after the first broken promise. */
  readonly goOn?: boolean | undefined
}

export interface SimulationResult {
  readonly seed: number
  readonly violations: readonly string[]
  readonly virtualMs: number
  readonly steps: number
  readonly puts: number
  readonly acknowledged: number
  readonly handled: number
  readonly disturbances: number
  readonly takes: number
}

/** One world, from its seed to its end. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  return new Simulation(options).run()
}

class Simulation {
  readonly #seed: number
  readonly #only: ReadonlySet<number> | undefined
  readonly #goOn: boolean
  readonly #settings: FleetSettings
  readonly #plan: Plan
  readonly #time = new VirtualTime()
  readonly #random: Random
  readonly #network: Network
  readonly #dynamodb: DynamoDBService
  readonly #kinesis: KinesisService
  readonly #ledger: RecordLedger
  readonly #truth: LeaseTruth
  readonly #consumers: ConsumerApp[] = []
  readonly #producers: ProducerApp[] = []
  readonly #keys: readonly string[]
  readonly #violations: string[] = []
  readonly #tracing: ((line: string) => void) | undefined
  #processes = 0
  #disturbedUntil = 0
  #isReadFromStart = false

  constructor({ seed, only, trace, goOn = false }: SimulationOptions) {
    this.#seed = seed
    this.#only = only
    this.#goOn = goOn
    this.#tracing = trace
    this.#settings = fleetSettings(seed)
    const { failoverTimeMs, initialPosition } = this.#settings.consumer
    this.#isReadFromStart = initialPosition === 'trim-horizon'
    this.#plan = planOf(seed, failoverTimeMs)
    this.#random = randomOf(seed, 'world')
    const violated = this.#violated
    this.#network = new Network(this.#time, this.#trace)
    this.#truth = new LeaseTruth({
      failoverTimeMs,
      fastest: 1 + this.#settings.drift,
      now: () => this.#time.now,
      isDisturbed: (worker, withinMs) => this.#isDisturbed(worker, withinMs),
      firstOpen: (leaseKey, checkpoint, sub) =>
        this.#ledger.firstOpen(leaseKey, checkpoint === 'SHARD_END' ? checkpoint : placeOf(checkpoint, Number(sub)))?.put.id,
      violated,
    })
    this.#dynamodb = new DynamoDBService(this.#time, randomOf(seed, 'dynamodb'), (write) => {
      if (this.#tracing !== undefined) this.#trace(`table: ${write.by} ${write.operation} ${write.key}: ${JSON.stringify(write.after)}`)
      if (!this.#isReadFromStart && write.operation === 'PutItem') {
        // The first lease says from when: from here on nothing may be skipped.
        this.#isReadFromStart = true
        this.#ledger.expire(this.#time.now)
      }
      this.#truth.landed(write)
    })
    this.#ledger = new RecordLedger({ listing: () => this.#kinesis.listing(), now: () => this.#time.now, violated })
    this.#kinesis = new KinesisService({
      time: this.#time,
      random: randomOf(seed, 'kinesis'),
      network: this.#network,
      shards: this.#settings.shards,
      written: (_, input, output) => this.#ledger.written(input, output),
      read: (by, sequenceNumber) => this.#ledger.read(by, sequenceNumber),
    })
    this.#ledger.learnShards()
    const keys = pick(this.#random, [3, 8, 20])
    this.#keys = Array.from({ length: keys }, (_, i) => `key-${i}`)
  }

  async run(): Promise<SimulationResult> {
    const { failoverTimeMs, handoffTimeoutMs } = this.#settings.consumer
    const producers = 1 + Math.floor(this.#random() * 2)
    for (let i = 0; i < this.#settings.consumers; i++) this.#time.after(this.#random() * 1_000, () => this.#addConsumer())
    for (let i = 0; i < producers; i++) this.#time.after(this.#random() * 1_000, () => this.#addProducer())
    for (const [i, disturbance] of this.#plan.disturbances.entries()) {
      if (this.#only?.has(i) !== false) this.#time.at(disturbance.at, () => this.#disturb(i, disturbance))
    }
    this.#time.after(LOOK_EVERY_MS, this.#look)
    const { calmAt } = this.#plan
    await this.#pass(calmAt)
    this.#calm()
    // Late calls arrive, what has expired is taken, handoffs are over; then nothing has a reason to move any more.
    await this.#pass(this.#time.now + 15_000 + failoverTimeMs * 4 + handoffTimeoutMs)
    const moves = this.#truth.moves
    await this.#pass(this.#time.now + failoverTimeMs * 2)
    if (this.#truth.moves !== moves) this.#violated(`the fleet does not come to rest: ${this.#truth.moves - moves} moves in calm weather`)
    await this.#closeProducers()
    // What they wrote last is read.
    await this.#pass(this.#time.now + 5_000)
    this.#judge()
    await this.#stopConsumers()
    return this.#result()
  }

  readonly #trace = (line: string): void => {
    this.#tracing?.(`${this.#time.now.toFixed(3)} ${line}`)
  }

  readonly #violated = (what: string): void => {
    this.#violations.push(`${this.#time.now.toFixed(3)}: ${what}`)
    this.#trace(`VIOLATED: ${what}`)
  }

  async #pass(until: number): Promise<void> {
    if (this.#isOver()) return
    await this.#time.pass(until, () => !this.#isOver())
  }

  #isOver(): boolean {
    return this.#violations.length > 0 && !this.#goOn
  }

  #result(): SimulationResult {
    const puts = [...this.#ledger.puts.values()]
    let handled = 0
    for (const { copies } of this.#ledger.shards) for (const { calls } of copies) handled += calls
    return {
      seed: this.#seed,
      violations: this.#violations,
      virtualMs: Math.round(this.#time.now),
      steps: this.#time.steps,
      puts: puts.length,
      acknowledged: puts.filter(({ state }) => state === 'acknowledged').length,
      handled,
      disturbances: this.#plan.disturbances.length,
      takes: this.#truth.moves,
    }
  }

  #newProcess(kind: string): SimulatedProcess {
    const name = `${kind}${this.#processes++}`
    const random = randomOf(this.#seed, name)
    const { drift } = this.#settings
    const rate = 1 + (random() * 2 - 1) * drift
    return new SimulatedProcess(this.#time, random, { name, rate, wallSkewMs: Math.round((random() - 0.5) * 60_000) })
  }

  #addConsumer(): void {
    if (this.#aliveConsumers().length >= MOST_CONSUMERS) return
    const process = this.#newProcess('c')
    const app = new ConsumerApp({
      process,
      time: this.#time,
      kinesis: this.#kinesis.port(process),
      dynamodb: {
        send: (command, { abortSignal } = {}) => {
          const operation = command.constructor.name.replace(/Command$/, '')
          const { input } = command as { readonly input: Parameters<DynamoDBService['perform']>[2] }
          const work = (): object => this.#dynamodb.perform(process.name, operation, input)
          const about = input.Key?.leaseKey?.S ?? input.Item?.leaseKey?.S ?? ''
          return this.#network.send({ process, service: 'dynamodb', operation, about, work, signal: abortSignal, timeoutMs: undefined })
        },
      },
      settings: this.#settings,
      stream: STREAM,
      ledger: this.#ledger,
      truth: this.#truth,
      violated: this.#violated,
      trace: this.#trace,
    })
    this.#trace(`${process.name} starts`)
    this.#consumers.push(app)
    void app.run().catch((error: Error) => {
      this.#trace(`${process.name} gives up: ${error.message}`)
      if (!this.#isDisturbed(`${process.name}:`, STARTS_WITHIN_MS)) this.#violated(`${process.name} gave up in calm weather: ${error.message}`)
      // As whoever watches over processes does.
      this.#kill(process, 1_000)
    })
  }

  #addProducer(): void {
    const process = this.#newProcess('p')
    const random = randomOf(this.#seed, `variant of ${process.name}`)
    const app = new ProducerApp({
      process,
      kinesis: this.#kinesis.port(process),
      variant: producerVariant(random),
      stream: STREAM,
      keys: this.#keys,
      ledger: this.#ledger,
      violated: this.#violated,
      trace: this.#trace,
    })
    this.#trace(`${process.name} starts`)
    this.#producers.push(app)
    app.start()
  }

  #aliveConsumers(): ConsumerApp[] {
    return this.#consumers.filter(({ process, isStopping }) => !process.isDead && !isStopping)
  }

  #chosen(whom: Whom): SimulatedProcess[] {
    if (whom.is === 'all-consumers') return this.#aliveConsumers().map(({ process }) => process)
    const among = (whom.is === 'consumer' ? this.#consumers : this.#producers).filter(({ process }) => !process.isDead)
    const one = among[Math.floor(whom.who * among.length)]
    return one === undefined ? [] : [one.process]
  }

  #disturb(index: number, disturbance: Disturbance): void {
    this.#trace(`disturbance ${index}: ${JSON.stringify(disturbance)}`)
    const time = this.#time
    switch (disturbance.kind) {
      case 'weather':
        this.#network.setWeather(disturbance.service, disturbance.weather)
        this.#disturbedUntil = Math.max(this.#disturbedUntil, time.now + disturbance.forMs)
        return void time.after(disturbance.forMs, () => this.#network.setWeather(disturbance.service, CALM))
      case 'cut':
        for (const process of this.#chosen(disturbance.whom)) this.#cut(process, disturbance.service, disturbance.forMs)
        return
      case 'pause':
        for (const process of this.#chosen(disturbance.whom)) {
          process.pause()
          process.disturbed(time.now + disturbance.forMs)
          time.after(disturbance.forMs, () => process.resume(disturbance.suspended))
        }
        return
      case 'kill':
        for (const process of this.#chosen(disturbance.whom)) this.#kill(process, disturbance.againAfterMs)
        return
      case 'stop': {
        const apps = this.#aliveConsumers()
        void apps[Math.floor(disturbance.who * apps.length)]?.stop(disturbance.timeoutMs)
        if (disturbance.againAfterMs !== undefined) time.after(disturbance.againAfterMs, () => this.#addConsumer())
        return
      }
      case 'start':
        return this.#addConsumer()
      case 'split':
      case 'merge':
        return this.#reshard(disturbance)
      case 'handlers': {
        const apps = this.#aliveConsumers()
        const app = apps[Math.floor(disturbance.who * apps.length)]
        if (app === undefined) return
        const { slow, failing, blocking } = disturbance
        Object.assign(app.conduct, { slow, failing, blocking })
        return void time.after(disturbance.forMs, () => Object.assign(app.conduct, { slow: 0, failing: 0, blocking: 0 }))
      }
      case 'stale-listings':
        this.#kinesis.staleListings = disturbance.chance
        return void time.after(disturbance.forMs, () => {
          this.#kinesis.staleListings = 0
        })
      case 'expired-iterators':
        this.#kinesis.expiredIterators = disturbance.chance
        return void time.after(disturbance.forMs, () => {
          this.#kinesis.expiredIterators = 0
        })
      case 'retention':
        this.#ledger.learnShards()
        this.#kinesis.jump(DAY_MS + 3_600_000)
        return this.#ledger.expire(time.now)
      case 'auto':
        return
    }
  }

  #cut(process: SimulatedProcess, service: Service | 'both', forMs: number): void {
    const services: readonly Service[] = service === 'both' ? ['kinesis', 'dynamodb'] : [service]
    for (const each of services) {
      this.#network.cut(process, each)
      this.#time.after(forMs, () => this.#network.mend(process, each))
    }
    process.disturbed(this.#time.now + forMs)
  }

  #kill(process: SimulatedProcess, againAfterMs: number | undefined): void {
    process.kill()
    const isConsumer = this.#consumers.some((app) => app.process === process)
    // Somebody must be left to read, and to write.
    const left = isConsumer ? this.#aliveConsumers() : this.#producers.filter((app) => !app.process.isDead)
    const again = againAfterMs ?? (left.length === 0 ? 1_000 : undefined)
    if (again !== undefined) this.#time.after(again, () => (isConsumer ? this.#addConsumer() : this.#addProducer()))
  }

  #reshard(disturbance: Extract<Disturbance, { readonly kind: 'split' | 'merge' }>): void {
    const open = this.#kinesis.listing().filter(({ SequenceNumberRange }) => SequenceNumberRange?.EndingSequenceNumber === undefined)
    const sorted = open
      .map(({ ShardId, HashKeyRange }) => ({
        ShardId: ShardId!,
        start: BigInt(HashKeyRange!.StartingHashKey!),
        end: BigInt(HashKeyRange!.EndingHashKey!),
      }))
      .sort((a, b) => (a.start < b.start ? -1 : 1))
    try {
      if (disturbance.kind === 'merge') {
        const at = Math.floor(disturbance.which * (sorted.length - 1))
        const [lower, upper] = [sorted[at], sorted[at + 1]]
        if (lower === undefined || upper === undefined) return
        const shards = { ShardToMerge: lower.ShardId, AdjacentShardToMerge: upper.ShardId }
        this.#kinesis.call('MergeShards', { StreamName: STREAM, ...shards })
      } else {
        const shard = sorted[Math.floor(disturbance.which * sorted.length)]
        if (shard === undefined || sorted.length >= MOST_OPEN_SHARDS) return
        const at = shard.start + ((shard.end - shard.start) * BigInt(Math.round(disturbance.where * 1_000))) / 1_000n
        this.#kinesis.call('SplitShard', { StreamName: STREAM, ShardToSplit: shard.ShardId, NewStartingHashKey: `${at}` })
      }
    } catch (error) {
      // One at a time: the stream is being changed already.
      this.#trace(`no reshard: ${(error as Error).name}`)
    }
  }

  #calm(): void {
    this.#trace('calm')
    for (const service of ['kinesis', 'dynamodb'] as const) this.#network.setWeather(service, CALM)
    for (const { process } of [...this.#consumers, ...this.#producers]) {
      for (const service of ['kinesis', 'dynamodb'] as const) this.#network.mend(process, service)
      process.resume()
    }
    if (this.#aliveConsumers().length === 0) this.#addConsumer()
  }

  #isDisturbed(worker: string, withinMs: number): boolean {
    const since = this.#time.now - withinMs
    const app = this.#consumers.find(({ process }) => process.name === processOf(worker))
    return app === undefined || this.#disturbedUntil >= since || app.process.disturbedUntil >= since || app.process.isPaused
  }

  /** What must hold all the time, and is no consequence of one event. */
  readonly #look = (): void => {
    this.#time.after(LOOK_EVERY_MS, this.#look)
    const { failoverTimeMs, idleTimeBetweenReadsMs } = this.#settings.consumer
    const patience = failoverTimeMs / 3 + idleTimeBetweenReadsMs * 2 + 2_500
    for (const { shardId, copies, completed } of this.#ledger.shards) {
      const tenure = this.#truth.current(shardId)
      if (tenure === undefined || tenure.end !== 'none' || this.#isDisturbed(tenure.worker, patience)) continue
      const app = this.#consumers.find(({ workerId }) => workerId === tenure.worker)!
      const waiting = copies.slice(completed).find((copy) => !copy.isCompleted && !copy.isExpired)
      if (app.isStopping || waiting === undefined || tenure.confirmedAt < this.#time.now - failoverTimeMs / 2) continue
      const since = waiting.readBy === app.process.name ? waiting.readAt + patience : waiting.landedAt + READ_PATIENCE_MS
      const silentMs = app.silence(shardId, tenure.generation)
      if (since < this.#time.now && silentMs !== undefined && silentMs > patience)
        this.#violated(`${tenure.worker} has ${shardId}, renews it, and has not handled ${waiting.put.id} for ${Math.round(silentMs)} ms`)
    }
  }

  async #closeProducers(): Promise<void> {
    if (this.#isOver()) return
    const alive = this.#producers.filter(({ process }) => !process.isDead)
    let left = alive.length
    for (const app of alive) void app.close().then(() => left--)
    await this.#pass(this.#time.now + 20_000)
    if (left > 0 && !this.#isOver()) this.#violated(`${left} producers do not close in calm weather`)
    for (const { process } of alive) {
      if (process.liveTimers > 0) this.#violated(`${process.name} has closed and leaves ${process.liveTimers} timers behind`)
    }
  }

  #judge(): void {
    if (this.#isOver()) return
    const killed = new Set(this.#producers.filter(({ process }) => process.isDead).map(({ process }) => process.name))
    for (const put of this.#ledger.puts.values()) if (put.state === 'open' && killed.has(put.producer)) put.state = 'failed'
    this.#ledger.judge(() => true)
    const alive = this.#aliveConsumers()
    const counts = new Map(alive.map((app) => [app.workerId, 0]))
    const ranges = []
    for (const row of this.#dynamodb.rows(TABLE)) {
      if (row.leaseCounter === undefined || row.checkpoint?.S === 'SHARD_END') continue
      const key = row.leaseKey!.S!
      const { range } = this.#ledger.shard(key)
      ranges.push(range)
      const owner = actualOwner(row)
      if (owner === undefined || !counts.has(owner)) this.#violated(`in calm weather ${key} is owned by ${owner ?? 'nobody'}`)
      else counts.set(owner, counts.get(owner)! + 1)
    }
    if (uncovered(ranges).length > 0) this.#violated('the leases do not cover all hash keys')
    const held = [...counts.values()]
    if (held.length > 0 && Math.max(...held) - Math.min(...held) > 1) this.#violated(`shares are unfair: ${held.join(', ')}`)
  }

  async #stopConsumers(): Promise<void> {
    if (this.#isOver()) return
    const { failoverTimeMs, handoffTimeoutMs } = this.#settings.consumer
    const alive = this.#consumers.filter(({ process }) => !process.isDead)
    for (const app of alive) void app.stop(undefined)
    await this.#pass(this.#time.now + failoverTimeMs * 3 + handoffTimeoutMs + 5_000)
    if (this.#isOver()) return
    for (const { process, isStopped } of alive) {
      if (!isStopped) this.#violated(`${process.name} does not stop`)
      else if (process.liveTimers > 0) this.#violated(`${process.name} has stopped and leaves ${process.liveTimers} timers behind`)
    }
    const names = new Set(alive.map(({ process }) => process.name))
    for (const row of this.#dynamodb.rows(TABLE)) {
      const owner = actualOwner(row)
      if (owner !== undefined && names.has(processOf(owner))) this.#violated(`${owner} has stopped and still owns ${row.leaseKey?.S}`)
    }
  }
}
