import type { PutRecordsResult } from '@shardwise/core/kinesis-port'
import { classifyFailure, withAdvice } from '@shardwise/core/service-error'
import { exhausted, expired, misunderstood, refused, throttledOut } from './delivery-failure.js'
import type { Dispatcher } from './dispatcher.js'
import type { Entry } from './entry.js'
import { Fallout } from './fallout.js'
import type { Halting } from './halting.js'
import { companyAfter, halves, mayBlameOne } from './isolation.js'
import type { Packer } from './packer.js'
import type { Misplacement } from './placement-doubt.js'
import type { StreamUnusableError } from './producer-error.js'
import type { Settings } from './producer-options.js'
import { RecordFailures, type RecordFailuresParts } from './record-failures.js'
import { type AnsweredRequest, faultOf, RequestReport, type RequestReportParts } from './request-report.js'
import type { RequestOutcome } from './request-sender.js'
import { decideRetry, failsAtOnce, spentBy } from './retry-policy.js'
import { type Placement, settle } from './settlement.js'
import type { StreamView } from './stream-view.js'
import type { UserRecord } from './user-record.js'
import type { WaitedFor } from './waited-for.js'

/** What the way back shares with the rest of the pipeline. */
export interface SettlerParts extends RecordFailuresParts, RequestReportParts {
  readonly settings: Settings
  readonly packer: Packer
  readonly dispatcher: Dispatcher
  readonly halting: Halting
  readonly view: StreamView
  /** Whether it is known how. If not, park. */
  mayPack(): boolean
  /** Records go back to waiting for that, among those that do as they were put. */
  park(records: readonly UserRecord[], now: number): void
  /** An entry lies where its hash key cannot. */
  misplaced(misplacement: Misplacement, now: number): void
}

interface HeldSettlement {
  readonly entry: Entry
  readonly result: PutRecordsResult
}

/** Part of the pipeline, the way back: what becomes of entries that were answered or whose time is over. */
export class Settler {
  readonly #parts: SettlerParts
  readonly #report: RequestReport
  readonly #failures: RecordFailures
  #held: HeldSettlement[] = []
  /** Why there is no map, for the records that fail for the want of it. */
  loadError: StreamUnusableError | undefined

  constructor(parts: SettlerParts) {
    this.#parts = parts
    this.#report = new RequestReport(parts)
    this.#failures = new RecordFailures(parts)
  }

