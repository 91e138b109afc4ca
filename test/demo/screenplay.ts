/** An act happens while records flow: it starts when `at` of all records have been put. */
export interface Act {
  /** From 0 to 1. */
  readonly at: number
  readonly title: string
  play(): Promise<void>
}

/**
 * Plays acts one after the other while the producer goes on. The producer only waits where it would reach the next act before the
 * last one has ended, so that every act happens in mid-stream however small the run is.
 */
export class Screenplay {
  readonly #acts: readonly Act[]
  readonly #total: number
  readonly #onAct: (title: string) => void
  #next = 0
  #playing: Promise<void> = Promise.resolve()

  constructor(acts: readonly Act[], options: { readonly total: number; readonly onAct: (title: string) => void }) {
    this.#acts = acts
    this.#total = options.total
    this.#onAct = options.onAct
  }

  /** Waits for the act that plays, then starts the next one. To be called when `due`. */
  async advance(): Promise<void> {
    await this.#playing
    const act = this.#acts[this.#next++]
    if (act === undefined) return
    this.#onAct(act.title)
    this.#playing = act.play()
    // The failure is reported by whoever awaits next; until then it is not "unhandled".
    this.#playing.catch(() => {})
  }

  /** Whether the next act is to start once `put` records have been put. */
  due(put: number): boolean {
    const act = this.#acts[this.#next]
    return act !== undefined && put >= act.at * this.#total
  }

  /** Resolves when all acts have ended. */
  async end(): Promise<void> {
    while (this.#next < this.#acts.length) await this.advance()
    await this.#playing
  }
}
