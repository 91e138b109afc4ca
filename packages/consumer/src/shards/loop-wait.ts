import { type Clock, sleep } from '@shardwise/core/clock'
import type { PulledShard } from '../delivery/shard-stream.js'

/** A shard of `shards()` is held and nobody loops over it: it is not read, here or elsewhere. Every minute, until somebody does. */
export interface LoopAwaitedEvent {
  readonly type: 'loop-awaited'
  readonly shardId: string
  readonly waitedMs: number
}

export interface LoopWaitOptions {
  readonly pulled: Pick<PulledShard, 'shardId' | 'begun'>
  readonly halt: AbortSignal
  readonly clock: Clock
  readonly emit: (event: LoopAwaitedEvent) => void
}

const ANNOUNCED_EVERY_MS = 60_000

/** Waits until a sink loops over its shard. False when halted before. */
export async function untilLooped({ pulled, halt, clock, emit }: LoopWaitOptions): Promise<boolean> {
  const { shardId, begun } = pulled
  const since = clock.now()
  const signal = AbortSignal.any([begun, halt])
  while (!signal.aborted) {
    await sleep(clock, ANNOUNCED_EVERY_MS, { signal }).catch(() => {})
    if (!signal.aborted) emit({ type: 'loop-awaited', shardId, waitedMs: clock.now() - since })
  }
  return !halt.aborted
}
