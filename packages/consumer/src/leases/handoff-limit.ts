/** From the word to the handlers that time is up to handing the lease over without them. As in a stop. */
const GRACE_MS = 1_000

type Phase =
  | { readonly is: 'none' }
  | { readonly is: 'requested'; readonly since: number }
  | { readonly is: 'cut-off'; readonly at: number }
  /** The lease is given away without the worker's doing. */
  | { readonly is: 'forced' }

/**
 * How long an owner whose lease is wanted by another worker waits for its handler: nobody shall wait for ever for a shard because a
 * handler hangs. Pure: `now` is monotonic.
 */
export class HandoffLimit {
  readonly #timeoutMs: number
  #phase: Phase = { is: 'none' }

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  /** Nothing more may begin under the lease. */
  get isCutOff(): boolean {
    return this.#phase.is === 'cut-off' || this.#phase.is === 'forced'
  }

  get isForced(): boolean {
    return this.#phase.is === 'forced'
  }

  /** When `pass` is to be called. */
  get nextAt(): number {
    if (this.#phase.is === 'requested') return this.#phase.since + this.#timeoutMs
    return this.#phase.is === 'cut-off' ? this.#phase.at + GRACE_MS : Number.POSITIVE_INFINITY
  }

  /** A request is pending. Seen again, it starts nothing anew. */
  requested(now: number): void {
    if (this.#phase.is === 'none') this.#phase = { is: 'requested', since: now }
  }

  /** The row shows no request any more. Who was told already is cut off all the same. */
  withdrawn(): void {
    if (this.#phase.is === 'requested') this.#phase = { is: 'none' }
  }

  /** At `nextAt`. Returns how long the request has waited, when the worker is to be told. */
  pass(now: number): number | undefined {
    if (this.#phase.is !== 'requested') {
      this.force()
      return undefined
    }
    const { since } = this.#phase
    this.#phase = { is: 'cut-off', at: now }
    return now - since
  }

  /** Without further waiting. */
  force(): void {
    this.#phase = { is: 'forced' }
  }
}
