import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { type ConsumedRecord, Consumer, type ConsumerEvent, ConsumerStartError, type HandlerContext } from '@shardwise/consumer'
import { sleep } from '@shardwise/core/clock'
import type { FanOutPort } from '@shardwise/core/fan-out-port'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import { CountingProcessor } from './counting-processor.js'
import { type Conduct, type FleetMember, usual } from './fleet-member.js'
import { LoopedConsumption } from './looped-consumption.js'
import type { Network } from './network.js'
import { RecordHandling, type RecordHandlingOptions, streamIn, type Tenure } from './record-handling.js'
import type { RecordSink } from './record-sink.js'
import { SinkConsumption } from './sink-consumption.js'
import { codecOf, type KeyService } from './world-codec.js'

export interface ConsumerAppOptions extends Omit<RecordHandlingOptions, 'conduct'> {
  readonly kinesis: KinesisPort & FanOutPort
  readonly dynamodb: { send(command: object, options?: { readonly abortSignal?: AbortSignal }): Promise<object> }
  /** The streams that are read at present, by name. */
  readonly streams: readonly string[]
  readonly arnOf: (stream: string) => string
  readonly keyService: KeyService
  readonly sink: RecordSink
  readonly network: Network
  /** Nothing is disturbed any more. */
  readonly isCalm: () => boolean
  /** Its process is killed, and started again. */
  readonly diesNow: () => void
}

const ADDS_AGAIN_AFTER_MS = 1_000
const LONGEST_DECISION_MS = 2_000
/** Chance that a process does, between the two phases of a checkpoint. */
const DIES = 0.03

/** A worker process: a real Consumer, and an application that keeps the ledger. */
export class ConsumerApp implements FleetMember {
  readonly process: ConsumerAppOptions['process']
  readonly consumer: Consumer<unknown>
  readonly conduct: Conduct = usual()
  readonly #options: ConsumerAppOptions
  readonly #handling: RecordHandling
  readonly #takenAt = new Map<string, number>()
  readonly #streams: Set<string>
  /** One after the other, each tried until it succeeds or is not wanted any more. */
  readonly #adding = new Map<string, Promise<void>>()
  #wentOnAt = 0
  #isStopping = false
  #isStopped = false

