import type { Clock, Scheduled } from '@shardwise/core/clock'
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
  readonly bytes: number
  readonly completed: Completed | undefined
  readonly resolve: (all: boolean) => void
  readonly reject: (error: unknown) => void
}

interface Asking {
  readonly max: number
  /** How long what is there waits for more. */
  readonly waitMs: number
  readonly resolve: (records: readonly ConsumedRecord[]) => void
  /** Runs from the first record on. */
  timer: Scheduled | undefined
  isOver: boolean
}

interface Waiter {
  readonly resolve: (room: boolean) => void
  readonly reject: (error: unknown) => void
}

const NONE: readonly ConsumedRecord[] = []
/** What waits for more waits no longer with so many payload bytes: what a shard may hold, see `maxBufferedBytes`. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024

/**
 * Hands records over to somebody who asks for them. Whether the lease is ours is looked at whenever some are given. What was given is in hand
 * until more are asked for, and halted it waits for that. What waits for more is not given yet: halted it is left to the next owner.
 */
export class PulledDelivery implements Delivery {
  /** Nothing fails here. */
  readonly blockedAt: undefined
  readonly #options: PulledDeliveryOptions
  readonly #loop: LoopTurns
  /** Not all asked past, oldest first. */
  #parts: Part[] = []
  #bytes = 0
  /** Of the first part, that were asked past. */
  #past = 0
  #outstanding = 0
  /** Those in hand. */
  #given = 0
  #givenAt = 0
  #asking: Asking | undefined
  #waiting: Waiter[] = []
  #serving = false
  /** No part comes any more. */
  #complete = false
  /** Nothing is given any more. */
  #over = false

  constructor(options: PulledDeliveryOptions) {
    this.#options = options
    this.#loop = LoopTurns.of(options.clock)
    options.halt.addEventListener('abort', () => this.#halted(), { once: true })
  }

  get outstanding(): number {
    return this.#outstanding
  }

  deliver(records: readonly ConsumedRecord[], _millisBehindLatest: number | undefined, completed?: Completed): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let bytes = 0
      for (const record of records) bytes += record.bytes.length
      this.#parts.push({ records, bytes, completed, resolve, reject })
      this.#bytes += bytes
      this.#outstanding += records.length
      if (this.#over) this.#giveUp()
      else void this.#serve()
    })
  }

  room(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#tell()
    })
  }

  /** The last records of the shard were handed in: nobody waits for more. */
  last(): void {
    this.#complete = true
    void this.#serve()
  }

  /** Nothing comes any more, since nothing is left. */
  end(): void {
    this.#finish()
  }

  /**
   * The next records, `max` at most; those before are completed with that. Fewer come when there are no more after `waitMs`. None: nothing comes
   * any more. Ask again only after the answer.
   */
  take(max: number, waitMs = 0): Promise<readonly ConsumedRecord[]> {
    this.#askPast()
    if (this.#over) return Promise.resolve(NONE)
    return new Promise((resolve) => {
      this.#asking = { max, waitMs, resolve, timer: undefined, isOver: waitMs === 0 }
      void this.#serve()
    })
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
      for (let asking = this.#due(); asking !== undefined && !halt.aborted; asking = this.#due()) {
        const turn = this.#loop.turn()
        if (turn !== undefined) await turn
        // Nothing is awaited between the question and the giving.
        else if (lease.isOurs()) this.#give(asking)
        else if (!(await lease.revalidate())) break
      }
    } catch (error) {
      // A fault of ours.
      for (const { reject } of [...this.#parts.splice(0), ...this.#waiting.splice(0)]) reject(error)
      this.#finish()
    }
    // With no await since the last look: who asks in between would wait for ever.
    this.#serving = false
    this.#tell()
  }

  /** Who is to be given what is there. */
  #due(): Asking | undefined {
    const asking = this.#asking
    if (asking === undefined || this.#outstanding === 0) return undefined
    if (asking.isOver || this.#isFull(asking)) return asking
    asking.timer ??= this.#options.clock.schedule(asking.waitMs, () => {
      asking.isOver = true
      void this.#serve()
    })
    return undefined
  }

  #isFull({ max }: Asking): boolean {
    return this.#complete || this.#outstanding >= max || this.#bytes >= MAX_WAITING_BYTES
  }

  #give({ max }: Asking): void {
    const given: ConsumedRecord[] = []
    let from = this.#past
    for (const { records } of this.#parts) {
      given.push(...records.slice(from, from + max - given.length))
      if (given.length === max) break
      from = 0
    }
    this.#given = given.length
    this.#givenAt = this.#options.clock.now()
    this.#options.checkpoints.inHand(given.at(-1))
    this.#answer(given)
  }

  #answer(records: readonly ConsumedRecord[]): void {
    const asking = this.#asking
    this.#asking = undefined
    asking?.timer?.cancel()
    asking?.resolve(records)
  }

  /** What is in hand is completed. */
  #askPast(): void {
    const { lease, checkpoints, clock } = this.#options
    if (this.#given === 0) return
    this.#loop.kept(clock.now() - this.#givenAt)
    checkpoints.inHand(undefined)
    let left = lease.signal.aborted ? 0 : this.#given
    this.#given = 0
    while (left > 0) {
      const part = this.#parts[0]!
      const count = Math.min(left, part.records.length - this.#past)
      left -= count
      this.#past += count
      this.#outstanding -= count
      const last: RecordPosition = part.records[this.#past - 1]!
      checkpoints.completed(last, count)
      if (this.#past === part.records.length) this.#close()
    }
    if (this.#over) this.#giveUp()
  }

  /** All of the first part was asked past. */
  #close(): void {
    const { bytes, completed, resolve } = this.#parts.shift()!
    this.#past = 0
    this.#bytes -= bytes
    completed?.(0)
    resolve(true)
  }

  /** Those who wait for room. */
  #tell(): void {
    if (this.#parts.length === 0 || (this.#asking !== undefined && !this.#asking.isOver && !this.#isFull(this.#asking))) {
      for (const { resolve } of this.#waiting.splice(0)) resolve(!this.#over)
    }
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
    for (const { resolve } of this.#parts.splice(0)) resolve(false)
    this.#bytes = 0
    this.#past = 0
    this.#outstanding = 0
    this.#tell()
  }
}
