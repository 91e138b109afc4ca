import { type Cohort, Cohorts } from './cohorts.js'
import type { Ledger } from './ledger.js'
import type { UserRecord } from './user-record.js'

/** The pipeline of a stream, as its account sees it. */
export interface AccountHolder {
  /** See `Pipeline.put`. */
  put(record: UserRecord, admitted?: () => void): boolean
  /** See `Pipeline.offer`. */
  offer(record: UserRecord): boolean
  /** There is room now for a record that has waited. Comes in the order of the line; nothing is sent before `turn`. */
  admitLate(record: UserRecord, now: number): void
  /** Does what has become due. */
  turn(now: number): void
}

/** What one stream has in the ledger: put and not settled. The room and the line are those of all streams together. */
export class Account {
  /** Name or ARN. */
  readonly stream: string
  readonly holder: AccountHolder
  readonly #ledger: Ledger
  #records = 0
  #bytes = 0
  #waiting = 0
  readonly #cohorts = new Cohorts()

  constructor(stream: string, ledger: Ledger, holder: AccountHolder) {
    this.stream = stream
    this.#ledger = ledger
    this.holder = holder
  }

  get records(): number {
    return this.#records
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Puts that stand in line for room. */
  get waiting(): number {
    return this.#waiting
  }

  /** The records of these. */
  get line(): readonly UserRecord[] {
    return this.#ledger.line.filter((record) => record.account === this)
  }

  /** See `Cohorts`. */
  get oldestSince(): number | undefined {
    return this.#cohorts.oldestSince
  }

  get isEmpty(): boolean {
    return this.#records === 0 && this.#waiting === 0
  }

  /** See `Ledger.hasRoomFor`. */
  hasRoomFor(bytes: number): boolean {
    return this.#ledger.hasRoomFor(bytes)
  }

  /** See `Ledger.enter`. */
  enter(bytes: number): number {
    this.#records++
    this.#bytes += bytes
    return this.#ledger.enter(bytes)
  }

  /** See `Cohorts.enter`. */
  cohortAt(now: number): Cohort {
    return this.#cohorts.enter(now)
  }

  /** See `Ledger.take`. */
  take(record: UserRecord): boolean {
    record.account = this
    if (!this.#ledger.take(record)) return false
    this.#enter(record)
    return true
  }

  /** See `Ledger.takeOrWait`. */
  takeOrWait(record: UserRecord, admitted?: () => void): boolean {
    record.account = this
    // Before: a listener of the ledger may make room for it.
    this.#waiting++
    if (!this.#ledger.takeOrWait(record, admitted)) return false
    this.#waiting--
    this.#enter(record)
    return true
  }

  /** Takes in those in line for whom there is room now. Other streams then do what this made due. Returns whether any were of this one. */
  admitWaiting(now: number): boolean {
    let own = false
    let others: Set<Account> | undefined
    for (let record = this.#ledger.admitNext(); record !== undefined; record = this.#ledger.admitNext()) {
      const account = record.account!
      account.#admitLate(record, now)
      if (account === this) own = true
      else {
        others ??= new Set()
        others.add(account)
      }
    }
    if (others !== undefined) for (const account of others) account.holder.turn(now)
    return own
  }

  /** The record is in, as of now. */
  admitted(record: UserRecord, now: number): void {
    record.cohort = this.#cohorts.enter(now)
  }

  /** A record has settled, or so many of one cohort and epoch. */
  leave(settled: Pick<UserRecord, 'cohort' | 'epoch' | 'bytes'>, records = 1): void {
    this.#records -= records
    this.#bytes -= settled.bytes
    if (settled.cohort !== undefined) this.#cohorts.leave(settled.cohort, records)
    this.#ledger.leave(settled, records)
  }

  #admitLate(record: UserRecord, now: number): void {
    this.#waiting--
    this.#enter(record)
    this.holder.admitLate(record, now)
  }

  #enter(record: UserRecord): void {
    this.#records++
    this.#bytes += record.bytes
  }
}
