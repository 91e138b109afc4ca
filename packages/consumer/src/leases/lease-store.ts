import type { HashKeyRange } from '@shardwise/core/hash-key'
import type { CallOptions } from '@shardwise/core/kinesis-port'
import type { Lease, NewLease } from './lease.js'
import type { LeaseProgress } from './lease-progress.js'

export interface ListOptions extends CallOptions {
  readonly consistent?: boolean
  /** Is told of each page that has come, where leases come in pages. */
  readonly onPage?: (() => void) | undefined
  /** A page was throttled, `times` times in a row: it alone is asked for again when this resolves. Default: the listing rejects. */
  readonly throttled?: ((error: unknown, times: number) => Promise<void>) | undefined
}

/**
 * Where leases live. Every write is one atomic conditional write; docs/lease-protocol.md says for each what its condition protects.
 *
 * A write that resolves with `done: false` did not take effect. A call that *rejects* may have taken effect (lost response, time-out): the
 * caller finds out by sending it again, since each condition includes the counter or owner that the write changes. Implementations make
 * one attempt per call.
 */
export interface LeaseStore {
  /** Makes the table ready, creating it when missing. Rejects when it exists and is not a lease table. */
  open(options?: CallOptions): Promise<void>
  /** All leases. May be a little stale unless `consistent`. */
  list(options?: ListOptions): Promise<LeaseListing>
  /** The row as it is now. */
  read(leaseKey: string, options?: CallOptions): Promise<Lease | undefined>
  /** False when there is one already. */
  create(lease: NewLease, options?: CallOptions): Promise<boolean>
  /** Makes `workerId` the owner, provided that counter and owners are still those of `lease`. */
  take(lease: Lease, workerId: string, options?: CallOptions): Promise<LeaseWrite>
  /** Moves the counter and writes `progress`, provided that the counter is that of `lease` and `workerId` the actual owner. */
  renew(lease: Lease, workerId: string, progress: LeaseRenewal, options?: CallOptions): Promise<LeaseWrite>
  /**
   * Gives up ownership, with the last progress: to the worker that has asked for it, to one that has not, or to nobody. The condition of
   * `renew`, and that the pending handoff is to `to` (with `offer`, or `to` undefined: that none is pending).
   */
  handOver(lease: Lease, workerId: string, last: LeaseHandOver, options?: CallOptions): Promise<LeaseWrite>
  /** SHARD_END: no owner, and nothing pending, any more. The condition of `renew`. */
  end(lease: Lease, workerId: string, childShardIds: readonly string[], options?: CallOptions): Promise<LeaseWrite>
  /** Asks the owner of `lease`, a Shardwise worker, to hand it over to `to`. The counter stays. */
  requestHandoff(lease: Lease, to: string, options?: CallOptions): Promise<LeaseWrite>
  /** Takes such a request back, provided that it is still pending. The counter stays. */
  withdrawHandoff(lease: Lease, to: string, options?: CallOptions): Promise<LeaseWrite>
  /** Writes the hash key range where the row exists and has none. The counter stays. Not for a range of one hash key. */
  fillRange(lease: Lease, range: HashKeyRange, options?: CallOptions): Promise<LeaseWrite>
  /**
   * Begins anew with this key: nothing of the row remains but its counter, moved by one, so that whoever owned it has lost it. Provided that
   * counter, owners and checkpoint are still those of `lease`.
   */
  replace(lease: Lease, by: NewLease, options?: CallOptions): Promise<LeaseWrite>
  /** Deletes the row, provided that counter, owners and checkpoint are still those of `lease`. */
  delete(lease: Lease, options?: CallOptions): Promise<LeaseDeletion>
}

/** What an owner's write carries. */
export interface LeaseRenewal extends LeaseProgress {
  /** The owner stops: others shall give it nothing more, and not count on it. */
  readonly leaving?: boolean | undefined
}

export interface LeaseHandOver extends LeaseRenewal {
  /** Undefined: to nobody. */
  readonly to: string | undefined
  /** `to` has not asked for it: a Shardwise worker that the owner names. */
  readonly offer?: boolean | undefined
}

/** `lease` is the row after the write, or, where the condition did not hold, the row that was found (undefined: no such row). */
export type LeaseWrite =
  | { readonly done: true; readonly lease: Lease }
  | { readonly done: false; readonly lease: Lease | undefined }

/** Where the condition did not hold `lease` is the row that was found; undefined: no such row. */
export type LeaseDeletion = { readonly done: true } | { readonly done: false; readonly lease: Lease | undefined }

export interface LeaseListing {
  readonly leases: readonly Lease[]
  /** Rows that look like leases and cannot be read, each with the reason. They are left alone. */
  readonly malformed: readonly MalformedLease[]
}

export interface MalformedLease {
  readonly leaseKey: string
  readonly reason: string
}
