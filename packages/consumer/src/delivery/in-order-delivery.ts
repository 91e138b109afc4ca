import type { ConsumedRecord } from './consumed-record.js'
import { HandlerCalls, type HandlerCallsOptions } from './handler-calls.js'

/** Calls the handler for one shard, one call at a time, in order. */
export class InOrderDelivery {
  readonly #calls: HandlerCalls
  readonly #inBatches: boolean

  constructor(options: HandlerCallsOptions) {
    this.#calls = new HandlerCalls(options)
    this.#inBatches = options.handlers.eachBatch !== undefined
  }

  /** Records handed in and not completed. */
  get outstanding(): number {
    return this.#calls.outstanding
  }

  /** True when all records are completed or given up, false when halted before. */
  async deliver(records: readonly ConsumedRecord[], millisBehindLatest: number | undefined): Promise<boolean> {
    const batch = this.#calls.take(records, millisBehindLatest)
    const step = this.#inBatches ? records.length : 1
    for (let from = 0; from < records.length; from += step) {
      if (await this.#calls.settle(batch, from, from + step)) continue
      await this.#calls.whileBlocked()
      return false
    }
    return true
  }
}
