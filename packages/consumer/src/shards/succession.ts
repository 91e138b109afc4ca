import { type Clock, sleep } from '@shardwise/core/clock'
import type { CallOptions } from '@shardwise/core/kinesis-port'
import type { Shard } from '@shardwise/core/shard-map'
import { compareSequenceNumbers, TRIM_HORIZON } from '../checkpoints/position.js'
import type { Lease, NewLease } from '../leases/lease.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import type { LeaseStore } from '../leases/lease-store.js'
import { type FormerLeases, FormerLeasesError } from './former-leases.js'
import { inStream } from './leased-shards.js'
import { parentIds } from './shard-family.js'
import { missingLeases } from './shard-lineage.js'

export interface SuccessionOptions {
  readonly store: Pick<LeaseStore, 'create' | 'replace' | 'delete'>
  readonly clock: Clock
  readonly emit: (event: LeaseEvent) => void
}

/** What a look at the table and at the stream has shown. */
export interface SuccessionView {
  /** All of the stream. */
  readonly leases: readonly Lease[]
  readonly shards: readonly Shard[]
  readonly former: FormerLeases
  readonly stream: Pick<Lease, 'streamId' | 'streamCreatedAt'>
  /** False once the view is too old to act by. */
  readonly fresh: () => boolean
}

const ATTEMPTS = 5
const BETWEEN_LOOKS_MS = 1_000

/**
 * There was another stream of this name, and there are leases of it: each is replaced by one of the shard that has its name now, from the
 * oldest record on, or deleted. One for each time that this is found. docs/lease-protocol.md, "A stream that was created anew".
 */
export class Succession {
  readonly #options: SuccessionOptions
  #attempts = 0
  #suspected: ReadonlySet<string> = new Set()

  constructor(options: SuccessionOptions) {
    this.#options = options
  }

  /**
   * Resolves to the keys of the leases that began. Then look again, until nothing is former any more. What only contradicts a listing is
   * left as it is at the first look. Rejects with FormerLeasesError when there is no end to it.
   */
  async advance(view: SuccessionView, options: CallOptions): Promise<readonly string[]> {
    const { clock } = this.#options
    const { former } = view
    const confirmed = former.certain || former.leases.every(({ leaseKey }) => this.#suspected.has(leaseKey))
    this.#suspected = new Set(former.leases.map(({ leaseKey }) => leaseKey))
    if (++this.#attempts > ATTEMPTS) {
      throw new FormerLeasesError(
        'Leases of a stream that was deleted are still being written: a consumer of it does not know yet',
      )
    }
    if (!confirmed) {
      await sleep(clock, BETWEEN_LOOKS_MS, { signal: options.signal })
      return []
    }
    const begun = await this.#begin(view, options)
    if (begun.length > 0) this.#attempts = 0
    return begun
  }

  /**
   * First the present shards get their leases, so that whoever goes on after a crash sees former ones until all is done; parents before their
   * children, which are taken when the rows of their parents' names have ended.
   */
  async #begin({ leases, shards, former, stream, fresh }: SuccessionView, options: CallOptions): Promise<readonly string[]> {
    const { store, emit } = this.#options
    const rows = new Map(former.leases.map((lease) => [lease.leaseKey, lease]))
    const present = leases.filter(({ leaseKey }) => !rows.has(leaseKey))
    const missing = missingLeases({ shards, leases: present, start: { kind: 'trim-horizon' } })
    const wanted = new Set([...missing.map((lease) => inStream(lease, stream).leaseKey), ...rows.keys()])
    const listed = [...shards].sort(byAge).map((shard) => inStream(oldestOf(shard), stream))
    const begun: string[] = []
    for (const lease of listed) {
      const { leaseKey, checkpoint } = lease
      if (!wanted.has(leaseKey)) continue
      if (!fresh()) return begun
      const row = rows.get(leaseKey)
      const done = row === undefined ? await store.create(lease, options) : (await store.replace(row, lease, options)).done
      if (!done) continue
      begun.push(leaseKey)
      emit({ type: row === undefined ? 'lease-created' : 'lease-reset', leaseKey, checkpoint })
    }
    for (const { leaseKey } of listed) rows.delete(leaseKey)
    for (const row of rows.values()) if (fresh()) await store.delete(row, options)
    return begun
  }
}

function byAge(one: Shard, other: Shard): number {
  return compareSequenceNumbers(one.startingSequenceNumber, other.startingSequenceNumber)
}

function oldestOf(shard: Shard): NewLease {
  return {
    leaseKey: shard.shardId,
    checkpoint: TRIM_HORIZON,
    parentShardIds: parentIds(shard),
    range: shard.range,
    startAt: undefined,
  }
}
