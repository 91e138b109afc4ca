import {
  ListShardsCommand,
  MergeShardsCommand,
  PutRecordsCommand,
  type Shard,
  type ShardFilter,
  SplitShardCommand,
  UpdateShardCountCommand,
} from '@aws-sdk/client-kinesis'
import { uncovered } from '@shardwise/core/hash-key'
import { expect } from 'vitest'
import type { ConformanceCase } from './conformance-case.js'
import type { ServiceUnderTest } from './service-under-test.js'

const ids = (shards: readonly Shard[] | undefined): number[] => (shards ?? []).map(({ ShardId }) => Number(ShardId!.slice(-12)))
const isOpen = (shard: Shard): boolean => shard.SequenceNumberRange!.EndingSequenceNumber === undefined
const rangeOf = ({ HashKeyRange }: Shard) => ({
  start: BigInt(HashKeyRange!.StartingHashKey!),
  end: BigInt(HashKeyRange!.EndingHashKey!),
})
const sortedRanges = (shards: readonly Shard[]) => shards.map(rangeOf).sort((a, b) => (a.start < b.start ? -1 : 1))
const uniform = (count: number) =>
  Array.from({ length: count }, (_, part) => ({
    start: (2n ** 128n * BigInt(part)) / BigInt(count),
    end: (2n ** 128n * BigInt(part + 1)) / BigInt(count) - 1n,
  }))

async function split(
  service: ServiceUnderTest,
  StreamName: string,
  ShardToSplit: string,
  NewStartingHashKey: string,
): Promise<void> {
  await service.client.send(new SplitShardCommand({ StreamName, ShardToSplit, NewStartingHashKey }))
  await service.active(StreamName)
}

async function filtered(service: ServiceUnderTest, StreamName: string, ShardFilter: ShardFilter): Promise<number[]> {
  return ids((await service.client.send(new ListShardsCommand({ StreamName, ShardFilter }))).Shards).sort((a, b) => a - b)
}

