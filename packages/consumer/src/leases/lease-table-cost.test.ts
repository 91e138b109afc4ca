import { BatchWriteItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb'
import { systemClock } from '@shardwise/core/clock'
import { MAX_HASH_KEY } from '@shardwise/core/hash-key'
import { connectDynamoDB, type DynamoDBConnection } from '@shardwise/core/transport/dynamodb'
import { type LocalServices, startLocal } from '@shardwise/local'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sequencePosition } from '../checkpoints/position.js'
import { DynamoDBLeaseStore } from './dynamodb-lease-store.js'
import type { DynamoDBPort } from './dynamodb-port.js'
import { inTurns } from './lease-calls.js'
import { newRow } from './lease-row.js'
import { scanIntervalMs } from './table-scan.js'

const STREAM = 'a-stream-with-a-name-of-usual-length'
const HOUR_MS = 3_600_000

let local: LocalServices
let dynamodb: DynamoDBConnection
let consumed = 0

beforeAll(async () => {
  local = await startLocal({ kinesis: false })
  const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }
  dynamodb = connectDynamoDB({ endpoint: local.dynamodbEndpoint, region: 'us-east-1', credentials })
})

afterAll(async () => {
  dynamodb.close()
  await local.stop()
})

/** Counts the read units of each page of a scan. */
const counting = {
  send: async (command: object, options?: object) => {
    if (!(command instanceof ScanCommand)) return dynamodb.send(command as never, options)
    const page = await dynamodb.send(new ScanCommand({ ...command.input, ReturnConsumedCapacity: 'TOTAL' }), options)
    consumed += page.ConsumedCapacity?.CapacityUnits ?? Number.NaN
    return page
  },
} as DynamoDBPort

/** A table of leases as they are in use: owned, checkpointed, with parents. */
async function tableOf(leases: number): Promise<DynamoDBLeaseStore> {
  const tableName = `leases-${leases}`
  const store = new DynamoDBLeaseStore({ dynamodb: counting, tableName, streamName: STREAM, clock: systemClock })
  await store.open()
  const width = (MAX_HASH_KEY + 1n) / BigInt(leases)
  const rows = Array.from({ length: leases }, (_, i) => {
    const owner = `ip-10-0-${i % 250}-17.eu-central-1.compute.internal:k3j5h2g8f9d1`
    const lease = {
      leaseKey: `shardId-${String(i + leases).padStart(12, '0')}`,
      checkpoint: sequencePosition(`4959033827149025660855969253836157109592157598913658${String(i).padStart(4, '0')}`, 12),
      parentShardIds: [`shardId-${String(i).padStart(12, '0')}`],
      range: { start: BigInt(i) * width, end: BigInt(i + 1) * width - 1n },
      startAt: 1_767_225_600_000,
      streamCreatedAt: 1_767_225_600_000,
    }
    return {
      ...newRow(lease, { name: STREAM, arn: undefined }),
      leaseOwner: { S: owner },
      swOwner: { S: owner },
      leaseCounter: { N: `${1_000_000 + i}` },
    }
  })
  const batches = Array.from({ length: Math.ceil(leases / 25) }, (_, i) => rows.slice(i * 25, i * 25 + 25))
  await inTurns(batches, async (batch) => {
    const puts = batch.map((Item) => ({ PutRequest: { Item } }))
    await dynamodb.send(new BatchWriteItemCommand({ RequestItems: { [tableName]: puts } }))
  })
  return store
}

describe('what the scans of one worker cost, at a failover time of 10 s', () => {
  test.each([
    { leases: 100, most: 8 },
    { leases: 1_000, most: 40 },
    { leases: 10_000, most: 40 },
  ])('$leases leases: at most $most read units a second', async ({ leases, most }) => {
    const store = await tableOf(leases)
    consumed = 0
    expect((await store.list()).leases).toHaveLength(leases)
    const scanned = consumed
    const everyMs = scanIntervalMs(leases, 10_000)
    const anHour = Math.round((scanned * HOUR_MS) / everyMs)
    console.info(
      `${leases} leases: a scan of ${scanned} read units every ${everyMs / 1_000} s, ${anHour} an hour for each worker`,
    )
    expect(anHour / 3_600).toBeLessThanOrEqual(most)
  })
})
