/**
 * The one source of time. Everything that waits, measures or stamps takes a `Clock`, so that tests and the simulation run without
 * real time. This file is the adapter: the only place (with random.ts) that touches the platform's timers.
 */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin. Durations and deadlines are computed from this alone. */
  now(): number
  /** Milliseconds since the Unix epoch, for values that leave the process. It may jump: never measure a duration with it. */
  wallTime(): number
  /**
   * Runs `run` once, `delayMs` or more from now, never before this call has returned (a delay of 0 or less still defers).
   * A `background` timer does not keep the process alive.
   */
  schedule(delayMs: number, run: () => void, options?: { readonly background?: boolean }): Scheduled
}

export interface Scheduled {
  /** Prevents the run if it has not started. Harmless afterwards and when called twice. */
  cancel(): void
}

/** setTimeout fires at once for delays above this. A longer wait is split. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1

/** The machine's clock: `performance.now`, `Date.now` and `setTimeout`. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  schedule(delayMs, run, options) {
    const due = performance.now() + delayMs
    let timer: ReturnType<typeof setTimeout>
    // Node's timers cut off fractions and may fire up to a millisecond early: only this clock says when it is time.
    const fire = (): void => {
      if (performance.now() < due) arm()
      else run()
    }
    const arm = (): void => {
      const left = Math.ceil(due - performance.now())
      timer = setTimeout(fire, Math.min(Math.max(left, 0), LONGEST_TIMEOUT_MS))
      if (options?.background === true) timer.unref()
    }
    arm()
    return { cancel: () => clearTimeout(timer) }
  },
}

interface ManualTimer extends Scheduled {
  readonly due: number
  readonly order: number
  readonly run: () => void
}

/** A clock that stands still until told. For tests and the simulation. */
export class ManualClock implements Clock {
  #now = 0
  #wallOffset: number
  #order = 0
  readonly #timers = new Set<ManualTimer>()

  /** `wallTime`: epoch milliseconds at the start; default 2026-01-01T00:00:00Z. */
  constructor(options: { readonly wallTime?: number } = {}) {
    this.#wallOffset = options.wallTime ?? 1_767_225_600_000
  }

  now(): number {
    return this.#now
  }

  wallTime(): number {
    return this.#now + this.#wallOffset
  }

  schedule(delayMs: number, run: () => void): Scheduled {
    const timer: ManualTimer = {
      due: this.#now + Math.max(0, delayMs),
      order: this.#order++,
      run,
      cancel: () => void this.#timers.delete(timer),
    }
    this.#timers.add(timer)
    return timer
  }

  /** Timers that have not run. A test that ends with one left has a leak. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  /** When the next timer is due on this clock's `now` scale, or undefined. */
  get nextTimerAt(): number | undefined {
    return this.#next()?.due
  }

  /** Moves the wall clock alone, as an administrator or NTP would. */
  jumpWallTime(byMs: number): void {
    this.#wallOffset += byMs
  }

  /** Moves time forward, running what falls due in order of due time. Promise callbacks do not run in between: see `advanceAsync`. */
  advance(byMs: number): void {
    const end = this.#endOf(byMs)
    for (let timer = this.#next(); timer !== undefined && timer.due <= end; timer = this.#next()) this.#fire(timer)
    this.#now = Math.max(this.#now, end)
  }

  /** As `advance`, letting all promise callbacks and I/O that is ready run before the first timer and after each one. */
  async advanceAsync(byMs: number): Promise<void> {
    const end = this.#endOf(byMs)
    await settle()
    for (let timer = this.#next(); timer !== undefined && timer.due <= end; timer = this.#next()) {
      this.#fire(timer)
      await settle()
    }
    this.#now = Math.max(this.#now, end)
  }

  #endOf(byMs: number): number {
    if (!(byMs >= 0)) throw new RangeError(`A clock moves forward by 0 ms or more, got ${byMs}`)
    return this.#now + byMs
  }

  #next(): ManualTimer | undefined {
    let first: ManualTimer | undefined
    for (const timer of this.#timers) {
      if (first === undefined || timer.due < first.due || (timer.due === first.due && timer.order < first.order)) first = timer
    }
    return first
  }

  #fire(timer: ManualTimer): void {
    this.#timers.delete(timer)
    this.#now = Math.max(this.#now, timer.due)
    timer.run()
  }
}

/** Lets promise callbacks run: one turn of the event loop drains every microtask, however long the chain. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it aborts. Leaves no timer behind. */
export function sleep(
  clock: Clock,
  delayMs: number,
  options: { readonly signal?: AbortSignal | undefined; readonly background?: boolean } = {},
): Promise<void> {
  const { signal, background = false } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason)
    const abort = (): void => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.schedule(
      delayMs,
      () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      },
      { background },
    )
    signal?.addEventListener('abort', abort, { once: true })
  })
}
