import type { RowFact } from './facts.js'

/** How far a shard has been read: the record that a checkpoint names, and its member. */
export interface Place {
  readonly sequence: bigint
  readonly sub: number
}

/** One worker's time with one shard, from the write that took the lease to the one that took it away, as the table's process saw them land. */
export interface Tenure {
  readonly shardId: string
  readonly worker: string
  readonly from: number
  /** Infinity: it lasts. */
  readonly until: number
  /** The checkpoint that the row had when the lease was taken. */
  readonly startsBehind: Place
  /** Whose it was until then: that worker had not given it back. */
  readonly takenFrom: string | undefined
}

const BEFORE_ALL: Place = { sequence: -1n, sub: 0 }
/** Sequence numbers have 56 digits. */
const BEHIND_ALL: Place = { sequence: 10n ** 60n, sub: 0 }

/** Who had which shard, and how far its checkpoint was, by the writes that landed in the lease table: nobody's word is needed. */
export class LeaseLedger {
  readonly tenures: Tenure[] = []
  readonly #ofShard = new Map<string, Tenure[]>()
  readonly #places = new Map<string, Place>()
  /** A checkpoint that moves back is repetition without end. */
  readonly regressions: string[] = []
  /** Writes that moved a checkpoint on. */
  checkpoints = 0

  row({ leaseKey, owner, taken, checkpoint, subSequenceNumber = 0, at }: RowFact & { readonly at: number }): void {
    const place = checkpoint === undefined ? BEFORE_ALL : placeOf(checkpoint, subSequenceNumber)
    if (checkpoint !== undefined) this.#checkpoint(leaseKey, place, at)
    const tenures = this.#ofShard.get(leaseKey) ?? []
    this.#ofShard.set(leaseKey, tenures)
    const last = tenures.at(-1)
    const isOpen = last?.until === Number.POSITIVE_INFINITY
    if (isOpen && (taken || owner !== last.worker)) Object.assign(last, { until: at })
    if (!taken || owner === undefined) return
    const takenFrom = isOpen && last.worker !== owner ? last.worker : undefined
    const tenure = { shardId: leaseKey, worker: owner, from: at, until: Number.POSITIVE_INFINITY, startsBehind: place, takenFrom }
    this.tenures.push(tenure)
    tenures.push(tenure)
  }

  /** Undefined: nobody's. */
  ownerAt(shardId: string, at: number): Tenure | undefined {
    return this.#ofShard.get(shardId)?.findLast(({ from, until }) => from <= at && at < until)
  }

  /** Shards by the workers that have them at present. */
  held(): Map<string, string[]> {
    const held = new Map<string, string[]>()
    for (const [shardId, tenures] of this.#ofShard) {
      const { worker, until } = tenures.at(-1) ?? {}
      if (worker !== undefined && until === Number.POSITIVE_INFINITY) held.set(worker, [...(held.get(worker) ?? []), shardId])
    }
    return held
  }

  /** Those that began since then. */
  takenSince(at: number): readonly Tenure[] {
    return this.tenures.filter(({ from }) => from >= at)
  }

  #checkpoint(leaseKey: string, place: Place, at: number): void {
    const before = this.#places.get(leaseKey)
    if (before !== undefined && isBefore(place, before)) {
      this.regressions.push(`${leaseKey} at ${at}: from ${told(before)} to ${told(place)}`)
    } else if (before !== undefined && isBefore(before, place)) this.checkpoints++
    this.#places.set(leaseKey, place)
  }
}

export function placeOf(checkpoint: string, sub: number): Place {
  if (checkpoint === 'SHARD_END') return BEHIND_ALL
  return /^\d+$/.test(checkpoint) ? { sequence: BigInt(checkpoint), sub } : BEFORE_ALL
}

export function isBefore(one: Place, other: Place): boolean {
  return one.sequence < other.sequence || (one.sequence === other.sequence && one.sub < other.sub)
}

function told({ sequence, sub }: Place): string {
  return sequence === BEHIND_ALL.sequence
    ? 'SHARD_END'
    : sequence === BEFORE_ALL.sequence
      ? 'the beginning'
      : `${sequence}/${sub}`
}
