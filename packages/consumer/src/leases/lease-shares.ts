import type { Lease } from './lease.js'

interface Member {
  readonly id: string
  count: number
  readonly streams: ReadonlySet<string | undefined>
}

/**
 * Those of the free leases that fall to `workerId`: they are given out in order, each to the member with the fewest, of equals to the first by
 * name. No chance in it: workers that see the same table want different leases, and all of them together want each once. Of the other
 * members it is known where they hold a lease of a stream, and so read it. Pure.
 *
 * `owned`: what each member has already.
 */
export function shareOf(workerId: string, free: readonly Lease[], owned: ReadonlyMap<string, readonly Lease[]>): Lease[] {
  const members: Member[] = [...owned].map(([id, leases]) => ({
    id,
    count: leases.length,
    streams: new Set(leases.map(({ streamId }) => streamId)),
  }))
  members.sort((a, b) => (a.id < b.id ? -1 : 1))
  const share: Lease[] = []
  for (const lease of [...free].sort((a, b) => (a.leaseKey < b.leaseKey ? -1 : 1))) {
    const { streamId } = lease
    let least: Member | undefined
    for (const member of members) {
      const reads = streamId === undefined || member.id === workerId || member.streams.has(streamId)
      if (reads && (least === undefined || member.count < least.count)) least = member
    }
    if (least === undefined) continue
    least.count++
    if (least.id === workerId) share.push(lease)
  }
  return share
}
