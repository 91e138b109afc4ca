import { ConsumerStartError } from '@shardwise/consumer'
import type { Random } from '@shardwise/core/random'
import { ConsumerApp } from './consumer-app.js'
import type { Item } from './dynamodb-expression.js'
import { DynamoDBService } from './dynamodb-service.js'
import type { FleetMember } from './fleet-member.js'
import { type FleetSettings, fleetSettings, pick, producerVariant, randomOf } from './fleet-settings.js'
import { JavaApp } from './java-app.js'
import { besideJava, type JavaPeers, javaPeersOf } from './java-peers.js'
import { KinesisService } from './kinesis-service.js'
import { LeaseTruth, processOf } from './lease-truth.js'
import { Network } from './network.js'
import { ProducerApp, type RecordKey } from './producer-app.js'
import { judgeReadAhead } from './read-ahead.js'
import { RecordLedger } from './record-ledger.js'
import { RecordSink } from './record-sink.js'
import { RequestsUnderWay } from './requests-under-way.js'
import { SimulatedProcess } from './simulated-process.js'
import { placeOf } from './stream-log.js'
import { VirtualTime } from './virtual-time.js'
import { decoderOf, type KeyService } from './world-codec.js'

/** The lease table, and the application. */
export const TABLE = 'flights-app'
const MOST_CONSUMERS = 6
/** A start that fails in calm weather fails within this time of the last bad one. */
const STARTS_WITHIN_MS = 45_000

export interface WorldOptions {
  readonly seed: number
  readonly violated: (what: string) => void
  /** Undefined: nobody wants to know. */
  readonly trace: ((line: string) => void) | undefined
}

/** Services, network, processes, and what is known of all of them: a world before anything goes wrong in it. */
export class World {
  readonly seed: number
  readonly settings: FleetSettings
  readonly time: VirtualTime = new VirtualTime()
  readonly random: Random
  readonly network: Network
  readonly dynamodb: DynamoDBService
  readonly kinesis: KinesisService
  readonly ledger: RecordLedger
  readonly truth: LeaseTruth
  readonly consumers: FleetMember[] = []
  /** Java's workers on the same table. Undefined: none in this world. */
  readonly peers: JavaPeers | undefined
  readonly java: JavaApp[] = []
  /** What a worker that is started now is. */
  newcomers: 'ours' | 'java' = 'ours'
  readonly producers: ProducerApp[] = []
  readonly violated: (what: string) => void
  /** All are told to stop: nobody is to take their place. */
  isOver = false
  /** Nothing is disturbed any more. */
  isCalm = false
  /** Virtual time until which all may be disturbed. */
  disturbedUntil = 0
  readonly keyService: KeyService = { isAway: false }
  readonly sink: RecordSink
  /** That workers read at present. */
  readonly streams: Set<string>
  readonly #tracing: ((line: string) => void) | undefined
  readonly #recordKeys: readonly RecordKey[]
  /** By name: those of which there has been a lease. */
  readonly #known = new Set<string>()
  /** By process: when the service has last shown it the table. */
  readonly #lookedAt = new Map<string, number>()
  #processes = 0

