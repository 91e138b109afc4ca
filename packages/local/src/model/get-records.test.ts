import { ManualClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { beforeEach, describe, expect, it } from 'vitest'
import { KinesisModel, KinesisModelError } from './index.js'

const HOUR = 3_600_000
const MIB = 1_048_576
let clock: ManualClock
let model: KinesisModel
// biome-ignore lint/suspicious/noExplicitAny: answers are read field by field
const call = (operation: string, input: object): any => model.call(operation, input)
const refusal = (operation: string, input: object): [string, string] => {
  try {
    model.call(operation, input)
  } catch (error) {
    if (error instanceof KinesisModelError) return [error.code, error.message]
    throw error
  }
  throw new Error(`${operation} was not refused`)
}
const put = (text: string, bytes = 0): string =>
  call('PutRecord', { StreamName: 's', PartitionKey: 'k', Data: Buffer.concat([Buffer.from(text), new Uint8Array(bytes)]) })
    .SequenceNumber
const iterator = (ShardIteratorType: string, rest: object = {}, ShardId = 'shardId-000000000000'): string =>
  call('GetShardIterator', { StreamName: 's', ShardId, ShardIteratorType, ...rest }).ShardIterator
const get = (ShardIterator: string, rest: object = {}) => call('GetRecords', { ShardIterator, ...rest })
const texts = (answer: { Records: { Data: Uint8Array }[] }): string[] =>
  answer.Records.map(({ Data }) => Buffer.from(Data).toString())
const from = (...args: Parameters<typeof iterator>): string[] => texts(get(iterator(...args)))

beforeEach(() => {
  clock = new ManualClock()
  model = new KinesisModel({ clock, random: seededRandom(1) })
  call('CreateStream', { StreamName: 's', ShardCount: 1, MaxRecordSizeInKiB: 10_240 })
  clock.advance(100)
  model.setQuotas('s', false)
})

describe('where an iterator starts', () => {
  it('is a position decided when it is asked for', () => {
    put('a')
    clock.advance(10)
    const before = clock.wallTime()
    const b = put('b')
    const latest = iterator('LATEST')
    clock.advance(10)
    put('c')
    expect(from('TRIM_HORIZON')).toEqual(['a', 'b', 'c'])
    expect(texts(get(latest))).toEqual(['c'])
    expect(from('LATEST')).toEqual([])
    expect(from('AT_SEQUENCE_NUMBER', { StartingSequenceNumber: b })).toEqual(['b', 'c'])
    expect(from('AFTER_SEQUENCE_NUMBER', { StartingSequenceNumber: b })).toEqual(['c'])
    expect(from('AT_TIMESTAMP', { Timestamp: new Date(before) })).toEqual(['b', 'c'])
    expect(from('AT_TIMESTAMP', { Timestamp: new Date(before + 1) })).toEqual(['c'])
    expect(from('AT_TIMESTAMP', { Timestamp: new Date(0) })).toEqual(['a', 'b', 'c'])
    expect(from('AT_TIMESTAMP', { Timestamp: new Date(clock.wallTime()) })).toEqual(['c'])
  })

  it('may be a sequence number that no record has', () => {
    const a = BigInt(put('a'))
    put('b')
    const { SequenceNumberRange } = call('ListShards', { StreamName: 's' }).Shards[0]
    const between = String(a + (1n << 36n))
    for (const type of ['AT_SEQUENCE_NUMBER', 'AFTER_SEQUENCE_NUMBER']) {
      expect(from(type, { StartingSequenceNumber: between })).toEqual(['b'])
      expect(from(type, { StartingSequenceNumber: SequenceNumberRange.StartingSequenceNumber })).toEqual(['a', 'b'])
    }
  })

  it.each([
    ['AT_SEQUENCE_NUMBER', {}, 'InvalidArgumentException', /Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber/],
    ['LATEST', { StartingSequenceNumber: '1' }, 'InvalidArgumentException', /and also a StartingSequenceNumber/],
    ['AT_SEQUENCE_NUMBER', { StartingSequenceNumber: '1' }, 'InvalidArgumentException', /is invalid\.$/],
    ['AT_SEQUENCE_NUMBER', { StartingSequenceNumber: 'x' }, 'ValidationException', /startingSequenceNumber/],
    ['AT_TIMESTAMP', {}, 'InvalidArgumentException', /Must specify timestampInMillis/],
    [
      'AT_TIMESTAMP',
      { Timestamp: new Date('2030-01-01') },
      'InvalidArgumentException',
      /cannot be greater than the currentTimestampInMillis/,
    ],
    ['SOMEWHERE', {}, 'ValidationException', /enum value set/],
    [
      'LATEST',
      { ShardId: 'shardId-000000000009' },
      'ResourceNotFoundException',
      /^Shard shardId-000000000009 in stream s under account/,
    ],
    ['LATEST', { ShardId: 'nonsense' }, 'ResourceNotFoundException', /^Could not find shard nonsense in stream s/],
    ['LATEST', { StreamName: 'none' }, 'ResourceNotFoundException', /^Stream none under account 000000000000 not found/],
  ])('%s %j is refused', (ShardIteratorType, rest, code, message) => {
    const [refusedWith, text] = refusal('GetShardIterator', { StreamName: 's', ShardId: '0', ShardIteratorType, ...rest })
    expect(refusedWith).toBe(code)
    expect(text).toMatch(message)
  })

  it('is no number of another shard', () => {
    const number = put('a')
    call('UpdateShardCount', { StreamName: 's', TargetShardCount: 2, ScalingType: 'UNIFORM_SCALING' })
    clock.advance(100)
    expect(
      refusal('GetShardIterator', {
        StreamName: 's',
        ShardId: '1',
        ShardIteratorType: 'AT_SEQUENCE_NUMBER',
        StartingSequenceNumber: number,
      })[1],
    ).toBe(
      'Invalid StartingSequenceNumber. It encodes shardId-000000000000, while it was used in a call to a shard with shardId-000000000001',
    )
  })
})

describe('an iterator', () => {
  it('lives 300 seconds', () => {
    const held = iterator('LATEST')
    clock.advance(300_000)
    expect(texts(get(held))).toEqual([])
    clock.advance(1)
    expect(refusal('GetRecords', { ShardIterator: held })).toEqual([
      'ExpiredIteratorException',
      'Iterator expired. The iterator was created at time Thu Jan 01 00:00:00 UTC 2026 while right now it is Thu Jan 01 00:05:00 UTC 2026 ' +
        'which is further in the future than the tolerated delay of 300000 milliseconds.',
    ])
  })

  it('shows nothing of what is inside, fits its field, and is refused when damaged or another’s', () => {
    const held = iterator('LATEST')
    expect(Buffer.from(held, 'base64').toString('latin1')).not.toContain('shardId')
    expect(held.length).toBeLessThanOrEqual(512)
    const damaged = Buffer.from(held, 'base64')
    damaged[30]! ^= 1
    const others = new KinesisModel({ clock, random: seededRandom(2) })
    call('CreateStream', { StreamName: 't', ShardCount: 1 })
    const pageToken = call('ListStreams', { Limit: 1 }).NextToken
    for (const bad of ['garbage', '!', held.slice(0, -4), `${held}AAAA`, damaged.toString('base64'), pageToken]) {
      expect(refusal('GetRecords', { ShardIterator: bad })).toEqual(['InvalidArgumentException', 'Invalid ShardIterator.'])
    }
    expect(() => others.call('GetRecords', { ShardIterator: held })).toThrow('Invalid ShardIterator.')
  })

  it('fits its field also for the longest stream name', () => {
    const name = 'n'.repeat(128)
    call('CreateStream', { StreamName: name, ShardCount: 1 })
    clock.advance(100)
    const held = call('GetShardIterator', { StreamName: name, ShardId: '0', ShardIteratorType: 'LATEST' }).ShardIterator
    expect(held.length).toBeLessThanOrEqual(512)
    expect(get(held).Records).toEqual([])
  })
})

describe('an answer', () => {
  it('holds at most Limit records, 10,000 records and 10 MiB, but at least one', () => {
    for (const text of ['a', 'b', 'c']) put(text)
    const first = get(iterator('TRIM_HORIZON'), { Limit: 2 })
    expect(texts(first)).toEqual(['a', 'b'])
    expect(texts(get(first.NextShardIterator))).toEqual(['c'])
    for (let i = 0; i < 21; i++) {
      call('PutRecords', {
        StreamName: 's',
        Records: Array.from({ length: 500 }, () => ({ PartitionKey: 'k', Data: new Uint8Array(1) })),
      })
    }
    expect(get(iterator('TRIM_HORIZON')).Records).toHaveLength(10_000)
    const latest = iterator('LATEST')
    for (const size of [4 * MIB, 4 * MIB, 10 * MIB - 1, 4 * MIB]) put('', size)
    const sizes: number[] = []
    for (let held = latest; sizes.length < 3; ) {
      const answer = get(held)
      sizes.push(answer.Records.length)
      held = answer.NextShardIterator
    }
    expect(sizes).toEqual([2, 1, 1])
    expect(refusal('GetRecords', { ShardIterator: latest, Limit: 10_001 })[0]).toBe('ValidationException')
  })

  it('says it in whole milliseconds, whatever the clock and a reshard in between two of them', () => {
    clock.advance(0.3)
    put('a')
    call('SplitShard', { StreamName: 's', ShardToSplit: 'shardId-000000000000', NewStartingHashKey: '1000' })
    clock.advance(500.45)
    const first = get(iterator('TRIM_HORIZON'))
    expect(first.MillisBehindLatest).toBeGreaterThan(0)
    const end = get(first.NextShardIterator)
    expect(end.NextShardIterator).toBeUndefined()
    expect([first, end].map(({ MillisBehindLatest }) => Number.isInteger(MillisBehindLatest))).toEqual([true, true])
  })

  it('says how far behind it is: zero only at the tip', () => {
    put('a')
    clock.advance(1000)
    put('b')
    const first = get(iterator('TRIM_HORIZON'), { Limit: 1 })
    expect(first.MillisBehindLatest).toBe(1)
    clock.advance(500)
    expect(get(iterator('TRIM_HORIZON'), { Limit: 1 }).MillisBehindLatest).toBe(500)
    const second = get(first.NextShardIterator)
    expect([second.MillisBehindLatest, second.Records.length]).toEqual([0, 1])
    expect(get(second.NextShardIterator).MillisBehindLatest).toBe(0)
  })

  it('carries everything about a record', () => {
    const SequenceNumber = put('a')
    expect(get(iterator('TRIM_HORIZON')).Records).toEqual([
      { SequenceNumber, PartitionKey: 'k', Data: new Uint8Array([97]), ApproximateArrivalTimestamp: new Date(clock.wallTime()) },
    ])
  })

  it('may be asked for with the stream’s ARN, and no other', () => {
    const ShardIterator = iterator('LATEST')
    const arn = 'arn:aws:kinesis:us-east-1:000000000000:stream/'
    expect(get(ShardIterator, { StreamARN: `${arn}s` }).Records).toEqual([])
    expect(refusal('GetRecords', { ShardIterator, StreamARN: `${arn}t` })[0]).toBe('InvalidArgumentException')
    expect(refusal('GetRecords', { ShardIterator, DryRun: true })[0]).toBe('DryRunOperationException')
  })
})

describe('the end of a closed shard', () => {
  it('is an answer without next iterator that names the children', () => {
    put('a')
    const tip = iterator('LATEST')
    call('SplitShard', { StreamName: 's', ShardToSplit: '0', NewStartingHashKey: '1000' })
    expect(get(tip).ChildShards).toBeUndefined()
    clock.advance(100)
    const first = get(iterator('TRIM_HORIZON'))
    expect(texts(first)).toEqual(['a'])
    expect(first.ChildShards).toBeUndefined()
    clock.advance(50)
    const end = get(first.NextShardIterator)
    expect(end).toEqual({
      Records: [],
      MillisBehindLatest: 50,
      ChildShards: [
        {
          ShardId: 'shardId-000000000001',
          ParentShards: ['shardId-000000000000'],
          HashKeyRange: { StartingHashKey: '0', EndingHashKey: '999' },
        },
        {
          ShardId: 'shardId-000000000002',
          ParentShards: ['shardId-000000000000'],
          HashKeyRange: { StartingHashKey: '1000', EndingHashKey: String(2n ** 128n - 1n) },
        },
      ],
    })
    const { EndingSequenceNumber } = call('ListShards', { StreamName: 's' }).Shards[0].SequenceNumberRange
    for (const ended of [
      tip,
      iterator('LATEST'),
      iterator('AFTER_SEQUENCE_NUMBER', { StartingSequenceNumber: EndingSequenceNumber }),
    ]) {
      expect(get(ended)).toEqual(end)
    }
    call('MergeShards', { StreamName: 's', ShardToMerge: '1', AdjacentShardToMerge: '2' })
    clock.advance(100)
    for (const parent of ['1', '2']) {
      expect(get(iterator('TRIM_HORIZON', {}, parent)).ChildShards).toEqual([
        {
          ShardId: 'shardId-000000000003',
          ParentShards: ['shardId-000000000001', 'shardId-000000000002'],
          HashKeyRange: { StartingHashKey: '0', EndingHashKey: String(2n ** 128n - 1n) },
        },
      ])
    }
  })
})

describe('retention', () => {
  it('takes records away after 24 hours; an iterator before them goes on at the oldest left', () => {
    put('a')
    clock.advance(HOUR)
    put('b')
    clock.advance(23 * HOUR - 1000)
    const held = iterator('TRIM_HORIZON')
    expect(texts(get(held))).toEqual(['a', 'b'])
    clock.advance(1000)
    expect(texts(get(held))).toEqual(['a', 'b'])
    clock.advance(1)
    expect(texts(get(held))).toEqual(['b'])
    clock.advance(2 * HOUR)
    expect(from('TRIM_HORIZON')).toEqual([])
  })

  it('follows the stream’s setting, both ways, and brings nothing back', () => {
    put('a')
    const retention = (operation: string, hours: number): void => {
      call(operation, { StreamName: 's', RetentionPeriodHours: hours })
      clock.advance(100)
    }
    retention('IncreaseStreamRetentionPeriod', 48)
    clock.advance(30 * HOUR)
    expect(from('TRIM_HORIZON')).toEqual(['a'])
    retention('DecreaseStreamRetentionPeriod', 24)
    expect(from('TRIM_HORIZON')).toEqual([])
    retention('IncreaseStreamRetentionPeriod', 48)
    expect(from('TRIM_HORIZON')).toEqual([])
  })
})

describe('quotas', () => {
  beforeEach(() => model.setQuotas('s', true))
  const rate = [
    'ProvisionedThroughputExceededException',
    'Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.',
  ]

  it('refuse the sixth call of a second', () => {
    const ShardIterator = iterator('LATEST')
    for (let i = 0; i < 5; i++) get(ShardIterator)
    expect(refusal('GetRecords', { ShardIterator })).toEqual(rate)
    clock.advance(1000)
    expect(get(ShardIterator).Records).toEqual([])
  })

  it('pause five seconds after 10 MiB', () => {
    put('', 10 * MIB - 1)
    const ShardIterator = iterator('TRIM_HORIZON')
    const { NextShardIterator } = get(ShardIterator)
    clock.advance(4999)
    expect(refusal('GetRecords', { ShardIterator: NextShardIterator })).toEqual(rate)
    clock.advance(1)
    expect(get(NextShardIterator).Records).toEqual([])
  })
})
