import { AsyncLocalStorage } from 'node:async_hooks'
import type { EventSource } from '@shardwise/core/events'
import type { Account } from './account.js'
import { type FailedRecord, failedRecord } from './failed-record.js'
import type { ProducerEvent } from './producer-events.js'
import type { PutInput, UserRecord } from './user-record.js'

/** A record that was accepted and finally failed. `T` is what the producer's codec takes. */
export interface UndeliveredRecord<T = Uint8Array> extends FailedRecord {
  /** What its put rejects with. DeliveryFailedError and LaneHaltedError say in `written` whether it may be in the stream all the same. */
  readonly error: Error
  /** The very object that was put. */
  readonly input: PutInput<T>
}

/** Takes records that were not delivered, in the order of their failing. See the option. A method, so that its `T` may be any. */
export type OnUndelivered<T = Uint8Array> = { call(records: readonly UndeliveredRecord<T>[]): void | Promise<void> }['call']

interface Failure {
  readonly record: UserRecord
  readonly error: Error
  /** Tells the caller and frees the room. */
  readonly settle: () => void
}

/** A call of a hook, of whichever producer. */
interface HookCall {
  readonly of: Undelivered
  /** The call in whose midst it began, of another producer's. */
  readonly outer: HookCall | undefined
  isRunning: boolean
}

// One for all producers: once used a storage stays with the process, and on Node 20 each of them makes every promise a little slower.
const CALL = new AsyncLocalStorage<HookCall>()

/**
 * Hands records that finally failed to the caller's hook before their puts are settled: one call at a time, what fails meanwhile gathers for the next. A
 * record keeps its room until the hook has settled, so that flush and close wait for it and a slow hook slows the callers down.
 *
 * The hook may put to the same producer. It awaits such puts while it holds the room of the records that it was given, so they do not wait
 * for room; and they must not wait for a call of the hook, which would come after the one that waits for them, so when they fail they
 * reject at once. What was begun within a call and outlives it is like any other.
 */
export class Undelivered {
  readonly #hook: OnUndelivered<unknown>
  readonly #events: EventSource<ProducerEvent>
  readonly #now: () => number
  #gathered: (Failure | (() => void))[] = []
  #isBusy = false

  constructor(hook: OnUndelivered<unknown>, events: EventSource<ProducerEvent>, now: () => number) {
    this.#hook = hook
    this.#events = events
    this.#now = now
  }

  /** Whether the caller is the hook, in the midst of a call. */
  get isCaller(): boolean {
    let call = CALL.getStore()
    while (call !== undefined && (call.of !== this || !call.isRunning)) call = call.outer
    return call !== undefined
  }

  add(record: UserRecord, error: Error, settle: () => void): void {
    this.#gathered.push({ record, error, settle })
    this.#begin()
  }

  /** Runs it when everything that was added before has settled. */
  after(run: () => void): void {
    if (!this.#isBusy) run()
    else this.#gathered.push(run)
  }

  #begin(): void {
    if (this.#isBusy) return
    this.#isBusy = true
    void this.#handOver()
  }

  async #handOver(): Promise<void> {
    // What fails in one go is handed over in one go.
    await Promise.resolve()
    while (this.#gathered.length > 0) {
      const batch = this.#gathered
      this.#gathered = []
      const failures = batch.filter((item) => typeof item !== 'function')
      if (failures.length > 0) await this.#call(failures)
      const accounts = new Set<Account>()
      for (const item of batch) {
        if (typeof item === 'function') item()
        else {
          item.settle()
          accounts.add(item.record.account!)
        }
      }
      // There is room again, and flushes may have ended.
      for (const { holder } of accounts) holder.turn(this.#now())
    }
    this.#isBusy = false
  }

  async #call(failures: readonly Failure[]): Promise<void> {
    const around = CALL.getStore()
    const call: HookCall = { of: this, outer: around?.isRunning === true ? around : undefined, isRunning: true }
    try {
      await CALL.run(call, () => this.#hook(failures.map(toUndelivered)))
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(`onUndelivered threw ${String(thrown)}`, { cause: thrown })
      this.#events.emit({ type: 'undelivered-hook-failed', userRecords: failures.length, error })
    } finally {
      call.isRunning = false
    }
  }
}

function toUndelivered({ record, error }: Failure): UndeliveredRecord<unknown> {
  return { ...failedRecord(record), error, input: record.input as PutInput<unknown> }
}
