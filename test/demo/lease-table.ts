import { type DynamoDBClient, ResourceNotFoundException, ScanCommand } from '@aws-sdk/client-dynamodb'

export interface LeaseRow {
  readonly shardId: string
  readonly owner: string | undefined
  readonly ended: boolean
}

/** The lease table as anyone can read it: KCL's schema, straight from DynamoDB, not through the product. */
export async function readLeases(client: DynamoDBClient, table: string): Promise<LeaseRow[]> {
  try {
    const { Items = [] } = await client.send(new ScanCommand({ TableName: table, ConsistentRead: true }))
    return Items.map((item) => ({
      shardId: item.leaseKey?.S ?? '?',
      owner: item.leaseOwner?.S,
      ended: item.checkpoint?.S === 'SHARD_END',
    })).sort((a, b) => a.shardId.localeCompare(b.shardId))
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return []
    throw error
  }
}
