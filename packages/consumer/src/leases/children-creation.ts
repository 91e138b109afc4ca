import { type Clock, sleep } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import { classifyFailure } from '@shardwise/core/service-error'
import { backoffDelay } from '../backoff.js'
import type { LeaseEvent } from './lease-event.js'
import { withinTime } from './time-limit.js'

/** A call that hangs must not keep the shard at its end. */
const CREATION_LIMIT_MS = 30_000

export interface ChildrenCreation {
  readonly leaseKey: string
  /** Creates the leases of the children of this lease's shard. May be called again. Undefined: not all, since the lease is in doubt. */
  readonly create: (signal: AbortSignal) => Promise<readonly string[] | undefined>
  readonly isHeld: () => boolean
  /** The lease is in doubt: renew it. */
  readonly renew: () => void
  /** Ends it with its reason. */
  readonly lost: AbortSignal
  /** Failures are not repeated once this has aborted. */
  readonly drain: AbortSignal
  readonly longestPauseMs: number
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: LeaseEvent) => void
}

/** Repeats what may pass by itself. Undefined: not created, and we are to finish. Rejects when the children make no sense, or the lease is lost. */
export async function createChildrenPatiently(creation: ChildrenCreation): Promise<readonly string[] | undefined> {
  const { leaseKey, create, isHeld, renew, lost, drain, longestPauseMs: maxMs, clock, random, emit } = creation
  for (let failures = 1; ; failures++) {
    try {
      const children = await withinTime(clock, CREATION_LIMIT_MS, create)
      if (children !== undefined) return children
      renew()
    } catch (error) {
      const failure = classifyFailure(error)
      if (!isHeld() || failure.kind === 'unknown') throw error
      emit({ type: 'lease-store-failed', operation: 'create-children', leaseKey, failure })
    }
    if (drain.aborted) return undefined
    await sleep(clock, backoffDelay(failures, { baseMs: 100, maxMs }, random), { signal: lost })
  }
}
