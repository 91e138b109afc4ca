import type { FanOutPort } from '@shardwise/core/fan-out-port'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import type { Position } from '../checkpoints/position.js'
import type { OfStream } from '../consumer-events.js'
import type { ConsumerSettings } from '../consumer-options.js'
import type { PausedStreams } from '../delivery/paused-streams.js'
import { RecordIdWindow } from '../delivery/record-id-window.js'
import { PulledShard } from '../delivery/shard-stream.js'
import { gateOf, type StartGate } from '../delivery/start-gate.js'
import type { HeldLease } from '../leases/held-lease.js'
import type { RunHandlers } from '../run-handlers.js'
import type { RunSettings } from '../run-options.js'
import type { OfferedShards } from '../shard-streams.js'
import { ByteBudget } from '../sources/byte-budget.js'
import { LateSource } from '../sources/late-source.js'
import type { RecordSource } from '../sources/record-source.js'
import { ShardSources } from '../sources/shard-sources.js'
import type { StopLimit } from '../stop-limit.js'
import type { ConsumedStream } from '../streams/consumed-stream.js'
import { ReadWatch } from './read-watch.js'
import { ShardWorker } from './shard-worker.js'
import type { ShardWorkerEvent } from './shard-worker-event.js'

export interface ShardWorkerSetupOptions {
  readonly settings: ConsumerSettings
  readonly port: KinesisPort
  /** Given where `retrieval` is fan-out. */
  readonly fanOut: FanOutPort | undefined
  readonly handlers: RunHandlers
  readonly run: RunSettings
  /** Beside the pauses, and for all streams together. */
  readonly gates: readonly StartGate[]
  readonly paused: PausedStreams
  /** Where shards are offered whose records are asked for. Undefined: handlers are called. */
  readonly offered?: OfferedShards | undefined
  readonly stopLimit: StopLimit
  /** Somebody has asked the consumer to stop. */
  readonly isStopping: () => boolean
  readonly emit: (event: OfStream<ShardWorkerEvent>) => void
}

/** Makes the shard workers of one run, with what they have in common. */
export class ShardWorkerSetup {
  readonly #options: ShardWorkerSetupOptions
  readonly #recordIds: RecordIdWindow | undefined
  readonly #budget: ByteBudget
  readonly #sources: ShardSources

  constructor(options: ShardWorkerSetupOptions) {
    this.#options = options
    const { maxRecordIds } = options.settings
    this.#recordIds = maxRecordIds === undefined ? undefined : new RecordIdWindow(maxRecordIds)
    this.#budget = new ByteBudget(options.settings.maxBufferedBytes)
    this.#sources = new ShardSources(options)
  }

  worker(
    lease: HeldLease,
    of: Pick<ConsumedStream, 'settings' | 'reference' | 'registration' | 'limit' | 'doubt' | 'leaving'>,
  ): ShardWorker {
    const { settings, handlers, run, gates, offered, paused, stopLimit, isStopping } = this.#options
    const { stream, initialPosition } = of.settings
    const emit = (event: ShardWorkerEvent): void => this.#options.emit({ ...event, stream })
    const { clock, random } = settings
    // KCL keeps the time that AT_TIMESTAMP means in its configuration.
    const configured =
      lease.resumeFrom.kind === 'at-timestamp' && typeof initialPosition === 'object' ? initialPosition.at.getTime() : undefined
    const room = this.#budget.join()
    const reading = new ReadWatch(settings.idleTimeBetweenReadsMs)
    const { reference, registration } = of
    const doubt = (): AbortSignal | undefined => of.doubt
    const shard = {
      stream: reference,
      registration,
      lease,
      doubt,
      startAt: lease.startAt ?? configured,
      room,
      reading,
      emit,
    }
    const sourceFrom = (resumeFrom: Position): RecordSource => this.#sources.source({ ...shard, resumeFrom })
    const pulled = offered && new PulledShard(stream, lease)
    const worker = new ShardWorker({
      stream,
      codec: settings.codec,
      lease,
      source:
        pulled === undefined ? sourceFrom(lease.resumeFrom) : new LateSource(() => sourceFrom(pulled.place ?? lease.resumeFrom)),
      pulled,
      reading,
      room,
      handlers,
      recordIds: this.#recordIds,
      run,
      handlerBackoff: settings.handlerBackoff,
      gates: [paused.of(stream), ...gates.map((gate) => gateOf(gate, lease))],
      stopLimit: {
        expired: AbortSignal.any([stopLimit.expired, of.limit.expired]),
        abandoned: AbortSignal.any([stopLimit.abandoned, of.limit.abandoned]),
      },
      isStopping: () => isStopping() || of.leaving,
      checkpointWriteAfterMs: settings.checkpointWriteAfterMs,
      checkpointEveryRecords: settings.checkpointEveryRecords,
      clock,
      random,
      emit,
    })
    if (pulled !== undefined) offered?.offer(pulled)
    return worker
  }
}
