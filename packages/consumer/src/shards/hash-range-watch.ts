import { type HashKeyRange, uncovered } from '@shardwise/core/hash-key'
import type { Shard } from '@shardwise/core/shard-map'
import { hasEnded, type Lease } from '../leases/lease.js'

/**
 * As KCL's leasesRecoveryAuditorInconsistencyConfidenceThreshold: a scan is no snapshot, and may show a shard's end before its children. Nor is it
 * consistent: after a start, or when a stream was made anew, several of them may lack rows that are there.
 */
const SCANS = 3

/**
 * Looks for hash keys that no lease will ever read: the shards that are not read to their end must cover all of them, since each creates
 * what comes after it. A hole that a consistent read shows as well means that a lease was lost. A finished shard covers its keys too while a child that it names has no lease: the
 * child of a merge waits for the end of its other parent, which may take long, and the audits see to it. Pure.
 */
export class HashRangeWatch {
  #hole: HashKeyRange | undefined
  #times = 0

  /**
   * Of one scan: its first hole, when the same one was there three scans in a row, once. `shards`: as last listed, for the ranges that rows
   * lack. A row whose range nobody knows could cover anything.
   */
  observe(leases: readonly Lease[], shards: ReadonlyMap<string, Shard>): HashKeyRange | undefined {
    const hole = firstHole(leases, shards)
    this.#times = hole !== undefined && hole.start === this.#hole?.start && hole.end === this.#hole.end ? this.#times + 1 : 1
    this.#hole = hole
    return this.#times === SCANS ? hole : undefined
  }
}

/** Whether every hash key is read, or will be, by what the table has already: then nothing has to be listed to begin. */
export function coverAllHashKeys(leases: readonly Lease[]): boolean {
  return uncovered(covering(leases).flatMap(({ range }) => range ?? [])).length === 0
}

/** The first hash keys that none of these leases will ever read. */
export function firstHole(leases: readonly Lease[], shards: ReadonlyMap<string, Shard>): HashKeyRange | undefined {
  const ranges: HashKeyRange[] = []
  for (const lease of covering(leases)) {
    const range = lease.range ?? shards.get(lease.shardId)?.range
    if (range === undefined) return undefined
    ranges.push(range)
  }
  return uncovered(ranges)[0]
}

function covering(leases: readonly Lease[]): Lease[] {
  const leased = new Set(leases.map(({ shardId }) => shardId))
  return leases.filter((lease) => !hasEnded(lease) || lease.childShardIds.some((child) => !leased.has(child)))
}

/** The rows of shards at work that have no range, as KCL made them once, with the range that the stream lists. Pure. */
export function missingRanges(leases: readonly Lease[], shards: ReadonlyMap<string, Shard>): ReadonlyMap<Lease, HashKeyRange> {
  const missing = new Map<Lease, HashKeyRange>()
  for (const lease of leases) {
    const range = shards.get(lease.shardId)?.range
    // KCL cannot read a range of one hash key.
    if (lease.range === undefined && !hasEnded(lease) && range !== undefined && range.start < range.end) missing.set(lease, range)
  }
  return missing
}
