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

/** A delivery of a record: which stored copy, in which handler call. */
export interface Delivery {
  /** A hash of shard, sequence number and sub-sequence number. */
  readonly copy: number
  readonly call: number
  readonly at: number
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

/** What became of one producer's records, told by it and by those who got them. Grows with them, some 50 bytes each. */
export class ProducerAccount {
  readonly producer: number
  readonly isOrdered: boolean
  readonly #state: Column<Uint8Array> = { values: new Uint8Array(1 << 12) }
  readonly #putAt: Column<Float64Array> = { values: new Float64Array(1 << 12) }
  readonly #settledAt: Column<Float64Array> = { values: new Float64Array(1 << 12) }
  readonly #firstCall: Column<Uint32Array> = { values: new Uint32Array(1 << 12) }
  readonly #firstAt: Column<Float64Array> = { values: new Float64Array(1 << 12) }
  readonly #firstCopy: Column<Uint32Array> = { values: new Uint32Array(1 << 12) }
  /** The how-manieth delivery it was that we were told of: records of one call in their order. */
  readonly #told: Column<Uint32Array> = { values: new Uint32Array(1 << 12) }
  readonly #repeated = new Map<number, Delivery[]>()
  #seen = 0
  #deliveries = 0
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
      this.#first(record, delivery)
      return
    }
    const first = {
      ...{ copy: this.#firstCopy.values[record]!, call: this.#firstCall.values[record]!, at: this.#firstAt.values[record]! },
      outside: (state & OUTSIDE) !== 0,
    }
    // Each worker has a pipe of its own: what we hear of later may have been before.
    if (delivery.at < first.at) this.#first(record, delivery)
    const known = this.#repeated.get(record) ?? [first]
    known.push(delivery)
    this.#repeated.set(record, known)
  }

  #first(record: number, { copy, call, at, outside }: Delivery): void {
    this.#state.values[record] = (this.#state.values[record]! & ~OUTSIDE) | SEEN | (outside ? OUTSIDE : 0)
    this.#firstCall.values[record] = call
    this.#firstAt.values[record] = at
    this.#firstCopy.values[record] = copy
    this.#told.values[record] = ++this.#deliveries
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
    const [at, told] = [this.#firstAt.values, this.#told.values]
    const inOrder = this.#records((state) => (state & SEEN) !== 0).sort((a, b) => at[a]! - at[b]! || told[a]! - told[b]!)
    const latestOfKey = new Int32Array(KEYS).fill(-1)
    return inOrder.filter((record) => {
      const key = keyOf(record)
      const isLate = record < latestOfKey[key]!
      latestOfKey[key] = Math.max(record, latestOfKey[key]!)
      return isLate && (this.#state.values[record]! & STATE) === ACKNOWLEDGED
    })
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
    this.#firstCall.values = grown(this.#firstCall.values, new Uint32Array(length))
    this.#firstAt.values = grown(this.#firstAt.values, new Float64Array(length))
    this.#told.values = grown(this.#told.values, new Uint32Array(length))
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
