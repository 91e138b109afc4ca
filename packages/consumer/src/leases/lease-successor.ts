import { actualOwner, hasEnded, isOffered, type Lease } from './lease.js'

export interface SuccessorInput {
  readonly leases: readonly Lease[]
  /** Who gives its lease away. */
  readonly workerId: string
  /** Whether the owner of a lease was seen to write lately. */
  readonly isAlive: (lease: Lease) => boolean
  readonly leavers: ReadonlySet<string>
  /** Whom `workerId` has named for leases that are still its own by the rows, by lease key. */
  readonly named: ReadonlyMap<string, string>
}

/**
 * Who should go on with a lease that its owner gives away: the Shardwise worker with the fewest, of those that were seen alive and do not leave
 * themselves. Undefined: nobody is known to be there. Pure, and a preference only: docs/lease-protocol.md, "Offers".
 */
export function chooseSuccessor({ leases, workerId, isAlive, leavers, named }: SuccessorInput): string | undefined {
  const counts = new Map<string, number>()
  const alive = new Set<string>()
  for (const lease of leases) {
    if (hasEnded(lease)) continue
    const next = lease.leaseOwner === workerId ? named.get(lease.leaseKey) : lease.leaseOwner
    if (next !== undefined) counts.set(next, (counts.get(next) ?? 0) + 1)
    const owner = actualOwner(lease)
    if (owner !== undefined && owner === lease.shardwiseOwner && !isOffered(lease) && isAlive(lease)) alive.add(owner)
  }
  let chosen: string | undefined
  for (const id of [...alive].sort()) {
    if (id === workerId || leavers.has(id)) continue
    if (chosen === undefined || (counts.get(id) ?? 0) < (counts.get(chosen) ?? 0)) chosen = id
  }
  return chosen
}
