import type { Consumer } from '@shardwise/consumer'
import type { RecordHandling } from './record-handling.js'

/** One loop over the records of all shards. What fails in it leaves the loop, and so ends the worker. */
export class LoopedConsumption {
  readonly #consumer: Consumer<unknown>
  readonly #handling: RecordHandling

  constructor(consumer: Consumer<unknown>, handling: RecordHandling) {
    this.#consumer = consumer
    this.#handling = handling
  }

  async run(): Promise<void> {
    const records = this.#consumer.records()
    // Asked for the first time the consumer starts.
    let next = records.next()
    for (;;) {
      const { done, value: record } = await next
      if (done === true) return
      const call = this.#handling.begin([record], record.context)
      if (!(await call.work())) {
        await records.return?.()
        return
      }
      // Asking for the next record completes the one before, if its shard is not lost by then.
      call.complete()
      next = records.next()
    }
  }
}
