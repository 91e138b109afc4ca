import type { EventSource } from '@shardwise/core/events'
import type { Account } from './account.js'
import { failureReason } from './failure-reason.js'
import type { Fallout } from './fallout.js'
import type { Halting } from './halting.js'
import type { Meter } from './meter.js'
import type { ProducerEvent } from './producer-events.js'
import type { Settings } from './producer-options.js'
import type { ProducerCounters } from './producer-stats.js'
import type { Undelivered } from './undelivered.js'
import type { UserRecord } from './user-record.js'

export interface RecordFailuresParts {
  readonly settings: Pick<Settings, 'stream'>
  readonly events: EventSource<ProducerEvent>
  readonly counters: ProducerCounters
  readonly account: Account
  readonly halting: Pick<Halting, 'announce'>
  /** Where the caller wants records that failed before their puts settle. */
  readonly undelivered: Undelivered | undefined
  readonly meter: Meter
}

/** Fails records: by way of the caller's hook, if there is one, their puts settle, and it is announced. All queues have been put right before. */
export class RecordFailures {
  readonly #parts: RecordFailuresParts

  constructor(parts: RecordFailuresParts) {
    this.#parts = parts
  }

  fail(record: UserRecord, error: Error): void {
    const { undelivered } = this.#parts
    if (undelivered === undefined || record.isOfHook) this.#settle(record, error)
    else undelivered.add(record, error, () => this.#settle(record, error))
  }

  /** What has failed together, and the halts that this meant. */
  announce(fallout: Fallout): void {
    const { failed, errors } = fallout
    for (const [i, record] of failed.entries()) this.fail(record, errors[i]!)
    this.#tellExpired(failed, errors)
    const { halting, undelivered } = this.#parts
    const announce = (): void => halting.announce(fallout)
    if (undelivered === undefined) announce()
    else undelivered.after(announce)
  }

  #settle(record: UserRecord, error: Error): void {
    const { settings, counters, account, events, meter } = this.#parts
    counters.failed++
    meter.gaveUp(record, error)
    account.leave(record)
    record.fail(error)
    if (!events.hasListeners('record-failed')) return
    const { partitionKey, explicitHashKey, data } = record
    events.emit({ type: 'record-failed', stream: settings.stream, partitionKey, explicitHashKey, data, error })
  }

  #tellExpired(records: readonly UserRecord[], errors: readonly Error[]): void {
    const { settings, events } = this.#parts
    if (!events.hasListeners('records-expired')) return
    const expired = records.filter((_, i) => failureReason(errors[i]!) === 'expired')
    if (expired.length === 0) return
    const neverSent = expired.reduce((count, { attempts }) => count + (attempts === 0 ? 1 : 0), 0)
    events.emit({ type: 'records-expired', stream: settings.stream, userRecords: expired.length, neverSent })
  }
}
