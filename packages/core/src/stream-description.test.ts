import { describe, expect, test } from 'vitest'
import type { DescribeStreamSummaryOutput, KinesisPort, StreamReference, StreamSummary } from './kinesis-port.js'
import { describeStream, StreamDescriptionError } from './stream-description.js'

const ARN = 'arn:aws:kinesis:eu-west-1:123456789012:stream/orders'

function answering(output: DescribeStreamSummaryOutput): KinesisPort {
  return { describeStreamSummary: async () => output } as unknown as KinesisPort
}

const describeWith = (summary: StreamSummary, stream: StreamReference = { StreamName: 'orders' }) =>
  describeStream(answering({ StreamDescriptionSummary: { StreamStatus: 'ACTIVE', ...summary } }), stream)

test('everything the service tells', async () => {
  const created = new Date(0)
  const summary = {
    StreamName: 'orders',
    StreamARN: ARN,
    StreamStatus: 'UPDATING',
    StreamModeDetails: { StreamMode: 'ON_DEMAND' },
    StreamCreationTimestamp: created,
    OpenShardCount: 4,
    MaxRecordSizeInKiB: 10_240,
    RecordDistributionStrategy: 'AUTO',
  }
  expect(
    await describeStream(answering({ StreamDescriptionSummary: summary, serviceTime: 5 }), { StreamName: 'orders' }),
  ).toEqual({
    name: 'orders',
    arn: ARN,
    status: 'UPDATING',
    mode: 'ON_DEMAND',
    maxRecordBytes: 10_485_760,
    distribution: 'auto',
    createdAt: created,
    openShards: 4,
    serviceTime: 5,
  })
})

test('what an older or simpler endpoint leaves out has the default of the service', async () => {
  expect(await describeWith({})).toEqual({
    name: 'orders',
    arn: undefined,
    status: 'ACTIVE',
    mode: undefined,
    maxRecordBytes: 1_048_576,
    distribution: 'partition-key',
    createdAt: undefined,
    openShards: undefined,
    serviceTime: undefined,
  })
})

test('the name is found in an ARN', async () => {
  expect(await describeWith({}, { StreamARN: ARN })).toMatchObject({ name: 'orders', arn: ARN })
})

test.each([
  ['USER_PARTITION_KEY', 'partition-key'],
  ['SOMETHING_NEW', 'partition-key'],
  ['AUTO', 'auto'],
])('distribution %s is %s', async (given, expected) => {
  expect(await describeWith({ RecordDistributionStrategy: given })).toMatchObject({ distribution: expected })
})

describe('an answer that describes no stream is an error', () => {
  test.each<[string, DescribeStreamSummaryOutput]>([
    ['empty', {}],
    ['no status', { StreamDescriptionSummary: { StreamName: 'orders' } }],
  ])('%s', async (_what, output) => {
    const described = describeStream(answering(output), { StreamName: 'orders' })
    await expect(described).rejects.toThrow(StreamDescriptionError)
    await expect(described).rejects.toThrow(/orders has no StreamStatus: check that the endpoint/)
  })
})

test('a failure of the port passes through', async () => {
  const port = { describeStreamSummary: () => Promise.reject(new Error('no')) } as unknown as KinesisPort
  await expect(describeStream(port, { StreamName: 'orders' })).rejects.toThrow('no')
})
