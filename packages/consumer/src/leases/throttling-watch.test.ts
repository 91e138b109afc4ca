import {
  DescribeTableCommand,
  ProvisionedThroughputExceededException,
  RequestLimitExceeded,
  ScanCommand,
  ThrottlingException,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import { ManualClock } from '@shardwise/core/clock'
import type { DynamoDBConnection } from '@shardwise/core/transport/dynamodb'
import { expect, test } from 'vitest'
import type { LeaseEvent } from './lease-event.js'
import { ThrottlingWatch } from './throttling-watch.js'

const UPDATE = { TableName: 'delays', Key: { leaseKey: { S: 's' } } }
const PROVISIONED = { ProvisionedThroughput: { ReadCapacityUnits: 10, WriteCapacityUnits: 7 } }
const ON_DEMAND = { BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' } }

function refusal(reason?: string): ProvisionedThroughputExceededException {
  const ThrottlingReasons = reason === undefined ? undefined : [{ reason, resource: 'arn:aws:dynamodb:us-east-1:1:table/delays' }]
  return new ProvisionedThroughputExceededException({ message: 'too many', $metadata: {}, ThrottlingReasons })
}

function watched(answer: (name: string) => object): { clock: ManualClock; events: LeaseEvent[]; watch: ThrottlingWatch } {
  const clock = new ManualClock()
  const events: LeaseEvent[] = []
  const send = async (command: object): Promise<object> => {
    const answered = answer(command.constructor.name)
    if (answered instanceof Error) throw answered
    return answered
  }
  const dynamodb = { send } as Pick<DynamoDBConnection, 'send'>
  return { clock, events, watch: new ThrottlingWatch({ dynamodb, clock, emit: (event) => events.push(event) }) }
}

const update = (watch: ThrottlingWatch) => watch.send(new UpdateItemCommand(UPDATE))
const scan = (watch: ThrottlingWatch) => watch.send(new ScanCommand({ TableName: 'delays' }))
const describeTable = (watch: ThrottlingWatch) => watch.send(new DescribeTableCommand({ TableName: 'delays' }))

/** The advice about the first refusal of `call`, on a table that was described so. */
async function advice(call: (watch: ThrottlingWatch) => Promise<unknown>, error: Error, Table?: object): Promise<string> {
  let describing = true
  const { watch, events } = watched((name) => (describing && name === 'DescribeTableCommand' ? { Table } : error))
  await describeTable(watch)
  describing = false
  await expect(call(watch)).rejects.toBe(error)
  const [event] = events
  expect(event?.type).toBe('lease-table-throttled')
  return event?.type === 'lease-table-throttled' ? event.advice : ''
}

test('names table, operation, the service’s reasons and what to raise', async () => {
  const { watch, events } = watched(() => refusal('TableWriteProvisionedThroughputExceeded'))
  await expect(update(watch)).rejects.toMatchObject({
    name: 'ProvisionedThroughputExceededException',
  })
  expect(events).toEqual([
    {
      type: 'lease-table-throttled',
      table: 'delays',
      operation: 'UpdateItem',
      calls: 1,
      reasons: ['TableWriteProvisionedThroughputExceeded'],
      advice: expect.stringMatching(/^Raise the provisioned write capacity units of table delays, or change it to on-demand\. /),
    },
  ])
})

test.each([
  { reason: undefined, table: PROVISIONED, says: 'Raise the provisioned write capacity units of table delays (now 7)' },
  { reason: undefined, table: ON_DEMAND, says: 'The on-demand table delays takes twice its former peak at once' },
  { reason: undefined, table: undefined, says: 'Raise the write capacity of table delays, or change it to on-demand' },
  { reason: 'TableWriteMaxOnDemandThroughputExceeded', table: ON_DEMAND, says: 'Raise the maximum write throughput' },
  { reason: 'TableWriteAccountLimitExceeded', table: ON_DEMAND, says: 'Ask AWS for a higher quota of write throughput' },
  { reason: 'TableWriteKeyRangeThroughputExceeded', table: ON_DEMAND, says: 'One partition of table delays is too busy' },
  { reason: 'TableWriteSomethingNewExceeded', table: PROVISIONED, says: 'Raise the provisioned write capacity units' },
])('advice for $reason on $table', async ({ reason, table, says }) => {
  const given = await advice(update, refusal(reason), table)
  expect(given).toContain(says)
  expect(given).toContain('Each lease is written three times')
})

test('advice about reads, and about calls that no capacity is for', async () => {
  expect(await advice(scan, refusal(), PROVISIONED)).toContain('read capacity units of table delays (now 10)')
  expect(await advice(describeTable, refusal())).toContain('start fewer workers')
})

test.each([
  new ThrottlingException({
    message: 'm',
    $metadata: {},
    throttlingReasons: [{ reason: 'TableReadAccountLimitExceeded', resource: undefined }],
  }),
  new RequestLimitExceeded({
    message: 'm',
    $metadata: {},
    ThrottlingReasons: [{ reason: 'TableReadAccountLimitExceeded', resource: undefined }],
  }),
])('finds the reasons in $name', async (error) => {
  expect(await advice(scan, error)).toContain('Ask AWS for a higher quota of read throughput')
})

test('says it once in ten seconds for each operation, with the number of calls since', async () => {
  const { clock, watch, events } = watched(() => refusal())
  for (let i = 0; i < 5; i++) await expect(update(watch)).rejects.toThrow()
  await expect(scan(watch)).rejects.toThrow()
  clock.advance(9_999)
  await expect(update(watch)).rejects.toThrow()
  clock.advance(1)
  await expect(update(watch)).rejects.toThrow()
  const said = events.map((event) => (event.type === 'lease-table-throttled' ? [event.operation, event.calls] : event))
  expect(said).toEqual([
    ['UpdateItem', 1],
    ['Scan', 1],
    ['UpdateItem', 6],
  ])
})

test('other failures pass without a word', async () => {
  const { watch, events } = watched(() => Object.assign(new Error('no'), { name: 'ConditionalCheckFailedException' }))
  await expect(update(watch)).rejects.toThrow('no')
  expect(events).toEqual([])
})
