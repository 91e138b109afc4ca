import type { Clock } from '@shardwise/core/clock'
import type { CallOptions } from '@shardwise/core/kinesis-port'
import type { Shard } from '@shardwise/core/shard-map'
import { hasBegun, hasEnded, type Lease } from '../leases/lease.js'
import { inTurns } from '../leases/lease-calls.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import type { LeaseStore } from '../leases/lease-store.js'
import { ShardFamily } from './shard-family.js'

export interface LeaseGarbageOptions {
  readonly store: Pick<LeaseStore, 'delete'>
  readonly clock: Clock
  /** Milliseconds, see FINISHED_LEASE_KEPT_MS: less only where time runs otherwise, in the simulation. */
  readonly finishedLeaseKeptMs?: number | undefined
  readonly emit: (event: LeaseEvent) => void
}

/**
 * How long the row of a finished lease stays as it is before it is deleted. Longer than any create of it may be on its way that was decided
 * before it existed: docs/lease-protocol.md, "Resurrection".
 */
export const FINISHED_LEASE_KEPT_MS: number = 20 * 60_000

/** Deletes the leases that nothing depends on any more. Any worker may do it at any time. */
export class LeaseGarbage {
  readonly #options: LeaseGarbageOptions
  /** Since when each finished lease has been seen with its counter. */
  #finished: ReadonlyMap<string, { readonly counter: number; readonly at: number }> = new Map()

  constructor(options: LeaseGarbageOptions) {
    this.#options = options
  }

  /** `leases`: all of the stream, as a scan has shown them; `shards`: all that the stream lists, without holes. Rejects as the store does. */
  async collect(leases: readonly Lease[], shards: readonly Shard[], options: CallOptions = {}): Promise<void> {
    const { store, clock, finishedLeaseKeptMs = FINISHED_LEASE_KEPT_MS, emit } = this.#options
    const now = clock.now()
    const known = this.#finished
    const finished = new Map<string, { readonly counter: number; readonly at: number }>()
    for (const { leaseKey, leaseCounter: counter } of leases.filter(hasEnded)) {
      const before = known.get(leaseKey)
      finished.set(leaseKey, before?.counter === counter ? before : { counter, at: now })
    }
    this.#finished = finished
    const kept = (lease: Lease): boolean => now - finished.get(lease.leaseKey)!.at >= finishedLeaseKeptMs
    await inTurns(finishedLeases(leases, shards).filter(kept), async (lease) => {
      const deletion = await store.delete(lease, options)
      if (deletion.done) emit({ type: 'lease-deleted', leaseKey: lease.leaseKey })
    })
  }
}

/**
 * The leases whose shard is read to its end and whose row nobody asks for any more: oldest first, so that each generation goes when the one
 * before has gone. Pure. docs/lease-protocol.md, "delete"; as KCL's LeaseCleanupManager.java, and stricter: a child has begun when
 * something of it is checkpointed.
 */
export function finishedLeases(leases: readonly Lease[], shards: readonly Shard[]): Lease[] {
  const rows = new Map(leases.map((lease) => [lease.shardId, lease]))
  const family = new ShardFamily(shards)
  const childrenInTable = new Map<string, string[]>()
  for (const { shardId, parentShardIds } of leases) {
    for (const parent of parentShardIds) childrenInTable.set(parent, [...(childrenInTable.get(parent) ?? []), shardId])
  }
  const isPassed = (shardId: string): boolean => {
    const row = rows.get(shardId)
    return row === undefined ? family.get(shardId) === undefined : hasBegun(row)
  }
  // The earliest starting time of the table is what LATEST means on all shards that have not begun.
  const latestStart = latestStartOf(leases)
  return leases.filter((lease) => {
    if (lease.startAt !== undefined && lease.startAt < latestStart) return false
    if (!hasEnded(lease) || lease.parentShardIds.some((id) => rows.has(id))) return false
    const listed = family.children(lease.shardId).map(({ shardId }) => shardId)
    const children = [...lease.childShardIds, ...listed, ...(childrenInTable.get(lease.shardId) ?? [])]
    return children.length > 0 ? children.every(isPassed) : family.get(lease.shardId) === undefined
  })
}

function latestStartOf(leases: readonly Lease[]): number {
  let latest = 0
  for (const { checkpoint, startAt = 0 } of leases) if (checkpoint.kind === 'latest' && startAt > latest) latest = startAt
  return latest
}
