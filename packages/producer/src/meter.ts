import type { PutRecordsResult } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import type { ShardMap } from '@shardwise/core/shard-map'
import type { Telemetry, TelemetryAttributes } from '@shardwise/core/telemetry'
import type { Entry } from './entry.js'
import { failureReason } from './failure-reason.js'
import { HottestKeys } from './hottest-keys.js'
import type { InstrumentName } from './instruments.js'
import { HOT_SHARDS, type MeterReport } from './meter-report.js'
import { MetricTallies } from './producer-metrics.js'
import { ShardHeat, type ShardsNow } from './shard-heat.js'
import type { UserRecord } from './user-record.js'

/** What holds back the first in a shard's queue: the shard's write limit or the stream's, what must settle before it, or the wait before a retry. */
export type Hold = NonNullable<Entry['heldBy']>

export interface MeterOptions {
  readonly stream: string
  readonly recordTtlMs: number
  readonly lingerMs: number
  readonly telemetry: Telemetry | undefined
  readonly hottestKeys: number
  readonly random: Random
}

/** As often as the KPL looks at what is pending. */
const LOOK_EVERY_MS = 200

const HOLD_METRICS = { limit: 'LimitTime', 'stream-limit': 'LimitTime', order: 'OrderTime', retry: 'RetryTime' } as const

/**
 * Part of the pipeline: takes note of what it does, for `stats()` and for `telemetry`. A user record that is put costs it a comparison;
 * everything else is noted once for a Kinesis record or a request.
 */
export class Meter {
  readonly #tallies: MetricTallies = new MetricTallies()
  readonly #heat = new ShardHeat()
  readonly #hottestKeys: HottestKeys
  readonly #stream: TelemetryAttributes & { readonly stream: string }
  readonly #ttlMs: number
  readonly #lingerMs: number
  readonly #telemetry: Telemetry | undefined
  readonly #attributes = new Map<string, TelemetryAttributes>()
  /** Accepted since it was last told: for each record one addition. */
  #received = 0
  #nextLookAt = Number.NEGATIVE_INFINITY
  #toldPending = 0
  /** User records that failed since the last turn, by reason. */
  #failures = new Map<string, number>()

  constructor({ stream, recordTtlMs, lingerMs, telemetry, hottestKeys, random }: MeterOptions) {
    this.#stream = { stream }
    this.#ttlMs = recordTtlMs
    this.#lingerMs = lingerMs
    this.#telemetry = telemetry
    this.#hottestKeys = new HottestKeys(hottestKeys, random)
  }

  accepted(partitionKey: string, now: number): void {
    if (this.counts()) this.samples(partitionKey, now)
  }

  /** The same in two steps: the second where the first says so. Most records need not bring their time. */
  counts(): boolean {
    this.#received++
    return this.#hottestKeys.count()
  }

  samples(partitionKey: string, now: number): void {
    this.#hottestKeys.sample(partitionKey, now)
  }

