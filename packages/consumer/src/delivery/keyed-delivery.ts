import type { ConsumedRecord } from './consumed-record.js'
import { type Batch, HandlerCalls, type HandlerCallsOptions } from './handler-calls.js'
import { KeySchedule } from './key-schedule.js'

export interface KeyedDeliveryOptions extends HandlerCallsOptions {
  /** The most calls in hand at a time. */
  readonly concurrency: number
}

/** Calls `eachRecord` for one shard side by side over partition keys, and in the order of the shard within each. */
export class KeyedDelivery {
  readonly #calls: HandlerCalls
  readonly #concurrency: number

  constructor(options: KeyedDeliveryOptions) {
    this.#calls = new HandlerCalls(options)
    this.#concurrency = options.concurrency
  }

  /** Records handed in and not completed. */
  get outstanding(): number {
    return this.#calls.outstanding
  }

  /** True when all records are completed or given up, false when halted before. No call is in hand any more when it settles. */
  async deliver(records: readonly ConsumedRecord[], millisBehindLatest: number | undefined): Promise<boolean> {
    const batch = this.#calls.take(records, millisBehindLatest)
    const schedule = new KeySchedule(records.map(({ partitionKey }) => partitionKey))
    const lanes: Promise<boolean>[] = []
    for (let i = 0; i < Math.min(this.#concurrency, records.length); i++) lanes.push(this.#lane(schedule, batch))
    const settled = await Promise.allSettled(lanes)
    for (const lane of settled) if (lane.status === 'rejected') throw lane.reason
    await this.#calls.whileBlocked()
    return settled.every((lane) => lane.status === 'fulfilled' && lane.value)
  }

  /**
   * One call after the other. A lane that finds no record is done, although others wait behind keys in hand: the lane that has the key
   * goes on with them.
   */
  async #lane(schedule: KeySchedule, batch: Batch): Promise<boolean> {
    try {
      for (let index = schedule.take(); index !== undefined; index = schedule.after(index)) {
        if (!(await this.#calls.settle(batch, index, index + 1))) return false
      }
      return true
    } catch (error) {
      // A fault of ours: the other lanes finish what is in hand, and it is told then.
      schedule.close()
      throw error
    }
  }
}
