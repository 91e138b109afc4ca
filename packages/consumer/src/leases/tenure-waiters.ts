import { comparePositions, type Position } from '../checkpoints/position.js'

interface Landing {
  readonly position: Position
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Callers that wait for what the writes of one tenure will show. */
export class TenureWaiters {
  #landing: Landing[] = []
  readonly #trusting: ((ours: boolean) => void)[] = []
  readonly #releasing: (() => void)[] = []

  /** Somebody waits for the lease to be given up. */
  get releasing(): boolean {
    return this.#releasing.length > 0
  }

  /** Until a checkpoint at or after this one has landed. Rejects when the tenure ends before. */
  landed(position: Position): Promise<void> {
    return new Promise((resolve, reject) => this.#landing.push({ position, resolve, reject }))
  }

  /** Until the lease is known to be ours (true), or is given up or lost (false). */
  trusted(): Promise<boolean> {
    return new Promise((resolve) => this.#trusting.push(resolve))
  }

  /** Until the lease is given up or lost. Never rejects. */
  released(): Promise<void> {
    return new Promise((resolve) => this.#releasing.push(resolve))
  }

  /** After a write: `checkpoint` stands in the row. True when another write is needed for some that wait. */
  settle(checkpoint: Position, isOurs: boolean): boolean {
    const waiting = this.#landing
    this.#landing = []
    for (const each of waiting) {
      if (comparePositions(each.position, checkpoint) <= 0) each.resolve()
      else this.#landing.push(each)
    }
    if (isOurs) for (const resolve of this.#trusting.splice(0)) resolve(true)
    return this.#landing.length > 0 || this.#trusting.length > 0
  }

  /** The lease is given up or lost, as `error` says. */
  end(error: Error): void {
    for (const { reject } of this.#landing.splice(0)) reject(error)
    for (const resolve of this.#trusting.splice(0)) resolve(false)
    for (const resolve of this.#releasing.splice(0)) resolve()
  }
}
