import { type HashKeyRange, uncovered } from '@shardwise/core/hash-key'
import type { Shard } from '@shardwise/core/shard-map'
import { hasEnded, type Lease } from '../leases/lease.js'

/** As KCL's leasesRecoveryAuditorInconsistencyConfidenceThreshold: a scan is no snapshot, and may show a shard's end before its children. */
const SCANS = 3

/**
 * Looks for hash keys that no lease will ever read: the shards that are not read to their end must cover all of them, since each creates
 * what comes after it. A hole means that a lease is missing. Pure.
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
  const atWork = leases.filter((lease) => !hasEnded(lease))
  return uncovered(atWork.flatMap(({ range }) => range ?? [])).length === 0
}

function firstHole(leases: readonly Lease[], shards: ReadonlyMap<string, Shard>): HashKeyRange | undefined {
  const ranges: HashKeyRange[] = []
  for (const lease of leases) {
    if (hasEnded(lease)) continue
    const range = lease.range ?? shards.get(lease.shardId)?.range
    if (range === undefined) return undefined
    ranges.push(range)
  }
  return uncovered(ranges)[0]
}

/** The rows of shards at work that have no range, as KCL made them once, with the range that the stream lists. Pure. */
export function missingRanges(
  leases: readonly Lease[],
  shards: ReadonlyMap<string, Shard>,
): { readonly lease: Lease; readonly range: HashKeyRange }[] {
  return leases.flatMap((lease) => {
    const range = shards.get(lease.shardId)?.range
    // KCL cannot read a range of one hash key.
    const needed = lease.range === undefined && !hasEnded(lease) && range !== undefined && range.start < range.end
    return needed ? [{ lease, range }] : []
  })
}
