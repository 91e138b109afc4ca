import { type Clock, sleep } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import { type Backoff, backoffDelay } from '../backoff.js'
import type { Position } from './position.js'
import type { ShardCheckpoints } from './shard-checkpoints.js'

/**
 * A shard has been read to its end and waits for the handler's checkpoint at its last record: until then it is not ended, and its children do
 * not start. Announced again and again, with growing pauses.
 */
export interface CheckpointAwaitedEvent {
  readonly type: 'checkpoint-awaited'
  readonly shardId: string
  /** The last one made. */
  readonly checkpoint: Position
  /** Where it is to be: the last completed record. */
  readonly end: Position
  readonly waitedMs: number
}

export interface ConfirmationOptions {
  readonly shardId: string
  readonly checkpoints: Pick<ShardCheckpoints, 'isConfirmed' | 'landing' | 'last' | 'end'>
  /** Gives the handler an opportunity, before each wait. False: there will be none any more. */
  readonly ask?: (() => Promise<boolean>) | undefined
  readonly backoff: Backoff
  readonly clock: Clock
  readonly random: Random
  readonly halt: AbortSignal
  readonly emit: (event: CheckpointAwaitedEvent) => void
}

/** Waits until all of a shard is checkpointed. False when halted before: a handler that is asked has one opportunity even so. */
export async function untilConfirmed(options: ConfirmationOptions): Promise<boolean> {
  const { shardId, checkpoints, ask, backoff, clock, random, halt, emit } = options
  const since = clock.now()
  for (let round = 1; ; round++) {
    if (ask !== undefined && !(await ask())) return false
    if (checkpoints.isConfirmed) return true
    if (halt.aborted) return false
    const signal = AbortSignal.any([halt, checkpoints.landing])
    await sleep(clock, backoffDelay(round, backoff, random), { signal }).catch(() => {})
    if (checkpoints.isConfirmed) return true
    if (halt.aborted) return false
    const { last: checkpoint, end } = checkpoints
    emit({ type: 'checkpoint-awaited', shardId, checkpoint, end, waitedMs: clock.now() - since })
  }
}
