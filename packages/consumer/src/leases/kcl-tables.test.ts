import {
  type AttributeValue,
  CreateTableCommand,
  DescribeTableCommand,
  GetItemCommand,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb'
import { connectDynamoDB, type DynamoDBConnection } from '@shardwise/core/transport/dynamodb'
import { type LocalServices, startLocal } from '@shardwise/local'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { KclTables, OWNER_INDEX } from './kcl-tables.js'

type Item = Record<string, AttributeValue>

let local: LocalServices
let dynamodb: DynamoDBConnection
let applications = 0
let app: string
let tables: KclTables

beforeAll(async () => {
  local = await startLocal({ kinesis: false })
  const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }
  dynamodb = connectDynamoDB({ endpoint: local.dynamodbEndpoint, region: 'us-east-1', credentials })
})

afterAll(async () => {
  dynamodb.close()
  await local.stop()
})

beforeEach(async () => {
  app = `app-${++applications}`
  tables = new KclTables({ dynamodb, leaseTable: app, applicationName: app })
  await createTable(app, 'leaseKey', true)
})

async function createTable(TableName: string, key: string, index = false): Promise<void> {
  const names = index ? [key, 'leaseOwner'] : [key]
  await dynamodb.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: names.map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: [{ AttributeName: key, KeyType: 'HASH' }],
      ...(index && {
        GlobalSecondaryIndexes: [
          {
            IndexName: OWNER_INDEX,
            KeySchema: [
              { AttributeName: 'leaseOwner', KeyType: 'HASH' },
              { AttributeName: 'leaseKey', KeyType: 'RANGE' },
            ],
            Projection: { ProjectionType: 'KEYS_ONLY' },
          },
        ],
      }),
    }),
  )
  // It is CREATING for a moment.
  let status: string | undefined
  while (status !== 'ACTIVE') status = (await dynamodb.send(new DescribeTableCommand({ TableName }))).Table?.TableStatus
}

async function put(TableName: string, Item: Item): Promise<void> {
  await dynamodb.send(new PutItemCommand({ TableName, Item }))
}

async function rowOf(TableName: string, Key: Item): Promise<Item | undefined> {
  return (await dynamodb.send(new GetItemCommand({ TableName, Key }))).Item
}

const LOCK: Item = { ownerName: { S: 'j1' }, recordVersionNumber: { S: 'v1' }, leaseDuration: { S: '90000' } }
const leader = { owner: 'j1', version: 'v1', leaseDurationMs: 90_000, released: false }

describe('which layout it is', () => {
  test('leases and nothing else: KCL 2.x, or Shardwise', async () => {
    await put(app, { leaseKey: { S: 'shardId-0' }, leaseCounter: { N: '1' } })
    expect(await tables.probe()).toEqual({ layout: 'leases-only', clientVersion: undefined, leader: undefined })
  })

  test('three tables: 3.0 to 3.4', async () => {
    await createTable(`${app}-CoordinatorState`, 'key')
    expect(await tables.probe()).toEqual({ layout: 'three-tables', clientVersion: undefined, leader: undefined })
    await put(`${app}-CoordinatorState`, { key: { S: 'Leader' }, ...LOCK })
    await put(`${app}-CoordinatorState`, { key: { S: 'Migration3.0' }, cv: { S: 'CLIENT_VERSION_3X' } })
    expect(await tables.probe()).toEqual({ layout: 'three-tables', clientVersion: 'CLIENT_VERSION_3X', leader })
  })

  test('one table: 3.5', async () => {
    await put(app, { leaseKey: { S: 'Leader' }, entityType: { S: 'LEADER' }, ...LOCK, isReleased: { S: '1' } })
    await put(app, { leaseKey: { S: 'Migration3.0' }, cv: { S: 'CLIENT_VERSION_3X' } })
    expect(await tables.probe()).toEqual({
      layout: 'single-table',
      clientVersion: 'CLIENT_VERSION_3X',
      leader: { ...leader, released: true },
    })
  })

  test.each([
    ['DEPLOYED', 'three-tables'],
    ['PENDING', 'three-tables'],
    ['COMPLETE', 'single-table'],
  ])('3.5 that merges its tables: %s', async (status, layout) => {
    await createTable(`${app}-CoordinatorState`, 'key')
    await put(`${app}-CoordinatorState`, { key: { S: 'Migration3.0' }, cv: { S: 'CLIENT_VERSION_3X' } })
    await put(`${app}-CoordinatorState`, { key: { S: 'TableMigration3.5' }, tm: { S: `TABLE_MIGRATION_STATUS_${status}` } })
    await put(app, { leaseKey: { S: 'Migration3.0' }, cv: { S: 'CLIENT_VERSION_3X' } })
    expect(await tables.probe()).toMatchObject({ layout, clientVersion: 'CLIENT_VERSION_3X' })
  })
})

