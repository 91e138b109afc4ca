import { hostname } from 'node:os'
import { sleep } from '@shardwise/core/clock'
import { EventSource } from '@shardwise/core/events'
import { type KinesisPort, streamReference } from '@shardwise/core/kinesis-port'
import { InvalidOptionError } from '@shardwise/core/options'
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
import type { Handlers } from './delivery/handler.js'
import { DynamoDBLeaseStore } from './leases/dynamodb-lease-store.js'
import type { HeldLease } from './leases/held-lease.js'
import { LeaseCoordinator } from './leases/lease-coordinator.js'
import type { LeaseStore } from './leases/lease-store.js'
import { LeaseTableError } from './leases/lease-table-error.js'
import { checkRunOptions, type RunOptions, type RunSettings } from './run-options.js'
import { ShardDiscovery } from './shards/shard-discovery.js'
import { ShardWorker } from './shards/shard-worker.js'
import { PollingSource } from './sources/polling-source.js'
import { afterStartFailure } from './start-policy.js'

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
  #run: Promise<void> | undefined

  constructor(options: ConsumerOptions) {
    this.#settings = checkOptions(options)
    this.#options = { ...options }
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
    if (this.#run !== undefined) throw new ConsumerRanError()
    this.#run = this.#stop.signal.aborted ? Promise.resolve() : this.#live({ ...handlers }, run)
    return this.#run
  }

  /**
   * Takes no more shards, begins no more handler calls, lets those in hand finish, checkpoints, and gives the leases back, so that other
   * workers go on at once. Resolves when nothing of this consumer runs. May be called at any time and more than once; never rejects.
   * It waits as long as a handler call lasts: a handler may call it, but must not wait for it.
   */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#run?.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #live(handlers: Handlers, run: RunSettings): Promise<void> {
    const connections = this.#connect()
    const workerId = `${this.#settings.workerId ?? hostname()}:${randomEnding(this.#settings.random)}`
    try {
      await this.#consume(handlers, run, { ...connections, workerId })
    } catch (error) {
      // A start that was stopped has not failed.
      if (!this.#stop.signal.aborted) throw error
    } finally {
      connections.close()
      this.events.emit({ type: 'consumer-stopped', workerId })
    }
  }

  async #consume(
    handlers: Handlers,
    run: RunSettings,
    { port, store, workerId }: Connections & { readonly workerId: string },
  ): Promise<void> {
    const { stream, applicationName, failoverTimeMs, initialPosition, clock, random } = this.#settings
    const reference = streamReference(stream)
    const stop = this.#stop.signal
    await this.#step('describe-stream', async () => {
      const { status } = await describeStream(port, reference, { signal: stop })
      if (status === 'CREATING')
        throw Object.assign(new Error(`Stream ${stream} is being created`), { name: 'ResourceInUseException' })
      if (status === 'DELETING') throw this.#startError('the stream is being deleted. Wait until it is gone and create it again')
    })
    await this.#step('open-lease-table', () => store.open({ signal: stop }))
    const workers = new Set<Promise<void>>()
    const emit = (event: ConsumerEvent): void => this.events.emit(event)
    const discovery = new ShardDiscovery({ kinesis: port, stream: reference, store, initialPosition, clock, emit })
    const coordinator = new LeaseCoordinator({
      store,
      discovery,
      workerId,
      failoverTimeMs,
      clock,
      random,
      onHeld: (lease) => {
        const worker = this.#work(lease, handlers, run, port).finally(() => workers.delete(worker))
        workers.add(worker)
      },
      emit,
    })
    try {
      await this.#step('list-shards', () => coordinator.start())
      this.events.emit({ type: 'consumer-started', workerId, stream, applicationName })
      await aborted(stop)
    } finally {
      // Asks the workers to drain and renews their leases until the last has released its own.
      await coordinator.stop()
      await Promise.all(workers)
    }
  }

  #work(lease: HeldLease, handlers: Handlers, run: RunSettings, port: KinesisPort): Promise<void> {
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
      checkpointWriteAfterMs,
      clock,
      random,
      emit,
    }).run()
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
