import { ManualClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { beforeEach, describe, expect, it } from 'vitest'
import { KinesisModel, KinesisModelError } from './index.js'

const HOUR = 3_600_000
const ARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/s'
let clock: ManualClock
let model: KinesisModel
// biome-ignore lint/suspicious/noExplicitAny: answers are read field by field
const call = (operation: string, input: object): any => model.call(operation, input)
const refusal = (input: object): string => {
  try {
    model.call('ListShards', input)
  } catch (error) {
    if (error instanceof KinesisModelError) return `${error.code}: ${error.message}`
    throw error
  }
  throw new Error('ListShards was not refused')
}
const numbers = (answer: { Shards: { ShardId: string }[] }): number[] =>
  answer.Shards.map(({ ShardId }) => Number(ShardId.slice(8)))
const list = (filter?: object): number[] =>
  numbers(call('ListShards', { StreamName: 's', ...(filter === undefined ? {} : { ShardFilter: filter }) }))

let splitAt: number
let mergedAt: number

/** 0 splits into 1 and 2 after an hour, which merge to 3 after another. */
beforeEach(() => {
  clock = new ManualClock()
  model = new KinesisModel({ clock, random: seededRandom(1), transitionMs: { create: 0, update: 0 } })
  call('CreateStream', { StreamName: 's', ShardCount: 1 })
  clock.advance(HOUR)
  call('SplitShard', { StreamName: 's', ShardToSplit: '0', NewStartingHashKey: '1000' })
  splitAt = clock.wallTime()
  clock.advance(HOUR)
  call('MergeShards', { StreamName: 's', ShardToMerge: '1', AdjacentShardToMerge: '2' })
  mergedAt = clock.wallTime()
  clock.advance(HOUR)
})

describe('filters', () => {
  it('select by lineage and time', () => {
    const at = (time: number) => ({ Type: 'AT_TIMESTAMP', Timestamp: new Date(time) })
    const since = (time: number) => ({ Type: 'FROM_TIMESTAMP', Timestamp: new Date(time) })
    expect(list()).toEqual([0, 1, 2, 3])
    expect(list({ Type: 'FROM_TRIM_HORIZON' })).toEqual([0, 1, 2, 3])
    expect(list({ Type: 'AT_TRIM_HORIZON' })).toEqual([0])
    expect(list({ Type: 'AT_LATEST' })).toEqual([3])
    expect(list({ Type: 'AFTER_SHARD_ID', ShardId: 'shardId-000000000001' })).toEqual([2, 3])
    expect(list(at(0))).toEqual([0])
    expect(list(at(splitAt - 1))).toEqual([0])
    expect(list(at(splitAt))).toEqual([0, 1, 2])
    expect(list(at(splitAt + 1))).toEqual([1, 2])
    expect(list(at(clock.wallTime()))).toEqual([3])
    expect(list(since(0))).toEqual([0, 1, 2, 3])
    expect(list(since(splitAt))).toEqual([0, 1, 2, 3])
    expect(list(since(splitAt + 1))).toEqual([1, 2, 3])
    expect(list(since(mergedAt))).toEqual([1, 2, 3])
    expect(list(since(mergedAt + 1))).toEqual([3])
  })

  it('follow the trim horizon as shards expire', () => {
    clock.advance(splitAt + 24 * HOUR - clock.wallTime())
    expect(list()).toEqual([0, 1, 2, 3])
    const { ShardIterator } = call('GetShardIterator', { StreamName: 's', ShardId: '0', ShardIteratorType: 'TRIM_HORIZON' })
    clock.advance(1)
    // Asked before any listing: nothing else has noticed yet that the shard is gone.
    expect(() => call('GetRecords', { ShardIterator })).toThrow(/does not exist/)
    expect(list()).toEqual([1, 2, 3])
    expect(list({ Type: 'AT_TRIM_HORIZON' })).toEqual([1, 2])
    expect(() => call('GetShardIterator', { StreamName: 's', ShardId: '0', ShardIteratorType: 'TRIM_HORIZON' })).toThrow(
      /does not exist/,
    )
    clock.advance(100 * HOUR)
    expect(list()).toEqual([3])
    expect(list({ Type: 'AT_TRIM_HORIZON' })).toEqual([3])
    expect(call('ListShards', { StreamName: 's' }).Shards[0]).toMatchObject({
      ParentShardId: 'shardId-000000000001',
      AdjacentParentShardId: 'shardId-000000000002',
    })
  })

  it.each([
    [{ ShardFilter: { Type: 'AFTER_SHARD_ID' } }, /InvalidArgumentException: .*needs a ShardId/],
    [{ ShardFilter: { Type: 'AT_LATEST', ShardId: 'shardId-0' } }, /InvalidArgumentException: .*must not have a ShardId/],
    [{ ShardFilter: { Type: 'AT_TIMESTAMP' } }, /InvalidArgumentException: .*needs a Timestamp/],
    [
      { ShardFilter: { Type: 'AT_TRIM_HORIZON', Timestamp: new Date(0) } },
      /InvalidArgumentException: .*must not have a Timestamp/,
    ],
    [{ ShardFilter: {} }, /ValidationException: .*'shardFilter\.type'.*must not be null/],
    [{ ShardFilter: { Type: 'X' } }, /ValidationException: .*enum value set/],
    [{ MaxResults: 0 }, /ValidationException: .*greater than or equal to 1/],
    [{ StreamCreationTimestamp: new Date(5) }, /ResourceNotFoundException/],
  ])('%j is refused', (input, message) => expect(refusal({ StreamName: 's', ...input })).toMatch(message))
})

describe('pages', () => {
  it('go on by token alone, which keeps stream and filter', () => {
    const pages = (first: object): number[][] => {
      const found: number[][] = []
      for (let input: object | undefined = first; input !== undefined; ) {
        const answer = call('ListShards', { MaxResults: 2, ...input })
        found.push(numbers(answer))
        input = answer.NextToken === undefined ? undefined : { NextToken: answer.NextToken }
      }
      return found
    }
    expect(pages({ StreamName: 's' })).toEqual([
      [0, 1],
      [2, 3],
    ])
    expect(pages({ StreamARN: ARN, MaxResults: 3 })).toEqual([[0, 1, 2], [3]])
    expect(
      pages({ StreamName: 's', MaxResults: 1, ShardFilter: { Type: 'AT_TIMESTAMP', Timestamp: new Date(splitAt) } }),
    ).toEqual([[0], [1, 2]])
    expect(pages({ StreamName: 's', ExclusiveStartShardId: 'shardId-000000000000' })).toEqual([[1, 2], [3]])
  })

  it('refuse a token with anything else, a damaged one, one of another listing, and one older than 300 seconds', () => {
    const { NextToken } = call('ListShards', { StreamName: 's', MaxResults: 1 })
    expect(refusal({ StreamName: 's', NextToken })).toBe(
      'InvalidArgumentException: NextToken and StreamName cannot be provided together.',
    )
    expect(refusal({ NextToken, ShardFilter: { Type: 'AT_LATEST' } })).toMatch(/NextToken and ShardFilter cannot/)
    expect(refusal({ NextToken: `B${NextToken.slice(1)}` })).toBe('InvalidArgumentException: Invalid NextToken.')
    const iterator = call('GetShardIterator', { StreamName: 's', ShardId: '0', ShardIteratorType: 'LATEST' }).ShardIterator
    expect(refusal({ NextToken: iterator })).toBe('InvalidArgumentException: Invalid NextToken.')
    expect(refusal({})).toBe('InvalidArgumentException: Either NextToken or StreamName should be provided.')
    clock.advance(300_000)
    expect(numbers(call('ListShards', { NextToken }))).toEqual([1, 2, 3])
    clock.advance(1)
    expect(refusal({ NextToken })).toMatch(/^ExpiredNextTokenException/)
  })

  it('are not mixed with those of a new stream of the name', () => {
    const { NextToken } = call('ListShards', { StreamName: 's', MaxResults: 1 })
    call('DeleteStream', { StreamName: 's' })
    clock.advance(1000)
    call('CreateStream', { StreamName: 's', ShardCount: 4 })
    clock.advance(1000)
    expect(refusal({ NextToken })).toMatch(/^ResourceNotFoundException/)
  })

  it('hold at most 1,000 shards', () => {
    call('CreateStream', { StreamName: 'big', ShardCount: 1500 })
    const first = call('ListShards', { StreamName: 'big', MaxResults: 10_000 })
    expect(first.Shards).toHaveLength(1000)
    expect(call('ListShards', { NextToken: first.NextToken }).Shards).toHaveLength(500)
  })
})
