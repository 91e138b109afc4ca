import { isOffered, type Lease, pendingHandoff } from './lease.js'

interface Member {
  readonly id: string
  /** Of all streams. */
  count: number
  /** Leases to ask for, by stream; the next one last. */
  readonly movable: Map<string | undefined, Lease[]>
  readonly takes: (streamId: string | undefined, lease: Lease) => boolean
  /** In this plan. Nobody does both: what only passes through a member need not move. */
  part: 'gives' | 'receives' | undefined
}

/**
 * The moves that bring all counts within one of each other, as few as possible, and of these the ones that end here. No chance in it: every
 * worker that sees the same table makes the same plan. Only a lease for which nothing is pending, and that `isMovable`, can be moved.
 *
 * A lease can only go to a worker that reads its stream. Of the others that is known where they hold a lease of the stream. Each request
 * is from a worker with at least two leases more than its receiver, so that the sum of the squares of all counts falls with each
 * move, and moving comes to an end, also among workers that read different streams.
 */
export function requestsOf(
  workerId: string,
  owned: ReadonlyMap<string, readonly Lease[]>,
  reads: (lease: Lease) => boolean,
  isMovable: (lease: Lease) => boolean,
): Lease[] {
  const members = [...owned].map(([id, leases]) => memberOf(id, leases, isMovable, id === workerId ? reads : undefined))
  const wanted: Lease[] = []
  for (;;) {
    const move = greatestMove(members)
    if (move === undefined) return wanted
    const { from, to, streamId } = move
    const lease = from.movable.get(streamId)!.pop()!
    from.count--
    from.part = 'gives'
    to.count++
    to.part = 'receives'
    if (to.id === workerId) wanted.push(lease)
  }
}

function memberOf(
  id: string,
  leases: readonly Lease[],
  isMovable: (lease: Lease) => boolean,
  reads: ((lease: Lease) => boolean) | undefined,
): Member {
  const streams = new Set(leases.map(({ streamId }) => streamId))
  const movable = new Map<string | undefined, Lease[]>()
  for (const lease of leases) {
    if (pendingHandoff(lease) !== undefined || isOffered(lease) || !isMovable(lease)) continue
    const ofStream = movable.get(lease.streamId)
    if (ofStream === undefined) movable.set(lease.streamId, [lease])
    else ofStream.push(lease)
  }
  for (const each of movable.values()) each.sort((a, b) => (a.leaseKey < b.leaseKey ? 1 : -1))
  const takes = (streamId: string | undefined, lease: Lease): boolean => reads?.(lease) ?? streams.has(streamId)
  return { id, count: leases.length, movable, takes, part: undefined }
}

/** From the one with the most to the one with the least, among all that can; of equals the first by name. */
function greatestMove(members: readonly Member[]) {
  const byName = (a: Member, b: Member): number => (a.id < b.id ? -1 : 1)
  const givers = members.filter(({ part }) => part !== 'receives').sort((a, b) => b.count - a.count || byName(a, b))
  const receivers = members.filter(({ part }) => part !== 'gives').sort((a, b) => a.count - b.count || byName(a, b))
  let best: { readonly from: Member; readonly to: Member; readonly streamId: string | undefined } | undefined
  let difference = 1
  for (const from of givers) {
    for (const to of receivers) {
      if (from.count - to.count <= difference) break
      const next = firstFor(from, to)
      if (next === undefined) continue
      best = { from, to, streamId: next.streamId }
      difference = from.count - to.count
      break
    }
  }
  return best
}

/** The first lease by key that `from` can give and `to` can take. */
function firstFor(from: Member, to: Member): Lease | undefined {
  let first: Lease | undefined
  for (const [streamId, leases] of from.movable) {
    const lease = leases.at(-1)
    if (lease !== undefined && to.takes(streamId, lease) && (first === undefined || lease.leaseKey < first.leaseKey))
      first = lease
  }
  return first
}
