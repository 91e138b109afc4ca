import type { Clock } from '@shardwise/core/clock'

/** One moment on both clocks. */
export interface Moment {
  readonly now: number
  readonly wallTime: number
}

/** Kept back from the failover time: more than two oscillators drift apart in it, and what a scheduler's hiccup costs. */
const MARGIN = 0.1
/**
 * How far the clocks may part before we take it for a suspended machine. Not only the wall clock ahead: one that is set back while the machine is
 * suspended, or when it wakes, hides what it would have shown.
 */
const SUSPENSION_MS = 1_000

export function momentOf(clock: Clock): Moment {
  return { now: clock.now(), wallTime: clock.wallTime() }
}

/** By whichever clock says more: the monotonic one stands still while a machine is suspended. */
export function elapsedMs(from: Moment, to: Moment): number {
  return Math.max(to.now - from.now, to.wallTime - from.wallTime)
}

/**
 * Whether a lease may still be trusted at `at` when the last write known to have landed was *sent* at `sent`. Others take it no earlier than
 * the failover time after the write has landed (docs/lease-protocol.md "Trust"). The monotonic clock stands still while a machine is
 * suspended; the wall clock shows that.
 */
export function isTrusted(sent: Moment, at: Moment, failoverTimeMs: number): boolean {
  const parted = at.wallTime - sent.wallTime - (at.now - sent.now)
  return elapsedMs(sent, at) < failoverTimeMs * (1 - MARGIN) && Math.abs(parted) < SUSPENSION_MS
}