  constructor(options: ConsumerAppOptions) {
    const { process, kinesis, dynamodb, settings, keyService, streams } = options
    this.#options = options
    this.process = process
    this.#handling = new RecordHandling({ ...options, conduct: this.conduct })
    this.#streams = new Set(streams)
    const given = streams.map((name) => this.#given(name))
    this.consumer = new Consumer<unknown>({
      ...(settings.severalStreams ? { streams: given } : { stream: given[0] }),
      codec: codecOf(settings.codec, process, keyService),
      applicationName: 'flights-app',
      workerId: process.name,
      kinesis,
      dynamodb: dynamodb as unknown as DynamoDBClient,
      clock: process.clock,
      random: process.random,
      ...settings.consumer,
    })
    this.consumer.events.onAny((event) => this.#heard(event))
  }

  get isStopping(): boolean {
    return this.#isStopping
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  get workerId(): string {
    return this.#handling.worker
  }

  async run(): Promise<void> {
    const running = this.#consume()
    this.#handling.worker = this.consumer.snapshot().workerId ?? ''
    try {
      await running
    } finally {
      this.#isStopping = true
      this.#isStopped = true
    }
  }

  stop(timeoutMs: number | undefined): void {
    this.#isStopping = true
    void this.consumer.stop({ timeoutMs })
  }

  addStream(name: string): void {
    if (this.#streams.has(name)) return
    this.#streams.add(name)
    const before = this.#adding.get(name) ?? Promise.resolve()
    this.#adding.set(
      name,
      before.then(() => this.#add(name)),
    )
  }

  /** A stream that is being deleted cannot be added: as the application sees to it, until it can. */
  async #add(name: string): Promise<void> {
    while (this.#streams.has(name) && !this.#isStopping && !this.consumer.snapshot().streams.includes(this.#given(name))) {
      try {
        await this.consumer.addStream(this.#given(name))
        this.#options.trace(`${this.process.name} did add ${name}`)
        return
      } catch (error) {
        this.#options.trace(`${this.process.name} could not add ${name}: ${(error as Error).message}`)
        if (!(error instanceof ConsumerStartError) && !this.#isStopping)
          this.#options.violated(`${this.process.name} could not add ${name}: ${(error as Error).message}`)
        await sleep(this.process.clock, ADDS_AGAIN_AFTER_MS)
      }
    }
  }

  removeStream(name: string): void {
    if (!this.#streams.delete(name)) return
    // While it could not be added it is not there.
    if (!this.consumer.snapshot().streams.includes(this.#given(name))) return
    this.#change(`remove ${name}`, this.consumer.removeStream(this.#given(name)))
  }

  hold(): void {
    this.conduct.isHeld = true
    for (const tenure of this.#handling.tenures) tenure.wasHeld ||= !tenure.isOver
    this.consumer.pause()
  }

  goOn(): void {
    if (!this.conduct.isHeld) return
    this.conduct.isHeld = false
    this.#wentOnAt = this.process.now
    this.consumer.resume()
  }

  #change(what: string, made: Promise<unknown>): void {
    const { trace, violated } = this.#options
    made.then(
      () => trace(`${this.process.name} did ${what}`),
      (error: Error) => {
        // A consumer that cannot start says so of all that waits for it.
        if (!this.#isStopping && !(error instanceof ConsumerStartError))
          violated(`${this.process.name} could not ${what}: ${error.message}`)
      },
    )
  }

  get buffered(): FleetMember['buffered'] {
    return this.consumer
      .snapshot()
      .shards.flatMap(({ stream, shardId, worker }) =>
        worker === undefined ? [] : { stream: streamIn(stream), shardId, bytes: worker.bufferedBytes },
      )
  }

  knowsOf(leaseKey: string, at: number): boolean {
    if ((this.#takenAt.get(leaseKey) ?? -1) < at) return false
    // Who leaves, and cannot write just then, goes without giving it up.
    const stream = leaseKey.split(':').at(-3)
    if (!this.#isStopping && (stream === undefined || this.#streams.has(stream))) return true
    return this.consumer.snapshot().shards.some((shard) => shard.leaseKey === leaseKey && shard.worker !== undefined)
  }

  silence(leaseKey: string, generation: number, since: number | undefined): number | undefined {
    const tenure = this.#handling.tenure(leaseKey, generation)
    if (tenure?.isOver === true || (tenure ?? since) === undefined || this.conduct.isHeld) return undefined
    // One record is in hand at a time, of whichever shard.
    const inTurn = this.#options.settings.handler === 'loop' ? [...this.#handling.tenures] : tenure ? [tenure] : []
    if (inTurn.some(({ callsInHand, isBackingOff }) => callsInHand > 0 || isBackingOff)) return undefined
    return this.#options.time.now - Math.max(since ?? 0, this.#wentOnAt, ...inTurn.map(({ activeAt }) => activeAt))
  }

  #given(stream: string): string {
    return this.#options.settings.byArn ? this.#options.arnOf(stream) : stream
  }

  #consume(): Promise<void> {
    const { handler, order, concurrency, checkpoint } = this.#options.settings
    const options = { order, concurrency, checkpoint: checkpoint === 'auto' ? 'auto' : 'manual' } as const
    const eachBatch = (records: readonly ConsumedRecord<unknown>[], context: HandlerContext): unknown =>
      this.#handle(records, context)
    switch (handler) {
      case 'batch':
        return this.consumer.run({ eachBatch }, options)
      case 'record':
        return this.consumer.run({ eachRecord: (record, context) => eachBatch([record], context) }, options)
      case 'processor':
        return this.consumer.run({
          shardRecordProcessor: (shard) => new CountingProcessor(shard, this.#handling, this.#options),
        })
      case 'loop':
        return new LoopedConsumption(this.consumer, this.#handling).run()
      case 'sink':
        return new SinkConsumption(this.consumer, this.#handling, this.#options).run()
    }
  }

  #handle(records: readonly ConsumedRecord<unknown>[], context: HandlerContext): unknown {
    const { checkpoint } = this.#options.settings
    const rest = checkpoint === 'two-phase' ? this.#withoutPrepared(records, context) : records
    if (rest.length === 0) return context.checkpoint(context.pendingCheckpoint!.position)
    const call = this.#handling.begin(rest, context)
    if (call.takesMs === 0 && !call.fails && checkpoint === 'auto') return call.complete()
    return this.#finish(call, context)
  }

  async #finish(call: ReturnType<RecordHandling['begin']>, context: HandlerContext): Promise<void> {
    const { checkpoint } = this.#options.settings
    if (!(await call.work())) throw new Error('The handler fails, by the weather')
    call.complete()
    if (checkpoint === 'auto' || context.signal.aborted) return
    const { tenure, copies } = call
    tenure.callsInHand++
    try {
      if (checkpoint === 'manual') await context.checkpoint()
      else {
        const prepared = await context.prepareCheckpoint(undefined, Buffer.from(`${copies.at(-1)?.put.id}`))
        await this.#decide()
        if (context.signal.aborted) return
        await prepared.commit()
      }
    } catch (error) {
      // The lease is lost, or the consumer stops: the next owner goes on at the last checkpoint.
      if (context.signal.aborted || this.#isStopping || tenure.isOver) return
      // The call has failed: what it was given comes again.
      for (const copy of copies) this.#options.ledger.completed(copy, undefined)
      throw error
    } finally {
      tenure.callsInHand--
      tenure.activeAt = this.process.now
    }
  }

  /** Between the two phases: who dies there, or loses the lease, leaves what is prepared to the next owner. */
  async #decide(): Promise<void> {
    const { isCalm, diesNow, trace } = this.#options
    const chance = this.process.random()
    if (isCalm() || chance > 0.3) return
    if (chance < DIES) {
      trace(`${this.process.name} dies between the two phases`)
      diesNow()
    }
    await sleep(this.process.clock, this.process.random() * LONGEST_DECISION_MS)
  }

  /** What an owner before has prepared had been done when it died. */
  #withoutPrepared(records: readonly ConsumedRecord<unknown>[], context: HandlerContext): typeof records {
    const { shardId, pendingCheckpoint: found } = context
    this.#handling.checkPrepared(records[0]!, context)
    if (found === undefined) return records
    this.#options.trace(`${this.process.name} finds a prepared checkpoint for ${shardId}`)
    return records.filter((record) => !found.covers(record))
  }

  #heard(event: ConsumerEvent): void {
    const { trace, time, violated } = this.#options
    const about = 'leaseKey' in event ? event.leaseKey : 'shardId' in event ? `${event.stream} ${event.shardId}` : ''
    if (!QUIET.has(event.type)) trace(`${this.process.name} says ${event.type} ${about ?? ''}`)
    const meant = (): Tenure[] =>
      [...this.#handling.tenures].filter(({ shard: { leaseKey, shardId, stream } }) =>
        'leaseKey' in event
          ? leaseKey === event.leaseKey
          : 'shardId' in event && shardId === event.shardId && stream.name === streamIn(event.stream),
      )
    switch (event.type) {
      case 'lease-taken':
        this.#takenAt.set(event.leaseKey, time.now)
        if (event.resumeFrom.kind === 'sequence') this.#handling.resumes(event.leaseKey, event.resumeFrom)
        break
      case 'records-expired':
        if (!this.#options.ledger.hasExpired(streamIn(event.stream), event.shardId))
          violated(`${this.process.name} says that records of ${about} have expired, and none has`)
        this.#handling.announced(streamIn(event.stream), event.shardId)
        break
      case 'shard-failed':
        violated(`${this.process.name}: shard ${about} failed: ${event.error}`)
        break
      case 'lease-in-doubt':
      case 'lease-confirmed':
        for (const tenure of meant()) {
          tenure.isInDoubt = event.type === 'lease-in-doubt'
          tenure.doubtedAt = time.now
        }
        break
      case 'lease-lost':
      case 'lease-released':
      case 'lease-ended':
        for (const tenure of meant()) tenure.isOver = true
        break
    }
  }
}

/** They come with every read. */
const QUIET: ReadonlySet<ConsumerEvent['type']> = new Set(['batch-completed'])
