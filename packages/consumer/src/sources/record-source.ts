import type { ChildShard, KinesisRecord } from '@shardwise/core/kinesis-port'
import type { ServiceFailure } from '@shardwise/core/service-error'

/** What one read of a shard brought, in shard order. It may be empty. */
export interface FetchedBatch {
  readonly records: readonly KinesisRecord[]
  /** Payload bytes of `records`. */
  readonly bytes: number
  /** How far the end of this batch is behind the newest record of the shard; undefined when the service did not say. */
  readonly millisBehindLatest: number | undefined
  /**
   * Present when the shard is closed and nothing comes after this batch: its children. The list is empty only when the shard and all
   * that came of it have left the stream (retention).
   */
  readonly children: readonly ChildShard[] | undefined
  /**
   * True of the first batch after the service has refused the sequence number to resume after, and reading began at the oldest record instead:
   * that number is not of this shard, so it does not say which of these records are completed.
   */
  readonly fromOldest?: boolean
}

/**
 * Brings the records of one shard, from a start position to the shard's end, each at least once and in order. A source that is pushed to
 * (enhanced fan-out) queues what arrives within a bound and hands it out here, so that a slow reader is felt upstream.
 */
export interface RecordSource {
  /** How the shard is read at this moment. Undefined: it is not known yet. */
  readonly retrieval?: Retrieval | undefined
  /**
   * The next batch. Call it again only after it settled, and not after a batch with `children`. Failures of the service are retried
   * inside and announced as events: it rejects only when `signal` aborts, with the signal's reason, and may be called again then.
   */
  next(signal: AbortSignal): Promise<FetchedBatch>
}

/** `fan-out`: by a subscription of its own, or on the way to one. `polling`: by GetRecords. */
export type Retrieval = 'fan-out' | 'polling'

/** What a source announces. */
export type SourceEvent =
  /** The shard's read quota is used up (5 reads and 2 MiB a second over all applications), or KMS throttles decryption. */
  | { readonly type: 'read-throttled'; readonly shardId: string; readonly code: string; readonly retryInMs: number }
  /** A read failed for another reason and is repeated. `attempt` counts failures in a row. */
  | {
      readonly type: 'read-failed'
      readonly shardId: string
      readonly failure: ServiceFailure
      readonly attempt: number
      readonly retryInMs: number
    }
  /**
   * A read was not answered within `timeoutMs`, perhaps because so much does not come through the network in that time: from now on `maxRecords`
   * are asked for, half as many as before, and more again when full answers come in less than ten seconds.
   */
  | { readonly type: 'read-size-reduced'; readonly shardId: string; readonly timeoutMs: number; readonly maxRecords: number }
  /** The stream does not exist (any more). It is asked for again, slowly. */
  | { readonly type: 'stream-not-found'; readonly shardId: string; readonly message: string; readonly retryInMs: number }
  /** An iterator was not used for five minutes, because the handler was slow. Reading goes on at the same place: nothing is lost. */
  | { readonly type: 'iterator-expired'; readonly shardId: string }
  /**
   * The place to go on from has left the stream: records after `after` may have expired before this application read them. Reading goes
   * on at the oldest record there is (`checkpoint-trimmed`, `checkpoint-refused`) or at the children (`shard-trimmed`).
   */
  | {
      readonly type: 'records-expired'
      readonly shardId: string
      readonly reason: 'checkpoint-trimmed' | 'checkpoint-refused' | 'shard-trimmed'
      readonly after: string | undefined
      readonly message: string
    }
  /** Records are pushed from now on, by enhanced fan-out, from `after` on. Undefined: from the oldest record, or from a time. */
  | { readonly type: 'subscription-started'; readonly shardId: string; readonly after: string | undefined }
  /**
   * A subscription is over, after `lastedMs`, and the shard is subscribed to again in `retryInMs`. `completed`: by the service, in good order,
   * which it does after five minutes. `failed`: see `failure`. `stalled`: it did not say anything any more. `taken-over`: somebody else has
   * subscribed to this shard with this stream consumer. That is another worker, when the lease went there, or another application. After
   * `failed` because something is not there any more, that is looked into at once, and another event tells how it goes on.
   */
  | {
      readonly type: 'subscription-ended'
      readonly shardId: string
      readonly reason: SubscriptionEnd
      readonly lastedMs: number
      readonly retryInMs: number
      readonly failure: ServiceFailure | undefined
    }
  /** A shard cannot be subscribed to, so it is read by polling; `fallbackToPolling`. It is tried again from time to time, first in `retryInMs`. */
  | {
      readonly type: 'fan-out-suspended'
      readonly shardId: string
      readonly failure: ServiceFailure
      readonly retryInMs: number
    }
  /** The shard is read by its subscription again, after `afterMs` of polling. */
  | { readonly type: 'fan-out-resumed'; readonly shardId: string; readonly afterMs: number }
  /** A subscription brought records that had been read already, up to `upTo`: a fault of the service. They are not delivered again. */
  | { readonly type: 'records-repeated'; readonly shardId: string; readonly records: number; readonly upTo: string }

export type SubscriptionEnd = 'completed' | 'failed' | 'stalled' | 'taken-over'
