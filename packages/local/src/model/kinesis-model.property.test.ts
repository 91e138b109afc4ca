import { ManualClock } from '@shardwise/core/clock'
import { uncovered } from '@shardwise/core/hash-key'
import type { ShardListing } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { KinesisModel, KinesisModelError } from './index.js'

type Step =
  | { readonly kind: 'put'; readonly keys: readonly number[] }
  | { readonly kind: 'split'; readonly shard: number; readonly at: number }
  | { readonly kind: 'merge'; readonly shard: number }
  | { readonly kind: 'scale'; readonly target: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'jump'; readonly ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      keys: fc.array(fc.nat({ max: 50 }), { minLength: 1, maxLength: 20 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('split' as const),
      shard: fc.nat(),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('merge' as const), shard: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('scale' as const), target: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.oneof(fc.constant(0), fc.nat({ max: 150 })) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('jump' as const), ms: fc.integer({ min: -5000, max: 5000 }) }) },
)

function run(steps: readonly Step[], updateMs: number) {
  const clock = new ManualClock()
  const model = new KinesisModel({ clock, random: seededRandom(1), transitionMs: { create: 0, update: updateMs }, quotas: false })
  // biome-ignore lint/suspicious/noExplicitAny: answers are read field by field
  const call = (operation: string, input: object): any => model.call(operation, input)
  const attempt = (operation: string, input: object): void => {
    try {
      call(operation, { StreamName: 's', ...input })
    } catch (error) {
      if (!(error instanceof KinesisModelError)) throw error
      expect(['ResourceInUseException', 'InvalidArgumentException', 'LimitExceededException']).toContain(error.code)
    }
  }
  const shards = (): ShardListing[] => call('ListShards', { StreamName: 's' }).Shards
  const open = (): { id: string; start: bigint; end: bigint }[] =>
    shards()
      .filter(({ SequenceNumberRange }) => SequenceNumberRange!.EndingSequenceNumber === undefined)
      .map(({ ShardId, HashKeyRange }) => ({
        id: ShardId!,
        start: BigInt(HashKeyRange!.StartingHashKey!),
        end: BigInt(HashKeyRange!.EndingHashKey!),
      }))
      .sort((a, b) => (a.start < b.start ? -1 : 1))
  /** What was accepted, per shard, in order of acceptance. */
  const accepted = new Map<string, string[]>()
  const arrivals = new Map<string, { key: string; number: string }[]>()
  let count = 0

  call('CreateStream', { StreamName: 's', ShardCount: 2 })
  for (const action of steps) {
    switch (action.kind) {
      case 'put': {
        const Records = action.keys.map((key) => ({ PartitionKey: `key-${key}`, Data: Buffer.from(String(count++)) }))
        const { Records: results } = call('PutRecords', { StreamName: 's', Records })
        for (const [index, { ShardId, SequenceNumber }] of results.entries()) {
          accepted.set(ShardId, [...(accepted.get(ShardId) ?? []), Buffer.from(Records[index]!.Data).toString()])
          const key = Records[index]!.PartitionKey
          arrivals.set(key, [...(arrivals.get(key) ?? []), { key, number: SequenceNumber }])
        }
        break
      }
      case 'split': {
        const all = open()
        const { id, start, end } = all[action.shard % all.length]!
        const at = start + BigInt(Math.floor(action.at * 1e15)) * ((end - start) / 10n ** 15n)
        attempt('SplitShard', { ShardToSplit: id, NewStartingHashKey: String(at) })
        break
      }
      case 'merge': {
        const all = open()
        const index = action.shard % all.length
        if (index + 1 < all.length)
          attempt('MergeShards', { ShardToMerge: all[index]!.id, AdjacentShardToMerge: all[index + 1]!.id })
        break
      }
      case 'scale':
        attempt('UpdateShardCount', { TargetShardCount: action.target, ScalingType: 'UNIFORM_SCALING' })
        break
      case 'wait':
        clock.advance(action.ms)
        break
      case 'jump':
        clock.jumpWallTime(action.ms)
    }
    const ranges = open()
    expect(uncovered(ranges)).toEqual([])
    expect(ranges.reduce((sum, { start, end }) => sum + (end - start + 1n), 0n)).toBe(2n ** 128n)
  }
  return { call, shards, accepted, arrivals }
}