export const shardCases: readonly ConformanceCase[] = [
  {
    key: 'covering',
    title: 'the shards of a new stream cover the hash space without gap or overlap',
    async run(service) {
      const shards = await service.shards(await service.stream({ ShardCount: 3 }))
      const ranges = sortedRanges(shards)
      expect(uncovered(ranges)).toEqual([])
      expect(ranges.reduce((sum, { start, end }) => sum + (end - start + 1n), 0n)).toBe(2n ** 128n)
      expect(ids(shards)).toEqual([0, 1, 2])
    },
  },
  {
    key: 'exact-ranges',
    title: 'the boundaries of a new stream are floor(i * 2^128 / n)',
    async run(service) {
      expect(sortedRanges(await service.shards(await service.stream({ ShardCount: 2 })))).toEqual(uniform(2))
    },
  },
  {
    key: 'split',
    title: 'a split leaves a closed parent and two children',
    async run(service) {
      const StreamName = await service.stream()
      await service.put(StreamName, ['before'])
      await service.client.send(
        new SplitShardCommand({ StreamName, ShardToSplit: 'shardId-000000000000', NewStartingHashKey: `${2n ** 127n}` }),
      )
      expect((await service.summary(StreamName)).StreamStatus).toBe('UPDATING')
      const again = new SplitShardCommand({ StreamName, ShardToSplit: 'shardId-000000000000', NewStartingHashKey: '1000' })
      expect((await service.refusal(service.client.send(again))).name).toBe('ResourceInUseException')
      expect((await service.active(StreamName)).OpenShardCount).toBe(2)
      const [parent, lower, upper] = await service.shards(StreamName)
      expect([parent, lower, upper].map((shard) => isOpen(shard!))).toEqual([false, true, true])
      expect([lower, upper].map((shard) => [shard!.ParentShardId, shard!.AdjacentParentShardId])).toEqual([
        ['shardId-000000000000', undefined],
        ['shardId-000000000000', undefined],
      ])
      expect(sortedRanges([lower!, upper!])).toEqual(uniform(2))
      const [after] = await service.put(StreamName, ['after'])
      expect(['shardId-000000000001', 'shardId-000000000002']).toContain(after!.ShardId)
    },
  },
  {
    key: 'child-numbers',
    title: 'the sequence numbers of children are above those of their parent',
    async run(service) {
      const StreamName = await service.stream()
      await split(service, StreamName, 'shardId-000000000000', '1000')
      const [parent, ...children] = await service.shards(StreamName)
      const ending = parent!.SequenceNumberRange!.EndingSequenceNumber!
      for (const child of children) {
        expect(child.SequenceNumberRange!.StartingSequenceNumber! > ending, 'begins above the parent’s end').toBe(true)
      }
    },
  },
  {
    key: 'shard-end',
    title: 'reading a closed shard ends without next iterator and names the children',
    async run(service) {
      const StreamName = await service.stream()
      await service.put(StreamName, ['only'])
      await split(service, StreamName, 'shardId-000000000000', '1000')
      const { records, last } = await service.read(await service.iterator(StreamName, 'TRIM_HORIZON'), Number.POSITIVE_INFINITY)
      expect(records).toHaveLength(1)
      expect(last.NextShardIterator).toBeUndefined()
      expect(last.ChildShards).toHaveLength(2)
      expect(last.ChildShards).toEqual(
        expect.arrayContaining([
          {
            ShardId: 'shardId-000000000001',
            ParentShards: ['shardId-000000000000'],
            HashKeyRange: { StartingHashKey: '0', EndingHashKey: '999' },
          },
        ]),
      )
      const tip = await service.iterator(StreamName, 'LATEST')
      expect((await service.get(tip)).NextShardIterator).toBeUndefined()
    },
  },
  {
    key: 'split-bounds',
    title: 'a split must lie inside the shard',
    async run(service) {
      const StreamName = await service.stream({ ShardCount: 2 })
      for (const NewStartingHashKey of ['0', `${2n ** 127n - 1n}`, `${2n ** 127n + 5n}`]) {
        const call = new SplitShardCommand({ StreamName, ShardToSplit: 'shardId-000000000000', NewStartingHashKey })
        expect((await service.refusal(service.client.send(call))).name).toBe('InvalidArgumentException')
      }
    },
  },
  {
    key: 'merge',
    title: 'a merge of neighbours leaves one child with both parents',
    async run(service) {
      const StreamName = await service.stream({ ShardCount: 3 })
      const merge = (ShardToMerge: string, AdjacentShardToMerge: string) =>
        service.client.send(new MergeShardsCommand({ StreamName, ShardToMerge, AdjacentShardToMerge }))
      expect((await service.refusal(merge('shardId-000000000000', 'shardId-000000000002'))).name).toBe('InvalidArgumentException')
      await merge('shardId-000000000000', 'shardId-000000000001')
      await service.active(StreamName)
      const shards = await service.shards(StreamName)
      expect(shards.map(isOpen)).toEqual([false, false, true, true])
      expect(shards[3]).toMatchObject({ ParentShardId: 'shardId-000000000000', AdjacentParentShardId: 'shardId-000000000001' })
      expect(rangeOf(shards[3]!)).toEqual({ start: 0n, end: rangeOf(shards[1]!).end })
    },
  },
  {
    key: 'put-while-updating',
    title: 'records are taken while a stream is UPDATING',
    async run(service) {
      const StreamName = await service.stream()
      await service.client.send(
        new SplitShardCommand({ StreamName, ShardToSplit: 'shardId-000000000000', NewStartingHashKey: '1000' }),
      )
      const answer = await service.client.send(
        new PutRecordsCommand({ StreamName, Records: [{ PartitionKey: 'k', Data: new Uint8Array(1) }] }),
      )
      expect(answer.FailedRecordCount).toBe(0)
    },
  },
  {
    key: 'filters',
    title: 'ListShards filters by lineage',
    async run(service) {
      const StreamName = await service.stream()
      await split(service, StreamName, 'shardId-000000000000', '1000')
      expect(await filtered(service, StreamName, { Type: 'FROM_TRIM_HORIZON' })).toEqual([0, 1, 2])
      expect(await filtered(service, StreamName, { Type: 'AT_LATEST' })).toEqual([1, 2])
      expect(await filtered(service, StreamName, { Type: 'AFTER_SHARD_ID', ShardId: 'shardId-000000000001' })).toEqual([2])
    },
  },
  {
    key: 'at-trim-horizon',
    title: 'AT_TRIM_HORIZON gives the shards that were open at the trim horizon, not their children',
    async run(service) {
      const StreamName = await service.stream()
      await split(service, StreamName, 'shardId-000000000000', '1000')
      expect(`${await filtered(service, StreamName, { Type: 'AT_TRIM_HORIZON' })}`).toBe('0')
    },
  },
  {
    key: 'pages',
    title: 'ListShards goes on by token alone',
    async run(service) {
      const StreamName = await service.stream({ ShardCount: 3 })
      const first = await service.client.send(new ListShardsCommand({ StreamName, MaxResults: 2 }))
      const second = await service.client.send(new ListShardsCommand({ NextToken: first.NextToken! }))
      expect([ids(first.Shards), ids(second.Shards), second.NextToken]).toEqual([[0, 1], [2], undefined])
      const both = new ListShardsCommand({ StreamName, NextToken: first.NextToken! })
      expect((await service.refusal(service.client.send(both))).name).toBe('InvalidArgumentException')
    },
  },
  {
    key: 'scale-up',
    title: 'UpdateShardCount doubles at most',
    async run(service) {
      const StreamName = await service.stream({ ShardCount: 2 })
      const to = (TargetShardCount: number) =>
        service.client.send(new UpdateShardCountCommand({ StreamName, TargetShardCount, ScalingType: 'UNIFORM_SCALING' }))
      // Public sources disagree on which of the two the service says.
      expect(['LimitExceededException', 'InvalidArgumentException']).toContain((await service.refusal(to(5))).name)
      expect(await to(4)).toMatchObject({ StreamName, CurrentShardCount: 2, TargetShardCount: 4 })
      expect((await service.active(StreamName)).OpenShardCount).toBe(4)
      expect(uncovered((await service.shards(StreamName)).filter(isOpen).map(rangeOf))).toEqual([])
    },
  },
  {
    key: 'scale-uniform',
    title: 'UpdateShardCount leaves shards of equal size',
    async run(service) {
      const StreamName = await service.stream({ ShardCount: 4 })
      await service.client.send(new UpdateShardCountCommand({ StreamName, TargetShardCount: 3, ScalingType: 'UNIFORM_SCALING' }))
      await service.active(StreamName)
      expect(sortedRanges((await service.shards(StreamName)).filter(isOpen)), 'ranges').toEqual(uniform(3))
    },
  },
]
