import type { CheckpointTarget } from '../checkpoints/checkpoint-range.js'
import type { FoundCheckpoint, PreparedCheckpoint } from '../checkpoints/shard-checkpoints.js'
import type { ConsumedRecord } from './consumed-record.js'

/** What a handler is told beside the records. */
export interface HandlerContext {
  readonly shardId: string
  /**
   * Aborts when the lease of the shard is lost (its reason is LeaseLostError), or when the consumer stops and the time that `stop` gave is
   * over (ConsumerStoppingError): another worker delivers these records again, so whatever can still be given up should be. Stopping alone
   * does not abort it: the call in hand may finish. A call that throws after it is not repeated and not announced as failed, and one that
   * returns completes nothing: it may have given up. What it has done of a batch it can say by a FailedAtError.
   */
  readonly signal: AbortSignal
  /** How far these records are behind the newest of the shard. Undefined when Kinesis did not say. */
  readonly millisBehindLatest: number | undefined
  /** 1, and one more each time that these records are handed over again because the handler failed, together or among others. */
  readonly attempt: number
  /** Grows with every acquisition of the shard's lease by anyone: a fencing token, for sinks that must not see a late write. */
  readonly generation: number
  /**
   * A checkpoint that the shard's owner before us has prepared and not committed, with its state. Undefined: none, or a checkpoint of ours,
   * automatic or not, has come after it. `checkpoint(pendingCheckpoint.position)` does what that owner did not come to, and the records up to it are
   * not handed over any more, except those of this call: `covers` tells them.
   */
  readonly pendingCheckpoint: FoundCheckpoint | undefined
  /**
   * Writes a checkpoint at `record`, at once; without it, at the last record of this call (`order: 'key'`: of what is completed without a gap).
   * It has landed when the promise resolves. While the lease table cannot be reached it waits, on a stop for the failover time at most. What lies up to it is never handed over
   * again, not even when this call fails. Callable at any time while the shard is held, also after the call has returned.
   *
   * Rejects with RangeError for a record before the last checkpoint or beyond what was handed over (`order: 'key'`: beyond what is completed
   * without a gap; as KCL otherwise), with LeaseLostError when the lease is lost or given back, and with ConsumerStoppingError when a stop no longer
   * waits for this call. One equal to the last is not written again. A prepared checkpoint is discarded.
   */
  readonly checkpoint: (record?: CheckpointTarget) => Promise<void>
  /**
   * The first half of a two-phase checkpoint: writes position and `state` (at most 64 KiB) beside the checkpoint, which stays. If this worker dies before
   * `commit`, the next owner starts at the checkpoint and finds both in `pendingCheckpoint`. It replaces one that was prepared before. Rules as
   * for `checkpoint`.
   */
  readonly prepareCheckpoint: (record?: CheckpointTarget, state?: Uint8Array) => Promise<PreparedCheckpoint>
}

/**
 * Called for one record after the other, in the order of the shard, or side by side for different partition keys (`order: 'key'`). The
 * record is completed when the call returns, or when the promise that it returned resolves, unless `signal` has aborted; the next call waits for that. A
 * function that is not `async` and returns nothing costs less: calls follow each other at once, and promises that it has begun go on a millisecond of calls
 * later. Shards are handled side by side. A call that throws or rejects is repeated, with growing pauses, for as long as the lease is held, unless
 * `onFailure` gives the record up.
 */
export type EachRecord<T = Uint8Array> = (record: ConsumedRecord<T>, context: HandlerContext) => unknown

/**
 * Called for the user records of one read, in the order of the shard: 1 to 10,000. All are completed together, when the call returns or
 * its promise resolves. A failed call is repeated with the same records, or with those from the one on that a FailedAtError names;
 * `onFailure` may ask for parts of them.
 */
export type EachBatch<T = Uint8Array> = (records: readonly ConsumedRecord<T>[], context: HandlerContext) => unknown

/** One of the two. */
export type Handlers<T = Uint8Array> =
  | { readonly eachRecord: EachRecord<T>; readonly eachBatch?: never }
  | { readonly eachBatch: EachBatch<T>; readonly eachRecord?: never }
