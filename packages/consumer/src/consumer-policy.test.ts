import { describe, expect, it } from 'vitest'
import { type ConsumerPolicyOptions, consumerPolicy } from './consumer-policy.js'
import { OWNER_INDEX } from './leases/kcl-tables.js'

const stream = 'arn:aws:kinesis:eu-west-1:123456789012:stream/flights'
const leaseTableArn = 'arn:aws:dynamodb:eu-west-1:123456789012:table/delays'
const least: ConsumerPolicyOptions = { streamArns: [stream], leaseTableArn, createTable: false, kcl: 'off' }

function actionsOn(options: ConsumerPolicyOptions): Record<string, string[]> {
  const found = new Map<string, Set<string>>()
  for (const { Action, Resource } of consumerPolicy(options).Statement) {
    for (const resource of Resource) {
      const name = resource.replace(/^.*?:\d{12}:/, '')
      const actions = Action.map((action) => action.replace(/.*:/, ''))
      found.set(name, new Set([...(found.get(name) ?? []), ...actions]))
    }
  }
  return Object.fromEntries([...found].map(([resource, actions]) => [resource, [...actions].sort()]))
}

const READ = ['DescribeStreamSummary', 'GetRecords', 'GetShardIterator', 'ListShards']
const LEASES = ['DeleteItem', 'DescribeTable', 'GetItem', 'PutItem', 'Scan', 'UpdateItem']

describe('the policy of a consumer', () => {
  it.each<[string, Partial<ConsumerPolicyOptions>, Record<string, string[]>]>([
    ['that has its table', {}, { 'stream/flights': READ, 'table/delays': LEASES }],
    ['with leases in memory', { leaseTableArn: undefined }, { 'stream/flights': READ }],
    [
      'that makes its table and looks for KCL',
      { createTable: true, kcl: 'look', applicationName: 'late' },
      {
        'stream/flights': READ,
        'table/delays': [...LEASES, 'CreateTable', 'TagResource'].sort(),
        'table/late-CoordinatorState': ['GetItem'],
      },
    ],
    [
      'beside KCL 3.x',
      { kcl: 'beside-3' },
      {
        'stream/flights': READ,
        'table/delays': LEASES,
        'table/delays-CoordinatorState': ['GetItem'],
        'table/delays-WorkerMetricStats': ['DeleteItem', 'Scan', 'UpdateItem'],
        [`table/delays/index/${OWNER_INDEX}`]: ['Query'],
      },
    ],
    [
      'with enhanced fan-out',
      { fanOut: { consumerName: 'app' } },
      {
        'stream/flights': [...READ, 'DescribeStreamConsumer', 'RegisterStreamConsumer'].sort(),
        'stream/flights/consumer/app:*': ['DescribeStreamConsumer', 'RegisterStreamConsumer', 'SubscribeToShard'],
        'table/delays': LEASES,
      },
    ],
    [
      'whose fan-out is registered elsewhere',
      { fanOut: { consumerName: 'app', register: false } },
      {
        'stream/flights': [...READ, 'DescribeStreamConsumer'].sort(),
        'stream/flights/consumer/app:*': ['DescribeStreamConsumer', 'SubscribeToShard'],
        'table/delays': LEASES,
      },
    ],
  ])('%s', (_, options, expected) => {
    expect(actionsOn({ ...least, ...options })).toEqual(expected)
  })

  it('decrypts for its streams through Kinesis, and data keys with their context', () => {
    const keyArns = ['arn:aws:kms:eu-west-1:123456789012:key/a-1']
    const { Statement } = consumerPolicy({ ...least, streamKeyArns: keyArns, dataKeys: { keyArns } })
    expect(Statement.slice(-2)).toEqual([
      {
        Sid: 'EncryptedStreams',
        Effect: 'Allow',
        Action: ['kms:Decrypt'],
        Resource: keyArns,
        Condition: {
          StringEquals: {
            'kms:EncryptionContext:aws:kinesis:arn': [stream],
            'kms:ViaService': ['kinesis.eu-west-1.amazonaws.com'],
          },
        },
      },
      { Sid: 'DataKeys', Effect: 'Allow', Action: ['kms:Decrypt'], Resource: keyArns },
    ])
  })

  it.each<[object, RegExp]>([
    [{ leaseTableArn: 'delays' }, /`leaseTableArn` must be the ARN of a DynamoDB table/],
    [{ kcl: 'on' }, /`kcl` must be 'off' or 'look' or 'beside-3'/],
    [{ fanOut: { consumerName: '*' } }, /`fanOut.consumerName`/],
    [{ fanOut: { consumerName: 'a', keep: true } }, /`fanOut.keep`/],
    [{ createTable: 1 }, /`createTable`/],
    [{ applicationname: 'x' }, /`applicationname`/],
  ])('%j is refused', (options, message) => {
    expect(() => consumerPolicy({ ...least, ...options } as ConsumerPolicyOptions)).toThrow(message)
  })
})
