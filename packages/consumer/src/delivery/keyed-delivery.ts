import type { RecordPosition } from './completed-prefix.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { Completed, Delivery } from './delivery.js'
import type { Batch, HandlerCallsOptions } from './handler-call.js'
import { HandlerCalls } from './handler-calls.js'
import { type Keyed, KeySchedule } from './key-schedule.js'

export interface KeyedDeliveryOptions extends HandlerCallsOptions {
  /** The most calls in hand at a time. */
  readonly concurrency: number
}

/** More is taken in while fewer records lie behind the last one that is completed without a gap: what a crash repeats. */
const MAX_OUTSTANDING = 10_000
/** More is taken in while what was handed in together and is not completed together has fewer payload bytes. */
const MAX_OPEN_BYTES = 16 * 1024 * 1024

/** Records that were handed in together. */
interface Part {
  readonly batch: Batch
  readonly bytes: number
  left: number
  readonly completed: Completed | undefined
  readonly resolve: (completed: boolean) => void
  readonly reject: (error: unknown) => void
}

interface Scheduled extends Keyed {
  readonly part: Part
  readonly index: number
}

interface Waiter {
  readonly resolve: (room: boolean) => void
  readonly reject: (error: unknown) => void
}

/**
 * Calls `eachRecord` for one shard side by side over partition keys, and in the order of the shard within each. Reads flow into each other: a
 * key that is slow holds up itself, and the others only when too much lies behind its record.
 *
 * When halted it begins nothing beyond what has begun, but while the lease is trusted it closes the gaps before that, so that a graceful stop
 * repeats nothing that was completed. For that it waits for nothing: neither for a failed record nor a gate nor a lease in doubt, and
 * where it would have to, what lies behind is left to the next owner.
 */
export class KeyedDelivery implements Delivery {
  readonly #calls: HandlerCalls
  readonly #concurrency: number
  readonly #halt: AbortSignal
  readonly #schedule = new KeySchedule<Scheduled>()
  readonly #open = new Set<Part>()
  #openBytes = 0
  #inHand = 0
  /** A call is not to be made: nothing new begins, apart from gaps before it. */
  #over = false
  #fault: { readonly error: unknown } | undefined
  #waiting: Waiter[] = []

  constructor(options: KeyedDeliveryOptions) {
    this.#calls = new HandlerCalls(options)
    this.#concurrency = options.concurrency
    this.#halt = options.halt
  }

  get outstanding(): number {
    return this.#calls.outstanding
  }

  get blockedAt(): RecordPosition | undefined {
    return this.#calls.blockedAt
  }

  deliver(records: readonly ConsumedRecord[], millisBehindLatest: number | undefined, completed?: Completed): Promise<boolean> {
    if (records.length === 0) {
      completed?.(0)
      return Promise.resolve(true)
    }
    if (this.#open.size === 0) this.#halt.addEventListener('abort', this.#halted)
    const batch = this.#calls.take(records, millisBehindLatest)
    return new Promise((resolve, reject) => {
      let bytes = 0
      for (const record of records) bytes += record.bytes.length
      const part: Part = { batch, bytes, left: records.length, completed, resolve, reject }
      this.#open.add(part)
      this.#openBytes += bytes
      this.#schedule.append(
        records.map(({ partitionKey }, index) => ({ key: partitionKey, number: batch.first + index, part, index })),
      )
      if (this.#halt.aborted) this.#halted()
      this.#begin()
      this.#changed()
    })
  }

  room(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      if (this.#halt.aborted) this.#halted()
      else this.#changed()
    })
  }

  readonly #halted = (): void => {
    this.#schedule.closeGaps()
    this.#over = true
    this.#changed()
  }

  /** As many calls as may be in hand. */
  #begin(): void {
    while (this.#inHand < this.#concurrency && !this.#over) {
      const item = this.#schedule.take()
      if (item === undefined) return
      this.#inHand++
      void this.#lane(item)
    }
  }

  /**
   * One call after the other. A lane that finds no record is done, although others wait behind keys in hand: the lane that has the key
   * goes on with them.
   */
  async #lane(first: Scheduled): Promise<void> {
    try {
      for (let item: Scheduled | undefined = first; item !== undefined; item = this.#schedule.after(item)) {
        const { part, index, number } = item
        if (!(await this.#calls.settle(part.batch, index, index + 1, 1, 'also-halted'))) {
          this.#over = true
          this.#schedule.endBefore(number)
          break
        }
        part.left--
        if (part.left === 0) {
          this.#close(part).resolve(true)
          part.completed?.(part.batch.duplicates)
        }
        if (this.#waiting.length > 0) this.#changed()
      }
    } catch (error) {
      // A fault of ours: the other lanes finish what is in hand, and it is told then.
      this.#fault ??= { error }
      this.#over = true
      this.#schedule.endBefore(0)
    }
    this.#inHand--
    this.#changed()
  }

  /** Tells those who wait what has come to pass. */
  #changed(): void {
    if (this.#over) {
      if (this.#inHand > 0) return
      // Without the halt the lease is lost, and the word is on its way, or the shard is blocked, and kept.
      if (this.#fault === undefined && this.#calls.blockedAt !== undefined && !this.#halt.aborted) return
      this.#settle()
    } else if (this.#calls.outstanding < MAX_OUTSTANDING && this.#openBytes < MAX_OPEN_BYTES) {
      for (const { resolve } of this.#waiting.splice(0)) resolve(true)
    }
  }

  /** Nothing is in hand, and nothing begins any more. */
  #settle(): void {
    const fault = this.#fault
    const settle = ({ resolve, reject }: Waiter): void => (fault === undefined ? resolve(false) : reject(fault.error))
    for (const part of [...this.#open]) settle(this.#close(part))
    for (const waiter of this.#waiting.splice(0)) settle(waiter)
  }

  #close(part: Part): Part {
    this.#open.delete(part)
    this.#openBytes -= part.bytes
    if (this.#open.size === 0) this.#halt.removeEventListener('abort', this.#halted)
    return part
  }
}