/** Reads every shard from TRIM_HORIZON, in small answers, to the tip or the end. */
function readAll({ call, shards }: ReturnType<typeof run>) {
  const read = new Map<string, { text: string; number: string }[]>()
  for (const { ShardId } of shards()) {
    const records: { text: string; number: string }[] = []
    let iterator: string | undefined = call('GetShardIterator', {
      StreamName: 's',
      ShardId,
      ShardIteratorType: 'TRIM_HORIZON',
    }).ShardIterator
    while (iterator !== undefined) {
      const answer = call('GetRecords', { ShardIterator: iterator, Limit: 7 })
      for (const { Data, SequenceNumber } of answer.Records) {
        records.push({ text: Buffer.from(Data).toString(), number: SequenceNumber })
      }
      const atTip = answer.Records.length === 0 && answer.NextShardIterator !== undefined
      expect(answer.ChildShards === undefined).toBe(answer.NextShardIterator !== undefined)
      iterator = atTip ? undefined : answer.NextShardIterator
    }
    if (records.length > 0) read.set(ShardId!, records)
  }
  return read
}

const scripts = fc.tuple(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, 10, 100))

it('every accepted record is read exactly once, in its shard, in order of acceptance, under a growing number', () => {
  fc.assert(
    fc.property(scripts, ([steps, updateMs]) => {
      const world = run(steps, updateMs)
      const read = readAll(world)
      expect(new Map([...read].map(([shard, records]) => [shard, records.map(({ text }) => text)]))).toEqual(world.accepted)
      for (const { ShardId, SequenceNumberRange } of world.shards()) {
        const { StartingSequenceNumber, EndingSequenceNumber } = SequenceNumberRange!
        const numbers = (read.get(ShardId!) ?? []).map(({ number }) => number)
        const bounded = [
          StartingSequenceNumber!,
          ...numbers,
          ...(EndingSequenceNumber === undefined ? [] : [EndingSequenceNumber]),
        ]
        for (let i = 1; i < bounded.length; i++) expect(bounded[i]! > bounded[i - 1]!).toBe(true)
      }
    }),
    { numRuns: 150 },
  )
})

it('the numbers of one key grow across reshardings, and a parent’s are below its children’s', () => {
  fc.assert(
    fc.property(scripts, ([steps, updateMs]) => {
      const { arrivals, shards } = run(steps, updateMs)
      for (const numbers of arrivals.values()) {
        for (let i = 1; i < numbers.length; i++) expect(numbers[i]!.number > numbers[i - 1]!.number).toBe(true)
      }
      const all = new Map(shards().map((shard) => [shard.ShardId, shard]))
      for (const shard of all.values()) {
        for (const parent of [shard.ParentShardId, shard.AdjacentParentShardId]) {
          if (parent === undefined) continue
          const ending = all.get(parent)!.SequenceNumberRange!.EndingSequenceNumber!
          expect(ending < shard.SequenceNumberRange!.StartingSequenceNumber!).toBe(true)
        }
      }
    }),
    { numRuns: 150 },
  )
})

it('AT_TRIM_HORIZON covers the hash space exactly once, whatever has expired', () => {
  fc.assert(
    fc.property(scripts, fc.nat({ max: 60 * 3_600_000 }), ([steps, updateMs], later) => {
      const spread = steps.map((action) => (action.kind === 'wait' ? { ...action, ms: action.ms * 360_000 } : action))
      const { call } = run([...spread, { kind: 'wait', ms: later }], updateMs)
      const roots: ShardListing[] = call('ListShards', { StreamName: 's', ShardFilter: { Type: 'AT_TRIM_HORIZON' } }).Shards
      const ranges = roots.map(({ HashKeyRange }) => ({
        start: BigInt(HashKeyRange!.StartingHashKey!),
        end: BigInt(HashKeyRange!.EndingHashKey!),
      }))
      expect(uncovered(ranges)).toEqual([])
      expect(ranges.reduce((sum, { start, end }) => sum + (end - start + 1n), 0n)).toBe(2n ** 128n)
    }),
    { numRuns: 150 },
  )
})
