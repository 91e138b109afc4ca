import type { EventSource } from '@shardwise/core/events'
import { Admission } from './admission.js'
import { Outstanding } from './outstanding.js'
import { ProducerClosedError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'
import type { UserRecord } from './user-record.js'

interface FlushWaiter {
  readonly epoch: number
  readonly resolve: () => void
}

interface RoomWaiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** What has been put and not settled: the room it takes, and who waits for it to settle or for its room. */
export class Ledger {
  readonly #admission: Admission<UserRecord>
  readonly #outstanding = new Outstanding()
  readonly #events: EventSource<ProducerEvent>
  /** Who wants to know when a record that waits in line is in. */
  readonly #admissions: Map<UserRecord, () => void> = new Map()
  #flushes: FlushWaiter[] = []
  #flushedEpoch = -1
  #roomWaiters: RoomWaiter[] = []
  #isTight = false
  /**
   * Of the streams, whose buffer this is. Called when there is no room for something put, the first time, and by each `wake` that finds none
   * for the largest that was turned away.
   */
  onFull: () => void = () => {}

  constructor(limits: { readonly maxBytes: number; readonly maxRecords: number }, events: EventSource<ProducerEvent>) {
    this.#admission = new Admission(limits)
    this.#events = events
  }

  get bytes(): number {
    return this.#admission.bytes
  }

  get records(): number {
    return this.#admission.records
  }

  get waiting(): number {
    return this.#admission.waiting
  }

  /** Those that wait in line, the first first. */
  get line(): readonly UserRecord[] {
    return this.#admission.line
  }

  /** Whether nothing is accepted and unsettled, and nothing waits for room. */
  get isEmpty(): boolean {
    return this.#outstanding.total === 0
  }

  /** Whether a record of so many bytes would be taken in. */
  hasRoomFor(bytes: number): boolean {
    return this.#admission.hasRoomFor(bytes)
  }

  /** Takes in a record for which there is room, and returns its epoch. */
  enter(bytes: number): number {
    this.#admission.enter(bytes)
    return this.#outstanding.enter()
  }

  /** Takes the record in if there is room; false and nothing done otherwise. */
  take(record: UserRecord): boolean {
    if (!this.#admission.take(record, record.isOfHook)) {
      this.#admission.turnAway(record)
      this.#tighten()
      return false
    }
    record.epoch = this.#outstanding.enter()
    return true
  }

  /**
   * Takes the record in, or lets it wait in line for room; true if it is in, otherwise `admitted` is called when it is. From now on a flush
   * waits for it either way.
   */
  takeOrWait(record: UserRecord, admitted?: () => void): boolean {
    record.epoch = this.#outstanding.enter()
    if (this.#admission.take(record, record.isOfHook)) return true
    this.#admission.wait(record)
    if (admitted !== undefined) this.#admissions.set(record, admitted)
    this.#tighten()
    return false
  }

  /** The next record in line for which there is room now; it is in. */
  admitNext(): UserRecord | undefined {
    const record = this.#admission.waiting === 0 ? undefined : this.#admission.next()
    if (record === undefined || this.#admissions.size === 0) return record
    this.#admissions.get(record)?.()
    this.#admissions.delete(record)
    return record
  }

  /** A record has settled, or so many of one epoch. */
  leave(settled: Pick<UserRecord, 'epoch' | 'bytes'>, records = 1): void {
    this.#admission.free(settled, records)
    this.#outstanding.leave(settled.epoch, records)
  }

  /** Whether a flush that has not ended waits for the record. */
  isFlushing(record: UserRecord): boolean {
    return record.epoch <= this.#flushedEpoch && this.#flushes.length > 0
  }

  /** Resolves when everything put so far has settled. */
  flush(): Promise<void> {
    const epoch = this.#outstanding.close()
    this.#flushedEpoch = epoch
    if (this.#outstanding.isSettled(epoch)) return Promise.resolve()
    return new Promise((resolve) => this.#flushes.push({ epoch, resolve }))
  }

  /** Resolves when there is room for what was last turned away. */
  ready(): Promise<void> {
    if (this.#admission.hasRoom) return Promise.resolve()
    return new Promise((resolve, reject) => this.#roomWaiters.push({ resolve, reject }))
  }

  /** Tells those whose wait is over. */
  wake(): void {
    while (this.#flushes.length > 0 && this.#outstanding.isSettled(this.#flushes[0]!.epoch)) this.#flushes.shift()!.resolve()
    if (!this.#admission.hasRoom) {
      this.onFull()
      return
    }
    this.#admission.forgetTurnedAway()
    const waiters = this.#roomWaiters
    this.#roomWaiters = []
    for (const { resolve } of waiters) resolve()
    if (!this.#isTight) return
    this.#isTight = false
    this.#events.emit({ type: 'backpressure-off', bufferedRecords: this.records, bufferedBytes: this.bytes })
  }

  /** No room will be given any more. */
  close(): void {
    const waiters = this.#roomWaiters
    this.#roomWaiters = []
    for (const { reject } of waiters) reject(new ProducerClosedError())
  }

  #tighten(): void {
    if (this.#isTight) return
    this.#isTight = true
    this.#events.emit({ type: 'backpressure-on', bufferedRecords: this.records, bufferedBytes: this.bytes })
    this.onFull()
  }
}
