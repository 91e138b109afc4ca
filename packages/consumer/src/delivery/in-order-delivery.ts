import type { RecordPosition } from './completed-prefix.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { Completed, Delivery } from './delivery.js'
import type { HandlerCallsOptions } from './handler-call.js'
import { HandlerCalls } from './handler-calls.js'

/**
 * Unpacked together for `eachRecord`, which sees one at a time: those that wait for their turn take several times the memory of their bytes. It is hardly
 * faster than with 10,000.
 */
const RECORDS_AT_A_TIME = 500

/** Calls the handler for one shard, one call at a time, in order. */
export class InOrderDelivery implements Delivery {
  readonly #lease: HandlerCallsOptions['lease']
  readonly #calls: HandlerCalls
  readonly #inBatches: boolean
  #last: Promise<boolean> = Promise.resolve(true)

  constructor(options: HandlerCallsOptions) {
    this.#lease = options.lease
    this.#calls = new HandlerCalls(options)
    this.#inBatches = options.handlers.eachBatch !== undefined
  }

  get partRecords(): number | undefined {
    return this.#inBatches ? undefined : RECORDS_AT_A_TIME
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
    let isSettled = false
    try {
      isSettled = await this.#calls.settle(batch, 0, records.length, this.#inBatches ? records.length : 1)
    } finally {
      this.#lease.passUp?.()
    }
    if (isSettled) completed?.(batch.duplicates)
    else await this.#calls.whileBlocked()
    return isSettled
  }
}
