import { type Clock, sleep } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import { classifyFailure } from '@shardwise/core/service-error'
import type { Lease } from '../leases/lease.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import type { LeasedShards } from './leased-shards.js'

export interface ShardAuditOptions {
  readonly discovery: Pick<LeasedShards, 'createMissing' | 'audit' | 'watch'>
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: LeaseEvent) => void
}

const LEAST_MS = 60_000
const MOST_MS = 120_000

/** Repeats the discovery every one to two minutes, each worker at its own times: whatever went wrong when a shard ended is made good. */
export class ShardAudit {
  readonly #options: ShardAuditOptions
  #soon = new AbortController()
  #leases: readonly Lease[] | undefined

  constructor(options: ShardAuditOptions) {
    this.#options = options
  }

  /** What a scan has just shown. */
  scanned(leases: readonly Lease[]): void {
    this.#leases = leases
    if (this.#options.discovery.watch?.(leases) === true) this.soon()
  }

  /** Audits at once, or once more when one is under way. */
  soon(): void {
    this.#soon.abort()
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { discovery, clock, random, emit } = this.#options
    while (!signal.aborted) {
      const pause = LEAST_MS + random() * (MOST_MS - LEAST_MS)
      await sleep(clock, pause, { signal: AbortSignal.any([signal, this.#soon.signal]) }).catch(() => {})
      if (signal.aborted) return
      this.#soon = new AbortController()
      try {
        if (this.#leases === undefined || discovery.audit === undefined) await discovery.createMissing({ signal })
        else await discovery.audit(this.#leases, { signal })
      } catch (error) {
        if (!signal.aborted) emit({ type: 'shard-audit-failed', failure: classifyFailure(error) })
      }
    }
  }
}
