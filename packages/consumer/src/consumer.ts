import { hostname } from 'node:os'
import { sleep } from '@shardwise/core/clock'
import { EventSource } from '@shardwise/core/events'
import { type KinesisPort, streamReference } from '@shardwise/core/kinesis-port'
import { InvalidOptionError, integerOption, refuseUnknownOptions } from '@shardwise/core/options'
import type { Random } from '@shardwise/core/random'
import { classifyFailure, withAdvice } from '@shardwise/core/service-error'
import { describeStream } from '@shardwise/core/stream-description'
import { connectKinesis } from '@shardwise/core/transport'
import { connectDynamoDB } from '@shardwise/core/transport/dynamodb'
import { ConsumerRanError, ConsumerStartError } from './consumer-error.js'
import type { ConsumerEvent, StartStep } from './consumer-events.js'
import {
  type ConsumerOptions,
  type ConsumerSettings,
  checkHandlers,
  checkOptions,
  type InternalOptions,
  LEASE_STORE,
} from './consumer-options.js'
import { type ConsumerSnapshot, type ConsumerState, type KnownShard, shardSnapshot } from './consumer-snapshot.js'
import type { Handlers } from './delivery/handler.js'
import { RecordTurns, type StreamedRecord } from './delivery/record-turns.js'
import type { StartGate } from './delivery/start-gate.js'
import { DynamoDBLeaseStore } from './leases/dynamodb-lease-store.js'
import type { HeldLease } from './leases/held-lease.js'
import { LeaseCoordinator } from './leases/lease-coordinator.js'
import type { LeaseStore } from './leases/lease-store.js'
import { LeaseTableError } from './leases/lease-table-error.js'
import { type RecordsOptions, recordIterator } from './record-iterator.js'
import { checkRunOptions, type RunOptions, type RunSettings } from './run-options.js'
import { SeenLeases } from './shards/seen-leases.js'
import { ShardDiscovery } from './shards/shard-discovery.js'
import { ShardWorker } from './shards/shard-worker.js'
import { ShardWorkers } from './shards/shard-workers.js'
import { PollingSource } from './sources/polling-source.js'
import { afterStartFailure } from './start-policy.js'
import { StopLimit, type StopOptions } from './stop-limit.js'

/**
 * Reads a stream, shared with all consumers of the same `applicationName`: each shard is read by one of them at a time, through a lease in
 * DynamoDB. Delivery is at least once and in the order of each shard.
 *
 * The constructor checks the options (InvalidOptionError) and does nothing else.
 */
export class Consumer {
  readonly events: EventSource<ConsumerEvent> = new EventSource()
  readonly #options: InternalOptions
  readonly #settings: ConsumerSettings
  readonly #stop = new AbortController()
  readonly #stopLimit: StopLimit
  readonly #workers: ShardWorkers
  readonly #seen = new SeenLeases()
  readonly #abandoned: string[] = []
  #run: Promise<void> | undefined
  #state: ConsumerState = 'new'
  #workerId: string | undefined

  constructor(options: ConsumerOptions) {
    this.#settings = checkOptions(options)
    this.#options = { ...options }
    this.#stopLimit = new StopLimit(this.#settings.clock)
    this.#workers = new ShardWorkers((event) => this.events.emit(event))
  }

  /**
   * Consumes until `stop` is called; then it resolves, when everything has come to rest. Rejects when it cannot start and somebody has
   * to act: ConsumerStartError (missing stream, wrong credentials, unreachable endpoint), LeaseTableError, InvalidOptionError. What may
   * pass by itself is retried, during the start and always afterwards. Rejects with ConsumerRanError when called twice. After
   * `stop` it resolves at once.
   */
  async run(handlers: Handlers, options: RunOptions = {}): Promise<void> {
    checkHandlers(handlers)
    const run = checkRunOptions(handlers, options)
    return this.#begin({ ...handlers }, run, [])
  }

  /**
   * Consumes as `run` does, in a loop: `for await (const record of consumer.records())`. Asking for the next record completes the one before;
   * shards take turns, each in its order, and while the body works nothing else is begun. `record.context` is what a handler gets.
   *
   * Leaving the loop (`break`, `return`, an error) stops the consumer, and the record in hand is not completed: it is delivered again. To
   * end behind a completed record abort `signal` or call `stop()` in the body, without waiting for it, and let the loop ask once more.
   * When the consumer cannot start, the loop throws what `run` rejects with. A consumer runs once, by this or by `run`.
   */
  records(options: RecordsOptions = {}): AsyncIterableIterator<StreamedRecord> {
    refuseUnknownOptions(options, ['signal'])
    const turns = new RecordTurns()
    const settings = checkRunOptions(turns.handlers, {})
    const run = (): Promise<void> => this.#begin(turns.handlers, settings, [turns])
    return recordIterator({ turns, signal: options.signal, run, stop: (limit) => this.stop(limit) })
  }

