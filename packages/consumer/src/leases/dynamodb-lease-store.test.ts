import {
  type AttributeValue,
  DeleteTableCommand,
  GetItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import { systemClock } from '@shardwise/core/clock'
import { connectDynamoDB, type DynamoDBConnection } from '@shardwise/core/transport/dynamodb'
import { type LocalServices, startLocal } from '@shardwise/local'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { DynamoDBLeaseStore } from './dynamodb-lease-store.js'
import type { DynamoDBPort } from './dynamodb-port.js'
import { leaseStoreSuite } from './lease-store.suite.js'
import { aLease } from './testing/lease-rows.js'

let local: LocalServices
let dynamodb: DynamoDBConnection
let tables = 0
let tableName: string

beforeAll(async () => {
  local = await startLocal({ kinesis: false })
  const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }
  dynamodb = connectDynamoDB({ endpoint: local.dynamodbEndpoint, region: 'us-east-1', credentials })
})

afterAll(async () => {
  dynamodb.close()
  await local.stop()
})

beforeEach(() => {
  tableName = `leases-${++tables}`
})

async function opened(): Promise<DynamoDBLeaseStore> {
  const store = new DynamoDBLeaseStore({ dynamodb, tableName, streamName: 'flights', clock: systemClock })
  await store.open()
  return store
}

async function rowOf(leaseKey: string): Promise<Record<string, AttributeValue> | undefined> {
  return (await dynamodb.send(new GetItemCommand({ TableName: tableName, Key: { leaseKey: { S: leaseKey } } }))).Item
}

async function put(row: Record<string, AttributeValue>): Promise<void> {
  await dynamodb.send(new PutItemCommand({ TableName: tableName, Item: row }))
}

async function openedForSeveral(): Promise<DynamoDBLeaseStore> {
  const store = new DynamoDBLeaseStore({ dynamodb, tableName, streamName: undefined, clock: systemClock })
  await store.open()
  return store
}

const STREAM_ID = '123456789012:flights:1763718000'

leaseStoreSuite('DynamoDB', opened)
leaseStoreSuite('DynamoDB, several streams', openedForSeveral, { streamId: STREAM_ID, streamCreatedAt: 1_763_718_000_000 })

describe('several streams: the row is KCL’s', () => {
  const shardId = 'shardId-000000000003'
  const leaseKey = `${STREAM_ID}:${shardId}`

  test('at creation', async () => {
    const store = await openedForSeveral()
    const rest = { parentShardIds: ['shardId-000000000001'], range: undefined, startAt: undefined }
    await store.create({ leaseKey, streamId: STREAM_ID, streamCreatedAt: 1_763_718_000_000, checkpoint: TRIM_HORIZON, ...rest })
    expect(await rowOf(leaseKey)).toEqual({
      leaseKey: { S: leaseKey },
      streamName: { S: STREAM_ID },
      shardId: { S: shardId },
      entityType: { S: 'LEASE' },
      swStreamCreated: { N: '1763718000000' },
      leaseCounter: { N: '0' },
      ownerSwitchesSinceCheckpoint: { N: '0' },
      checkpoint: { S: 'TRIM_HORIZON' },
      checkpointSubSequenceNumber: { N: '0' },
      parentShardId: { SS: ['shardId-000000000001'] },
    })
  })

  test('made by KCL: it keeps its stream and its shard through our writes', async () => {
    const store = await openedForSeveral()
    const names = { leaseKey: { S: leaseKey }, streamName: { S: STREAM_ID }, shardId: { S: shardId } }
    const counts = { leaseCounter: { N: '41' }, ownerSwitchesSinceCheckpoint: { N: '0' } }
    await put({ ...names, ...counts, checkpoint: { S: '8' }, checkpointSubSequenceNumber: { N: '3' }, leaseOwner: { S: 'java' } })
    const { leases } = await store.list()
    expect(leases).toMatchObject([{ leaseKey, shardId, streamId: STREAM_ID, streamCreatedAt: undefined, leaseOwner: 'java' }])
    await store.take(leases[0]!, 'me')
    expect(await rowOf(leaseKey)).toMatchObject({ ...names, leaseOwner: { S: 'me' }, leaseCounter: { N: '42' } })
  })

  test.each([
    [
      'a row of one stream',
      undefined,
      { leaseKey: { S: 's1' } },
      /lease s1 of an application that reads one stream, and cannot hold/,
    ],
    ['that row of ours', undefined, { leaseKey: { S: 's1' }, swStream: { S: 'weather' } }, /one stream \(weather\)/],
    [
      'a row of several streams',
      'flights',
      { leaseKey: { S: leaseKey }, streamName: { S: STREAM_ID } },
      /several streams, and .* stream flights/,
    ],
  ])('%s is refused by the other kind', async (_name, streamName, row, message) => {
    const store = streamName === undefined ? await openedForSeveral() : await opened()
    await put({ ...row, leaseCounter: { N: '1' }, checkpoint: { S: 'TRIM_HORIZON' } })
    await expect(store.list()).rejects.toThrow(message)
    await expect(store.list()).rejects.toThrow('`applicationName` or `leaseTable` of its own')
  })

  test('a key that is not made of its stream and its shard cannot be used', async () => {
    const store = await openedForSeveral()
    const row = { leaseKey: { S: 'elsewhere' }, streamName: { S: STREAM_ID }, shardId: { S: shardId } }
    await put({ ...row, leaseCounter: { N: '1' }, checkpoint: { S: 'TRIM_HORIZON' } })
    expect(await store.list()).toMatchObject({
      leases: [],
      malformed: [{ leaseKey: 'elsewhere', reason: expect.stringContaining(leaseKey) }],
    })
  })
})

