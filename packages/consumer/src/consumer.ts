import { EventSource } from '@shardwise/core/events'
import { functionsOption, integerOption, refuseUnknownOptions } from '@shardwise/core/options'
import { aborted } from './aborted.js'
import { type Connections, connect } from './connections.js'
import { ConsumerRanError } from './consumer-error.js'
import type { ConsumerEvent } from './consumer-events.js'
import { type ConsumerOptions, type ConsumerSettings, checkOptions } from './consumer-options.js'
import { type ConsumerSnapshot, type ConsumerState, type KnownShard, shardSnapshot } from './consumer-snapshot.js'
import { checkShardId } from './delivery/paused-shards.js'
import { RecordTurns, type StreamedRecord } from './delivery/record-turns.js'
import type { ShardStream } from './delivery/shard-stream.js'
import type { StartGate } from './delivery/start-gate.js'
import { KclFleet } from './leases/kcl-fleet.js'
import { LeaseCoordinator } from './leases/lease-coordinator.js'
import { type RecordsOptions, recordIterator } from './record-iterator.js'
import { checkHandlers, type RunHandlers } from './run-handlers.js'
import { checkRunOptions, checkTogether, type RunOptions, type RunSettings } from './run-options.js'
import { OfferedShards, type ShardsOptions, shardLoop } from './shard-streams.js'
import { ShardWorkerSetup } from './shards/shard-worker-setup.js'
import { ShardWorkers } from './shards/shard-workers.js'
import { StartSteps } from './start-steps.js'
import { type AbandonedShard, StopLimit, type StopOptions, type StopOutcome } from './stop-limit.js'
import { type RemovedStream, type RemoveStreamOptions, StreamChanges } from './streams/stream-changes.js'
import { StreamList } from './streams/stream-list.js'
import type { StreamOptions } from './streams/stream-settings.js'
import { newWorkerId } from './worker-id.js'

/**
 * Reads a stream, or several, shared with all consumers of the same `applicationName`: each shard is read by one of them at a time, through a
 * lease in DynamoDB. Delivery is at least once and in the order of each shard. `T` is what its codec makes of a record's bytes: bytes unless a
 * codec is given.
 *
 * The constructor checks the options (InvalidOptionError) and does nothing else.
 */
export class Consumer<T = Uint8Array> {
  readonly events: EventSource<ConsumerEvent> = new EventSource()
  readonly #options: ConsumerOptions<unknown>
  readonly #settings: ConsumerSettings
  readonly #stop = new AbortController()
  readonly #stopLimit: StopLimit
  readonly #workers: ShardWorkers
  readonly #streams: StreamList
  readonly #abandoned: AbandonedShard[] = []
  #run: Promise<void> | undefined
  #coordinator: LeaseCoordinator | undefined
  #state: ConsumerState = 'new'
  #workerId: string | undefined

