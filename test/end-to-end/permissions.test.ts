import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Consumer } from '@shardwise/consumer'
import { type ConsumerPolicyOptions, consumerPolicy, type IamPolicy } from '@shardwise/consumer/policy'
import { type LocalServices, startLocal } from '@shardwise/local'
import { Producer } from '@shardwise/producer'
import { producerPolicy } from '@shardwise/producer/policy'
import { expect, it } from 'vitest'
import { Deliveries } from './consumer-harness.js'
import { CREDENTIALS, REGION } from './local-account.js'

const STREAM = 'arn:aws:kinesis:us-east-1:123456789012:stream/flights'
const TABLES = 'arn:aws:dynamodb:us-east-1:123456789012:table/'
const least: ConsumerPolicyOptions = { streamArns: [STREAM], leaseTableArn: `${TABLES}delays` }
const KINESIS = [
  'PutRecords',
  'GetRecords',
  'GetShardIterator',
  'ListShards',
  'DescribeStreamSummary',
  'PutRecord',
  'DescribeStream',
]
const DYNAMODB = [
  'CreateTable',
  'DeleteItem',
  'DescribeTable',
  'GetItem',
  'PutItem',
  'Query',
  'Scan',
  'TagResource',
  'UpdateItem',
  'UpdateTable',
  'BatchGetItem',
  'BatchWriteItem',
]

interface Asked {
  readonly action: string
  readonly resource: string
}

/** What IAM would be asked, of each call that the services get. */
function record(local: LocalServices): Asked[] {
  const asked: Asked[] = []
  for (const operation of [...KINESIS, ...DYNAMODB]) {
    local.faults.on(operation, {
      times: Number.POSITIVE_INFINITY,
      observe: ({ service, input }) => {
        const { TableName = '', IndexName } = input as { TableName?: string; IndexName?: string }
        const table = `${TABLES}${TableName}${IndexName === undefined ? '' : `/index/${IndexName}`}`
        asked.push({ action: `${service}:${operation}`, resource: service === 'kinesis' ? STREAM : table })
      },
    })
  }
  return asked
}

function allows(policy: IamPolicy, { action, resource }: Asked): boolean {
  const fits = (pattern: string): boolean => new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(resource)
  return policy.Statement.some(({ Action, Resource }) => Action.includes(action) && Resource.some(fits))
}

function denied(policy: IamPolicy, asked: readonly Asked[]): string[] {
  return [...new Set(asked.filter((one) => !allows(policy, one)).map(({ action, resource }) => `${action} ${resource}`))]
}

it('all that a producer and consumers ask the services for, while shards are split and workers come and go, is in their policies', async () => {
  await using local = await startLocal({ transitionMs: { create: 0, delete: 0, update: 0 } })
  local.model.call('CreateStream', { StreamName: 'flights', ShardCount: 2 })
  const asked = record(local)
  const connection = { region: REGION, credentials: CREDENTIALS }
  const producer = new Producer({ stream: 'flights', endpoint: local.kinesisEndpoint, ...connection, lingerMs: 10 })
  const put = (from: number, to: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: to - from }, (_, i) => producer.put({ partitionKey: `k${i}`, data: Buffer.from(String(from + i)) })),
    )
  await put(0, 50)
  const byProducer = asked.splice(0)
  expect(new Set(byProducer.map(({ action }) => action))).toEqual(
    new Set(['kinesis:PutRecords', 'kinesis:ListShards', 'kinesis:DescribeStreamSummary']),
  )
  expect(denied(producerPolicy({ streamArns: [STREAM] }), byProducer)).toEqual([])

  const deliveries = new Deliveries()
  const consumers = [0, 1].map(
    () =>
      new Consumer({
        stream: 'flights',
        applicationName: 'delays',
        endpoint: local.kinesisEndpoint,
        dynamodbEndpoint: local.dynamodbEndpoint,
        ...connection,
        initialPosition: 'trim-horizon',
        failoverTimeMs: 2000,
        idleTimeBetweenReadsMs: 200,
        leaseTableOptions: { tags: { team: 'flights' } },
      }),
  )
  const runs = consumers.map((consumer, i) => consumer.run(deliveries.by(String(i))))
  await deliveries.until((all) => all.length >= 50)
  const half = '85070591730234615865843651857942052864'
  local.model.call('SplitShard', {
    StreamName: 'flights',
    ShardToSplit: 'shardId-000000000001',
    NewStartingHashKey: `2${half.slice(1)}0`.slice(0, 39),
  })
  await put(50, 100)
  await deliveries.until((all) => new Set(all.map(({ text }) => text)).size === 100)
  await Promise.all(consumers.map((consumer) => consumer.stop()))
  await Promise.all(runs)
  await producer.close()

  const byConsumers = asked.filter(({ action }) => action !== 'kinesis:PutRecords')
  const actions = new Set(byConsumers.map(({ action }) => action))
  for (const action of ['GetRecords', 'GetShardIterator', 'ListShards', 'DescribeStreamSummary'])
    expect(actions).toContain(`kinesis:${action}`)
  for (const action of ['CreateTable', 'DescribeTable', 'Scan', 'GetItem', 'PutItem', 'UpdateItem'])
    expect(actions).toContain(`dynamodb:${action}`)
  expect(denied(consumerPolicy(least), byConsumers)).toEqual([])
  // The check can fail: what `createTable: false` and `kcl: 'off'` leave out was asked for.
  expect(denied(consumerPolicy({ ...least, createTable: false, kcl: 'off' }), byConsumers).sort()).toEqual([
    `dynamodb:CreateTable ${TABLES}delays`,
    `dynamodb:GetItem ${TABLES}delays-CoordinatorState`,
  ])
})

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The operations of a service for which any source of these packages makes a command. */
function commands(...folders: readonly string[]): Set<string> {
  const found = new Set<string>()
  for (const folder of folders) {
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts') || /\.(test|suite)\.ts$|(^|\/)testing\//.test(file)) continue
      for (const [, operation] of readFileSync(join(root, folder, file), 'utf8').matchAll(/new (\w+)Command\(/g))
        found.add(operation!)
    }
  }
  return found
}

it('the policies with everything have each operation that the sources can call, and no other', () => {
  const full = [
    producerPolicy({ streamArns: [STREAM] }),
    consumerPolicy({ ...least, kcl: 'beside-3', fanOut: { consumerName: 'delays' } }),
  ]
  const allowed = new Set(
    full.flatMap(({ Statement }) => Statement.flatMap(({ Action }) => Action.map((action) => action.replace(/.*:/, '')))),
  )
  const made = commands('packages/core/src', 'packages/producer/src', 'packages/consumer/src')
  // Not a call of its own: CreateTable with tags needs it.
  expect([...allowed].sort()).toEqual([...made, 'TagResource'].sort())
})