  /**
   * Takes no more shards, begins no more handler calls, lets those in hand finish, checkpoints, and gives the leases back, so that other
   * workers go on at once. Resolves when nothing of this consumer runs. May be called at any time and more than once, for instance with
   * less time; rejects only with InvalidOptionError.
   *
   * Without options it waits as long as a handler call lasts. With `timeoutMs` or `signal` it waits so long, then aborts `context.signal` of
   * the calls in hand, waits one second more, and gives the shards of those that are left back at their last completed record. Nothing
   * that such a call does later is checkpointed: its records are delivered again elsewhere, perhaps at the same time. The shards are in
   * the result, and in `handler-abandoned`. Giving back a lease waits for the lease table, at most `failoverTimeMs`.
   *
   * A handler may call it, but must not wait for it without a time limit.
   */
  async stop(options: StopOptions = {}): Promise<StopOutcome> {
    refuseUnknownOptions(options, ['timeoutMs', 'signal'])
    const { timeoutMs, signal } = options
    if (timeoutMs !== undefined) integerOption('timeoutMs', timeoutMs, { min: 0, fallback: 0 })
    this.#stop.abort()
    if (this.#state !== 'stopped') this.#state = 'stopping'
    if (this.#run !== undefined)
      await this.#stopLimit.enforce(
        { timeoutMs, signal },
        this.#run.catch(() => {}),
      )
    this.#state = 'stopped'
    return { abandonedShards: [...this.#abandoned] }
  }

  /**
   * Begins no more handler calls, of one shard or of all, those that are taken or resumed later included. Calls in hand finish. What has been
   * read waits in memory, at most one read more is fetched, and the lease is kept. A shard that is handed to another worker is not paused
   * there. May be called before `run`.
   */
  pause(shardId?: string): void {
    this.#workers.pause(shardId)
  }

  /** Ends the pause of one shard, also out of a pause of all, or of all shards. */
  resume(shardId?: string): void {
    this.#workers.resume(shardId)
  }

  /** What this consumer knows of itself and of the shards at this moment: no I/O. */
  snapshot(): ConsumerSnapshot {
    const { stream, applicationName } = this.#settings
    const workerId = this.#workerId
    const known = new Map<string, KnownShard>()
    for (const lease of this.#seen.leases) known.set(lease.leaseKey, { ...lease, lease, worker: undefined })
    for (const { lease, worker } of this.#workers) {
      const { leaseKey, shardId } = lease
      known.set(leaseKey, { leaseKey, shardId, lease: known.get(leaseKey)?.lease, worker: worker.snapshot() })
    }
    const shards = [...known.values()].map((shard) =>
      shardSnapshot(shard, workerId, this.#workers.paused.isPaused(shard.shardId)),
    )
    shards.sort((a, b) => (a.leaseKey < b.leaseKey ? -1 : 1))
    return { stream, applicationName, workerId, state: this.#state, shards }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #begin(handlers: Handlers, run: RunSettings, gates: readonly StartGate[]): Promise<void> {
    if (this.#run !== undefined) throw new ConsumerRanError()
    this.#run = this.#stop.signal.aborted ? Promise.resolve() : this.#live(handlers, run, gates)
    return this.#run
  }

  async #live(handlers: Handlers, run: RunSettings, gates: readonly StartGate[]): Promise<void> {
    const connections = this.#connect()
    const workerId = `${this.#settings.workerId ?? hostname()}:${randomEnding(this.#settings.random)}`
    this.#workerId = workerId
    this.#state = 'starting'
    try {
      await this.#consume(handlers, run, gates, { ...connections, workerId })
    } catch (error) {
      // A start that was stopped has not failed.
      if (!this.#stop.signal.aborted) throw error
    } finally {
      connections.close()
      this.#state = 'stopped'
      this.events.emit({ type: 'consumer-stopped', workerId })
    }
  }

  async #consume(
    handlers: Handlers,
    run: RunSettings,
    gates: readonly StartGate[],
    { port, store: table, workerId }: Connections & { readonly workerId: string },
  ): Promise<void> {
    const { stream, applicationName, failoverTimeMs, initialPosition, clock, random } = this.#settings
    const reference = streamReference(stream)
    const stop = this.#stop.signal
    const store = this.#seen.watch(table)
    await this.#step('describe-stream', async () => {
      const { status } = await describeStream(port, reference, { signal: stop })
      if (status === 'CREATING')
        throw Object.assign(new Error(`Stream ${stream} is being created`), { name: 'ResourceInUseException' })
      if (status === 'DELETING') throw this.#startError('the stream is being deleted. Wait until it is gone and create it again')
    })
    await this.#step('open-lease-table', () => store.open({ signal: stop }))
    const emit = (event: ConsumerEvent): void => this.events.emit(event)
    const discovery = new ShardDiscovery({ kinesis: port, stream: reference, store, initialPosition, clock, emit })
    const coordinator = new LeaseCoordinator({
      store,
      discovery,
      workerId,
      failoverTimeMs,
      clock,
      random,
      onHeld: (lease) => this.#workers.start(lease, this.#worker(lease, handlers, run, gates, port)),
      emit,
    })
    try {
      await this.#step('list-shards', () => coordinator.start())
      if (this.#state === 'starting') this.#state = 'running'
      this.events.emit({ type: 'consumer-started', workerId, stream, applicationName })
      await aborted(stop)
    } finally {
      // Asks the workers to drain and renews their leases until the last has released its own.
      await coordinator.stop()
      await this.#workers.finished()
    }
  }

  #worker(lease: HeldLease, handlers: Handlers, run: RunSettings, gates: readonly StartGate[], port: KinesisPort): ShardWorker {
    const { stream, initialPosition, idleTimeBetweenReadsMs, maxRecordsPerRead, handlerBackoff, checkpointWriteAfterMs } =
      this.#settings
    const { clock, random } = this.#settings
    // KCL keeps the time that AT_TIMESTAMP means in its configuration.
    const configured =
      lease.resumeFrom.kind === 'at-timestamp' && typeof initialPosition === 'object' ? initialPosition.at.getTime() : undefined
    const emit = (event: ConsumerEvent): void => this.events.emit(event)
    const source = new PollingSource({
      port,
      stream: streamReference(stream),
      shardId: lease.shardId,
      resumeFrom: lease.resumeFrom,
      startAt: lease.startAt ?? configured,
      idleTimeBetweenReadsMs,
      maxRecordsPerRead,
      clock,
      random,
      emit,
    })
    return new ShardWorker({
      stream,
      lease,
      source,
      handlers,
      run,
      handlerBackoff,
      gates: [this.#workers.paused, ...gates],
      stopLimit: this.#stopLimit,
      checkpointWriteAfterMs,
      clock,
      random,
      emit: (event) => {
        if (event.type === 'handler-abandoned') this.#abandoned.push(event.shardId)
        emit(event)
      },
    })
  }

  /** One step of the start: repeated while its failure may pass by itself. */
  async #step(step: StartStep, run: () => Promise<void>): Promise<void> {
    const { clock, random } = this.#settings
    const signal = this.#stop.signal
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted()
      try {
        return await run()
      } catch (error) {
        if (signal.aborted || isTold(error)) throw error
        const failure = classifyFailure(error)
        const verdict = afterStartFailure(failure, attempt, random)
        if (verdict.kind === 'fail') {
          throw this.#startError(`${PURPOSE[step]} failed with ${failure.code}: ${withAdvice(failure)}`, error)
        }
        this.events.emit({ type: 'start-retried', step, failure, attempt, retryInMs: verdict.delayMs })
        await sleep(clock, verdict.delayMs, { signal })
      }
    }
  }

  #startError(problem: string, cause?: unknown): ConsumerStartError {
    return new ConsumerStartError(this.#settings, problem, { cause })
  }

  #connect(): Connections {
    const {
      client,
      region,
      endpoint,
      credentials,
      wire,
      kinesis,
      dynamodb,
      dynamodbEndpoint,
      [LEASE_STORE]: leaseStore,
    } = this.#options
    const { clock, leaseTable, stream } = this.#settings
    const toKinesis =
      kinesis === undefined
        ? connectKinesis({ client, region, endpoint, credentials, wire, clock, controlAttempts: CONTROL_ATTEMPTS })
        : undefined
    const port = kinesis ?? toKinesis!.port
    if (leaseStore !== undefined) return { port, store: leaseStore, close: () => toKinesis?.close() }
    const toDynamoDB = connectDynamoDB({ client: dynamodb, region, endpoint: dynamodbEndpoint, credentials, clock })
    const store = new DynamoDBLeaseStore({ dynamodb: toDynamoDB, tableName: leaseTable, streamName: nameOf(stream), clock })
    const close = (): void => {
      toKinesis?.close()
      toDynamoDB.close()
    }
    return { port, store, close }
  }
}

export interface StopOutcome {
  /** Shards whose handler did not return in time: they were given back at their last completed record. */
  readonly abandonedShards: readonly string[]
}

interface Connections {
  readonly port: KinesisPort
  readonly store: LeaseStore
  readonly close: () => void
}

/** Each step of the start, each audit and each read repeats its calls by itself: more would only delay the word that nobody answers. */
const CONTROL_ATTEMPTS = 2

const PURPOSE: Readonly<Record<StartStep, string>> = {
  'describe-stream': 'Looking up the stream',
  'open-lease-table': 'Opening the lease table',
  'list-shards': 'Matching the shards with the lease table',
}

/** Errors that say by themselves what to do. */
function isTold(error: unknown): boolean {
  return error instanceof ConsumerStartError || error instanceof LeaseTableError || error instanceof InvalidOptionError
}

/** arn:aws:kinesis:region:account:stream/name, or the name. */
function nameOf(stream: string): string {
  return stream.slice(stream.indexOf('/') + 1)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** No two workers may have the same id, nor two lives of one process. */
function randomEnding(random: Random): string {
  let ending = ''
  while (ending.length < 12) ending += Math.floor(random() * 36).toString(36)
  return ending
}
