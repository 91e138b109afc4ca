import { KEYS, keyOf } from './chaos-record.js'
import type { ProducerFact } from './facts.js'

const PUT = 0
const ACKNOWLEDGED = 1
const FAILED_UNKNOWN = 2
const FAILED_UNWRITTEN = 3
const SEEN = 4
const COMPLETED = 8
/** Its first delivery was in an aggregate with members outside the shard. */
const OUTSIDE = 16
const STATE = 3

/** A delivery of a record: which stored copy, in which tenure of a lease. */
export interface Delivery {
  /** A hash of shard, sequence number and sub-sequence number. */
  readonly copy: number
  readonly tenure: number
  readonly outside: boolean
}

/** A record that was delivered more than once. */
export interface Repetition {
  readonly producer: number
  readonly record: number
  readonly deliveries: readonly Delivery[]
  readonly putAt: number
  /** Infinity: nobody has heard of it. */
  readonly settledAt: number
}

interface Column<T extends Uint8Array | Uint32Array | Float64Array> {
  values: T
}

/** What became of one producer's records, told by it and by those who got them. Grows with them, some 40 bytes each. */
export class ProducerAccount {
  readonly producer: number
  readonly isOrdered: boolean
  readonly #state: Column<Uint8Array> = { values: new Uint8Array(1 << 12) }
  readonly #putAt: Column<Float64Array> = { values: new Float64Array(1 << 12) }
  readonly #settledAt: Column<Float64Array> = { values: new Float64Array(1 << 12) }
  readonly #firstTenure: Column<Uint32Array> = { values: new Uint32Array(1 << 12) }
  readonly #firstCopy: Column<Uint32Array> = { values: new Uint32Array(1 << 12) }
  readonly #latestOfKey: Int32Array = new Int32Array(KEYS).fill(-1)
  readonly #late: number[] = []
  readonly #repeated = new Map<number, Delivery[]>()
  #seen = 0
  put = 0
  acknowledged = 0
  failed = 0
  /** Distinct records with a completed handler call. */
  delivered = 0

  constructor(producer: number, isOrdered: boolean) {
    this.producer = producer
    this.isOrdered = isOrdered
  }

  add(fact: ProducerFact, at: number): void {
    if (fact.fact === 'put') {
      this.#grow(fact.from + fact.count)
      this.#putAt.values.fill(at, fact.from, fact.from + fact.count)
      this.put = fact.from + fact.count
    } else if (fact.fact === 'acknowledged') {
      for (let i = 0; i < fact.records.length; i += 2) this.#settle(fact.records[i]!, ACKNOWLEDGED, at)
      this.acknowledged += fact.records.length / 2
    } else if (fact.fact === 'failed') {
      this.#settle(fact.record, fact.written === 'no' ? FAILED_UNWRITTEN : FAILED_UNKNOWN, at)
      this.failed++
    }
  }

  /**
   * A handler call with it has begun. The producer's own word may come later, for it has a pipe of its own: what nobody has put is found at
   * the end.
   */
  began(record: number, delivery: Delivery): void {
    this.#grow(record + 1)
    this.#seen = Math.max(this.#seen, record + 1)
    const state = this.#state.values[record]!
    if ((state & SEEN) === 0) {
      this.#state.values[record] = state | SEEN | (delivery.outside ? OUTSIDE : 0)
      this.#firstTenure.values[record] = delivery.tenure
      this.#firstCopy.values[record] = delivery.copy
      const key = keyOf(record)
      if (record < this.#latestOfKey[key]!) this.#late.push(record)
      else this.#latestOfKey[key] = record
      return
    }
    const known = this.#repeated.get(record)
    if (known === undefined) {
      const tenure = this.#firstTenure.values[record]!
      const first = { copy: this.#firstCopy.values[record]!, tenure, outside: (state & OUTSIDE) !== 0 }
      this.#repeated.set(record, [first, delivery])
    } else known.push(delivery)
  }

  completed(record: number): void {
    const state = this.#state.values[record]!
    if ((state & COMPLETED) !== 0) return
    this.#state.values[record] = state | COMPLETED
    this.delivered++
  }

  /** Acknowledged, and no handler has completed it. */
  missing(): number[] {
    return this.#records((state) => (state & STATE) === ACKNOWLEDGED && (state & COMPLETED) === 0)
  }

  /** Failed as never written, and delivered all the same. */
  denied(): number[] {
    return this.#records((state) => (state & STATE) === FAILED_UNWRITTEN && (state & SEEN) !== 0)
  }

  /** Put, and not heard of again. Of a producer that has closed there are none. */
  unsettled(): number[] {
    return this.#records((state) => (state & STATE) === PUT)
  }

  /** Delivered, and never put. */
  get foreign(): number {
    let foreign = 0
    for (let record = this.put; record < this.#seen; record++) if (this.#state.values[record] !== 0) foreign++
    return foreign
  }

  /** Acknowledged, and first delivered after a later record of its key. */
  outOfOrder(): number[] {
    if (!this.isOrdered) return []
    return this.#late.filter((record) => (this.#state.values[record]! & STATE) === ACKNOWLEDGED)
  }

  repetitions(): Repetition[] {
    return [...this.#repeated].map(([record, deliveries]) => ({
      producer: this.producer,
      record,
      deliveries,
      putAt: this.#putAt.values[record]!,
      settledAt: this.#settledAt.values[record]! || Number.POSITIVE_INFINITY,
    }))
  }

  putAt(record: number): number {
    return this.#putAt.values[record]!
  }

  get repeats(): number {
    return [...this.#repeated.values()].reduce((sum, deliveries) => sum + deliveries.length - 1, 0)
  }

  #settle(record: number, state: number, at: number): void {
    const before = this.#state.values[record]!
    if ((before & STATE) !== PUT) throw new Error(`Record ${record} of producer ${this.producer} has settled twice`)
    this.#state.values[record] = before | state
    this.#settledAt.values[record] = at
  }

  #records(holds: (state: number) => boolean): number[] {
    const found: number[] = []
    for (let record = 0; record < this.put; record++) if (holds(this.#state.values[record]!)) found.push(record)
    return found
  }

  #grow(records: number): void {
    if (records <= this.#state.values.length) return
    const length = Math.max(records, this.#state.values.length * 2)
    this.#state.values = grown(this.#state.values, new Uint8Array(length))
    this.#putAt.values = grown(this.#putAt.values, new Float64Array(length))
    this.#settledAt.values = grown(this.#settledAt.values, new Float64Array(length))
    this.#firstTenure.values = grown(this.#firstTenure.values, new Uint32Array(length))
    this.#firstCopy.values = grown(this.#firstCopy.values, new Uint32Array(length))
  }
}

function grown<T extends Uint8Array | Uint32Array | Float64Array>(old: T, larger: T): T {
  larger.set(old)
  return larger
}

/** FNV-1a. */
export function copyHash(copy: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < copy.length; i++) hash = Math.imul(hash ^ copy.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
