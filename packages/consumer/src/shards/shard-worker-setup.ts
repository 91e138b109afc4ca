import { type KinesisPort, streamReference } from '@shardwise/core/kinesis-port'
import type { ConsumerSettings } from '../consumer-options.js'
import type { Handlers } from '../delivery/handler.js'
import type { StartGate } from '../delivery/start-gate.js'
import type { HeldLease } from '../leases/held-lease.js'
import type { RunSettings } from '../run-options.js'
import { ByteBudget } from '../sources/byte-budget.js'
import { PollingSource } from '../sources/polling-source.js'
import type { StopLimit } from '../stop-limit.js'
import { ReadWatch } from './read-watch.js'
import { ShardWorker, type ShardWorkerEvent } from './shard-worker.js'

export interface ShardWorkerSetupOptions {
  readonly settings: ConsumerSettings
  readonly port: KinesisPort
  readonly handlers: Handlers
  readonly run: RunSettings
  readonly gates: readonly StartGate[]
  readonly stopLimit: StopLimit
  readonly emit: (event: ShardWorkerEvent) => void
}

/** Makes the shard workers of one run, with what they have in common. */
export class ShardWorkerSetup {
  readonly #options: ShardWorkerSetupOptions
  readonly #budget: ByteBudget

  constructor(options: ShardWorkerSetupOptions) {
    this.#options = options
    this.#budget = new ByteBudget(options.settings.maxBufferedBytes)
  }

  worker(lease: HeldLease): ShardWorker {
    const { settings, port, handlers, run, gates, stopLimit, emit } = this.#options
    const { stream, initialPosition, idleTimeBetweenReadsMs, maxRecordsPerRead, clock, random } = settings
    // KCL keeps the time that AT_TIMESTAMP means in its configuration.
    const configured =
      lease.resumeFrom.kind === 'at-timestamp' && typeof initialPosition === 'object' ? initialPosition.at.getTime() : undefined
    const room = this.#budget.join()
    const reading = new ReadWatch(idleTimeBetweenReadsMs)
    const source = new PollingSource({
      port,
      stream: streamReference(stream),
      shardId: lease.shardId,
      resumeFrom: lease.resumeFrom,
      startAt: lease.startAt ?? configured,
      idleTimeBetweenReadsMs,
      maxRecordsPerRead,
      room,
      clock,
      random,
      emit: (event) => {
        reading.heard(clock.now())
        emit(event)
      },
    })
    return new ShardWorker({
      stream,
      codec: settings.codec,
      lease,
      source,
      reading,
      room,
      handlers,
      run,
      handlerBackoff: settings.handlerBackoff,
      gates,
      stopLimit,
      checkpointWriteAfterMs: settings.checkpointWriteAfterMs,
      checkpointEveryRecords: settings.checkpointEveryRecords,
      clock,
      random,
      emit,
    })
  }
}
