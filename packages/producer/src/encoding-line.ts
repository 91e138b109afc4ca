import type { Codec } from '@shardwise/core/codec'
import { RecordRejectedError } from './producer-error.js'

const nothing = (): void => {}

/**
 * Where puts wait while the codec fetches what it needs, such as a data key, in the order of the calls: encoding is synchronous, and the order of puts is
 * that of their records.
 */
export class EncodingLine {
  readonly #codec: Required<Pick<Codec<never>, 'readyToEncode'>>
  #waiting = 0
  #tail: Promise<unknown> = Promise.resolve()
  #isTurn = false

  constructor(codec: Required<Pick<Codec<never>, 'readyToEncode'>>) {
    this.#codec = codec
  }

  /** Undefined: nothing need be fetched before this codec encodes. */
  static of(codec: Codec<never>): EncodingLine | undefined {
    return codec.readyToEncode === undefined ? undefined : new EncodingLine(codec as Required<Codec<never>>)
  }

  /** A put must wait: for the codec, or for others before it. */
  get holds(): boolean {
    if (this.#waiting > 0) return true
    const pending = this.#codec.readyToEncode()
    // Who waits for it asks anew.
    pending?.catch(nothing)
    return pending !== undefined
  }

  get isEmpty(): boolean {
    return this.#waiting === 0
  }

  /** In the midst of what waited here. */
  get isTurn(): boolean {
    return this.#isTurn
  }

  /** Runs it when the codec is ready and all before it have run. Rejects with RecordRejectedError when the codec cannot have what it needs. */
  after<R>(run: () => R | Promise<R>): Promise<R> {
    this.#waiting++
    const ready = this.#tail.then(() => this.#codec.readyToEncode())
    const done = ready.then(
      () => {
        this.#waiting--
        this.#isTurn = true
        try {
          return run()
        } finally {
          this.#isTurn = false
        }
      },
      (cause: unknown) => {
        this.#waiting--
        const problem = cause instanceof Error ? cause.message : String(cause)
        throw new RecordRejectedError('data', `was refused by the codec, which is not ready: ${problem}`, { cause })
      },
    )
    // Behind the turn, for its reaction comes later; not behind what the turn has begun.
    this.#tail = ready.then(nothing, nothing)
    return done
  }

  /** Resolves when all that wait now have had their turn. */
  async passed(): Promise<void> {
    await this.#tail
  }
}
