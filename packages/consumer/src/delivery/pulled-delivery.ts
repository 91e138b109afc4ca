import type { Clock } from '@shardwise/core/clock'
import type { ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { HeldLease } from '../leases/held-lease.js'
import type { RecordPosition } from './completed-prefix.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { Completed, Delivery } from './delivery.js'
import { LoopTurns } from './loop-turns.js'

export interface PulledDeliveryOptions {
  readonly lease: Pick<HeldLease, 'signal' | 'isOurs' | 'revalidate'>
  readonly checkpoints: Pick<ShardCheckpoints, 'inHand' | 'completed'>
  readonly clock: Clock
  /** Nothing is given any more once this aborts. */
  readonly halt: AbortSignal
}

/** Records that were handed in together. */
interface Part {
  readonly records: readonly ConsumedRecord[]
  /** Records before this one were given and asked past. */
  next: number
  readonly completed: Completed | undefined
  readonly resolve: (all: boolean) => void
  readonly reject: (error: unknown) => void
}

interface Asking {
  readonly max: number
  readonly resolve: (records: readonly ConsumedRecord[]) => void
}

const NONE: readonly ConsumedRecord[] = []

/**
 * Hands records over to somebody who asks for them. Whether the lease is ours is looked at whenever some are given. What was given is in hand
 * until more are asked for, and halted it waits for that.
 */
export class PulledDelivery implements Delivery {
  /** Nothing fails here. */
  readonly blockedAt: undefined
  readonly #options: PulledDeliveryOptions
  readonly #loop: LoopTurns
  #part: Part | undefined
  #last: Promise<boolean> = Promise.resolve(true)
  /** Records of the part in hand. */
  #given = 0
  #givenAt = 0
  #asking: Asking | undefined
  #serving = false
  /** Nothing comes any more. */
  #over = false

  constructor(options: PulledDeliveryOptions) {
    this.#options = options
    this.#loop = LoopTurns.of(options.clock)
    options.halt.addEventListener('abort', () => this.#halted(), { once: true })
  }

  get outstanding(): number {
    return this.#part === undefined ? 0 : this.#part.records.length - this.#part.next
  }

  deliver(records: readonly ConsumedRecord[], _millisBehindLatest: number | undefined, completed?: Completed): Promise<boolean> {
    this.#last = new Promise((resolve, reject) => {
      this.#part = { records, next: 0, completed, resolve, reject }
      if (this.#over) this.#giveUp()
      else void this.#serve()
    })
    return this.#last
  }

  room(): Promise<boolean> {
    return this.#last
  }

  /** Nothing comes any more, since nothing is left. */
  end(): void {
    this.#finish()
  }

  /** The next records, `max` at most; those before are completed with that. None: nothing comes any more. Ask again only after the answer. */
  take(max: number): Promise<readonly ConsumedRecord[]> {
    this.#complete()
    if (this.#over) return Promise.resolve(NONE)
    return new Promise((resolve) => {
      this.#asking = { max, resolve }
      void this.#serve()
    })
  }

  /** Asks no longer: `take` answers with none, and may be called again. */
  withdraw(): void {
    this.#answer(NONE)
  }

  /** Whoever asks has gone; what is in hand is not completed. */
  leave(): void {
    this.#given = 0
    this.#finish()
  }

  async #serve(): Promise<void> {
    const { lease, halt } = this.#options
    if (this.#serving) return
    this.#serving = true
    try {
      while (this.#asking !== undefined && this.#part !== undefined && !halt.aborted) {
        const { due } = this.#loop
        if (due !== undefined) await due
        // Nothing is awaited between the question and the giving.
        else if (lease.isOurs()) this.#give(this.#part, this.#asking)
        else if (!(await lease.revalidate())) break
      }
    } catch (error) {
      // A fault of ours.
      this.#part?.reject(error)
      this.#part = undefined
      this.#finish()
    }
    // With no await since the last look: who asks in between would wait for ever.
    this.#serving = false
  }

  #give({ records, next }: Part, { max }: Asking): void {
    const given = records.slice(next, next + max)
    this.#given = given.length
    this.#givenAt = this.#options.clock.now()
    this.#options.checkpoints.inHand(given.at(-1))
    this.#answer(given)
  }

  #answer(records: readonly ConsumedRecord[]): void {
    const asking = this.#asking
    this.#asking = undefined
    asking?.resolve(records)
  }

  /** What is in hand was asked past. */
  #complete(): void {
    const { lease, checkpoints, clock } = this.#options
    const part = this.#part
    const count = this.#given
    if (part === undefined || count === 0) return
    this.#given = 0
    this.#loop.kept(clock.now() - this.#givenAt)
    checkpoints.inHand(undefined)
    if (!lease.signal.aborted) {
      part.next += count
      const last: RecordPosition = part.records[part.next - 1]!
      checkpoints.completed(last, count)
      if (part.next === part.records.length) {
        this.#part = undefined
        part.completed?.(0)
        part.resolve(true)
        return
      }
    }
    if (this.#over) this.#giveUp()
  }

  #halted(): void {
    this.#over = true
    this.#answer(NONE)
    if (this.#given === 0) this.#giveUp()
  }

  #finish(): void {
    this.#over = true
    this.#answer(NONE)
    this.#giveUp()
  }

  #giveUp(): void {
    this.#part?.resolve(false)
    this.#part = undefined
  }
}
