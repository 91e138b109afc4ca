import type { Consumer } from '../consumer.js'
import type { ConsumerEvent } from '../consumer-events.js'
import type { ConsumedRecord } from '../delivery/consumed-record.js'

/** What handlers got, in order: the numbers that SmallFleet puts. */
export class Received {
  readonly records: ConsumedRecord[] = []

  readonly handlers: { readonly eachRecord: (record: ConsumedRecord) => void } = {
    eachRecord: (record) => void this.records.push(record),
  }

  of(stream: string): number[] {
    return this.records.filter((record) => record.stream === stream).map(numberIn)
  }

  /** Every number below `count`, and each once. */
  has(stream: string, count: number): boolean {
    const numbers = this.of(stream).sort((a, b) => a - b)
    return numbers.length === count && numbers.every((number, i) => number === i)
  }
}

export function numberIn(record: ConsumedRecord): number {
  return Number(new TextDecoder().decode(record.bytes))
}

/** All that the consumer announces from now on. */
export function recorded(consumer: Consumer): ConsumerEvent[] {
  const events: ConsumerEvent[] = []
  consumer.events.onAny((event) => events.push(event))
  return events
}