describe('worker rows', () => {
  test('in their own table', async () => {
    const name = `${app}-WorkerMetricStats`
    await createTable(name, 'wid')
    await put(name, { wid: { S: 'j1' }, lut: { N: '1700000000' }, sts: { M: {} }, opr: { M: {} } })
    expect(await tables.writeWorker('three-tables', 'me', 1_700_000_001)).toBe(true)
    expect(await rowOf(name, { wid: { S: 'me' } })).toEqual({
      wid: { S: 'me' },
      lut: { N: '1700000001' },
      slu: { N: '1700000001' },
      sup: { N: '1' },
      sts: { M: {} },
      opr: { M: {} },
      swWorker: { N: '1' },
    })
    const workers = [...(await tables.workers('three-tables'))].sort((a, b) => (a.workerId < b.workerId ? -1 : 1))
    expect(workers).toEqual([
      { workerId: 'j1', lastUpdate: 1_700_000_000, shardwise: false },
      { workerId: 'me', lastUpdate: 1_700_000_001, shardwise: true },
    ])
  })

  test('among the leases', async () => {
    await put(app, { leaseKey: { S: 'shardId-0' }, leaseCounter: { N: '1' }, lut: { N: '5' } })
    await tables.writeWorker('single-table', 'me', 1_700_000_001)
    expect(await rowOf(app, { leaseKey: { S: 'me' } })).toMatchObject({
      entityType: { S: 'WORKER_METRIC_STATS' },
      lut: { N: '1700000001' },
    })
    expect(await tables.workers('single-table')).toEqual([{ workerId: 'me', lastUpdate: 1_700_000_001, shardwise: true }])
  })

  test('where there is no place for it, none is written', async () => {
    expect(await tables.writeWorker('leases-only', 'me', 1)).toBe(false)
    expect(await rowOf(app, { leaseKey: { S: 'me' } })).toBeUndefined()
    expect(await tables.workers('leases-only')).toEqual([])
  })

  test('deleted as it was last written, and left when it is another’s', async () => {
    await tables.writeWorker('single-table', 'me', 100)
    await tables.deleteWorker('single-table', 'me', 99)
    expect(await rowOf(app, { leaseKey: { S: 'me' } })).toBeDefined()
    await tables.deleteWorker('single-table', 'me', 100)
    expect(await rowOf(app, { leaseKey: { S: 'me' } })).toBeUndefined()
    await tables.deleteWorker('single-table', 'me', 100)
  })
})

describe('the index', () => {
  test('shows what is assigned to us', async () => {
    for (const [key, owner] of [
      ['a', 'me'],
      ['b', 'j1'],
      ['c', 'me'],
    ] as const) {
      await put(app, { leaseKey: { S: key }, leaseCounter: { N: '1' }, leaseOwner: { S: owner } })
    }
    await put(app, { leaseKey: { S: 'd' }, leaseCounter: { N: '1' } })
    expect(await tables.assignedKeys('me')).toEqual(['a', 'c'])
    expect(await tables.assignedKeys('nobody')).toEqual([])
  })

  test('may be missing', async () => {
    await createTable(`${app}-plain`, 'leaseKey')
    const plain = new KclTables({ dynamodb, leaseTable: `${app}-plain`, applicationName: app })
    expect(await plain.assignedKeys('me')).toBeUndefined()
  })
})

test.each<[string, (tables: KclTables) => Promise<unknown>]>([
  ['workers', (tables) => tables.workers('three-tables')],
  ['workers among the leases', (tables) => tables.workers('single-table')],
  ['assigned leases', (tables) => tables.assignedKeys('w')],
])('a page that points to itself is refused, not read for ever: %s', async (_, read) => {
  let pages = 0
  const send = async (): Promise<object> => {
    if (++pages > 9) throw new Error('asked for again and again')
    return { Items: [], LastEvaluatedKey: { leaseKey: { S: 'a' } } }
  }
  const endless = new KclTables({ dynamodb: { send } as never, leaseTable: 'leases', applicationName: 'app' })
  await expect(read(endless)).rejects.toThrow(/points to itself/)
  expect(pages).toBe(2)
})
