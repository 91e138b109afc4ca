import { PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb'
import type { JavaShard, JavaStream } from './java-shard.js'
import type { Item, JavaTables } from './java-worker-model.js'

/** schedulerInitializationBackoffTimeMillis. */
export const INITIALIZATION_BACKOFF_MS = 1_000

/**
 * HierarchicalShardSyncer.java with TRIM_HORIZON: a lease for each of the oldest shards whose descendants nobody leases. What descends from a
 * leased shard gets its lease at the end of that one.
 */
export async function synchronizeShards(options: {
  readonly tables: JavaTables
  readonly tableName: string
  readonly list: NonNullable<JavaStream['list']>
}): Promise<void> {
  const { tables, tableName, list } = options
  // The leases first: a shard that is listed and has none had none when the leases were read, or was made since.
  const { Items } = (await tables.send(new ScanCommand({ TableName: tableName }))) as { readonly Items: readonly Item[] }
  const leased = new Set(Items.map((row) => row.leaseKey!.S!))
  const shards = await list()
  const byId = new Map(shards.map((shard) => [shard.shardId, shard]))
  const parentsOf = ({ parents }: JavaShard): JavaShard[] => parents.flatMap((id) => byId.get(id) ?? [])
  const isServed = (shard: JavaShard): boolean => leased.has(shard.shardId) || parentsOf(shard).some(isServed)
  const oldest = (shard: JavaShard): JavaShard[] => (parentsOf(shard).length === 0 ? [shard] : parentsOf(shard).flatMap(oldest))
  const missing = new Set(shards.filter((shard) => shard.isOpen && !isServed(shard)).flatMap(oldest))
  for (const shard of missing) await createLease(tables, tableName, shard)
}

/** createLeaseIfNotExists, at TRIM_HORIZON. */
export async function createLease(tables: JavaTables, tableName: string, shard: JavaShard): Promise<void> {
  const { shardId, parents, range } = shard
  const Item: Item = {
    leaseKey: { S: shardId },
    leaseCounter: { N: '0' },
    ownerSwitchesSinceCheckpoint: { N: '0' },
    checkpoint: { S: 'TRIM_HORIZON' },
    checkpointSubSequenceNumber: { N: '0' },
    ...(parents.length > 0 && { parentShardId: { SS: [...parents] } }),
    ...(range && range.start < range.end && { startingHashKey: { S: `${range.start}` }, endingHashKey: { S: `${range.end}` } }),
  }
  const put = new PutItemCommand({ TableName: tableName, Item, ConditionExpression: 'attribute_not_exists(leaseKey)' })
  await tables.send(put).catch((error: Error) => {
    if (error.name !== 'ConditionalCheckFailedException') throw error
  })
}
