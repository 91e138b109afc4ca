import type { Shard } from '@shardwise/core/shard-map'
import { compareSequenceNumbers } from '../checkpoints/position.js'
import { hasEnded, type Lease } from '../leases/lease.js'
import { isFormerCreation } from './creation-time.js'
import { parentIds } from './shard-family.js'

/** Leases of a stream that had this name before stayed in the table, changed by somebody at every attempt to begin them anew. */
export class FormerLeasesError extends Error {
  override readonly name = 'FormerLeasesError'
  readonly code = 'ERR_SHARDWISE_FORMER_LEASES'
}

/** When the stream was created, as far as anybody knows: a worker that runs for long may know of the former stream only. */
export function latestCreation(leases: readonly Lease[], known: number | undefined): number | undefined {
  let latest = known
  for (const { streamCreatedAt } of leases) {
    if (streamCreatedAt !== undefined && (latest === undefined || streamCreatedAt > latest)) latest = streamCreatedAt
  }
  return latest
}

export interface FormerLeases {
  readonly leases: readonly Lease[]
  /** Our rows say when their stream was created. False: some are known by what contradicts the listing, which may be late. */
  readonly certain: boolean
}

/**
 * The leases of streams that had this name before, and were deleted: their shards are called as ours, and their checkpoints speak of other
 * records. A row that SHARD_END stands in would hide a whole shard. docs/lease-protocol.md, "A stream that was created anew".
 *
 * Rows that KCL made do not say when their stream was created. They give themselves away by what cannot be: a checkpoint before the shard's
 * first record, the end of a shard that is open, another hash range. When one does, those that say too little to tell are taken for
 * former too: to read twice is better than to skip.
 */
export function formerLeases(leases: readonly Lease[], shards: readonly Shard[], createdAt: number | undefined): FormerLeases {
  const byId = new Map(shards.map((shard) => [shard.shardId, shard]))
  const parents = new Set(shards.flatMap(parentIds))
  const dated: Lease[] = []
  const undated: Lease[] = []
  for (const lease of leases) {
    if (lease.streamCreatedAt === undefined || createdAt === undefined) undated.push(lease)
    else if (isFormerCreation(lease.streamCreatedAt, createdAt)) dated.push(lease)
  }
  const impossible = undated.filter((lease) => contradicts(lease, byId.get(lease.shardId), parents))
  const telling = dated.length > 0 || impossible.length > 0
  const doubtful = telling ? undated.filter((lease) => !impossible.includes(lease) && saysLittle(lease, byId)) : []
  return { leases: [...dated, ...impossible, ...doubtful], certain: impossible.length + doubtful.length === 0 }
}

function contradicts(lease: Lease, shard: Shard | undefined, parents: ReadonlySet<string>): boolean {
  if (shard === undefined) return false
  const { checkpoint, range } = lease
  if (checkpoint.kind === 'sequence' && compareSequenceNumbers(checkpoint.sequenceNumber, shard.startingSequenceNumber) < 0)
    return true
  if (hasEnded(lease) && shard.endingSequenceNumber === undefined && !parents.has(shard.shardId)) return true
  return range !== undefined && (range.start !== shard.range.start || range.end !== shard.range.end)
}

/** Nothing in it shows that its checkpoint is of the present stream. */
function saysLittle({ shardId, checkpoint }: Lease, shards: ReadonlyMap<string, Shard>): boolean {
  return checkpoint.kind !== 'sequence' || !shards.has(shardId)
}
