import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { DeliveryFailedError, LaneHaltedError, type Producer, type PutOutcome, StreamUnusableError } from '@shardwise/producer'
import type { Ledger } from './ledger.js'
import { Places } from './place.js'
import type { OfferedRecord, Workload } from './workload.js'

/** Records between two looks at whether something else is due. */
const BURST = 64
const PAUSE_MS = 20
const HALTED_MS = 1

type State = 'offering' | 'paused' | 'over'

/** Offers records as fast as the producer has room for them, and enters into the ledger what it is told of them. */
export class Offering {
  readonly #producer: Producer
  readonly #workload: Workload
  readonly #ledger: Ledger
  readonly #places = new Places()
  #state: State = 'offering'
  acknowledged = 0
  acknowledgedBytes = 0
  /** Times that the buffer was full. */
  fullBuffer = 0
  refusedWhileHalted = 0
  /** How many records failed, by reason. */
  readonly failures: Record<string, number> = {}

  constructor(producer: Producer, workload: Workload, ledger: Ledger) {
    this.#producer = producer
    this.#workload = workload
    this.#ledger = ledger
  }

  get state(): State {
    return this.#state
  }

  /** Resolves once this holds, or when it is ended. */
  async run(isOver: () => boolean): Promise<void> {
    while (this.#state !== 'over') {
      if (isOver()) this.#state = 'over'
      else if (this.#state === 'paused') await delay(PAUSE_MS)
      else if (await this.#burst()) await turn()
      else {
        this.fullBuffer++
        await this.#producer.ready()
      }
    }
  }

  /** Nothing is offered while `work` goes on. */
  async pausedFor<T>(work: () => Promise<T>): Promise<T> {
    if (this.#state === 'offering') this.#state = 'paused'
    try {
      return await work()
    } finally {
      if (this.#state === 'paused') this.#state = 'offering'
    }
  }

  end(): void {
    this.#state = 'over'
  }

  /** Whether there was room for all of it. */
  async #burst(): Promise<boolean> {
    for (let i = 0; i < BURST; i++) {
      if (this.#ledger.offered === this.#ledger.capacity)
        throw new Error('The ledger is full: the shards took more than they can')
      const key = this.#workload.key()
      try {
        if (!this.#producer.offer(this.#workload.make(this.#ledger.offered, key), this.#settled)) return false
        this.#ledger.offer(key)
      } catch (error) {
        if (!(error instanceof LaneHaltedError)) throw error
        this.refusedWhileHalted++
        await delay(HALTED_MS)
        return true
      }
    }
    return true
  }

  #settled: PutOutcome<OfferedRecord> = (error, result, { record, data }) => {
    if (result === undefined) {
      const { reason, written } = failureOf(error!)
      this.failures[reason] = (this.failures[reason] ?? 0) + 1
      this.#ledger.fail(record, written)
    } else {
      this.acknowledged++
      this.acknowledgedBytes += data.length
      const place = this.#places.of(result.shardId, result.sequenceNumber, result.subSequenceNumber)
      this.#ledger.acknowledge(record, place, result.attempts)
    }
  }
}

function failureOf(error: Error): { readonly reason: string; readonly written: 'no' | 'unknown' } {
  if (error instanceof DeliveryFailedError) return { reason: error.reason, written: error.written }
  if (error instanceof LaneHaltedError) return { reason: 'halted', written: error.written }
  return {
    reason: error instanceof StreamUnusableError ? `stream-unusable ${error.serviceCode}` : error.name,
    written: 'unknown',
  }
}
