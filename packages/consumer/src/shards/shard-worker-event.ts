import type { CheckpointAwaitedEvent } from '../checkpoints/checkpoint-confirmation.js'
import type { Position } from '../checkpoints/position.js'
import type { DeliveryEvent } from '../delivery/delivery-event.js'
import type { DecodeDelayedEvent } from '../delivery/record-preparation.js'
import type { ProcessorEvent } from '../processors/processor-calls.js'
import type { SourceEvent } from '../sources/record-source.js'
import type { LoopAwaitedEvent } from './loop-wait.js'

export type ShardWorkerEvent =
  | SourceEvent
  | DeliveryEvent
  | DecodeDelayedEvent
  | CheckpointAwaitedEvent
  | LoopAwaitedEvent
  | ProcessorEvent
  | BatchCompletedEvent
  /** This process begins to read a shard, after `resumeFrom`. */
  | { readonly type: 'shard-started'; readonly shardId: string; readonly resumeFrom: Position }
  /**
   * The consumer stopped, or its stream was removed or created anew, and the handler is waited for no longer. The shard is given back at the last completed record; whatever the handler still
   * does, `records` and more are delivered again by the next owner. Comes before `shard-stopped`.
   */
  | { readonly type: 'handler-abandoned'; readonly shardId: string; readonly records: number }
  /** This process is done with a shard: it was read to its end, its lease was given up, or lost. */
  | { readonly type: 'shard-stopped'; readonly shardId: string; readonly outcome: 'ended' | 'released' | 'lost' }
  /** A fault of this library, or a lease row that makes no sense. The lease is given up, and the shard tried again by whoever takes it. */
  | { readonly type: 'shard-failed'; readonly shardId: string; readonly error: unknown }

/** All user records of one read are completed. Empty reads count too, since they tell the lag. */
export interface BatchCompletedEvent {
  readonly type: 'batch-completed'
  readonly shardId: string
  readonly records: number
  readonly kinesisRecords: number
  readonly bytes: number
  /** Members of aggregates that do not belong to this shard: see ConsumedRecord. */
  readonly outsideShardRange: number
  /** Not handed over, as copies of what was completed before: `dedupe`. */
  readonly duplicates: number
  readonly millisBehindLatest: number | undefined
  /** From having the records to their completion. */
  readonly durationMs: number
}
