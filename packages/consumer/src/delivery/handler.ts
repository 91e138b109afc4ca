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
}

/**
 * Called for one record after the other, in the order of the shard, or side by side for different partition keys (`order: 'key'`). The
 * record is completed when the call returns, or when the promise that it returned resolves, unless `signal` has aborted; the next call waits for that. Shards are
 * handled side by side. A call that throws or rejects is repeated, with growing pauses, for as long as the lease is held, unless
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
