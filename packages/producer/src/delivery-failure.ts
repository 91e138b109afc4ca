import { failedRecord } from './failed-record.js'
import { DeliveryFailedError, RecordRejectedError } from './producer-error.js'
import type { UserRecord } from './user-record.js'
import { WAITED_FOR, type WaitedFor } from './waited-for.js'

/** The words for records that finally failed. The record must have been taken out of its entry. */

export function expired(record: UserRecord, ttlMs: number, waitedFor?: WaitedFor): DeliveryFailedError {
  const { lastFailure, attempts } = record
  const told =
    attempts > 0
      ? `after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}; the last one: ${lastFailure?.code}: ${lastFailure?.message}`
      : lastFailure === undefined
        ? `and was never sent: it waited for ${WAITED_FOR[waitedFor ?? 'requests']}`
        : `and was never sent: ${lastFailure.message}`
  return failure(
    record,
    'expired',
    `was not delivered within recordTtlMs (${ttlMs}), ${told}`,
    attempts === 0 ? waitedFor : undefined,
  )
}

export function exhausted(record: UserRecord, maxAttempts: number): DeliveryFailedError {
  const { code, message } = record.lastFailure!
  return failure(
    record,
    'attempts-exhausted',
    `was not delivered in retry.maxAttempts (${maxAttempts}); the last one: ${code}: ${message}`,
  )
}

/** With `failIfThrottled`. */
export function throttledOut(record: UserRecord): DeliveryFailedError {
  const { code, message } = record.lastFailure!
  return failure(record, 'throttled', `was refused for its shard's quota, and failIfThrottled is set: ${code}: ${message}`)
}

export function refused(record: UserRecord): DeliveryFailedError {
  const { code, message } = record.lastFailure!
  return failure(record, 'refused', `was refused for good: ${code}: ${message}`)
}

export function misunderstood(record: UserRecord): DeliveryFailedError {
  return failure(record, 'malformed-response', `has an unknown fate: ${record.lastFailure!.message}`)
}

/** Its data is not what was put any more. */
export function spoilt(record: UserRecord): DeliveryFailedError {
  const problem =
    `cannot be packed: its data had ${record.dataBytes} bytes when it was put and has ${record.data.byteLength} now. ` +
    'Leave the buffer alone until the record has settled'
  return failure(record, 'refused', problem)
}

/** A stream with service-managed distribution has no place for headers: an aggregate of one may lie where its readers drop it. */
export function headersRefused(stream: string): RecordRejectedError {
  return new RecordRejectedError('headers', `cannot travel on stream ${stream}: ${WHY_NO_HEADERS}`)
}

/** The stream has become one that takes no headers, after the record was accepted. */
export function strandedByHeaders(record: UserRecord, stream: string): RecordRejectedError | DeliveryFailedError {
  const cause = headersRefused(stream)
  if (record.attempts === 0) return cause
  record.lastFailure = { code: 'HeadersRefused', message: `headers cannot travel any more: ${WHY_NO_HEADERS}`, cause }
  return refused(record)
}

const WHY_NO_HEADERS =
  "the stream's records are distributed by the service (RecordDistributionStrategy AUTO). " +
  'Leave headers out, put them into the data, or switch the stream to USER_PARTITION_KEY'

function failure(
  record: UserRecord,
  reason: DeliveryFailedError['reason'],
  problem: string,
  waitedFor?: WaitedFor,
): DeliveryFailedError {
  const { partitionKey, attempts, lastFailure } = record
  const written = record.mayBeWritten ? 'unknown' : 'no'
  const hint = record.mayBeWritten ? ' (it may have been written; putting it again may duplicate it)' : ''
  const key = JSON.stringify(partitionKey.length > 60 ? `${partitionKey.slice(0, 60)}...` : partitionKey)
  return new DeliveryFailedError(
    `The record with partition key ${key} ${problem}${hint}`,
    { record: failedRecord(record), written, attempts, reason, waitedFor, serviceCode: lastFailure?.code },
    lastFailure?.cause === undefined ? {} : { cause: lastFailure.cause },
  )
}
