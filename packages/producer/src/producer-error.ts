import type { FailedRecord } from './failed-record.js'
import type { WaitedFor } from './waited-for.js'

/**
 * What a caller can decide on, one class a decision: mend the record (RecordRejectedError), write it again or put it aside
 * (DeliveryFailedError), take care of order first (LaneHaltedError), mend the stream or the set-up (StreamUnusableError), or stop putting
 * (ProducerClosedError). Options are refused with InvalidOptionError of @shardwise/core.
 */

/** Whether the record may lie in the stream in spite of the failure: 'no' is certain, 'unknown' means a reader may see it. */
export type Written = 'no' | 'unknown'

/** The record itself cannot be sent: wrong key, no bytes, too large. Nothing was sent; the same record will be refused again. */
export class RecordRejectedError extends Error {
  override readonly name = 'RecordRejectedError'
  readonly code = 'ERR_SHARDWISE_RECORD_REJECTED'
  /** The field that breaks a rule, or `record` where there is none. */
  readonly field: 'record' | 'stream' | 'partitionKey' | 'explicitHashKey' | 'data' | 'headers' | 'recordId'

  constructor(field: RecordRejectedError['field'], problem: string, options: ErrorOptions = {}) {
    super(`The record was not accepted: \`${field}\` ${problem}`, options)
    this.field = field
  }
}

/** An accepted record finally failed. Putting it again is safe when `written` is 'no' and may duplicate it when 'unknown'. */
export class DeliveryFailedError extends Error {
  override readonly name = 'DeliveryFailedError'
  readonly code = 'ERR_SHARDWISE_DELIVERY_FAILED'
  readonly stream: string
  readonly partitionKey: string
  readonly written: Written
  /** PutRecords requests that carried the record. */
  readonly attempts: number
  /**
   * `expired`: retried until `recordTtlMs`. `attempts-exhausted`: retried until `retry.maxAttempts`. `throttled`: refused for the shard's
   * quota, with `failIfThrottled`. `refused`: the service said no for good. `malformed-response`: its answer could not be understood.
   */
  readonly reason: 'expired' | 'attempts-exhausted' | 'throttled' | 'refused' | 'malformed-response'
  /** The service's last error code, such as ProvisionedThroughputExceededException; undefined when nothing was sent. */
  readonly serviceCode: string | undefined
  /** Of a record that expired and was never sent: what it had waited for. */
  readonly waitedFor: WaitedFor | undefined
  /** Private, so that whoever prints the error or logs its fields does not print a payload. */
  readonly #record: FailedRecord

  constructor(
    message: string,
    fields: Pick<DeliveryFailedError, 'record' | 'written' | 'attempts' | 'reason' | 'serviceCode'> & {
      readonly waitedFor?: WaitedFor | undefined
    },
    options: ErrorOptions = {},
  ) {
    super(message, options)
    this.#record = fields.record
    this.stream = fields.record.stream
    this.partitionKey = fields.record.partitionKey
    this.written = fields.written
    this.attempts = fields.attempts
    this.reason = fields.reason
    this.serviceCode = fields.serviceCode
    this.waitedFor = fields.waitedFor
  }

  /** To put it again or aside. */
  get record(): FailedRecord {
    return this.#record
  }
}

/**
 * With order kept: an earlier record of the same shard, or of the same key, finally failed (`cause`), so this one was not sent, or, if
 * `written` is 'unknown', not sent again. Shard or key takes no records until `resume()`: put the failed ones again in their order, or
 * give them up. Never with `afterFailure: 'continue'`.
 */
export class LaneHaltedError extends Error {
  override readonly name = 'LaneHaltedError'
  readonly code = 'ERR_SHARDWISE_LANE_HALTED'
  readonly stream: string
  readonly partitionKey: string
  readonly written: Written
  readonly #record: FailedRecord

  constructor(record: FailedRecord, written: Written, cause: Error) {
    super(
      `Not sent, to keep the order: an earlier record of the same shard or key failed (${cause.message}). ` +
        `Put the failed records again after resume(), or drop them`,
      { cause },
    )
    this.#record = record
    this.stream = record.stream
    this.partitionKey = record.partitionKey
    this.written = written
  }

  /** To put it again or aside. */
  get record(): FailedRecord {
    return this.#record
  }
}

/** The stream cannot be written to as things are: missing, being deleted, no permission, no credentials, unreachable, or unordered. */
export class StreamUnusableError extends Error {
  override readonly name = 'StreamUnusableError'
  readonly code = 'ERR_SHARDWISE_STREAM_UNUSABLE'
  readonly stream: string
  /** The service's error code, or `StreamCreating`, `StreamDeleting`, `AutoDistribution`. */
  readonly serviceCode: string

  constructor(stream: string, serviceCode: string, problem: string, options: ErrorOptions = {}) {
    super(`Stream ${stream} cannot be written to: ${problem}`, options)
    this.stream = stream
    this.serviceCode = serviceCode
  }
}

/** The producer was closed, or is closing: this record was not accepted. */
export class ProducerClosedError extends Error {
  override readonly name = 'ProducerClosedError'
  readonly code = 'ERR_SHARDWISE_PRODUCER_CLOSED'

  constructor() {
    super('The producer is closed and takes no more records: make a new one')
  }
}
