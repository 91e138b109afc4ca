import { ManualClock } from '@shardwise/core/clock'
import { InvalidOptionError } from '@shardwise/core/options'
import { seededRandom } from '@shardwise/core/random'
import { describe, expect, it } from 'vitest'
import { KinesisModel, KinesisModelError, type KinesisModelOptions } from './index.js'

const HOUR = 3_600_000
const ARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/s'

function start(options: KinesisModelOptions = {}) {
  const clock = new ManualClock()
  const model = new KinesisModel({ clock, random: seededRandom(1), ...options })
  // biome-ignore lint/suspicious/noExplicitAny: answers are read field by field
  const call = (operation: string, input: object = {}): any => model.call(operation, input)
  const stream = (input: object = { ShardCount: 2 }): void => {
    call('CreateStream', { StreamName: 's', ...input })
    clock.advance(100)
  }
  const summary = () => call('DescribeStreamSummary', { StreamName: 's' }).StreamDescriptionSummary
  const refusal = (operation: string, input: object = {}): [string, string] => {
    try {
      model.call(operation, input)
    } catch (error) {
      if (error instanceof KinesisModelError) return [error.code, error.message]
      throw error
    }
    throw new Error(`${operation} was not refused`)
  }
  return { clock, model, call, stream, summary, refusal }
}

describe('the life of a stream', () => {
  it('goes from CREATING to ACTIVE to DELETING to nothing, by the clock alone', () => {
    const { clock, call, summary, refusal } = start({ transitionMs: { create: 500, delete: 200 } })
    call('CreateStream', { StreamName: 's', ShardCount: 2 })
    expect(summary()).toMatchObject({ StreamStatus: 'CREATING', OpenShardCount: 0, StreamARN: ARN })
    clock.advance(499)
    expect(summary().StreamStatus).toBe('CREATING')
    clock.advance(1)
    expect(summary()).toMatchObject({
      StreamStatus: 'ACTIVE',
      OpenShardCount: 2,
      RetentionPeriodHours: 24,
      MaxRecordSizeInKiB: 1024,
    })
    call('DeleteStream', { StreamName: 's' })
    expect(summary().StreamStatus).toBe('DELETING')
    clock.advance(200)
    expect(refusal('DescribeStreamSummary', { StreamName: 's' })).toEqual([
      'ResourceNotFoundException',
      'Stream s under account 000000000000 not found.',
    ])
  })

  it('takes records only from ACTIVE on, and none while it is deleted', () => {
    const { clock, call, refusal } = start()
    const put = { StreamName: 's', PartitionKey: 'k', Data: new Uint8Array(1) }
    call('CreateStream', { StreamName: 's', ShardCount: 1 })
    expect(refusal('PutRecord', put)[0]).toBe('ResourceNotFoundException')
    expect(refusal('ListShards', { StreamName: 's' })[0]).toBe('ResourceInUseException')
    expect(refusal('DeleteStream', { StreamName: 's' })).toEqual([
      'ResourceInUseException',
      'Stream s under account 000000000000 not ACTIVE, instead in state CREATING',
    ])
    clock.advance(100)
    call('PutRecord', put)
    const { ShardIterator } = call('GetShardIterator', { StreamName: 's', ShardId: '0', ShardIteratorType: 'TRIM_HORIZON' })
    call('DeleteStream', { StreamName: 's' })
    expect(refusal('PutRecord', put)[0]).toBe('ResourceNotFoundException')
    expect(call('GetRecords', { ShardIterator }).Records).toHaveLength(1)
    clock.advance(100)
    expect(refusal('GetRecords', { ShardIterator })).toEqual([
      'ResourceNotFoundException',
      'Shard shardId-000000000000 in stream s under account 000000000000 does not exist',
    ])
  })

  it('does not mistake a stream for an earlier one of its name', () => {
    const { clock, call, stream, refusal } = start()
    stream({ ShardCount: 1 })
    const put = call('PutRecord', { StreamName: 's', PartitionKey: 'k', Data: new Uint8Array(1) })
    const { ShardIterator } = call('GetShardIterator', { StreamName: 's', ShardId: '0', ShardIteratorType: 'LATEST' })
    call('DeleteStream', { StreamName: 's' })
    clock.advance(100)
    stream({ ShardCount: 1 })
    expect(refusal('GetRecords', { ShardIterator })[0]).toBe('ResourceNotFoundException')
    expect(
      refusal('GetShardIterator', {
        StreamName: 's',
        ShardId: '0',
        ShardIteratorType: 'AT_SEQUENCE_NUMBER',
        StartingSequenceNumber: put.SequenceNumber,
      })[1],
    ).toContain('it did not come from this stream')
  })

  it('is ON_DEMAND with four shards when asked', () => {
    const { stream, summary, call } = start()
    stream({ StreamModeDetails: { StreamMode: 'ON_DEMAND' }, MaxRecordSizeInKiB: 10_240 })
    expect(summary()).toMatchObject({
      StreamModeDetails: { StreamMode: 'ON_DEMAND' },
      OpenShardCount: 4,
      MaxRecordSizeInKiB: 10_240,
      RecordDistributionStrategy: 'USER_PARTITION_KEY',
    })
    expect(call('DescribeLimits')).toEqual({
      ShardLimit: 20_000,
      OpenShardCount: 4,
      OnDemandStreamCount: 1,
      OnDemandStreamCountLimit: 50,
    })
  })

  it('refuses a second stream of the name and more shards than the account has', () => {
    const { stream, refusal } = start({ shardLimit: 5 })
    stream({ ShardCount: 4 })
    expect(refusal('CreateStream', { StreamName: 's', ShardCount: 1 })).toEqual([
      'ResourceInUseException',
      'Stream s under account 000000000000 already exists.',
    ])
    expect(refusal('CreateStream', { StreamName: 't', ShardCount: 2 })[1]).toMatch(
      /^This request would exceed the shard limit for the account 000000000000 in us-east-1\. Current shard count for the account: 4\. Limit: 5\./,
    )
  })
})

