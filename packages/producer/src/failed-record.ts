import { headersOf } from '@shardwise/core/record-tags'
import type { UserRecord } from './user-record.js'

/** A record that was not delivered, with all that it takes to put it again or aside. */
export interface FailedRecord {
  /** Name or ARN of the stream that it was put to. */
  readonly stream: string
  readonly partitionKey: string
  readonly explicitHashKey: string | undefined
  /** The payload as it was to be sent: encoded, if the producer has a codec. These bytes, but not always the array that was put: it may be a copy. */
  readonly data: Uint8Array
  /** Those that it was to carry, trace context among them; undefined if there are none. */
  readonly headers: Readonly<Record<string, string>> | undefined
}

/** `stream`: of a record that has not been accepted, the one that it was to go to. */
export function failedRecord(record: UserRecord, stream: string = record.account!.stream): FailedRecord {
  const { partitionKey, explicitHashKey, data, tags } = record
  return { stream, partitionKey, explicitHashKey, data, headers: tags === undefined ? undefined : headersOf(tags) }
}
