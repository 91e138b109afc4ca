import { ManualClock } from '@shardwise/core/clock'
import { uncovered } from '@shardwise/core/hash-key'
import type { ShardListing } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { beforeEach, describe, expect, it } from 'vitest'
import { KinesisModel, KinesisModelError } from './index.js'
import { uniformRanges } from './shard.js'

const DAY = 86_400_000
let clock: ManualClock
let model: KinesisModel
// biome-ignore lint/suspicious/noExplicitAny: answers are read field by field
const call = (operation: string, input: object = {}): any => model.call(operation, { StreamName: 's', ...input })
const refusal = (operation: string, input: object): [string, string] => {
  try {
    call(operation, input)
  } catch (error) {
    if (error instanceof KinesisModelError) return [error.code, error.message]
    throw error
  }
  throw new Error(`${operation} was not refused`)
}
const shards = (): ShardListing[] => call('ListShards').Shards
const open = (): ShardListing[] => shards().filter((shard) => shard.SequenceNumberRange!.EndingSequenceNumber === undefined)
const rangeOf = ({ HashKeyRange }: ShardListing) => ({
  start: BigInt(HashKeyRange!.StartingHashKey!),
  end: BigInt(HashKeyRange!.EndingHashKey!),
})
const byStart = (a: { start: bigint }, b: { start: bigint }): number => (a.start < b.start ? -1 : 1)
const status = (): string => call('DescribeStreamSummary').StreamDescriptionSummary.StreamStatus
const create = (shardCount: number): void => {
  call('CreateStream', { ShardCount: shardCount })
  clock.advance(100)
}
const update = (TargetShardCount: number) => call('UpdateShardCount', { TargetShardCount, ScalingType: 'UNIFORM_SCALING' })

beforeEach(() => {
  clock = new ManualClock()
  model = new KinesisModel({ clock, random: seededRandom(1) })
})