describe('settings', () => {
  it.each([
    ['IncreaseStreamRetentionPeriod', { StreamName: 's', RetentionPeriodHours: 48 }, { RetentionPeriodHours: 48 }],
    ['UpdateMaxRecordSize', { StreamARN: ARN, MaxRecordSizeInKiB: 2048 }, { MaxRecordSizeInKiB: 2048 }],
    [
      'StartStreamEncryption',
      { StreamName: 's', EncryptionType: 'KMS', KeyId: 'alias/x' },
      { EncryptionType: 'KMS', KeyId: 'alias/x' },
    ],
    [
      'UpdateStreamMode',
      { StreamARN: ARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } },
      { StreamModeDetails: { StreamMode: 'ON_DEMAND' }, RecordDistributionStrategy: 'USER_PARTITION_KEY', OpenShardCount: 2 },
    ],
  ])('%s makes the stream UPDATING and then takes effect', (operation, input, effect) => {
    const { clock, call, stream, summary, refusal } = start()
    stream()
    const before = summary()
    call(operation, input)
    expect(summary()).toEqual({ ...before, StreamStatus: 'UPDATING' })
    expect(refusal('UpdateShardCount', { StreamName: 's', TargetShardCount: 3, ScalingType: 'UNIFORM_SCALING' })[0]).toBe(
      'ResourceInUseException',
    )
    clock.advance(100)
    expect(summary()).toMatchObject({ StreamStatus: 'ACTIVE', ...effect })
  })

  it.each([
    [
      'IncreaseStreamRetentionPeriod',
      23,
      'Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.',
    ],
    ['DecreaseStreamRetentionPeriod', 49, /can not be longer than existing retention period \(48 hours\)/],
    ['IncreaseStreamRetentionPeriod', 47, /can not be shorter than existing retention period \(48 hours\)/],
    ['IncreaseStreamRetentionPeriod', 8761, /Maximum allowed retention period is 8760 hours/],
  ])('%s to %i hours is refused', (operation, hours, message) => {
    const { clock, call, stream, refusal } = start()
    stream()
    call('IncreaseStreamRetentionPeriod', { StreamName: 's', RetentionPeriodHours: 48 })
    clock.advance(100)
    const [code, text] = refusal(operation, { StreamName: 's', RetentionPeriodHours: hours })
    expect(code).toBe('InvalidArgumentException')
    expect(text).toMatch(message)
  })

  it('distribution AUTO needs on-demand, takes effect at once, and ends with on-demand', () => {
    const { clock, call, stream, summary, refusal } = start()
    stream()
    const auto = { StreamARN: ARN, RecordDistributionStrategy: 'AUTO' }
    expect(refusal('UpdateStreamRecordDistributionStrategy', auto)[0]).toBe('InvalidArgumentException')
    call('UpdateStreamMode', { StreamARN: ARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } })
    clock.advance(100)
    call('UpdateStreamRecordDistributionStrategy', auto)
    expect(summary()).toMatchObject({ StreamStatus: 'ACTIVE', RecordDistributionStrategy: 'AUTO' })
    call('UpdateStreamMode', { StreamARN: ARN, StreamModeDetails: { StreamMode: 'PROVISIONED' } })
    clock.advance(100)
    expect(summary().RecordDistributionStrategy).toBeUndefined()
    expect(refusal('PutRecord', { StreamName: 's', Data: new Uint8Array(1) })[0]).toBe('ValidationException')
  })
})