describe('the row is KCL’s', () => {
  test('at creation', async () => {
    const store = await opened()
    await store.create({
      leaseKey: 's3',
      checkpoint: TRIM_HORIZON,
      parentShardIds: ['s1', 's2'],
      range: { start: 0n, end: 9n },
      startAt: 5,
    })
    expect(await rowOf('s3')).toEqual({
      leaseKey: { S: 's3' },
      entityType: { S: 'LEASE' },
      swStream: { S: 'flights' },
      leaseCounter: { N: '0' },
      ownerSwitchesSinceCheckpoint: { N: '0' },
      checkpoint: { S: 'TRIM_HORIZON' },
      checkpointSubSequenceNumber: { N: '0' },
      parentShardId: { SS: ['s1', 's2'] },
      startingHashKey: { S: '0' },
      endingHashKey: { S: '9' },
      swStartAt: { N: '5' },
    })
  })

  test('without a range where that is one hash key, which KCL cannot read', async () => {
    const store = await opened()
    await store.create({
      leaseKey: 's1',
      checkpoint: TRIM_HORIZON,
      parentShardIds: [],
      range: { start: 7n, end: 7n },
      startAt: undefined,
    })
    expect(Object.keys((await rowOf('s1'))!).filter((name) => /hash/i.test(name))).toEqual([])
    expect((await store.read('s1'))?.range).toBeUndefined()
  })

  test('made by KCL 2.x: what we do not know stays, a checkpoint of ours ends its two-phase checkpoint, entityType is not added', async () => {
    const store = await opened()
    const pending = {
      pendingCheckpoint: { S: '9' },
      pendingCheckpointSubSequenceNumber: { N: '0' },
      pendingCheckpointState: { B: new Uint8Array([1]) },
    }
    const kin = { parentShardId: { SS: ['s0'] }, childShardIds: { SS: ['s9'] } }
    const kept = { throughputKBps: { N: '1.5' }, futureAttribute: { M: { a: { S: 'b' } } }, ...kin }
    const counts = { leaseCounter: { N: '41' }, ownerSwitchesSinceCheckpoint: { N: '2' } }
    const position = { checkpoint: { S: '8' }, checkpointSubSequenceNumber: { N: '3' } }
    await put({ leaseKey: { S: 's1' }, leaseOwner: { S: 'java' }, ...counts, ...position, ...pending, ...kept })
    const { leases } = await store.list()
    expect(leases).toMatchObject([{ parentShardIds: ['s0'], childShardIds: ['s9'] }])
    expect(leases).toMatchObject([
      { leaseKey: 's1', leaseOwner: 'java', leaseCounter: 41, checkpoint: sequencePosition('8', 3), shardwiseOwner: undefined },
    ])
    const write = await store.take(leases[0]!, 'me')
    expect(await rowOf('s1')).toMatchObject({ ...pending, ...kept, ownerSwitchesSinceCheckpoint: { N: '3' } })
    await store.renew(write.lease!, 'me', { checkpoint: sequencePosition('10') })
    expect(await rowOf('s1')).toEqual({
      leaseKey: { S: 's1' },
      leaseOwner: { S: 'me' },
      swOwner: { S: 'me' },
      leaseCounter: { N: '43' },
      ownerSwitchesSinceCheckpoint: { N: '0' },
      checkpoint: { S: '10' },
      checkpointSubSequenceNumber: { N: '0' },
      ...kept,
    })
  })

  test('a KCL worker is never asked for a handoff, also on a lease that was ours before', async () => {
    const store = await opened()
    const position = { checkpoint: { S: '8' }, checkpointSubSequenceNumber: { N: '0' } }
    await put({ leaseKey: { S: 's1' }, leaseOwner: { S: 'java' }, swOwner: { S: 'me' }, leaseCounter: { N: '1' }, ...position })
    expect((await store.requestHandoff((await store.read('s1'))!, 'me')).done).toBe(false)
  })

  test('rows that are no leases are passed over, rows that cannot be read are named', async () => {
    const store = await opened()
    const lease = { leaseCounter: { N: '0' }, checkpoint: { S: 'LATEST' }, checkpointSubSequenceNumber: { N: '0' } }
    await put({ leaseKey: { S: 'worker' }, entityType: { S: 'WORKER_METRIC_STATS' }, leaseCounter: { N: '1' } })
    await put({ leaseKey: { S: 'Leader' }, ownerName: { S: 'x' } })
    await put({ leaseKey: { S: 'good' }, ...lease })
    await put({ leaseKey: { S: 'bad checkpoint' }, ...lease, checkpoint: { S: 'NOWHERE' } })
    await put({ leaseKey: { S: 'bad counter' }, ...lease, leaseCounter: { N: '1.5' } })
    const { leases, malformed } = await store.list()
    expect(leases.map((each) => each.leaseKey)).toEqual(['good'])
    expect(new Map(malformed.map((each) => [each.leaseKey, each.reason]))).toEqual(
      new Map([
        ['bad checkpoint', expect.stringContaining('NOWHERE')],
        ['bad counter', expect.stringContaining('1.5')],
      ]),
    )
  })

  test.each([
    [{ leaseKey: { S: 's1' }, swStream: { S: 'weather' } }, 'the lease s1 of stream weather'],
    [
      { leaseKey: { S: 'acct:s:1:s1' }, streamName: { S: 'acct:s:1' } },
      'the lease acct:s:1:s1 of an application that reads several',
    ],
  ])('leases that are not of our stream are refused: %j', async (foreign, message) => {
    const store = await opened()
    const lease = { leaseCounter: { N: '0' }, checkpoint: { S: 'LATEST' }, checkpointSubSequenceNumber: { N: '0' } }
    await put({ ...lease, ...foreign })
    const error = { name: 'LeaseTableError', message: expect.stringContaining(message) }
    await expect(store.list()).rejects.toMatchObject(error)
    await expect(store.read(foreign.leaseKey.S)).rejects.toMatchObject(error)
  })

  test('more than a page of rows', async () => {
    const store = await opened()
    const padding = { filler: { S: 'x'.repeat(300_000) } }
    for (let i = 0; i < 8; i++) {
      await put({
        leaseKey: { S: `s${i}` },
        leaseCounter: { N: '0' },
        checkpoint: { S: 'LATEST' },
        checkpointSubSequenceNumber: { N: '0' },
        ...padding,
      })
    }
    expect((await store.list()).leases).toHaveLength(8)
  })
})

test('a table that goes away fails as the service says', async () => {
  const store = await opened()
  await dynamodb.send(new DeleteTableCommand({ TableName: tableName }))
  await expect(store.list()).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
})

test('the row that failed a condition is used when DynamoDB sends it, without another read', async () => {
  const sent: string[] = []
  const Item = { leaseKey: { S: 's1' }, leaseCounter: { N: '8' }, leaseOwner: { S: 'other' }, checkpoint: { S: 'LATEST' } }
  const port = {
    send: async (command: object) => {
      sent.push(command.constructor.name)
      expect((command as UpdateItemCommand).input.ReturnValuesOnConditionCheckFailure).toBe('ALL_OLD')
      throw Object.assign(new Error('The conditional request failed'), { name: 'ConditionalCheckFailedException', Item })
    },
  } as unknown as DynamoDBPort
  const store = new DynamoDBLeaseStore({ dynamodb: port, tableName, streamName: 'flights', clock: systemClock })
  const row = aLease('s1', { leaseOwner: 'me', leaseCounter: 7 })
  expect(await store.renew(row, 'me', {})).toMatchObject({ done: false, lease: { leaseOwner: 'other', leaseCounter: 8 } })
  expect(sent).toEqual([UpdateItemCommand.name])
})
