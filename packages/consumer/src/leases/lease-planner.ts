import type { Random } from '@shardwise/core/random'
import { parentsHaveEnded } from '../shards/shard-lineage.js'
import { actualOwner, hasEnded, type Lease } from './lease.js'
import { requestsOf } from './lease-requests.js'
import { shareOf } from './lease-shares.js'

export interface LeasePlanInput {
  /** The whole table. */
  readonly leases: readonly Lease[]
  readonly workerId: string
  /** Whether this worker reads the stream of this lease. Default: all. The others' streams are not known, except by what they hold. */
  readonly reads?: (lease: Lease) => boolean
  readonly hasExpired: (lease: Lease) => boolean
  /** Free for so long that whoever should have taken it does not: anyone may, above its share too. */
  readonly isOverdue: (lease: Lease) => boolean
  /** Leases that this process must not take now: it holds them, or its worker on the shard has not finished yet. */
  readonly busy: ReadonlySet<string>
  /** Owned by a live worker of KCL 2.x, which takes from the living and may be taken from. Default: none is. */
  readonly mayTakeFrom?: (lease: Lease) => boolean
  /** Workers that are stopping: they take nothing, and give what they have by themselves. */
  readonly leavers?: ReadonlySet<string>
  /** Leases of shards whose parents this worker has just read to their end. Nobody is nearer: taken above the share too. */
  readonly successors?: ReadonlySet<string>
  readonly random: Random
}

export interface LeasePlan {
  /** Leases without a live owner, or already ours by the table: take them, each conditionally. */
  readonly take: readonly Lease[]
  /** Leases of live Shardwise workers: ask for a handoff to us. Never taken by force. */
  readonly request: readonly Lease[]
  /** Leases of live KCL 2.x workers, which know no handoff: take them, not all at once. */
  readonly takeFromLive: readonly Lease[]
}

/** What this worker should do about leases that it does not hold. Pure. docs/lease-protocol.md, "Who takes what". */
export function planLeases(input: LeasePlanInput): LeasePlan {
  const { leases, workerId, reads = () => true, hasExpired, isOverdue, busy, random } = input
  const { mayTakeFrom = () => false, leavers = new Set<string>(), successors = new Set<string>() } = input
  const byKey = new Map(leases.map((lease) => [lease.leaseKey, lease]))
  const free: Lease[] = []
  const mine: Lease[] = []
  const owned = new Map<string, Lease[]>([[workerId, []]])
  const peers = new Set([workerId])
  /** Who let a lease expire, or did not take what was offered: whatever else they have is about to expire, and they take nothing. */
  const silent = new Set<string>()
  for (const lease of leases) {
    if (hasEnded(lease)) continue
    const owner = lease.leaseOwner
    const readable = reads(lease)
    if (readable && owner === workerId && lease.checkpointOwner === undefined && !busy.has(lease.leaseKey)) mine.push(lease)
    else if (owner === undefined || (hasExpired(lease) && !busy.has(lease.leaseKey))) {
      if (readable && parentsHaveEnded(lease, byKey)) free.push(lease)
      const current = actualOwner(lease)
      if (current !== undefined && current !== workerId) silent.add(current)
      continue
    }
    // During a handoff the lease counts for its next owner, and both are members.
    const theirs = owned.get(owner)
    if (theirs === undefined) owned.set(owner, [lease])
    else theirs.push(lease)
    const current = actualOwner(lease)
    if (current !== undefined && !owned.has(current)) owned.set(current, [])
    if (readable) for (const id of [owner, current]) if (id !== undefined) peers.add(id)
  }
  // With the others this worker shares nothing.
  for (const id of owned.keys()) if (!peers.has(id)) owned.delete(id)
  for (const id of [...leavers, ...silent]) owned.delete(id)
  if (free.length === 0) {
    const isMovable = (lease: Lease): boolean => isOfOurs(lease) || (mayTakeFrom(lease) && parentsHaveEnded(lease, byKey))
    const wanted = requestsOf(workerId, owned, reads, isMovable)
    return { take: mine, request: wanted.filter(isOfOurs), takeFromLive: wanted.filter((lease) => !isOfOurs(lease)) }
  }
  const nearest = free.filter((lease) => successors.has(lease.leaseKey))
  owned.set(workerId, [...owned.get(workerId)!, ...nearest])
  const share = new Set([
    ...nearest,
    ...shareOf(
      workerId,
      free.filter((lease) => !successors.has(lease.leaseKey)),
      owned,
    ),
  ])
  const wanted = free.filter((lease) => !busy.has(lease.leaseKey) && (share.has(lease) || isOverdue(lease)))
  // Several that start at once do not know of each other, and want the same: each shall win some.
  return { take: [...mine, ...shuffled(wanted, random)], request: [], takeFromLive: [] }
}

/** The owner is a Shardwise worker. */
function isOfOurs(lease: Lease): boolean {
  return lease.shardwiseOwner === lease.leaseOwner
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const swapped = result[i]!
    result[i] = result[j]!
    result[j] = swapped
  }
  return result
}