describe('tags', () => {
  it('are added, listed in pages, and removed', () => {
    const { call, stream } = start()
    stream({ ShardCount: 1, Tags: { b: '2' } })
    call('AddTagsToStream', { StreamName: 's', Tags: { a: '1', c: '', b: '3' } })
    expect(call('ListTagsForStream', { StreamName: 's', Limit: 2 })).toEqual({
      Tags: [
        { Key: 'a', Value: '1' },
        { Key: 'b', Value: '3' },
      ],
      HasMoreTags: true,
    })
    expect(call('ListTagsForStream', { StreamName: 's', ExclusiveStartTagKey: 'b' })).toEqual({
      Tags: [{ Key: 'c', Value: '' }],
      HasMoreTags: false,
    })
    call('UntagResource', { ResourceARN: ARN, TagKeys: ['a'] })
    call('RemoveTagsFromStream', { StreamName: 's', TagKeys: ['c', 'none'] })
    call('TagResource', { ResourceARN: ARN, Tags: { z: 'ä' } })
    expect(call('ListTagsForResource', { ResourceARN: ARN }).Tags.map((tag: { Key: string }) => tag.Key)).toEqual(['b', 'z'])
  })

  it('are at most fifty, of allowed characters', () => {
    const { stream, refusal } = start()
    stream()
    const many = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`k${index}`, 'v']))
    expect(refusal('AddTagsToStream', { StreamName: 's', Tags: many })[1]).toContain('cannot have more than 50 tags')
    expect(refusal('AddTagsToStream', { StreamName: 's', Tags: { 'a;b': '' } })[1]).toContain('invalid characters')
  })
})

describe('naming a stream', () => {
  it('works by name, by ARN, or by both', () => {
    const { call, stream } = start()
    stream()
    const [byName, byArn, byBoth] = [{ StreamName: 's' }, { StreamARN: ARN }, { StreamName: 's', StreamARN: ARN }].map(
      (reference) => call('DescribeStream', reference),
    )
    expect(byArn).toEqual(byName)
    expect(byBoth).toEqual(byName)
  })

  it.each([
    [{}, 'InvalidArgumentException', /Either StreamName or StreamARN/],
    [{ StreamName: 'x', StreamARN: ARN }, 'InvalidArgumentException', /do not name the same stream/],
    [{ StreamName: 'x' }, 'ResourceNotFoundException', 'Stream x under account 000000000000 not found.'],
    [{ StreamARN: ARN.replace('us-east-1', 'eu-west-1') }, 'ResourceNotFoundException', /not found/],
    [
      { StreamARN: 's' },
      'ValidationException',
      /at 'streamARN' failed to satisfy constraint: Member must satisfy regular expression/,
    ],
    [
      { StreamName: 'a b' },
      'ValidationException',
      "1 validation error detected: Value 'a b' at 'streamName' failed to satisfy constraint: " +
        'Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+',
    ],
  ])('%j is refused', (reference, code, message) => {
    const { stream, refusal } = start()
    stream()
    const [refusedWith, text] = refusal('DescribeStreamSummary', reference)
    expect(refusedWith).toBe(code)
    expect(text).toMatch(message)
  })
})

describe('listing streams', () => {
  it('goes by name, in pages', () => {
    const { clock, call, refusal } = start()
    for (const name of ['c', 'a', 'b']) call('CreateStream', { StreamName: name, ShardCount: 1 })
    const first = call('ListStreams', { Limit: 2 })
    expect(first).toMatchObject({ StreamNames: ['a', 'b'], HasMoreStreams: true })
    const second = call('ListStreams', { NextToken: first.NextToken })
    expect(second).toMatchObject({ StreamNames: ['c'], HasMoreStreams: false })
    expect(second.NextToken).toBeUndefined()
    expect(call('ListStreams', { ExclusiveStartStreamName: 'a' }).StreamNames).toEqual(['b', 'c'])
    clock.advance(300_001)
    expect(refusal('ListStreams', { NextToken: first.NextToken })[0]).toBe('ExpiredNextTokenException')
    expect(refusal('ListStreams', { NextToken: 'garbage' })[0]).toBe('InvalidArgumentException')
  })
})

