import type { KinesisRecord } from '@shardwise/core/kinesis-port'

/** What these records bring, as the byte budget counts. */
export function payloadBytes(records: readonly KinesisRecord[]): number {
  let bytes = 0
  for (const record of records) bytes += record.Data?.length ?? 0
  return bytes
}
