import { hasEnded, type Lease } from './lease.js'

/** What there is to take beside a leader of KCL's: only what it has assigned to us and no other worker still has. Pure. */
export function assignedLeases(leases: readonly Lease[], workerId: string, busy: ReadonlySet<string>): readonly Lease[] {
  return leases.filter(
    (lease) =>
      lease.leaseOwner === workerId && lease.checkpointOwner === undefined && !hasEnded(lease) && !busy.has(lease.leaseKey),
  )
}
