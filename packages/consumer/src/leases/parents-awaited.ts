import { type Clock, sleep } from '@shardwise/core/clock'
import { parentHasEnded } from '../shards/shard-lineage.js'
import type { HeldLease } from './held-lease.js'
import { hasBegun, type Lease, leaseKeyOf } from './lease.js'
import type { LeaseCalls } from './lease-calls.js'
import type { LeaseEvent } from './lease-event.js'
import type { LeaseStore } from './lease-store.js'

/** How soon a child starts after its parents' end. */
const LOOK_AGAIN_MS = 1_000

export interface ParentsAwaitedOptions {
  readonly store: Pick<LeaseStore, 'read'>
  readonly clock: Clock
  readonly emit: (event: LeaseEvent) => void
}

/** Keys of the leases that must have ended before this one is read. A shard that was begun has none: its parents had ended then. */
export function parentKeys(lease: Lease): readonly string[] {
  return hasBegun(lease) ? [] : lease.parentShardIds.map((parent) => leaseKeyOf(lease.streamId, parent))
}

/**
 * Waits, for a lease that is held already, until the parents' leases have ended or are gone (KCL's BlockOnParentShardTask.java). False: it is
 * lost, or to be given up, before.
 */
export async function parentsEnd(
  { store, clock, emit }: ParentsAwaitedOptions,
  calls: LeaseCalls,
  lease: Lease,
  held: Pick<HeldLease, 'signal' | 'drain'>,
): Promise<boolean> {
  const halt = AbortSignal.any([held.signal, held.drain])
  const read = (leaseKey: string): Promise<Lease | undefined> =>
    calls.send('read', leaseKey, (signal) => store.read(leaseKey, { signal }), halt)
  let waiting = parentKeys(lease)
  for (let looks = 1; ; looks++) {
    if (waiting.length > 0) waiting = await unended(lease, waiting, read)
    if (halt.aborted) return false
    if (waiting.length === 0) return true
    const { leaseKey, parentShardIds } = lease
    if (looks === 1) emit({ type: 'lease-awaits-parents', leaseKey, parentShardIds })
    await sleep(clock, LOOK_AGAIN_MS, { signal: halt }).catch(() => {})
    if (halt.aborted) return false
  }
}

async function unended(
  child: Lease,
  leaseKeys: readonly string[],
  read: (leaseKey: string) => Promise<Lease | undefined>,
): Promise<readonly string[]> {
  const rows = await Promise.all(
    leaseKeys.map(async (leaseKey) => {
      try {
        const row = await read(leaseKey)
        return row === undefined || parentHasEnded(child, row) ? [] : [leaseKey]
      } catch {
        // Announced. Not known: as if it had not.
        return [leaseKey]
      }
    }),
  )
  return rows.flat()
}
