/** The record that an event is about, and what its handling came to. */
interface AboutRecord {
  readonly shardId: string
  readonly sequenceNumber: string
  readonly subSequenceNumber: number
  readonly partitionKey: string
  /** What the handler threw at last. */
  readonly error: unknown
}

export type DeliveryEvent =
  /**
   * The handler threw or rejected. `records` are handed to it again, or parts of them; the position is that of the first, or of the one that a
   * FailedAtError named. 0 `records`: it had checkpointed all of them itself before it failed, and the shard goes on behind them.
   */
  | {
      readonly type: 'handler-failed'
      readonly shardId: string
      readonly sequenceNumber: string
      readonly subSequenceNumber: number
      readonly records: number
      readonly error: unknown
      readonly attempt: number
      /** Undefined when this was the last attempt that `onFailure` grants the record. */
      readonly retryInMs: number | undefined
    }
  /** `onFailure` gave the record up: the shard goes on without it. */
  | ({ readonly type: 'record-skipped' } & AboutRecord)
  /** `onFailure` gave the record up, and its `deadLetter` has taken it: the shard goes on. */
  | ({ readonly type: 'record-dead-lettered' } & AboutRecord)
  /** `deadLetter` threw or rejected; it is called again. `error` is what it threw. */
  | ({ readonly type: 'dead-letter-failed'; readonly attempt: number; readonly retryInMs: number } & AboutRecord)
  /** `onFailure` gave the record up and stops the shard: nothing more is delivered of it here, and its checkpoint stays before the record. */
  | ({ readonly type: 'shard-blocked' } & AboutRecord)