  constructor(options: ConsumerOptions<T>) {
    this.#settings = checkOptions(options)
    this.#options = { ...options }
    this.#stopLimit = new StopLimit(this.#settings.clock)
    this.#workers = new ShardWorkers((event) => this.events.emit(event))
    this.#streams = new StreamList(this.#settings, this.#stop.signal, (event) => this.events.emit(event))
    for (const stream of this.#streams.names) this.#workers.paused.of(stream)
  }

  /**
   * Consumes until `stop` is called; then it resolves, when everything has come to rest. Rejects when it cannot start and somebody has
   * to act: ConsumerStartError (missing stream, wrong credentials, unreachable endpoint), LeaseTableError, InvalidOptionError. What may
   * pass by itself is retried, during the start and always afterwards. Rejects with ConsumerRanError when called twice. After
   * `stop` it resolves at once.
   */
  async run(handlers: RunHandlers<T>, options: RunOptions<T> = {}): Promise<void> {
    // Inside nobody looks at what the codec makes.
    const given = checkHandlers(handlers as unknown as RunHandlers)
    const run = checkRunOptions(given, options as unknown as RunOptions)
    return this.#begin(given, run, [])
  }

  /**
   * Consumes as `run` does, in a loop: `for await (const record of consumer.records())`. Asking for the next record completes the one before;
   * shards take turns (a record, or those that the body takes within a millisecond), each in its order, and while the body works nothing else is begun. `record.context` is what a handler gets.
   *
   * Leaving the loop (`break`, `return`, an error) stops the consumer, and the record in hand is not completed: it is delivered again. To
   * end behind a completed record abort `signal` or call `stop()` in the body, without waiting for it, and let the loop ask once more.
   * When the consumer cannot start, the loop throws what `run` rejects with. A consumer runs once, by this or by `run`.
   */
  records(options: RecordsOptions = {}): AsyncIterableIterator<StreamedRecord<T>> {
    refuseUnknownOptions(options, ['signal', 'checkpoint'])
    checkSignal(options.signal)
    const turns = new RecordTurns(this.#settings.clock)
    const settings = checkRunOptions(turns.handlers, { checkpoint: options.checkpoint })
    const run = (): Promise<void> => this.#begin(turns.handlers, settings, [turns])
    const records = recordIterator({ turns, signal: options.signal, run, stop: (limit) => this.stop(limit) })
    return records as AsyncIterableIterator<StreamedRecord<unknown>> as AsyncIterableIterator<StreamedRecord<T>>
  }

  /**
   * Consumes in loops of its own for each shard, side by side: for sinks that store records together with how far they have come, and a fencing
   * token. `for await (const shard of consumer.shards()) void work(shard)`; see ShardStream. A shard comes when its lease is taken, and again,
   * with a higher token, when it is taken again. Nothing of it is read before somebody loops over it, and the lease is held.
   *
   * Checkpoints are made by `shard.checkpoint` alone. The loop ends when the consumer has stopped; leaving it stops the consumer, and waits as
   * `stop` does, for each shard until its loop asks for more.
   * When the consumer cannot start, the loop throws what `run` rejects with. A consumer runs once, by this, by `records` or by `run`.
   */
  shards(options: ShardsOptions = {}): AsyncIterableIterator<ShardStream<T>> {
    refuseUnknownOptions(options, ['signal'])
    checkSignal(options.signal)
    const offered = new OfferedShards()
    const settings = checkRunOptions(NO_HANDLERS, { checkpoint: 'manual' })
    const run = (): Promise<void> => this.#begin(NO_HANDLERS, settings, [], offered)
    const shards = shardLoop({ offered, signal: options.signal, run, stop: (limit) => this.stop(limit) })
    return shards as AsyncIterableIterator<ShardStream<unknown>> as AsyncIterableIterator<ShardStream<T>>
  }

  /**
   * Takes no more shards, begins no more handler calls (by key only those before others that are completed), lets those in hand finish,
   * checkpoints, and gives the leases back, so that other workers go on at once. Resolves when nothing of this consumer runs. May be called
   * at any time and more than once, for instance with less time; rejects only with InvalidOptionError.
   *
   * Without options it waits as long as a handler call lasts. With `timeoutMs` or `signal` it waits so long, then aborts `context.signal` of
   * the calls in hand, waits one second more, and gives the shards of those that are left back at their last completed record. A call that
   * returns after the signal has aborted completes nothing, for it may have given up: its records are delivered again elsewhere, perhaps at
   * the same time. Shards whose call has not returned are in the result, and in `handler-abandoned`. Giving back a lease waits for the lease
   * table, at most `failoverTimeMs`.
   *
   * A handler may call it, but must not wait for it without a time limit.
   */
  async stop(options: StopOptions = {}): Promise<StopOutcome> {
    refuseUnknownOptions(options, ['timeoutMs', 'signal'])
    const { timeoutMs, signal } = options
    checkSignal(signal)
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
   * there. May be called before `run`. `stream`: of this stream only, by name or ARN; without it of all, those that are added later included.
   *
   * A shard that this consumer does not hold is accepted: it will be paused when it comes (event `shard-paused`). Throws InvalidOptionError for a
   * stream that the consumer does not read, and for what cannot be a shard's id.
   */
  pause(shardId?: string, stream?: string): void {
    this.#workers.pause(this.#shardGiven(shardId), this.#streams.nameGiven(stream))
  }

  /** Ends the pause of one shard, also out of a pause of all, or of all shards. Throws as `pause` does. */
  resume(shardId?: string, stream?: string): void {
    this.#workers.resume(this.#shardGiven(shardId), this.#streams.nameGiven(stream))
  }

  /**
   * Reads one more stream, from now on or, before `run`, from its start: for a consumer with `streams`. Resolves when the stream's shards have
   * leases; this consumer, and others that were given the stream, then share them. Rejects as `run` does, and reads it not; after `stop` with
   * ConsumerRanError. When the consumer stops meanwhile it resolves, with nothing added.
   */
  async addStream(stream: string | StreamOptions): Promise<void> {
    return this.#streams.add(stream)
  }

  /**
   * Reads this stream no more: handler calls in hand finish, what is completed is checkpointed and the leases are given up. Resolves when
   * nothing of it runs here. Calls that last longer than `handoffTimeoutMs` are cut off, as by `stop` with that time (event `handler-abandoned`). Other consumers that have the stream go on with its shards; remove it from all of them to end it, and delete the
   * leases with the last. Its name or ARN. After `stop` it rejects with ConsumerRanError: leases that were to be deleted are still there.
   */
  async removeStream(stream: string, options: RemoveStreamOptions = {}): Promise<RemovedStream> {
    return this.#streams.remove(stream, options)
  }

  /** What this consumer knows of itself and of the shards at this moment: no I/O. */
  snapshot(): ConsumerSnapshot {
    const { applicationName } = this.#settings
    const workerId = this.#workerId
    const known = new Map<string, KnownShard>()
    for (const lease of this.#coordinator?.leases ?? []) {
      const stream = this.#streams.nameOf(lease)
      if (stream !== undefined) known.set(lease.leaseKey, { ...lease, stream, lease, worker: undefined })
    }
    for (const { lease, worker, stream } of this.#workers) {
      const { leaseKey, shardId } = lease
      known.set(leaseKey, { leaseKey, shardId, stream, lease: known.get(leaseKey)?.lease, worker: worker.snapshot() })
    }
    const shards = [...known.values()].map((shard) =>
      shardSnapshot(shard, workerId, this.#workers.paused.isPaused(shard.shardId, shard.stream)),
    )
    shards.sort((a, b) => (a.leaseKey < b.leaseKey ? -1 : 1))
    return { streams: this.#streams.names, applicationName, workerId, state: this.#state, shards }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #shardGiven(shardId: string | undefined): string | undefined {
    return checkShardId(shardId, (id) => this.snapshot().shards.some((shard) => shard.shardId === id))
  }

  #begin(handlers: RunHandlers, run: RunSettings, gates: readonly StartGate[], offered?: OfferedShards): Promise<void> {
    if (this.#run !== undefined) throw new ConsumerRanError()
    checkTogether(this.#options, run)
    this.#run = this.#stop.signal.aborted ? Promise.resolve() : this.#live(handlers, run, gates, offered)
    return this.#run
  }

  async #live(handlers: RunHandlers, run: RunSettings, gates: readonly StartGate[], offered?: OfferedShards): Promise<void> {
    const workerId = newWorkerId(this.#settings.workerId, this.#settings.random)
    this.#workerId = workerId
    this.#state = 'starting'
    let connections: Connections | undefined
    try {
      connections = connect(
        this.#options,
        this.#settings,
        () => this.#streams.arn,
        (event) => this.events.emit(event),
      )
      await this.#consume(handlers, run, gates, offered, connections, workerId)
    } catch (error) {
      // A start that was stopped has not failed.
      if (!this.#stop.signal.aborted) throw error
    } finally {
      connections?.close()
      this.#state = 'stopped'
      this.events.emit({ type: 'consumer-stopped', workerId })
    }
  }

  async #consume(
    handlers: RunHandlers,
    run: RunSettings,
    gates: readonly StartGate[],
    offered: OfferedShards | undefined,
    connections: Connections,
    workerId: string,
  ): Promise<void> {
    const settings = this.#settings
    const { applicationName, failoverTimeMs, handoffTimeoutMs, clock, random } = settings
    const { port, fanOut, store, kclTables } = connections
    const stop = this.#stop.signal
    const emit = (event: ConsumerEvent): void => this.events.emit(event)
    const steps = new StartSteps({ settings, stop, emit })
    const streams = this.#streams.open(connections)
    const setup = new ShardWorkerSetup({
      settings,
      port,
      fanOut,
      handlers,
      run,
      gates,
      offered,
      paused: this.#workers.paused,
      stopLimit: this.#stopLimit,
      isStopping: () => this.#state === 'stopping',
      emit: (event) => {
        if (event.type === 'handler-abandoned' && stop.aborted)
          this.#abandoned.push({ stream: event.stream, shardId: event.shardId })
        emit(event)
        if (hintsAtAnotherStream(event)) this.#streams.suspect(event.stream)
      },
    })
    const kcl = kclTables && new KclFleet({ tables: kclTables, store, workerId, failoverTimeMs, clock, random, emit })
    const coordinator = new LeaseCoordinator({
      store,
      discovery: streams,
      kcl,
      workerId,
      failoverTimeMs,
      handoffTimeoutMs,
      clock,
      random,
      onHeld: (lease) => {
        const stream = streams.of(lease)!
        this.#workers.start(lease, setup.worker(lease, stream), stream.settings.stream)
      },
      emit,
    })
    this.#coordinator = coordinator
    const start = async (): Promise<void> => {
      for (const stream of streams.streams) {
        const { registration, settings } = stream
        await steps.take('describe-stream', () => stream.describe({ signal: stop }), settings.stream)
        await steps.take('find-stream-consumer', async () => registration?.find(stop), settings.stream)
      }
      await steps.take('open-lease-table', () => store.open({ signal: stop }))
      await steps.take('list-shards', () => coordinator.start())
    }
    const started = start()
    this.#streams.begin(
      streams,
      new StreamChanges({ streams, steps, store, coordinator, failoverTimeMs, handoffTimeoutMs, clock, random, stop }, started),
    )
    try {
      await started
      if (this.#state === 'starting') this.#state = 'running'
      this.events.emit({ type: 'consumer-started', workerId, streams: this.#streams.names, applicationName })
      await aborted(stop)
    } finally {
      // Asks the workers to drain and renews their leases until the last has released its own.
      await coordinator.stop()
      await this.#workers.finished()
    }
  }
}

/** Records are asked for. */
const NO_HANDLERS: RunHandlers = { eachBatch: () => {} }

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal !== undefined) functionsOption('signal', signal, ['addEventListener', 'throwIfAborted'], 'an AbortSignal')
}

/** Of what shards tell: the service knows no such stream, or not the shard, or not the sequence number that was completed last. */
function hintsAtAnotherStream(event: ConsumerEvent): event is ConsumerEvent & { readonly stream: string } {
  if (event.type === 'read-failed') return event.failure.kind === 'not-found'
  return event.type === 'stream-not-found' || event.type === 'records-expired'
}