describe('DescribeStream', () => {
  it('gives at most 100 shards a page', () => {
    const { call, stream } = start()
    stream({ ShardCount: 150 })
    const first = call('DescribeStream', { StreamName: 's', Limit: 10_000 }).StreamDescription
    expect(first).toMatchObject({ HasMoreShards: true, StreamStatus: 'ACTIVE' })
    expect(first.Shards).toHaveLength(100)
    const second = call('DescribeStream', { StreamName: 's', ExclusiveStartShardId: first.Shards[99].ShardId }).StreamDescription
    expect(second.Shards).toHaveLength(50)
    expect(second.HasMoreShards).toBe(false)
  })
})

describe('what is no request', () => {
  it.each([
    ['Nonsense', {}, 'UnknownOperationException'],
    ['__proto__', {}, 'UnknownOperationException'],
    ['CreateStream', { StreamName: 5 }, 'SerializationException'],
    ['CreateStream', null, 'SerializationException'],
    ['PutRecord', { StreamName: 's', PartitionKey: 'k', Data: 'text' }, 'SerializationException'],
    ['PutRecords', { StreamName: 's', Records: {} }, 'SerializationException'],
    ['CreateStream', { StreamName: 's' }, 'ValidationException'],
    ['CreateStream', { StreamName: 's', ShardCount: 0 }, 'ValidationException'],
    [
      'CreateStream',
      { StreamName: 's', ShardCount: 1, StreamModeDetails: { StreamMode: 'ON_DEMAND' } },
      'InvalidArgumentException',
    ],
    ['CreateStream', { StreamName: 's', ShardCount: 1, RecordDistributionStrategy: 'AUTO' }, 'InvalidArgumentException'],
  ])('%s %j -> %s', (operation, input, code) => {
    expect(start().refusal(operation, input as object)[0]).toBe(code)
  })

  it('is not one with fields that the operation does not have: those are ignored', () => {
    const { stream, refusal, call } = start()
    stream()
    expect(call('ListStreams', { StreamName: {}, Records: 5 }).StreamNames).toEqual(['s'])
    expect(refusal('UpdateMaxRecordSize', { StreamName: 's', MaxRecordSizeInKiB: 2048 })[0]).toBe('InvalidArgumentException')
  })

  it('is not one with fields that are null: those are absent', () => {
    const { call, stream } = start()
    stream()
    expect(call('ListStreams', { NextToken: null, ExclusiveStartStreamName: null, Limit: null }).StreamNames).toEqual(['s'])
    const Records = [{ PartitionKey: 'k', Data: new Uint8Array(1), ExplicitHashKey: null }]
    expect(call('PutRecords', { StreamName: 's', StreamARN: null, Records }).FailedRecordCount).toBe(0)
    expect(call('ListShards', { StreamName: 's', ShardFilter: { Type: 'AT_LATEST', ShardId: null } }).Shards).toHaveLength(2)
    expect(Records[0]).toHaveProperty('ExplicitHashKey', null)
  })

  it('is reported with every constraint that it breaks, at most ten', () => {
    const { refusal } = start()
    expect(refusal('SplitShard', { StreamName: '' })).toEqual([
      'ValidationException',
      "4 validation errors detected: Value '' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: " +
        "[a-zA-Z0-9_.-]+; Value '' at 'streamName' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
        "Value null at 'shardToSplit' failed to satisfy constraint: Member must not be null; " +
        "Value null at 'newStartingHashKey' failed to satisfy constraint: Member must not be null",
    ])
    const records = Array.from({ length: 20 }, () => ({ PartitionKey: '', Data: new Uint8Array(0) }))
    expect(refusal('PutRecords', { StreamName: 's', Records: records })[1]).toMatch(
      /^10 validation errors detected: Value '' at 'records\.1\.member\.partitionKey'/,
    )
  })
})

describe('options', () => {
  it.each([{ accountId: '1' }, { region: '' }, { shardLimit: 0 }, { transitionMs: { create: -1 } }])(
    '%j is refused',
    (options) => {
      expect(() => start(options as KinesisModelOptions)).toThrow(InvalidOptionError)
    },
  )
})

it('gives the same answers to the same calls at the same times', () => {
  const run = (): string => {
    const { clock, call, stream } = start()
    stream()
    const answers: object[] = []
    for (let i = 0; i < 20; i++) {
      answers.push(call('PutRecords', { StreamName: 's', Records: [{ PartitionKey: `k${i}`, Data: new Uint8Array([i]) }] }))
      clock.advance(HOUR)
    }
    answers.push(call('ListShards', { StreamName: 's', MaxResults: 1 }))
    answers.push(call('GetShardIterator', { StreamName: 's', ShardId: '0', ShardIteratorType: 'LATEST' }))
    return JSON.stringify(answers)
  }
  expect(run()).toBe(run())
})
