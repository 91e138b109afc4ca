import type { Clock } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import type { Backoff } from '../backoff.js'
import { Checkpointer } from '../checkpoints/checkpointer.js'
import { ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { Delivery } from '../delivery/delivery.js'
import type { HandlerPermit } from '../delivery/handler-permit.js'
import { InOrderDelivery } from '../delivery/in-order-delivery.js'
import { KeyedDelivery } from '../delivery/keyed-delivery.js'
import { PulledDelivery } from '../delivery/pulled-delivery.js'
import type { RecordIdWindow } from '../delivery/record-id-window.js'
import type { PulledShard } from '../delivery/shard-stream.js'
import type { HeldLease } from '../leases/held-lease.js'
import { ProcessorCalls } from '../processors/processor-calls.js'
import type { RunHandlers } from '../run-handlers.js'
import type { RunSettings } from '../run-options.js'
import type { ShardWorkerEvent } from './shard-worker-event.js'

export interface ShardDeliveryOptions {
  /** As given in the consumer's options. */
  readonly stream: string
  readonly lease: HeldLease
  readonly permit: HandlerPermit
  readonly halt: AbortSignal
  readonly handlers: RunHandlers
  /** See HandlerCallsOptions. */
  readonly recordIds?: RecordIdWindow | undefined
  readonly run: RunSettings
  /** Records are asked for, and handlers not called. */
  readonly pulled?: PulledShard | undefined
  readonly handlerBackoff: Backoff
  /** See Checkpointer. */
  readonly checkpointWriteAfterMs: number | undefined
  readonly checkpointEveryRecords: number | undefined
  /** See HandlerCallsOptions. */
  readonly isStopping?: (() => boolean) | undefined
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: ShardWorkerEvent) => void
}

/** How the records of one shard come to its handler, and its checkpoints to the lease. */
export interface ShardDelivery {
  readonly delivery: Delivery
  readonly processor: ProcessorCalls | undefined
  readonly checkpoints: ShardCheckpoints
  readonly checkpointer: Checkpointer
}

export function shardDelivery(options: ShardDeliveryOptions): ShardDelivery {
  const { stream, lease, permit, halt, handlers, recordIds, run, pulled, handlerBackoff, clock, random, emit } = options
  const { concurrency, onFailure } = run
  const checkpointer = new Checkpointer({
    lease,
    writeAfterMs: options.checkpointWriteAfterMs,
    everyRecords: options.checkpointEveryRecords,
    clock,
  })
  const checkpoints = new ShardCheckpoints({
    stream,
    lease,
    automatic: run.checkpoint === 'auto' ? checkpointer : undefined,
    sideBySide: concurrency > 1,
  })
  const calls = { checkpoints, backoff: handlerBackoff, clock, random, halt, emit }
  if (pulled !== undefined) {
    const delivery = new PulledDelivery({ ...calls, lease: permit })
    pulled.connect({ delivery, checkpoints, signal: permit.signal })
    return { delivery, processor: undefined, checkpoints, checkpointer }
  }
  const { shardRecordProcessor: factory } = handlers
  const processor = factory && new ProcessorCalls({ ...calls, stream, factory, lease, permit })
  const toHandlers = {
    ...calls,
    lease: permit,
    handlers: handlers.shardRecordProcessor === undefined ? handlers : processor!.handlers,
    recordIds,
    onFailure,
    isStopping: options.isStopping,
  }
  const delivery = concurrency > 1 ? new KeyedDelivery({ ...toHandlers, concurrency }) : new InOrderDelivery(toHandlers)
  return { delivery, processor, checkpoints, checkpointer }
}
