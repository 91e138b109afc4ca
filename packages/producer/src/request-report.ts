import type { EventSource } from '@shardwise/core/events'
import type { PutRecordsResult } from '@shardwise/core/kinesis-port'
import { withAdvice } from '@shardwise/core/service-error'
import type { Entry } from './entry.js'
import type { Meter } from './meter.js'
import type { ProducerEvent } from './producer-events.js'
import type { Settings } from './producer-options.js'
import type { ProducerCounters } from './producer-stats.js'
import type { Request, RequestOutcome } from './request-sender.js'

export type AnsweredRequest = Pick<Request, 'id' | 'entries' | 'sentAt'>

/** What is wrong with all of a request. */
export interface RequestFault {
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly written: 'no' | 'unknown'
  readonly cause: unknown
}

export interface RequestReportParts {
  readonly settings: Pick<Settings, 'stream'>
  readonly events: EventSource<ProducerEvent>
  readonly counters: ProducerCounters
  readonly meter: Meter
}

/** Counts how requests end, and tells it. */
export class RequestReport {
  readonly #parts: RequestReportParts

  constructor(parts: RequestReportParts) {
    this.#parts = parts
  }

  answered(request: AnsweredRequest, results: readonly PutRecordsResult[], now: number): void {
    const { settings, events, meter } = this.#parts
    const { id: requestId, entries, sentAt } = request
    const tookMs = now - sentAt
    meter.answered(entries, results, tookMs, now)
    const refusedKinesisRecords = results.reduce((count, result) => count + (result.SequenceNumber ? 0 : 1), 0)
    events.emit({ type: 'request-succeeded', stream: settings.stream, requestId, tookMs, refusedKinesisRecords })
    if (refusedKinesisRecords > 0) this.#throttled(request, results, now)
  }

  failed({ id: requestId, entries, sentAt }: AnsweredRequest, fault: RequestFault, now: number): void {
    const { settings, events, counters, meter } = this.#parts
    const { code, message, retryable, written } = fault
    const tookMs = now - sentAt
    counters.requestsFailed++
    meter.failed(entries, code, tookMs, now)
    const kinesisRecords = entries.length
    const { stream } = settings
    events.emit({ type: 'request-failed', stream, requestId, tookMs, kinesisRecords, code, message, retryable, written })
  }

  /** What the shards' quotas refused of one request. */
  #throttled({ id: requestId, entries }: AnsweredRequest, results: readonly PutRecordsResult[], now: number): void {
    const { settings, events, meter } = this.#parts
    for (const [shardId, kinesisRecords] of throttledShards(entries, results)) {
      if (shardId !== undefined) meter.throttled(shardId, kinesisRecords, now)
      if (!events.hasListeners('throttled')) continue
      events.emit({ type: 'throttled', stream: settings.stream, requestId, shardId, kinesisRecords })
    }
  }
}

/** Of a request that was not answered entry by entry. */
export function faultOf(outcome: Exclude<RequestOutcome, { kind: 'answered' }>, entries: number): RequestFault {
  if (outcome.kind === 'failed') {
    const { code, retryable, written } = outcome.failure
    return { code, message: withAdvice(outcome.failure), retryable, written, cause: outcome.cause }
  }
  const message = `the answer to PutRecords has ${outcome.results} results for ${entries} records, so none can be told apart`
  return { code: 'ResultCountMismatch', message, retryable: false, written: 'unknown', cause: undefined }
}

/** How many entries of each shard that was predicted were refused for its quota. */
function throttledShards(entries: readonly Entry[], results: readonly PutRecordsResult[]): Map<string | undefined, number> {
  const shards = new Map<string | undefined, number>()
  for (const [i, { shardId }] of entries.entries()) {
    if (results[i]?.ErrorCode !== 'ProvisionedThroughputExceededException') continue
    shards.set(shardId, (shards.get(shardId) ?? 0) + 1)
  }
  return shards
}
