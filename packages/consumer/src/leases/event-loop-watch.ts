/** Below this nobody needs to act: a garbage collection, or a handler that computes for a moment. */
const LEAST_MS = 250
const MOST_MS = 1_000

/**
 * Notices that this process did not run: timers that are there anyway have fired late. A handler that computes without awaiting, a
 * stopped process, or a machine without time for it; while it lasts no lease is renewed.
 */
export class EventLoopWatch {
  readonly #thresholdMs: number
  readonly #blocked: (blockedMs: number) => void
  #reportedUntil = Number.NEGATIVE_INFINITY

  /** `blocked` is told at least how long, once each time. */
  constructor(failoverTimeMs: number, blocked: (blockedMs: number) => void) {
    this.#thresholdMs = Math.min(MOST_MS, Math.max(LEAST_MS, failoverTimeMs / 10))
    this.#blocked = blocked
  }

  /** A timer that was due at `due` has run at `now`. */
  ran(due: number, now: number): void {
    // Several timers fall due in one block. They run in the order of their times: the first has waited longest.
    if (now - due < this.#thresholdMs || due < this.#reportedUntil) return
    this.#reportedUntil = now
    this.#blocked(now - due)
  }
}
