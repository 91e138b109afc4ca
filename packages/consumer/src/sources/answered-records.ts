import type { KinesisRecord } from '@shardwise/core/kinesis-port'

/**
 * Those of an answer to a read. One without a list of them, such as an empty body with status 200 from something in between, says nothing: as it names no
 * place to go on from either, it would look like the end of the shard, and what a closed shard still holds would be lost.
 */
export function answeredRecords(
  answer: { readonly Records?: readonly KinesisRecord[] | undefined },
  operation: string,
  shardId: string,
): readonly KinesisRecord[] {
  if (Array.isArray(answer.Records)) return answer.Records
  throw new Error(
    `${operation} of ${shardId} was answered without a list of records: check the endpoint, and that no proxy changes or cuts answers`,
  )
}
