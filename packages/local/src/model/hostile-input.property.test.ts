import { ManualClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { KinesisModel, KinesisModelError } from './index.js'
import { operations } from './operations.js'

const ARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/'

/** Values that some field takes, and values that none does. */
const value: fc.Arbitrary<unknown> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom('s', 't', `${ARN}s`, `${ARN}t`, 'shardId-000000000000', '0', 'KMS', 'alias/x', 'UNIFORM_SCALING'),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom('TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP', 'AFTER_SEQUENCE_NUMBER', 'AUTO', 'USER_PARTITION_KEY'),
  },
  { weight: 2, arbitrary: fc.constantFrom(1, 2, 24, 48, 1024, 2048, 0.5, -1, 2 ** 40, Number.NaN) },
  { weight: 2, arbitrary: fc.constantFrom(new Date(0), new Date(1_767_225_600_000), new Date(Number.NaN)) },
  { weight: 2, arbitrary: fc.constantFrom(`${ARN}s/consumer/c:1767225600`, 'c', { Type: 'TRIM_HORIZON' }, { Type: 'LATEST' }) },
  { weight: 2, arbitrary: fc.constantFrom({ StreamMode: 'ON_DEMAND' }, { Type: 'AT_LATEST' }, { a: 'b' }, ['a'], [], {}) },
  fc.uint8Array({ maxLength: 4 }),
  fc.bigInt({ min: 0n, max: 2n ** 190n }).map(String),
  fc.array(
    fc.record(
      { Data: fc.uint8Array(), PartitionKey: fc.string(), ExplicitHashKey: fc.bigInt().map(String) },
      { requiredKeys: [] },
    ),
  ),
  fc.anything(),
)

const FIELDS = [
  [
    'StreamName',
    'StreamARN',
    'ResourceARN',
    'ShardId',
    'ShardIteratorType',
    'ShardIterator',
    'StartingSequenceNumber',
    'Timestamp',
    'Limit',
  ],
  [
    'Records',
    'Data',
    'PartitionKey',
    'ExplicitHashKey',
    'SequenceNumberForOrdering',
    'ShardCount',
    'StreamModeDetails',
    'Tags',
    'TagKeys',
  ],
  [
    'RecordDistributionStrategy',
    'MaxRecordSizeInKiB',
    'NextToken',
    'MaxResults',
    'ShardFilter',
    'RetentionPeriodHours',
    'ShardToSplit',
  ],
  [
    'NewStartingHashKey',
    'ShardToMerge',
    'AdjacentShardToMerge',
    'TargetShardCount',
    'ScalingType',
    'EncryptionType',
    'KeyId',
    'DryRun',
  ],
  ['ConsumerARN', 'ConsumerName', 'StartingPosition', 'EnforceConsumerDeletion'],
].flat()

const input = fc.oneof(
  { weight: 10, arbitrary: fc.record(Object.fromEntries(FIELDS.map((field) => [field, value])), { requiredKeys: [] }) },
  { weight: 1, arbitrary: fc.anything() },
)

it('whatever it is called with, the model answers or refuses, and still works', () => {
  const calls = fc.array(fc.tuple(fc.constantFrom(...operations.keys()), input, fc.nat({ max: 200 })), { maxLength: 30 })
  fc.assert(
    fc.property(calls, (made) => {
      const clock = new ManualClock()
      const model = new KinesisModel({ clock, random: seededRandom(1) })
      model.call('CreateStream', { StreamName: 'untouched', ShardCount: 1 })
      model.call('CreateStream', { StreamName: 's', ShardCount: 2 })
      clock.advance(100)
      model.call('RegisterStreamConsumer', { StreamARN: `${ARN}s`, ConsumerName: 'c' })
      for (const [operation, given, wait] of made) {
        clock.advance(wait)
        try {
          model.call(operation, given)
        } catch (error) {
          if (!(error instanceof KinesisModelError)) throw error
        }
      }
      clock.advance(100)
      expect(model.call('PutRecord', { StreamName: 'untouched', PartitionKey: 'k', Data: new Uint8Array(1) })).toMatchObject({
        ShardId: 'shardId-000000000000',
      })
    }),
    { numRuns: 500 },
  )
})

it.each([
  ['StreamARN', `arn:aws${':kinesis:'.repeat(500_000)}`],
  ['StreamName', 'a'.repeat(5_000_000)],
])('a very long %s is refused at once', (field, text) => {
  const model = new KinesisModel({ clock: new ManualClock() })
  expect(() => model.call('DescribeStreamSummary', { [field]: text })).toThrow(/Member must have length less than or equal to/)
})
