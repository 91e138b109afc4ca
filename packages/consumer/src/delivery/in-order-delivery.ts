import type { RecordPosition } from './completed-prefix.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { Completed, Delivery } from './delivery.js'
import { HandlerCalls, type HandlerCallsOptions } from './handler-calls.js'

/** Calls the handler for one shard, one call at a time, in order. */
export class InOrderDelivery implements Delivery {
  readonly #calls: HandlerCalls
  readonly #inBatches: boolean
  #last: Promise<boolean> = Promise.resolve(true)

  constructor(options: HandlerCallsOptions) {
    this.#calls = new HandlerCalls(options)
    this.#inBatches = options.handlers.eachBatch !== undefined
  }

  get outstanding(): number {
    return this.#calls.outstanding
  }

  get blockedAt(): RecordPosition | undefined {
    return this.#calls.blockedAt
  }

  deliver(records: readonly ConsumedRecord[], millisBehindLatest: number | undefined, completed?: Completed): Promise<boolean> {
    this.#last = this.#deliver(records, millisBehindLatest, completed)
    return this.#last
  }

  room(): Promise<boolean> {
    return this.#last
  }

  async #deliver(
    records: readonly ConsumedRecord[],
    millisBehindLatest: number | undefined,
    completed: Completed | undefined,
  ): Promise<boolean> {
    const batch = this.#calls.take(records, millisBehindLatest)
    if (!(await this.#calls.settle(batch, 0, records.length, this.#inBatches ? records.length : 1))) {
      await this.#calls.whileBlocked()
      return false
    }
    completed?.(batch.duplicates)
    return true
  }
}
