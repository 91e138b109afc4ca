interface Landing {
  readonly version: number
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

  /** Somebody waits for a write to land. */
  get landing(): boolean {
    return this.#landing.length > 0
  }

  /** Until a write of this version of what is wanted, or a later one, has landed. Rejects when the tenure ends before. */
  landed(version: number): Promise<void> {
    return new Promise((resolve, reject) => this.#landing.push({ version, resolve, reject }))
  }

  /** Until the lease is known to be ours (true), or is given up or lost (false). */
  trusted(): Promise<boolean> {
    return new Promise((resolve) => this.#trusting.push(resolve))
  }

  /** Until the lease is given up or lost. Never rejects. */
  released(): Promise<void> {
    return new Promise((resolve) => this.#releasing.push(resolve))
  }

  /** After a write: `version` stands in the row. True when another write is needed for some that wait. */
  settle(version: number, isOurs: boolean): boolean {
    const waiting = this.#landing
    this.#landing = []
    for (const each of waiting) {
      if (each.version <= version) each.resolve()
      else this.#landing.push(each)
    }
    if (isOurs) for (const resolve of this.#trusting.splice(0)) resolve(true)
    return this.#landing.length > 0 || this.#trusting.length > 0
  }

  /** No write is to be waited for any longer. */
  giveUpLanding(error: Error): void {
    for (const { reject } of this.#landing.splice(0)) reject(error)
  }

  /** The lease is given up or lost, as `error` says. */
  end(error: Error): void {
    this.giveUpLanding(error)
    for (const resolve of this.#trusting.splice(0)) resolve(false)
    for (const resolve of this.#releasing.splice(0)) resolve()
  }
}
