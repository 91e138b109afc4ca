/**
 * This worker no longer owns the lease (another took it, it was handed over, or its row is gone), so nothing more may be delivered or
 * checkpointed under it. Records since the last checkpoint are delivered again by the next owner. Nothing for the caller to repair: stop
 * working on this shard.
 */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError'
  readonly code = 'ERR_SHARDWISE_LEASE_LOST'
  readonly leaseKey: string
  readonly workerId: string
  /** Who owns it now, as far as known. */
  readonly owner: string | undefined

  constructor(
    leaseKey: string,
    workerId: string,
    why: string,
    options: { readonly owner?: string | undefined; readonly cause?: unknown } = {},
  ) {
    super(
      `Lease ${leaseKey} is no longer held by ${workerId}: ${why}. Stop working on this shard; its next owner resumes from the last checkpoint`,
      options,
    )
    this.leaseKey = leaseKey
    this.workerId = workerId
    this.owner = options.owner
  }
}
