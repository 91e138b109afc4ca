import { CreateTableCommand, type CreateTableCommandInput, DescribeTableCommand } from '@aws-sdk/client-dynamodb'
import { ManualClock, systemClock } from '@shardwise/core/clock'
import { connectDynamoDB, type DynamoDBConnection } from '@shardwise/core/transport/dynamodb'
import { type LocalServices, startLocal } from '@shardwise/local'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { DynamoDBPort } from './dynamodb-port.js'
import { LeaseTable } from './lease-table.js'
import { leaseTableDefinition } from './lease-table-definition.js'
import { checkLeaseTableOptions, type LeaseTableOptions } from './lease-table-options.js'

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

afterEach(() => local.faults.clear())

async function open(options: LeaseTableOptions = {}): Promise<void> {
  await new LeaseTable({ dynamodb, tableName, settings: checkLeaseTableOptions(options), clock: systemClock }).open()
}

async function described(): Promise<{ mode: string; read: number | undefined; write: number | undefined }> {
  const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName: tableName }))
  const { ReadCapacityUnits: read, WriteCapacityUnits: write } = Table?.ProvisionedThroughput ?? {}
  return { mode: Table?.BillingModeSummary?.BillingMode ?? 'PROVISIONED', read, write }
}

function creations(): CreateTableCommandInput[] {
  const seen: CreateTableCommandInput[] = []
  const observe = ({ input }: { readonly input: object }): void => void seen.push(input as CreateTableCommandInput)
  local.faults.on('CreateTable', { observe, times: Number.POSITIVE_INFINITY })
  return seen
}

function denied(operation: string): void {
  const message = `User: arn:aws:iam::123456789012:user/x is not authorized to perform: dynamodb:${operation} on resource: leases`
  local.faults.on(operation, { fail: { code: 'AccessDeniedException', message }, times: Number.POSITIVE_INFINITY })
}

/** The command of an error message, as a shell and the AWS command line would read it. */
function commanded(error: { readonly message: string }): CreateTableCommandInput {
  return JSON.parse(/aws dynamodb create-table --cli-input-json '(.*?)'/.exec(error.message)![1]!)
}

const KEY = {
  AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
  KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
}

describe('a missing table', () => {
  test('is made on demand, by several workers at once, with no field more than every service knows', async () => {
    const seen = creations()
    await Promise.all([open(), open(), open()])
    expect(await described()).toMatchObject({ mode: 'PAY_PER_REQUEST' })
    for (const input of seen) expect(input).toEqual({ TableName: tableName, ...KEY, BillingMode: 'PAY_PER_REQUEST' })
  })

  test.each([
    { billing: {}, read: 10, write: 10 },
    { billing: { writeCapacity: 25 }, read: 10, write: 25 },
  ])('is made with the capacity that was asked for: $billing', async ({ billing, ...capacity }) => {
    await open({ billing })
    expect(await described()).toEqual({ mode: 'PROVISIONED', ...capacity })
  })

  test('is made with tags and deletion protection', async () => {
    const seen = creations()
    await open({ tags: { team: 'flights', stage: '' }, deletionProtection: true })
    const Tags = [
      { Key: 'team', Value: 'flights' },
      { Key: 'stage', Value: '' },
    ]
    expect(seen).toMatchObject([{ Tags, DeletionProtectionEnabled: true }])
  })

  test('of one’s own: nothing is made, and the error has the definition, which makes a table that serves', async () => {
    const seen = creations()
    const options = { create: false, billing: { readCapacity: 2 }, tags: { who: "o'hara" }, deletionProtection: true } as const
    const error = await open(options).catch((caught: Error) => caught as Error)
    expect(error).toMatchObject({ name: 'LeaseTableError', tableName, message: expect.stringContaining('does not exist') })
    expect(seen).toEqual([])
    const definition = commanded(error!)
    expect(definition).toEqual(leaseTableDefinition(tableName, options))
    expect(definition).toEqual({
      TableName: tableName,
      ...KEY,
      BillingMode: 'PROVISIONED',
      ProvisionedThroughput: { ReadCapacityUnits: 2, WriteCapacityUnits: 10 },
      Tags: [{ Key: 'who', Value: "o'hara" }],
      DeletionProtectionEnabled: true,
    })
    await dynamodb.send(new CreateTableCommand(definition))
    await open(options)
    expect(seen).toHaveLength(1)
  })

  test.each([
    [{}, 'Allow these credentials dynamodb:CreateTable, or make it yourself'],
    [{ tags: { team: 'flights' } }, 'dynamodb:CreateTable and, for its tags, dynamodb:TagResource'],
  ])('that may not be made by these credentials: %j', async (options, advice) => {
    denied('CreateTable')
    const error = await open(options).catch((caught: Error) => caught as Error)
    expect(error).toMatchObject({ name: 'LeaseTableError', cause: { name: 'AccessDeniedException' } })
    expect(error!.message).toContain('is not authorized to perform: dynamodb:CreateTable')
    expect(error!.message).toContain(advice)
    expect(commanded(error!)).toEqual(leaseTableDefinition(tableName, options))
  })

  test('on a service that does not know an option: its words, and the definition', async () => {
    const message = 'Unsupported parameter DeletionProtectionEnabled'
    local.faults.on('CreateTable', { fail: { code: 'ValidationException', message } })
    const error = await open({ deletionProtection: true }).catch((caught: Error) => caught as Error)
    expect(error).toMatchObject({ name: 'LeaseTableError', message: expect.stringContaining(`${message}. Change \`leaseTable`) })
  })

  test('in an account with too many tables fails as the service says: it may pass', async () => {
    local.faults.on('CreateTable', { fail: { code: 'LimitExceededException' } })
    await expect(open()).rejects.toMatchObject({ name: 'LimitExceededException' })
  })
})