  constructor({ seed, violated, trace }: WorldOptions) {
    this.seed = seed
    this.violated = violated
    this.#tracing = trace
    this.peers = javaPeersOf(seed)
    this.settings = besideJava(fleetSettings(seed), this.peers)
    const { streams, severalStreams, codec } = this.settings
    const { failoverTimeMs, initialPosition, dedupe } = this.settings.consumer
    this.random = randomOf(seed, 'world')
    this.network = new Network(this.time, this.trace)
    this.streams = new Set(streams.map(({ name }) => name))
    this.sink = new RecordSink(violated)
    this.ledger = new RecordLedger({
      listing: (name) => this.kinesis.listing(name),
      now: () => this.time.now,
      severalStreams,
      dropsDuplicates: dedupe !== undefined,
      decode: decoderOf(codec),
      violated,
    })
    this.truth = new LeaseTruth({
      failoverTimeMs,
      fastest: 1 + this.settings.drift,
      now: () => this.time.now,
      isWell: ({ worker, leaseKey, takenAt }) =>
        !this.isDisturbed(worker, failoverTimeMs * 2) && this.app(worker)!.knowsOf(leaseKey, takenAt) && !this.hasStopped(worker),
      firstOpen: (leaseKey, checkpoint, sub, createdAt) =>
        this.ledger.firstOpen(leaseKey, checkpoint === 'SHARD_END' ? checkpoint : placeOf(checkpoint, Number(sub)), createdAt)
          ?.put.id,
      createdAt: (leaseKey) => this.ledger.stream(this.#streamOf(leaseKey)).createdAt,
      violated,
      isJava: (name) => /^j\d/.test(name),
      javaIsTakenFrom: this.peers?.version === '2.x',
    })
    this.dynamodb = new DynamoDBService(this.time, randomOf(seed, 'dynamodb'), (write) => {
      if (trace) this.trace(`table: ${write.by} ${write.operation} ${write.key}: ${JSON.stringify(write.after)}`)
      const name = this.#streamOf(write.key)
      if (initialPosition === 'latest' && write.operation === 'PutItem' && !this.#known.has(name)) {
        // The first lease says from when, by the service's calendar: from then on nothing may be skipped.
        this.#known.add(name)
        const startedMsAgo = this.kinesis.wallTime - Number(write.after?.swStartAt?.N)
        this.ledger.skip(this.ledger.stream(name), this.time.now - startedMsAgo)
      }
      this.truth.landed(write)
    })
    const requests = new RequestsUnderWay({ contents: this.ledger.contents, violated })
    this.kinesis = new KinesisService({
      time: this.time,
      random: randomOf(seed, 'kinesis'),
      network: this.network,
      streamOf: (name) => this.ledger.stream(name),
      written: (name, input, output, known) => this.ledger.written(name, input, output, known),
      sends: (by, { Records }) => requests.sends(by, Records),
      read: (by, stream, sequenceNumber) => this.ledger.read(by, stream, sequenceNumber),
      reads: (by, name, shardId) => judgeReadAhead(this, by, name, shardId),
      subscribes: (by, name, shardId) => {
        // Of a stream that is gone the old stream consumer may be asked for once more: the service knows it no longer.
        const leaseKeys = this.ledger.namesakes(name).flatMap((stream) => this.ledger.shard(stream, shardId)?.leaseKey ?? [])
        const ask = (): void => this.truth.subscribes(by.name, [...new Set(leaseKeys)].reverse())
        // Code that has blocked goes on later than the step that it runs in.
        if (by.now > this.time.now) this.time.at(by.now, ask)
        else ask()
      },
    })
    if (this.peers !== undefined) prepareTables(this.dynamodb, this.peers)
    // The models of Java's workers ask for one page.
    else if (this.settings.rowsPerPage !== undefined) this.dynamodb.rowsPerPage = this.settings.rowsPerPage
    for (const { name, shards } of streams) this.ledger.opened(name, this.kinesis.create(name, shards))
    this.#recordKeys = recordKeys(this.random, this.settings)
  }

  readonly trace = (line: string): void => {
    this.#tracing?.(`${this.time.now.toFixed(3)} ${line}`)
  }

  get aliveConsumers(): FleetMember[] {
    return this.consumers.filter(({ process, isStopping }) => !process.isDead && !isStopping)
  }

  get aliveJava(): JavaApp[] {
    return this.java.filter(({ process, isStopping }) => !process.isDead && !isStopping)
  }

  /** Of both kinds: what happens to one happens to the other. */
  get aliveWorkers(): readonly (FleetMember | JavaApp)[] {
    return [...this.aliveConsumers, ...this.aliveJava]
  }

  get aliveProducers(): ProducerApp[] {
    return this.producers.filter(({ process }) => !process.isDead)
  }

  app(worker: string): FleetMember | undefined {
    return this.consumers.find(({ process }) => process.name === processOf(worker))
  }

  /** A worker that could not reach the table when it stopped may have left a lease to expire. */
  hasStopped(worker: string): boolean {
    return this.app(worker)?.isStopped === true
  }

  /** Whether something may have kept this worker from its work within the last `withinMs`. */
  isDisturbed(worker: string, withinMs: number): boolean {
    const since = this.time.now - withinMs
    const app = this.app(worker)
    return app === undefined || this.disturbedUntil >= since || app.process.disturbedUntil >= since || app.process.isPaused
  }

  /** The lease is of a stream that is gone, while another one has its name. */
  readonly isFormer = ({ leaseKey, swStreamCreated }: Item): boolean =>
    swStreamCreated !== undefined && Number(swStreamCreated.N) < this.ledger.stream(this.#streamOf(leaseKey!.S!)).createdAt

  /** Of the kind that is started now. */
  addWorker(): void {
    if (this.aliveWorkers.length >= MOST_CONSUMERS) return
    if (this.newcomers === 'java') this.addJava()
    else this.addConsumer()
  }

  addJava(): void {
    const { settings, ledger, violated, trace } = this
    const process = this.#newProcess('j')
    const app = new JavaApp({
      ...{ process, version: this.peers!.version, settings, stream: settings.streams[0]!.name, table: TABLE, ledger },
      ...{ violated, trace, kinesis: this.kinesis.port(process) },
      dynamodb: this.#dynamodbOf(process, settings.consumer.failoverTimeMs / 2),
    })
    trace(`${process.name} starts`)
    this.java.push(app)
    app.start()
  }

  addConsumer(): void {
    const process = this.#newProcess('c')
    const app = new ConsumerApp({
      ...{
        process,
        time: this.time,
        settings: this.settings,
        streams: [...this.streams],
        ledger: this.ledger,
        truth: this.truth,
      },
      ...{ violated: this.violated, trace: this.trace, kinesis: this.kinesis.port(process), dynamodb: this.#dynamodbOf(process) },
      ...{
        keyService: this.keyService,
        sink: this.sink,
        network: this.network,
        arnOf: (name: string) => this.kinesis.arnOf(name),
        isCalm: () => this.isCalm,
        diesNow: () => this.kill(process, 1_000),
      },
    })
    this.trace(`${process.name} starts`)
    const { handlersTakeMs } = this.settings
    if (handlersTakeMs !== undefined && !this.isCalm)
      Object.assign(app.conduct, { slow: this.settings.isHeavy ? 0.9 : 0.4, longestMs: handlersTakeMs })
    this.consumers.push(app)
    const startedAt = this.time.now
    const ended = (): void => {
      // An application whose loop was left, or a process that was stopped: others, or it again, must be there.
      this.trace(`${process.name} has ended`)
      if (this.aliveWorkers.length === 0 && !this.isOver) this.time.after(1_000, () => this.addWorker())
    }
    app.run().then(ended, (error: Error) => {
      this.trace(`${process.name} gives up: ${error.message}`)
      const mayFail =
        error instanceof ConsumerStartError &&
        (this.isDisturbed(`${process.name}:`, STARTS_WITHIN_MS) || this.#wasGone(error.stream, startedAt))
      if (!mayFail) this.violated(`${process.name} gave up in calm weather: ${error.message}`)
      // As whoever watches over processes does.
      this.kill(process, 1_000)
    })
  }

  addProducer(): void {
    const process = this.#newProcess('p')
    const app = new ProducerApp({
      ...{ process, recordKeys: this.#recordKeys, ledger: this.ledger, violated: this.violated, trace: this.trace },
      ...{ settings: this.settings, keyService: this.keyService },
      ...{
        kinesis: this.kinesis.port(process),
        variant: producerVariant(randomOf(this.seed, `variant of ${process.name}`), this.settings),
      },
    })
    this.trace(`${process.name} starts`)
    this.producers.push(app)
    app.start()
  }

  kill(process: SimulatedProcess, againAfterMs: number | undefined): void {
    process.kill()
    const isProducer = this.producers.some((app) => app.process === process)
    // Somebody must be left to read, and to write.
    const left = isProducer ? this.aliveProducers.length : this.aliveWorkers.length
    const again = againAfterMs ?? (left === 0 ? 1_000 : undefined)
    if (again !== undefined) this.time.after(again, () => (isProducer ? this.addProducer() : this.addWorker()))
  }

  /** A start fails that looks for a stream while it is being deleted, or before it is there again. `given`: its name or ARN. */
  #wasGone(given: string, since: number): boolean {
    const { isGoing, openedAt } = this.ledger.stream(given.split('/').at(-1)!)
    return isGoing || openedAt > since
  }

  /**
   * Given to its owner when that had stopped already. Nobody takes such a lease: of a leader of Java's, whose reads may be behind and show the row of
   * that worker for a moment more, it expires (docs/lease-protocol.md, "Our worker row"); of a peer it is made free by others, but not where the
   * stream is gone, and they know of the present one only.
   */
  wasGivenTooLate(row: Item, owner: string): boolean {
    const gift = this.truth.gift(row.leaseKey!.S!, owner)
    const lookedAt = this.#lookedAt.get(processOf(owner))
    return gift !== undefined && lookedAt !== undefined && gift.at > lookedAt && (gift.isByJava || this.isFormer(row))
  }

  /** The stream whose shard this lease is of. */
  #streamOf(leaseKey: string): string {
    return leaseKey.split(':')[1] ?? this.settings.streams[0]!.name
  }

  #newProcess(kind: string): SimulatedProcess {
    const name = `${kind}${this.#processes++}`
    const random = randomOf(this.seed, name)
    const rate = 1 + (random() * 2 - 1) * this.settings.drift
    // A leader of KCL's believes in wall clocks.
    const mostSkewMs = this.peers === undefined ? 60_000 : 4_000
    return new SimulatedProcess(this.time, random, { name, rate, wallSkewMs: Math.round((random() - 0.5) * mostSkewMs) })
  }

  /** What an SDK client is to the consumer. */
  #dynamodbOf(process: SimulatedProcess, timeoutMs?: number): ConstructorParameters<typeof ConsumerApp>[0]['dynamodb'] {
    return {
      send: (command, { abortSignal } = {}) => {
        const operation = command.constructor.name.replace(/Command$/, '')
        const { input } = command as { readonly input: Parameters<DynamoDBService['perform']>[2] }
        const sentAt = this.time.now
        const work = (): object => {
          if (operation === 'Scan') this.#lookedAt.set(process.name, this.time.now)
          return this.dynamodb.perform(process.name, operation, input, sentAt)
        }
        const about = input.Key?.leaseKey?.S ?? input.Item?.leaseKey?.S ?? ''
        const call = { process, service: 'dynamodb', operation, about, work, signal: abortSignal, timeoutMs } as const
        return this.network.send(call)
      },
    }
  }
}

/** Each key of each stream always goes by the same hash key, explicit or not: else it would have no order. */
function recordKeys(random: Random, { streams, explicit }: FleetSettings): RecordKey[] {
  const count = pick(random, [3, 8, 20])
  return streams.flatMap(({ name: stream }) =>
    Array.from({ length: count }, (_, i) => {
      const explicitHashKey = random() < explicit ? `${BigInt(Math.floor(random() * 2 ** 32)) << 96n}` : undefined
      return { stream, partitionKey: `key-${i}`, explicitHashKey }
    }),
  )
}

/** As KCL has them when we come: in 3.x it has made its index, and written its version. */
function prepareTables(dynamodb: DynamoDBService, { version }: JavaPeers): void {
  if (version === '2.x') {
    dynamodb.prepare(TABLE, 'leaseKey')
    return
  }
  dynamodb.prepare(TABLE, 'leaseKey', 'LeaseOwnerToLeaseKeyIndex')
  const single = version === 'single-table'
  if (!single) {
    dynamodb.prepare(`${TABLE}-CoordinatorState`, 'key')
    dynamodb.prepare(`${TABLE}-WorkerMetricStats`, 'wid')
  }
  const [TableName, key] = single ? [TABLE, 'leaseKey'] : [`${TABLE}-CoordinatorState`, 'key']
  const entityType = single ? { entityType: { S: 'CLIENT_VERSION_MIGRATION' } } : {}
  const Item = { [key]: { S: 'Migration3.0' }, cv: { S: 'CLIENT_VERSION_3X' }, ...entityType }
  dynamodb.perform('kcl', 'PutItem', { TableName, Item })
}
