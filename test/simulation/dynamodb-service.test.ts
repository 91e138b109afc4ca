import { seededRandom } from '@shardwise/core/random'
import { describe, expect, test } from 'vitest'
import type { Item } from './dynamodb-expression.js'
import { DynamoDBService, type LandedWrite } from './dynamodb-service.js'
import { VirtualTime } from './virtual-time.js'

const T = 'leases'
const KEY = { leaseKey: { S: 'shard' } }
type Read = { readonly Item?: Item; readonly Items?: readonly Item[]; readonly LastEvaluatedKey?: Item }

async function table(): Promise<{
  readonly time: VirtualTime
  readonly service: DynamoDBService
  readonly landed: LandedWrite[]
}> {
  const time = new VirtualTime()
  const landed: LandedWrite[] = []
  const service = new DynamoDBService(time, seededRandom(5), (write) => landed.push(write))
  service.perform('a', 'CreateTable', { TableName: T, KeySchema: [{ AttributeName: 'leaseKey' }] })
  await time.pass(1_000)
  return { time, service, landed }
}

function write(service: DynamoDBService, n: number): void {
  service.perform('a', 'PutItem', { TableName: T, Item: { ...KEY, n: { N: `${n}` } } })
}

function seen(service: DynamoDBService, ConsistentRead: boolean, count = 200): Set<string | undefined> {
  const read = (): string | undefined =>
    (service.perform('a', 'GetItem', { TableName: T, Key: KEY, ConsistentRead }) as Read).Item?.n?.N
  return new Set(Array.from({ length: count }, read))
}

describe('a table', () => {
  test('is there after it was made, and not before', async () => {
    const time = new VirtualTime()
    const service = new DynamoDBService(time, seededRandom(5), () => {})
    expect(() => service.perform('a', 'DescribeTable', { TableName: T })).toThrow(
      expect.objectContaining({ name: 'ResourceNotFoundException' }),
    )
    const create = (): object => service.perform('a', 'CreateTable', { TableName: T, KeySchema: [{ AttributeName: 'leaseKey' }] })
    create()
    expect(create).toThrow(expect.objectContaining({ name: 'ResourceInUseException' }))
    expect(service.perform('a', 'DescribeTable', { TableName: T })).toMatchObject({ Table: { TableStatus: 'CREATING' } })
    expect(() => write(service, 1)).toThrow(expect.objectContaining({ name: 'ResourceNotFoundException' }))
    await time.pass(1_000)
    expect(service.perform('a', 'DescribeTable', { TableName: T })).toMatchObject({ Table: { TableStatus: 'ACTIVE' } })
    write(service, 1)
  })
})

describe('a read', () => {
  test('that is consistent shows what was written last', async () => {
    const { service, time } = await table()
    for (let n = 0; n < 5; n++) {
      write(service, n)
      expect(seen(service, true)).toEqual(new Set([`${n}`]))
      await time.pass(time.now + 20)
    }
  })

  test('that is not may show what was there a moment ago, also nothing, and never what is older', async () => {
    const { service, time } = await table()
    write(service, 1)
    expect(seen(service, false)).toEqual(new Set([undefined, '1']))
    await time.pass(time.now + 2_000)
    expect(seen(service, false)).toEqual(new Set(['1']))
    write(service, 2)
    await time.pass(time.now + 500)
    write(service, 3)
    expect(seen(service, false)).toEqual(new Set(['1', '2', '3']))
    await time.pass(time.now + 1_200)
    expect(seen(service, false)).toEqual(new Set(['2', '3']))
    await time.pass(time.now + 500)
    expect(seen(service, false)).toEqual(new Set(['3']))
  })

  test('of the whole table is no snapshot: each row is of another moment', async () => {
    const { service, time } = await table()
    const rows = ['x', 'y']
    const put = (n: number): void => {
      for (const key of rows) service.perform('a', 'PutItem', { TableName: T, Item: { leaseKey: { S: key }, n: { N: `${n}` } } })
    }
    put(1)
    await time.pass(time.now + 2_000)
    put(2)
    const scans = Array.from({ length: 200 }, () => {
      const { Items } = service.perform('a', 'Scan', { TableName: T }) as Read
      return Items!.map(({ n }) => n!.N).join('')
    })
    expect(new Set(scans)).toEqual(new Set(['11', '12', '21', '22']))
    const { Items } = service.perform('a', 'Scan', { TableName: T, ConsistentRead: true }) as Read
    expect(Items!.map(({ n }) => n!.N)).toEqual(['2', '2'])
  })
})

describe('a scan', () => {
  test('comes in pages, each from where the one before has ended, those included that have nothing for it', async () => {
    const { service } = await table()
    for (const key of ['v', 'w', 'x', 'y', 'z'])
      service.perform('a', 'PutItem', { TableName: T, Item: { leaseKey: { S: key }, n: { N: '1' } } })
    service.perform('a', 'DeleteItem', { TableName: T, Key: { leaseKey: { S: 'w' } } })
    service.rowsPerPage = 2
    const pages: string[] = []
    let ExclusiveStartKey: Item | undefined
    do {
      const input = { TableName: T, ConsistentRead: true, ...(ExclusiveStartKey && { ExclusiveStartKey }) }
      const { Items, LastEvaluatedKey } = service.perform('a', 'Scan', input) as Read
      pages.push(Items!.map(({ leaseKey }) => leaseKey!.S).join(''))
      ExclusiveStartKey = LastEvaluatedKey
    } while (ExclusiveStartKey !== undefined)
    expect(pages).toEqual(['v', 'xy', 'z'])
  })
})

describe('a write', () => {
  test('whose condition fails changes nothing, says what is there when it is asked to, and is told to nobody', async () => {
    const { service, landed } = await table()
    write(service, 1)
    const refused = (more: object): (() => object) => {
      const condition = {
        ConditionExpression: '#n = :n',
        ExpressionAttributeNames: { '#n': 'n' },
        ExpressionAttributeValues: { ':n': { N: '7' } },
      }
      return () => service.perform('b', 'DeleteItem', { TableName: T, Key: KEY, ...condition, ...more })
    }
    expect(refused({})).toThrow(expect.objectContaining({ name: 'ConditionalCheckFailedException' }))
    const Item = { ...KEY, n: { N: '1' } }
    expect(refused({ ReturnValuesOnConditionCheckFailure: 'ALL_OLD' })).toThrow(expect.objectContaining({ Item }))
    expect(service.row(T, 'shard')).toEqual(Item)
    expect(landed.map(({ by, operation, before, after }) => ({ by, operation, before, after }))).toEqual([
      { by: 'a', operation: 'PutItem', before: undefined, after: Item },
    ])
  })

  test('an update without a condition makes the row, as DynamoDB does', async () => {
    const { service } = await table()
    const update = {
      UpdateExpression: 'SET #n = :n',
      ExpressionAttributeNames: { '#n': 'n' },
      ExpressionAttributeValues: { ':n': { N: '7' } },
    }
    const Attributes = { ...KEY, n: { N: '7' } }
    expect(service.perform('a', 'UpdateItem', { TableName: T, Key: KEY, ...update, ReturnValues: 'ALL_NEW' })).toEqual({
      Attributes,
    })
    expect(service.perform('a', 'UpdateItem', { TableName: T, Key: KEY, ...update })).toEqual({})
  })
})