  get #stream(): string {
    return this.#parts.settings.stream
  }

  get held(): number {
    return this.#held.length
  }

  /** When the first held settlement is given up. */
  get nextExpiry(): number | undefined {
    let first: number | undefined
    for (const { entry } of this.#held) if (first === undefined || entry.lastExpiresAt < first) first = entry.lastExpiresAt
    return first
  }

  /** One request's entries, in the order of its results. Announces how the request ended. */
  complete(request: AnsweredRequest, outcome: RequestOutcome, now: number): void {
    const { dispatcher } = this.#parts
    const { entries, sentAt } = request
    if (outcome.kind === 'answered') {
      this.#report.answered(request, outcome.results, now)
      for (const [i, entry] of entries.entries()) this.#settle(entry, outcome.results[i]!, now, sentAt)
      return
    }
    const fault = faultOf(outcome, entries.length)
    const { code, message, retryable, written, cause } = fault
    this.#report.failed(request, fault, now)
    const isShared = outcome.kind === 'failed' && mayBlameOne(outcome.failure)
    // Nothing was written, so the shards' quotas are as they were: to look for the guilty one must not cost the others their rate.
    if (isShared && written === 'no') dispatcher.giveBack(entries)
    for (const entry of entries) {
      entry.mayBeWritten ||= written === 'unknown'
      entry.lastFailure = { code, message, cause }
      // The only refusal of a whole request that is about the shards: others, KMS throttling too, leave their rates as they are.
      const overQuota = code.startsWith('ProvisionedThroughputExceeded')
      const opensAt = overQuota ? dispatcher.throttled(entry, sentAt, now) : undefined
      if (failsAtOnce(code, this.#parts.settings)) this.#abandon(entry, throttledOut, now)
      else if (retryable) this.#retry(entry, now, { opensAt })
      else if (isShared && (entries.length > 1 || entry.count > 1)) this.#retry(entry, now, { among: entries.length })
      else this.#abandon(entry, outcome.kind === 'miscounted' ? misunderstood : refused, now)
    }
  }

  /** Decides again what waited for the map, now that there is another one or that time has passed. */
  judgeHeld(now: number): void {
    const held = this.#held
    this.#held = []
    for (const { entry, result } of held) {
      if (entry.lastExpiresAt > now) this.#settle(entry, result, now, now)
      else this.#expireHeld(entry, now)
    }
    // Its shard may have closed since: the usual listing leaves closed ones out.
    if (this.#held.length > 0) this.#parts.view.refresh(now, true)
  }

  /**
   * The entry's records are predicted and packed again, all of them, ahead of what is queued; those whose life is over fail. Returns how many
   * go on. `halve`: each half by itself.
   */
  repack(entry: Entry, at: number, now: number, halve = false): number {
    const { settings, halting } = this.#parts
    const records = entry.dissolve()
    const isSpent = (record: UserRecord): boolean => spentBy(record, now, settings.retry) !== undefined
    const spent = records.filter(isSpent)
    const others = spent.length === 0 ? records : records.filter((record) => !isSpent(record))
    const errors = spent.map((record) => this.#spent(record, entry.waitedFor, now))
    return this.#carryOut(entry, halting.afterExpiry(entry, spent, errors, others, now), at, now, halve)
  }

  /** Queues records of former entries, by the present map; those that cannot be packed any more fail. */
  queueAnew(records: readonly UserRecord[], now: number): void {
    const { packer, dispatcher } = this.#parts
    const fallout = new Fallout()
    for (const entry of packer.pack(records, now, fallout)) dispatcher.enqueue(entry)
    this.#failures.announce(fallout)
  }

  /** The records' time was over before there was a map. */
  expireUnsent(records: readonly UserRecord[], now: number): void {
    this.#failures.announce(this.#parts.halting.afterUnsent(records, this.#expired(records, 'shard-map'), now))
  }

  /** The stream cannot be used. */
  refuse(records: readonly UserRecord[], error: StreamUnusableError): void {
    this.#failures.announce(this.#parts.halting.afterLoss(records, error))
  }

  fail(record: UserRecord, error: Error): void {
    this.#failures.fail(record, error)
  }

  #settle(entry: Entry, result: PutRecordsResult, now: number, sentAt: number): void {
    const verdict = settle(entry, result, this.#parts.view.shard)
    switch (verdict.kind) {
      case 'delivered':
        this.#parts.dispatcher.accepted(entry, sentAt)
        this.#deliver(entry, verdict.shardId, verdict.sequenceNumber)
        if (verdict.placement !== 'predicted') this.#misplaced(entry, verdict.shardId, verdict.placement, 'delivered', now)
        break
      case 'hold':
        this.#held.push({ entry, result })
        this.#misplaced(entry, verdict.shardId, 'elsewhere', 'undecided', now)
        break
      case 'wrong-shard': {
        const message = `it was written to ${verdict.shardId}, outside of that shard's hash range, where readers drop it`
        entry.lastFailure = { code: 'WrongShard', message, cause: undefined }
        // Readers that do not follow the KCL's rule see what lies there.
        entry.mayBeWritten = true
        this.#parts.counters.wrongShard++
        this.#misplaced(entry, verdict.shardId, verdict.placement, 'resent', now)
        this.#retry(entry, now, { atOnce: entry.totalAttempts === 1 })
        break
      }
      case 'unclear': {
        const message = 'the service gave neither a sequence number nor an error'
        entry.lastFailure = { code: 'EmptyResult', message, cause: undefined }
        entry.mayBeWritten = true
        this.#retry(entry, now)
        break
      }
      case 'refused': {
        const { code, message } = verdict
        const failure = classifyFailure(Object.assign(new Error(message), { name: code }))
        const throttled = failure.kind === 'throttled'
        if (throttled) this.#parts.counters.throttled++
        entry.lastFailure = { code, message: withAdvice({ message, advice: failure.advice }), cause: undefined }
        entry.mayBeWritten ||= failure.written === 'unknown'
        // PutRecords documents two errors of an entry, and both pass. An unknown one may pass, too.
        const opensAt = throttled ? this.#parts.dispatcher.throttled(entry, sentAt, now) : undefined
        if (failsAtOnce(code, this.#parts.settings)) this.#abandon(entry, throttledOut, now)
        else if (failure.retryable || failure.kind === 'unknown') this.#retry(entry, now, { opensAt })
        else this.#abandon(entry, refused, now)
      }
    }
  }

  #deliver(entry: Entry, shardId: string, sequenceNumber: string): void {
    const { dispatcher, counters, account, meter } = this.#parts
    dispatcher.settled(entry)
    meter.delivered(entry, shardId)
    counters.delivered += entry.count
    counters.possibleDuplicates += entry.possibleDuplicates
    entry.succeed(shardId, sequenceNumber, account)
  }

  #misplaced(
    entry: Entry,
    shardId: string,
    placement: Placement,
    outcome: 'delivered' | 'resent' | 'undecided',
    now: number,
  ): void {
    const { view, events } = this.#parts
    const predicted = entry.shard!
    if (placement === 'keys-ignored') this.#parts.misplaced({ predicted, shardId, hashKey: entry.routingHashKey }, now)
    // A newer map may have come while the request was under way.
    else if (outcome === 'undecided' || view.isOpen(predicted)) view.refresh(now)
    events.emit({
      type: 'wrong-shard',
      stream: this.#stream,
      predictedShardId: predicted.shardId,
      shardId,
      userRecords: entry.count,
      outcome,
    })
  }

  /**
   * Sends an entry again, or gives up those of its records whose life is over. `among`: that many entries were refused with it, for the sake
   * of one of them.
   */
  #retry(
    entry: Entry,
    now: number,
    how: { readonly atOnce?: boolean; readonly opensAt?: number | undefined; readonly among?: number } = {},
  ): void {
    const { settings, counters, events, dispatcher, packer, view, mayPack } = this.#parts
    if (how.among !== undefined) {
      entry.pardoned++
      entry.company = companyAfter(how.among)
    }
    const isGuilty = how.among === 1
    const isAtOnce = how.atOnce === true || how.among !== undefined
    const life = { attempts: entry.totalAttempts, expiresAt: entry.lastExpiresAt }
    const decision = decideRetry(life, true, now, settings.retry, settings.random)
    // What its shard refuses for the quota waits for the shard's rate, which adapts: a back-off of its own on top would idle the shard.
    const isThrottled = how.opensAt !== undefined
    const at = decision.kind === 'retry' && !isAtOnce && !isThrottled ? decision.at : now
    const sameBytes = mayPack() && packer.isCurrent(entry) && entry.lastFailure?.code !== 'WrongShard' && !isGuilty
    const { shardId, lastFailure, totalAttempts: attempts } = entry
    let userRecords = entry.count
    if (entry.expiresAt > now && entry.countedAttempts < settings.retry.maxAttempts && sameBytes) dispatcher.requeue(entry, at)
    // An aggregate that is known to be too large by now comes out smaller by itself.
    else userRecords = this.repack(entry, at, now, isGuilty && entry.bytes <= (view.traits?.maxRecordBytes ?? 0))
    if (userRecords === 0) return
    counters.retries++
    const code = lastFailure?.code ?? ''
    events.emit({
      type: 'record-retried',
      stream: this.#stream,
      shardId,
      code,
      throttled: isThrottled,
      userRecords,
      attempts,
      delayMs: (how.opensAt ?? at) - now,
    })
  }

  #abandon(entry: Entry, describe: (record: UserRecord) => Error, now: number): void {
    const errors = entry.dissolve().map(describe)
    this.#carryOut(entry, this.#parts.halting.afterRefusal(entry, errors, now), now, now)
  }

  #expireHeld(entry: Entry, now: number): void {
    const message = 'it was written to a shard that ListShards does not show, so whether readers accept it there is not known'
    entry.lastFailure = { code: 'UnknownShard', message, cause: this.loadError }
    entry.mayBeWritten = true
    this.#abandon(entry, (record) => expired(record, this.#parts.settings.recordTtlMs), now)
  }

  /** What goes on takes the entry's place; then the rest fails. Returns how many records go on. */
  #carryOut(entry: Entry, fallout: Fallout, at: number, now: number, halve = false): number {
    const { packer, dispatcher, mayPack, park } = this.#parts
    const { goOn } = fallout
    let count = goOn.length
    if (mayPack()) {
      const successors = (halve ? halves(goOn) : [goOn]).flatMap((part) => packer.pack(part, now, fallout))
      // What is looked for among them is found only if they are not mixed with others again.
      for (const successor of successors) successor.company = halve ? 1 : entry.company
      dispatcher.replace(entry, successors, at)
      count = successors.reduce((sum, successor) => sum + successor.count, 0)
    } else {
      dispatcher.settled(entry)
      if (count > 0) park(goOn, now)
    }
    this.#failures.announce(fallout)
    return count
  }

  #expired(records: readonly UserRecord[], waitedFor: WaitedFor | undefined): Error[] {
    return records.map((record) => expired(this.#explained(record), this.#parts.settings.recordTtlMs, waitedFor))
  }

  #spent(record: UserRecord, waitedFor: WaitedFor | undefined, now: number): Error {
    const { retry, recordTtlMs } = this.#parts.settings
    if (spentBy(record, now, retry) === 'attempts') return exhausted(record, retry.maxAttempts)
    return expired(this.#explained(record), recordTtlMs, waitedFor)
  }

  #explained(record: UserRecord): UserRecord {
    if (record.lastFailure === undefined && !this.#parts.view.isReady && this.loadError !== undefined) {
      const { serviceCode: code, message, cause } = this.loadError
      record.lastFailure = { code, message, cause }
    }
    return record
  }
}
