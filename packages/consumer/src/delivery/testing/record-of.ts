import type { ConsumedRecord } from '../consumed-record.js'

/** A record as a handler gets it, at `sequence`/`subSequenceNumber`. */
export function recordOf(sequence: number, subSequenceNumber = 0, partitionKey = 'a'): ConsumedRecord {
  return {
    stream: 'orders',
    shardId: 'shard',
    partitionKey,
    explicitHashKey: undefined,
    data: new Uint8Array(),
    bytes: new Uint8Array(),
    sequenceNumber: `${sequence}`,
    subSequenceNumber,
    aggregated: subSequenceNumber > 0,
    outsideShardRange: false,
    headers: {},
    recordId: undefined,
    idempotencyKey: `${sequence}`,
    arrivedAt: undefined,
  }
}
