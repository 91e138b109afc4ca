import type { Random } from '@shardwise/core/random'
import { parentsHaveEnded } from '../shards/shard-lineage.js'
import { actualOwner, hasEnded, type Lease, pendingHandoff } from './lease.js'

export interface LeasePlanInput {
  readonly leases: readonly Lease[]
  readonly workerId: string
  readonly hasExpired: (lease: Lease) => boolean
  /** Free for so long that whoever should have taken it does not: anyone may, above the fair share too. */
  readonly isOverdue: (lease: Lease) => boolean
  /** Leases that this process must not take now: it holds them, or its worker on the shard has not finished yet. */
  readonly busy: ReadonlySet<string>
  /** Owned by a live worker of KCL 2.x, which takes from the living and may be taken from. Default: none is. */
  readonly mayTakeFrom?: (lease: Lease) => boolean
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
  const { leases, workerId, hasExpired, isOverdue, busy, mayTakeFrom = () => false, random } = input
  const byKey = new Map(leases.map((lease) => [lease.leaseKey, lease]))
  const free: Lease[] = []
  const mine: Lease[] = []
  const owned = new Map<string, Lease[]>([[workerId, []]])
  for (const lease of leases) {
    if (hasEnded(lease)) continue
    const owner = lease.leaseOwner
    if (owner === workerId && lease.checkpointOwner === undefined && !busy.has(lease.leaseKey)) mine.push(lease)
    else if (owner === undefined || (hasExpired(lease) && !busy.has(lease.leaseKey))) {
      if (parentsHaveEnded(lease, byKey)) free.push(lease)
      continue
    }
    // During a handoff the lease counts for its next owner, and both are members.
    const leasesOfOwner = owned.get(owner)
    if (leasesOfOwner === undefined) owned.set(owner, [lease])
    else leasesOfOwner.push(lease)
    const current = actualOwner(lease)
    if (current !== undefined && !owned.has(current)) owned.set(current, [])
  }
  const live = free.length + [...owned.values()].reduce((sum, each) => sum + each.length, 0)
  const room = Math.ceil(live / owned.size) - owned.get(workerId)!.length
  if (free.length === 0) {
    const isMovable = (lease: Lease, owner: string): boolean =>
      lease.shardwiseOwner === owner || (mayTakeFrom(lease) && parentsHaveEnded(lease, byKey))
    const wanted = movesToUs(owned, workerId, isMovable)
    const isOfOurs = (lease: Lease): boolean => lease.shardwiseOwner === lease.leaseOwner
    return { take: mine, request: wanted.filter(isOfOurs), takeFromLive: wanted.filter((lease) => !isOfOurs(lease)) }
  }
  const takeable = shuffled(
    free.filter((lease) => !busy.has(lease.leaseKey)),
    random,
  )
  const share = takeable.slice(0, Math.max(0, room))
  return { take: [...mine, ...share, ...takeable.slice(share.length).filter(isOverdue)], request: [], takeFromLive: [] }
}

/**
 * The moves that bring all counts within one of each other, as few as possible, and of these the ones that end here. No chance in it: every
 * worker that sees the same table makes the same plan. Only a lease whose owner is a Shardwise worker, or a live one of KCL 2.x, and for
 * which nothing is pending, can be moved.
 */
function movesToUs(
  owned: ReadonlyMap<string, readonly Lease[]>,
  workerId: string,
  isMovable: (lease: Lease, owner: string) => boolean,
): Lease[] {
  const members = [...owned].map(([id, leases]) => ({
    id,
    count: leases.length,
    movable: leases
      .filter((lease) => pendingHandoff(lease) === undefined && isMovable(lease, id))
      .sort((a, b) => (a.leaseKey < b.leaseKey ? 1 : -1)),
  }))
  members.sort((a, b) => (a.id < b.id ? -1 : 1))
  const wanted: Lease[] = []
  for (;;) {
    const receiver = members.reduce((least, each) => (each.count < least.count ? each : least))
    const donors = members.filter((each) => each.movable.length > 0)
    const donor = donors.reduce<(typeof members)[number] | undefined>(
      (most, each) => (most && most.count >= each.count ? most : each),
      undefined,
    )
    if (donor === undefined || donor.count - receiver.count < 2) return wanted
    const lease = donor.movable.pop()!
    donor.count--
    receiver.count++
    if (receiver.id === workerId) wanted.push(lease)
  }
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
