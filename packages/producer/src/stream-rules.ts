import { strandedByHeaders } from './delivery-failure.js'
import type { DeliveryFailedError, RecordRejectedError } from './producer-error.js'
import { tooLarge, type UserRecord } from './user-record.js'

/** Why the stream, by what is known of it, cannot take the record; undefined if it can. `auto`: its records are distributed by the service. */
export function streamRefusal(
  record: UserRecord,
  stream: string,
  maxRecordBytes: number | undefined,
  auto: boolean,
): RecordRejectedError | DeliveryFailedError | undefined {
  if (auto && record.hasHeaders) return strandedByHeaders(record, stream)
  const isTagged = record.tags !== undefined && !auto
  const bytes = isTagged || record.tags === undefined ? record.bytes : record.dataBytes + Buffer.byteLength(record.partitionKey)
  if (maxRecordBytes === undefined || bytes <= maxRecordBytes) return undefined
  return tooLarge(bytes, maxRecordBytes, `stream ${stream}`, isTagged)
}
