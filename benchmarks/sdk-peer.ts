import { setTimeout as delay } from 'node:timers/promises'
import { KinesisClient, PutRecordsCommand, type PutRecordsRequestEntry } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import type { PutPlace } from './http-place.js'
import { hashKeyOf, type PeerAggregate } from './producer.js'

/** Requests that each peer has under way at a time. */
export const IN_FLIGHT = 8
export const MAX_BATCH = 500
/** Before what a shard refused goes again. */
const REFUSED_PAUSE_MS = 100

export function sdkClient({ connection }: PutPlace, keepAlive: boolean): KinesisClient {
  if (!keepAlive) return new KinesisClient(connection)
  const agent = { keepAlive: true, maxSockets: 64 }
  return new KinesisClient({ ...connection, requestHandler: new NodeHttpHandler({ httpAgent: agent, httpsAgent: agent }) })
}

/** Built. The peer's own key is a constant, which may lie in any shard. */
export function entryOf({ aggregator, first }: PeerAggregate): PutRecordsRequestEntry {
  return { Data: aggregator.build().data, PartitionKey: 'a', ExplicitHashKey: hashKeyOf(first).toString() }
}

/** `accepted` is told the position of each entry. Those that were refused go again. */
export async function deliver(
  client: KinesisClient,
  stream: string,
  entries: readonly PutRecordsRequestEntry[],
  accepted: (position: number) => void,
): Promise<void> {
  let left = entries
  let positions: readonly number[] = entries.map((_, position) => position)
  while (left.length > 0) {
    const { Records: results = [] } = await client.send(new PutRecordsCommand({ StreamName: stream, Records: [...left] }))
    const refused = new Set<number>()
    for (const [i, { SequenceNumber }] of results.entries()) {
      if (SequenceNumber === undefined) refused.add(i)
      else accepted(positions[i]!)
    }
    if (refused.size > 0) await delay(REFUSED_PAUSE_MS)
    left = left.filter((_, i) => refused.has(i))
    positions = positions.filter((_, i) => refused.has(i))
  }
}