describe('a table that exists', () => {
  test('is used as it is, whatever the options say', async () => {
    await open({ billing: { readCapacity: 1, writeCapacity: 1 } })
    const seen = creations()
    await open({ billing: 'on-demand', tags: { late: 'yes' }, deletionProtection: true })
    expect(seen).toEqual([])
    expect(await described()).toEqual({ mode: 'PROVISIONED', read: 1, write: 1 })
  })

  test('is needed neither to be made nor to be made by these credentials', async () => {
    await open()
    denied('CreateTable')
    await open()
  })

  test.each([
    [[['id', 'HASH', 'S']], 'id (HASH)'],
    [[['leaseKey', 'HASH', 'N']], 'leaseKey (HASH)'],
    [
      [
        ['leaseKey', 'HASH', 'S'],
        ['at', 'RANGE', 'N'],
      ],
      'leaseKey (HASH), at (RANGE)',
    ],
  ] as const)('with another key is refused: %j', async (attributes, shown) => {
    await dynamodb.send(
      new CreateTableCommand({
        TableName: tableName,
        AttributeDefinitions: attributes.map(([AttributeName, , AttributeType]) => ({ AttributeName, AttributeType })),
        KeySchema: attributes.map(([AttributeName, KeyType]) => ({ AttributeName, KeyType })),
        BillingMode: 'PAY_PER_REQUEST',
      }),
    )
    await expect(open()).rejects.toMatchObject({ name: 'LeaseTableError', tableName, message: expect.stringContaining(shown) })
  })

  test('that may not be looked at: all the permissions that a worker needs', async () => {
    denied('DescribeTable')
    const error = await open().catch((caught: Error) => caught as Error)
    expect(error).toMatchObject({ name: 'LeaseTableError', message: expect.stringContaining('is not authorized to perform') })
    expect(error!.message).toContain('Allow these credentials dynamodb:DescribeTable, dynamodb:Scan, ')
  })

  test.each([
    ['DELETING', 'is being deleted'],
    ['CREATING', 'still not ACTIVE after 180 s'],
    ['INACCESSIBLE_ENCRYPTION_CREDENTIALS', 'no access to its KMS key'],
    ['ARCHIVED', 'has been archived'],
  ])('that is %s is an error with advice', async (TableStatus, message) => {
    const clock = new ManualClock()
    const port = { send: async () => ({ Table: { TableStatus } }) } as unknown as DynamoDBPort
    const outcome = new LeaseTable({ dynamodb: port, tableName, settings: checkLeaseTableOptions(), clock }).open().then(
      () => 'opened',
      (error: Error) => error.message,
    )
    await clock.advanceAsync(200_000)
    expect(await outcome).toContain(message)
    expect(clock.pendingTimers).toBe(0)
  })

  test.each(['ACTIVE', 'UPDATING', undefined])('that is %s serves', async (TableStatus) => {
    const port = { send: async () => ({ Table: { TableStatus, ...KEY } }) } as unknown as DynamoDBPort
    await new LeaseTable({ dynamodb: port, tableName, settings: checkLeaseTableOptions(), clock: new ManualClock() }).open()
  })
})