describe('SplitShard', () => {
  it('is UPDATING while parents take records, then the children do', () => {
    create(1)
    const put = () => call('PutRecord', { PartitionKey: 'k', Data: new Uint8Array(1), ExplicitHashKey: '1000' })
    const before = put()
    call('SplitShard', { ShardToSplit: 'shardId-000000000000', NewStartingHashKey: '1000' })
    expect(status()).toBe('UPDATING')
    expect(put().ShardId).toBe('shardId-000000000000')
    expect(refusal('SplitShard', { ShardToSplit: '0', NewStartingHashKey: '500' })).toEqual([
      'ResourceInUseException',
      'Stream s under account 000000000000 not ACTIVE, instead in state UPDATING',
    ])
    clock.advance(100)
    expect(status()).toBe('ACTIVE')
    const after = put()
    expect(after.ShardId).toBe('shardId-000000000002')
    expect(after.SequenceNumber > before.SequenceNumber).toBe(true)
    const [parent, lower, upper] = shards()
    expect(parent!.SequenceNumberRange!.EndingSequenceNumber! < lower!.SequenceNumberRange!.StartingSequenceNumber!).toBe(true)
    expect(lower).toMatchObject({
      ParentShardId: 'shardId-000000000000',
      HashKeyRange: { StartingHashKey: '0', EndingHashKey: '999' },
    })
    expect(upper).toMatchObject({ ParentShardId: 'shardId-000000000000', HashKeyRange: { StartingHashKey: '1000' } })
    expect(upper).not.toHaveProperty('AdjacentParentShardId')
  })

  const end = 2n ** 127n - 1n
  it.each([
    [{ ShardToSplit: '0', NewStartingHashKey: '0' }, 'InvalidArgumentException', /is not both greater than one plus/],
    [{ ShardToSplit: '0', NewStartingHashKey: '1' }, 'InvalidArgumentException', /is not both greater than one plus/],
    [{ ShardToSplit: '0', NewStartingHashKey: `${end}` }, 'InvalidArgumentException', /less than the shard's EndingHashKey/],
    [{ ShardToSplit: '1', NewStartingHashKey: '5' }, 'InvalidArgumentException', /shardId-000000000001/],
    [
      { ShardToSplit: '9', NewStartingHashKey: '5' },
      'ResourceNotFoundException',
      /^Could not find shard shardId-000000000009 in stream s/,
    ],
    [{ ShardToSplit: '0', NewStartingHashKey: '-1' }, 'ValidationException', /newStartingHashKey/],
  ])('%j is refused', (input, code, message) => {
    create(2)
    const [refusedWith, text] = refusal('SplitShard', input)
    expect(refusedWith).toBe(code)
    expect(text).toMatch(message)
    expect(status()).toBe('ACTIVE')
  })

  it('takes the outermost allowed keys, and no closed shard', () => {
    create(2)
    call('SplitShard', { ShardToSplit: '0', NewStartingHashKey: '2' })
    clock.advance(100)
    expect(refusal('SplitShard', { ShardToSplit: '0', NewStartingHashKey: '100' })).toEqual([
      'ResourceInUseException',
      'Shard shardId-000000000000 in stream s under account 000000000000 has already been merged or split, and thus is not eligible for ' +
        'merging or splitting.',
    ])
    expect(open().map(rangeOf).sort(byStart)[0]).toEqual({ start: 0n, end: 1n })
  })
})

describe('MergeShards', () => {
  it('joins neighbours, lower first', () => {
    create(3)
    call('MergeShards', { ShardToMerge: '0', AdjacentShardToMerge: '1' })
    expect(status()).toBe('UPDATING')
    clock.advance(100)
    expect(open()).toHaveLength(2)
    expect(shards()[3]).toMatchObject({
      ParentShardId: 'shardId-000000000000',
      AdjacentParentShardId: 'shardId-000000000001',
      HashKeyRange: { StartingHashKey: '0', EndingHashKey: '226854911280625642308916404954512140969' },
    })
  })

  it.each([
    ['0', '2'],
    ['1', '0'],
    ['1', '1'],
  ])('refuses %s and %s', (ShardToMerge, AdjacentShardToMerge) => {
    create(3)
    const [code, text] = refusal('MergeShards', { ShardToMerge, AdjacentShardToMerge })
    expect(code).toBe('InvalidArgumentException')
    expect(text).toMatch(/are not an adjacent pair of shards eligible for merging$/)
  })
})

it('children’s numbers are above their parents’ however often shards follow each other within a second', () => {
  model = new KinesisModel({ clock, random: seededRandom(1), transitionMs: { create: 0, update: 0 } })
  create(1)
  const put = (): string => call('PutRecord', { PartitionKey: 'k', Data: new Uint8Array(1), ExplicitHashKey: '7' }).SequenceNumber
  const numbers = [put()]
  for (let i = 0; i < 20; i++) {
    const [only] = open()
    call('SplitShard', { ShardToSplit: only!.ShardId, NewStartingHashKey: '1000' })
    numbers.push(put())
    const [lower, upper] = open()
    call('MergeShards', { ShardToMerge: lower!.ShardId, AdjacentShardToMerge: upper!.ShardId })
    numbers.push(put())
  }
  expect([...numbers].sort()).toEqual(numbers)
  expect(new Set(numbers).size).toBe(41)
})

it('the parents of a merge close at one time, not before their last record, even when the wall clock went back', () => {
  model = new KinesisModel({ clock, random: seededRandom(1), transitionMs: { create: 0, update: 0 } })
  create(2)
  call('PutRecord', { PartitionKey: 'k', Data: new Uint8Array(1), ExplicitHashKey: '7' })
  const arrived = clock.wallTime()
  clock.jumpWallTime(-60_000)
  call('MergeShards', { ShardToMerge: '0', AdjacentShardToMerge: '1' })
  clock.advance(60_000)
  const at = (offset: number): number =>
    call('ListShards', { ShardFilter: { Type: 'AT_TIMESTAMP', Timestamp: new Date(arrived + offset) } }).Shards.length
  expect([at(-1), at(0), at(1)]).toEqual([2, 3, 1])
  clock.jumpWallTime(DAY)
  expect(shards()).toHaveLength(3)
  clock.advance(1)
  expect(shards()).toHaveLength(1)
})

describe('UpdateShardCount', () => {
  it.each([
    [1, 2],
    [4, 8],
    [4, 3],
    [4, 2],
    [3, 4],
    [5, 7],
    [7, 5],
    [6, 6],
  ])('from %i to %i gives uniform ranges', (from, target) => {
    create(from)
    expect(update(target)).toEqual({
      StreamName: 's',
      StreamARN: 'arn:aws:kinesis:us-east-1:000000000000:stream/s',
      CurrentShardCount: from,
      TargetShardCount: target,
    })
    for (let step = 0; step < 10; step++) {
      expect(uncovered(open().map(rangeOf))).toEqual([])
      expect(status()).toBe('UPDATING')
      clock.advance(10)
    }
    expect(status()).toBe('ACTIVE')
    expect(open().map(rangeOf).sort(byStart)).toEqual(uniformRanges(target))
  })

  it('makes a lopsided stream uniform', () => {
    create(2)
    call('SplitShard', { ShardToSplit: '0', NewStartingHashKey: '5' })
    clock.advance(100)
    update(3)
    clock.advance(100)
    expect(open().map(rangeOf).sort(byStart)).toEqual(uniformRanges(3))
  })

  it('at most doubles, at least halves, and only ten times a day', () => {
    create(3)
    expect(refusal('UpdateShardCount', { TargetShardCount: 7, ScalingType: 'UNIFORM_SCALING' })).toEqual([
      'LimitExceededException',
      'UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 3 Target shard count: 7',
    ])
    expect(refusal('UpdateShardCount', { TargetShardCount: 1, ScalingType: 'UNIFORM_SCALING' })[0]).toBe('LimitExceededException')
    for (let i = 0; i < 10; i++) {
      update(i % 2 === 0 ? 2 : 3)
      clock.advance(100)
    }
    expect(refusal('UpdateShardCount', { TargetShardCount: 2, ScalingType: 'UNIFORM_SCALING' })[1]).toMatch(/more than 10 times/)
    model.setQuotas('s', false)
    update(2)
    clock.advance(100)
    model.setQuotas('s', true)
    clock.advance(DAY)
    expect(update(3).CurrentShardCount).toBe(2)
  })

  it('like every resharding is for provisioned streams only', () => {
    call('CreateStream', { StreamModeDetails: { StreamMode: 'ON_DEMAND' } })
    clock.advance(100)
    for (const [operation, input] of [
      ['UpdateShardCount', { TargetShardCount: 8, ScalingType: 'UNIFORM_SCALING' }],
      ['SplitShard', { ShardToSplit: '0', NewStartingHashKey: '5' }],
      ['MergeShards', { ShardToMerge: '0', AdjacentShardToMerge: '1' }],
    ] as const) {
      expect(refusal(operation, input)).toEqual([
        'ValidationException',
        'Request is invalid. Stream s under account 000000000000 is in On-Demand mode.',
      ])
    }
  })
})
