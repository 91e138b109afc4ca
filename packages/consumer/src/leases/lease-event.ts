import type { ServiceFailure } from '@shardwise/core/service-error'
import type { Position } from '../checkpoints/position.js'
import type { KclEvent } from './kcl-event.js'
import type { LeaseLostError } from './lease-lost-error.js'

/** What happens to leases, for logs, metrics and tests. */
export type LeaseEvent =
  | KclEvent
  | { readonly type: 'lease-created'; readonly leaseKey: string; readonly checkpoint: Position }
  /** The row was of a stream that had this name before and was deleted: it is now that of the shard that has its name, from the oldest record on. */
  | { readonly type: 'lease-reset'; readonly leaseKey: string; readonly checkpoint: Position }
  /** `from`: the owner before, undefined when it had none. */
  | { readonly type: 'lease-taken'; readonly leaseKey: string; readonly from: string | undefined; readonly resumeFrom: Position }
  /** We asked `from` to hand this lease over to us. */
  | { readonly type: 'lease-requested'; readonly leaseKey: string; readonly from: string | undefined }
  /** `to`: the worker it was handed over to, because it has asked for it or because we stop; undefined when it is free now. */
  | { readonly type: 'lease-released'; readonly leaseKey: string; readonly to: string | undefined }
  | { readonly type: 'lease-ended'; readonly leaseKey: string; readonly childShardIds: readonly string[] }
  /** The row of a shard that was read to its end, and that nothing depends on any more. */
  | { readonly type: 'lease-deleted'; readonly leaseKey: string }
  /**
   * No lease reads these hash keys (inclusive), nor will one after it, by three scans in a row and a consistent read. The shards are listed at once
   * to mend it.
   */
  | { readonly type: 'hash-range-hole'; readonly startingHashKey: string; readonly endingHashKey: string }
  | { readonly type: 'lease-lost'; readonly leaseKey: string; readonly error: LeaseLostError }
  /**
   * Another worker has asked for this lease and the handler has not returned in `waitedMs`: `context.signal` aborts, and a second later the
   * lease goes to `to` at its last completed record. What the handler had in hand is delivered again there.
   */
  | {
      readonly type: 'lease-handoff-forced'
      readonly leaseKey: string
      readonly to: string | undefined
      readonly waitedMs: number
    }
  /**
   * The reading of this shard neither brought anything nor waited for the handler for `stalledMs`: a fault, of this library or of what it
   * runs on. The lease is given up, for somebody else to read on.
   */
  | { readonly type: 'lease-reader-stalled'; readonly leaseKey: string; readonly stalledMs: number }
  /**
   * This process did not run for `blockedMs` or more: a handler that computes without awaiting, a stopped process, or no processor time. No
   * lease was renewed meanwhile. `leasesInDoubt` of `leasesHeld` may be lost: nothing of them is delivered before a renewal has succeeded.
   */
  | {
      readonly type: 'event-loop-blocked'
      readonly blockedMs: number
      readonly leasesHeld: number
      readonly leasesInDoubt: number
    }
  /** Renewals have not succeeded for so long that the lease may be lost: nothing is delivered until one does. */
  | { readonly type: 'lease-in-doubt'; readonly leaseKey: string }
  /** A lease that was in doubt is ours after all: the work goes on. */
  | { readonly type: 'lease-confirmed'; readonly leaseKey: string }
  /** A row that looks like a lease and cannot be used. Its shard is not read until the row is repaired. Once per row. */
  | { readonly type: 'lease-malformed'; readonly leaseKey: string; readonly reason: string }
  /** KCL made this row with LATEST: records that arrived before now and were not read by KCL are skipped, as in KCL. */
  | { readonly type: 'lease-starts-at-tip'; readonly leaseKey: string }
  /** A call to the lease table failed; it is repeated. `leaseKey`: undefined for a scan. */
  | {
      readonly type: 'lease-store-failed'
      readonly operation: LeaseOperation
      readonly leaseKey: string | undefined
      readonly failure: ServiceFailure
    }
  /**
   * DynamoDB refuses calls to `table` for too many requests; they are repeated. `operation` is DynamoDB's name, `calls` how many of it were
   * refused since the last such event (at most one in 10 s for an operation), `reasons` are DynamoDB's own where it gives them, and
   * `advice` says what to raise.
   */
  | {
      readonly type: 'lease-table-throttled'
      readonly table: string
      readonly operation: string
      readonly calls: number
      readonly reasons: readonly string[]
      readonly advice: string
    }
  /** The shards of the stream could not be compared with the leases; tried again at the next audit. */
  | { readonly type: 'shard-audit-failed'; readonly failure: ServiceFailure }

export type LeaseOperation =
  | 'scan'
  | 'read'
  | 'take'
  | 'renew'
  | 'release'
  | 'end'
  | 'create-children'
  | 'request-handoff'
  | 'clean-up'
  | 'kcl-probe'
  | 'kcl-worker-row'
