import type { Random } from '@shardwise/core/random'
import { parentsHaveEnded } from '../shards/shard-lineage.js'
import { actualOwner, hasEnded, isOffered, type Lease, pendingHandoff } from './lease.js'

export interface LeasePlanInput {
  readonly leases: readonly Lease[]
  readonly workerId: string
  readonly hasExpired: (lease: Lease) => boolean
  /** Free for so long that whoever should have taken it does not: anyone may, above the fair share too. */
  readonly isOverdue: (lease: Lease) => boolean
  /** Leases that this process must not take now: it holds them, or its worker on the shard has not finished yet. */
  readonly busy: ReadonlySet<string>
  /** Workers that are stopping: they take nothing, and give what they have by themselves. */
  readonly leavers: ReadonlySet<string>
  /** Leases of shards whose parents this worker has just read to their end. Nobody is nearer: taken above the fair share too. */
  readonly successors: ReadonlySet<string>
  readonly random: Random
}

export interface LeasePlan {
  /** Leases without a live owner, or already ours by the table: take them, each conditionally. */
  readonly take: readonly Lease[]
  /** Leases of live Shardwise workers: ask for a handoff to us. Never taken by force. */
  readonly request: readonly Lease[]
}

/** What this worker should do about leases that it does not hold. Pure. docs/lease-protocol.md, "Who takes what". */
export function planLeases(input: LeasePlanInput): LeasePlan {
  const { leases, workerId, hasExpired, isOverdue, busy, leavers, successors, random } = input
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
    const theirs = owned.get(owner)
    if (theirs === undefined) owned.set(owner, [lease])
    else theirs.push(lease)
    const current = actualOwner(lease)
    if (current !== undefined && !owned.has(current)) owned.set(current, [])
  }
  const live = free.length + [...owned.values()].reduce((sum, each) => sum + each.length, 0)
  for (const leaver of leavers) owned.delete(leaver)
  const room = Math.ceil(live / owned.size) - owned.get(workerId)!.length
  if (free.length === 0) return { take: mine, request: requests(owned, workerId) }
  const takeable = shuffled(
    free.filter((lease) => !busy.has(lease.leaseKey)),
    random,
  )
  takeable.sort((a, b) => Number(successors.has(b.leaseKey)) - Number(successors.has(a.leaseKey)))
  const share = takeable.slice(0, Math.max(0, room))
  const beyond = takeable.slice(share.length).filter((lease) => successors.has(lease.leaseKey) || isOverdue(lease))
  return { take: [...mine, ...share, ...beyond], request: [] }
}

/**
 * The moves that bring all counts within one of each other, as few as possible, and of these the ones that end here. No chance in it: every
 * worker that sees the same table makes the same plan. Only a lease whose owner is a Shardwise worker, and for which nothing is pending,
 * can be asked for.
 */
function requests(owned: ReadonlyMap<string, readonly Lease[]>, workerId: string): Lease[] {
  const members = [...owned].map(([id, leases]) => ({
    id,
    count: leases.length,
    movable: leases
      .filter((lease) => pendingHandoff(lease) === undefined && !isOffered(lease) && lease.shardwiseOwner === id)
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
