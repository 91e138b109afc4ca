import { expect, test } from 'vitest'
import { checksOf, type SoakResult, verdictText } from './verdict.js'

const none = { count: 0, examples: [] }
const some = { count: 1, examples: [77] }
const memory = { heapBytes: 10_000_000, codeBytes: 0, externalBytes: 0, rssBytes: 0 }
const good: SoakResult = {
  options: { minutes: 10, shards: 3, seed: 42, ordering: 'perShard', aggregation: 'shard', json: false },
  ...{ offered: 1001, acknowledged: 1000, failed: 1, duplicates: 2, retried: 1 },
  ...{
    unsettled: none,
    settledTwice: none,
    lost: none,
    misplaced: none,
    denied: none,
    unexplainedCopies: none,
    outOfOrder: none,
  },
  memory: {
    ...{ baseline: memory, end: memory, heapGrowth: 0.1, heapTolerance: 0.1 },
    ...{ highestRssBytes: 0, serviceRssBytes: 0 },
  },
  ...{ seconds: 600, splits: 5, merges: 5, shardsSeen: 15, failures: { expired: 1 }, refusedWhileHalted: 0, resumed: 1 },
  rates: {
    ...{ recordsPerSecond: 1, bytesPerSecond: 1, kinesisRecordsPerSecond: 1 },
    ...{ percentOfShardBytes: 90, percentOfShardRecords: 2 },
  },
  ...{ kinesisRecords: 1, requests: 1, requestsFailed: 0, retries: 0, throttled: 0, wrongShard: 0, droppedAggregates: 0 },
  ...{ fullBuffer: 1, highestBufferedBytes: 5, maxBufferedBytes: 5, highestBufferedRecords: 5, maxBufferedRecords: 5 },
  ...{ flushes: 1, earlyFlushes: 0, stuckFlushes: 0, foreign: 0, faults: {}, openSockets: 0, openResources: [] },
}

test('a run that kept every promise passes', () => {
  expect(checksOf(good).filter(({ holds }) => !holds)).toEqual([])
  expect(verdictText(good)).not.toContain('repeat')
})

test.each<[Partial<SoakResult>, string]>([
  [{ acknowledged: 999 }, 'records were acknowledged: 999 of at least 1,000'],
  [{ lost: some }, 'acknowledged records that no reader gets to see: 1, the first: 77'],
  [{ misplaced: some }, 'acknowledged records elsewhere than told: 1, the first: 77'],
  [{ denied: some }, 'stored records that failed as surely not written: 1, the first: 77'],
  [{ unsettled: some }, 'accepted records that never settled: 1, the first: 77'],
  [{ settledTwice: some }, 'records that settled twice: 1, the first: 77'],
  [{ unexplainedCopies: some }, 'records stored more often than attempted: 1, the first: 77'],
  [{ outOfOrder: some }, 'acknowledged records out of the order of their key: 1, the first: 77'],
  [{ foreign: 1 }, 'not as they were put: 1'],
  [{ highestBufferedBytes: 6 }, 'the buffer kept its bounds'],
  [{ highestBufferedRecords: 6 }, 'the buffer kept its bounds'],
  [{ fullBuffer: 0 }, 'more was offered than shards take'],
  [{ earlyFlushes: 1 }, 'flushes that resolved too early: 1 of 1'],
  [{ stuckFlushes: 1 }, 'flushes that did not end: 1'],
  [{ memory: { ...good.memory, heapGrowth: 0.101 } }, 'heap after collection, without code'],
  [{ openSockets: 1 }, 'open after close: 1 sockets'],
  [{ openResources: ['Timeout'] }, 'open after close: 0 sockets, Timeout'],
])('%j fails the run, and the command to repeat it is told', (broken, text) => {
  const result = { ...good, ...broken }
  const failed = checksOf(result).filter(({ holds }) => !holds)
  expect(failed).toHaveLength(1)
  expect(failed[0]!.text).toContain(text)
  expect(verdictText(result)).toContain(
    'npm run soak -- --minutes 10 --shards 3 --seed 42 --ordering perShard --aggregation shard',
  )
})

test('without a promise of order its breach is none', () => {
  const result = { ...good, options: { ...good.options, ordering: 'none' as const }, outOfOrder: some }
  expect(checksOf(result).every(({ holds }) => holds)).toBe(true)
})