  /** At the end of each turn. `pending`: user records accepted and not settled. */
  look(pending: number, now: number): void {
    if (this.#failures.size > 0) {
      for (const [reason, count] of this.#failures) {
        this.#count('shardwise.producer.user_records.failed', count, { ...this.#stream, reason })
      }
      this.#failures.clear()
    }
    // The last that is told stands for as long as nothing happens.
    if (now < this.#nextLookAt && pending > 0 === this.#toldPending > 0) return
    this.#toldPending = pending
    this.#nextLookAt = now + LOOK_EVERY_MS
    this.#tallies.UserRecordsPending.add(pending)
    this.#tellReceived()
    this.#telemetry?.gauge?.('shardwise.producer.user_records.pending' satisfies InstrumentName, pending, this.#stream)
  }

  /** Nothing comes any more. */
  close(): void {
    this.#tellReceived()
  }

  /** The first in its lane may not leave now. */
  hold(entry: Entry, by: Hold, now: number): void {
    if (entry.heldBy === by) return
    this.release(entry, now)
    entry.heldBy = by
    entry.heldSince = now
  }

  /** It leaves its lane, or its time is over. */
  release(entry: Entry, now: number): void {
    if (entry.heldBy === undefined) return
    const waitedMs = now - entry.heldSince
    this.#tallies[HOLD_METRICS[entry.heldBy]].add(waitedMs)
    if (this.#telemetry !== undefined) {
      this.#sample('shardwise.producer.wait.duration', waitedMs, { ...this.#of(entry.shardId), reason: entry.heldBy })
    }
    entry.heldBy = undefined
  }

  /** They leave for the service; `attempts` counts this one. */
  sent(entries: readonly Entry[], now: number): void {
    const { BufferingTime, LingerTime } = this.#tallies
    for (const entry of entries) {
      const count = entry.count
      let waitedMs: number
      if (entry.isFresh && entry.attempts === 1) {
        const acceptedAt = entry.expiresAt - this.#ttlMs
        waitedMs = now - acceptedAt
        const sum = Math.max(0, count * waitedMs - entry.expirySpread)
        BufferingTime.merge(count, sum, now + this.#ttlMs - entry.lastExpiresAt, waitedMs)
        // The deadline of what waited in its lane may have been put off.
        LingerTime.add(Math.max(0, Math.min(now - acceptedAt, entry.deadline - acceptedAt, this.#lingerMs)))
      } else {
        // What was packed again is due from that moment on.
        waitedMs = Math.max(0, now - (entry.attempts === 1 ? entry.deadline : entry.returnedAt))
        BufferingTime.repeat(waitedMs, count)
      }
      if (this.#telemetry !== undefined) {
        this.#sample('shardwise.producer.buffering.duration', waitedMs, this.#of(entry.shardId))
      }
    }
  }

  /** The request was answered, with a result for each entry. */
  answered(entries: readonly Entry[], results: readonly PutRecordsResult[], tookMs: number, now: number): void {
    this.#ended(entries, undefined, tookMs, now)
    const { KinesisRecordsPut, KinesisRecordsDataPut, AllErrors } = this.#tallies
    for (let i = 0; i < entries.length; i++) {
      const { bytes, shardId: predicted } = entries[i]!
      const { SequenceNumber, ShardId: shardId, ErrorCode: code } = results[i]!
      if (SequenceNumber) {
        KinesisRecordsPut.add(1)
        KinesisRecordsDataPut.add(bytes)
        AllErrors.add(0)
        if (shardId) this.#heat.accepted(shardId, bytes, now)
        if (this.#telemetry === undefined) continue
        const attributes = this.#of(shardId)
        this.#count('shardwise.producer.kinesis_records.put', 1, attributes)
        this.#count('shardwise.producer.kinesis_records.data', bytes, attributes)
      } else {
        KinesisRecordsPut.add(0)
        this.#error(code || 'EmptyResult', predicted)
      }
    }
  }

  /** The request failed as a whole. */
  failed(entries: readonly Entry[], code: string, tookMs: number, now: number): void {
    this.#ended(entries, code, tookMs, now)
    this.#error(code, undefined)
  }

  /** A shard refused Kinesis records of one request for its quota. */
  throttled(shardId: string, kinesisRecords: number, now: number): void {
    this.#heat.throttled(shardId, kinesisRecords, now)
  }

  delivered(entry: Entry, shardId: string): void {
    const { UserRecordsPut, UserRecordsDataPut, RetriesPerRecord } = this.#tallies
    const { count, attempts } = entry
    UserRecordsPut.repeat(1, count)
    UserRecordsDataPut.merge(count, entry.dataBytes, entry.leastDataBytes, entry.mostDataBytes)
    if (entry.isFresh) RetriesPerRecord.repeat(attempts - 1, count)
    else for (const record of entry.records) RetriesPerRecord.add(record.attempts + attempts - 1)
    if (this.#telemetry === undefined) return
    const attributes = this.#of(shardId)
    this.#count('shardwise.producer.user_records.put', count, attributes)
    this.#count('shardwise.producer.user_records.data', entry.dataBytes, attributes)
    this.#sample('shardwise.producer.kinesis_record.retries', entry.totalAttempts - 1, attributes)
  }

  /** A user record finally failed. */
  gaveUp(record: UserRecord, error: Error): void {
    const reason = failureReason(error)
    this.#tallies.UserRecordsPut.add(0)
    this.#tallies.RetriesPerRecord.add(Math.max(0, record.attempts - 1))
    if (reason === 'expired') this.#tallies.UserRecordExpired.add(1)
    if (this.#telemetry !== undefined) this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1)
  }

  report(shards: ShardsNow, now: number): MeterReport {
    this.#tellReceived()
    return {
      metrics: this.#tallies.snapshot,
      shards: this.#heat.hottest(HOT_SHARDS, shards, now).map((shard) => ({ ...this.#stream, ...shard })),
      hottestKeys: this.#hottestKeys.report().map((key) => ({ ...this.#stream, ...key })),
    }
  }

  /** Forgets shards that are no longer open. */
  keepOnly(map: ShardMap): void {
    const open = new Set(map.open.map((shard) => shard.shardId))
    this.#heat.keepOnly(open)
    for (const shardId of this.#attributes.keys()) if (!open.has(shardId)) this.#attributes.delete(shardId)
  }

  #ended(entries: readonly Entry[], code: string | undefined, tookMs: number, now: number): void {
    let userRecords = 0
    for (const entry of entries) {
      entry.returnedAt = now
      userRecords += entry.count
      this.#tallies.UserRecordsPerKinesisRecord.add(entry.count)
      if (this.#telemetry === undefined) continue
      this.#sample('shardwise.producer.kinesis_record.user_records', entry.count, this.#of(entry.shardId))
    }
    this.#tallies.RequestTime.add(tookMs)
    this.#tallies.KinesisRecordsPerPutRecordsRequest.add(entries.length)
    this.#tallies.UserRecordsPerPutRecordsRequest.add(userRecords)
    this.#sample('shardwise.producer.request.duration', tookMs, code === undefined ? this.#stream : { ...this.#stream, code })
    this.#sample('shardwise.producer.request.kinesis_records', entries.length, this.#stream)
    this.#sample('shardwise.producer.request.user_records', userRecords, this.#stream)
  }

  #error(code: string, shardId: string | undefined): void {
    this.#tallies.error(code)
    this.#count('shardwise.producer.errors', 1, { ...this.#of(shardId), code })
  }

  #tellReceived(): void {
    const count = this.#received
    if (count === 0) return
    this.#received = 0
    this.#tallies.UserRecordsReceived.repeat(1, count)
    this.#count('shardwise.producer.user_records.received', count, this.#stream)
  }

  #count(name: InstrumentName, value: number, attributes: TelemetryAttributes): void {
    this.#telemetry?.counter?.(name, value, attributes)
  }

  #sample(name: InstrumentName, value: number, attributes: TelemetryAttributes): void {
    this.#telemetry?.histogram?.(name, value, attributes)
  }

  #of(shardId: string | undefined): TelemetryAttributes {
    if (shardId === undefined) return this.#stream
    let attributes = this.#attributes.get(shardId)
    if (attributes === undefined) {
      attributes = { ...this.#stream, shardId }
      this.#attributes.set(shardId, attributes)
    }
    return attributes
  }
}
