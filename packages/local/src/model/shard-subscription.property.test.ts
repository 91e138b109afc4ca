import { ManualClock } from '@shardwise/core/clock'
import type { StartingPosition } from '@shardwise/core/fan-out-port'
import { seededRandom } from '@shardwise/core/random'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { KinesisModel, KinesisModelError, type ShardSubscription } from './index.js'

const ARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/s'

/** What happens next. Numbers choose among what there is. */
type Act =
  | { readonly do: 'put'; readonly key: number; readonly size: number }
  | { readonly do: 'read' | 'close' | 'subscribe'; readonly shard: number; readonly steps: number; readonly at: boolean }
  | { readonly do: 'split'; readonly shard: number }
  | { readonly do: 'merge'; readonly shard: number }
  | { readonly do: 'wait'; readonly ms: number }

const nat = (max: number) => fc.nat({ max })
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), key: nat(50), size: fc.constantFrom(1, 1, 1, 600_000) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('read' as const, 'read' as const, 'subscribe' as const, 'close' as const),
      shard: nat(7),
      steps: nat(5),
      at: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.record({ do: fc.constant('split' as const), shard: nat(7) }),
      fc.record({ do: fc.constant('merge' as const), shard: nat(7) }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 160, 1000, 5000, 5000, 300_000) }),
  },
)

/**
 * A reader as simple as can be. For each shard it knows the last number it was told to go on from; it subscribes again whenever it must,
 * and follows children. It keeps nothing else, so what it misses or sees twice is the service's doing.
 */
class Reader {
  readonly seen = new Map<string, string[]>()
  readonly #model: KinesisModel
  readonly #consumer: string
  readonly #shards = new Map<string, { position: StartingPosition; live: ShardSubscription | undefined; over: boolean }>()

  constructor(model: KinesisModel, consumer: string) {
    this.#model = model
    this.#consumer = consumer
    for (const { ShardId } of (model.call('ListShards', { StreamName: 's' }) as { Shards: { ShardId: string }[] }).Shards) {
      this.#begin(ShardId)
    }
  }

  subscribe(index: number, at = false): void {
    const [shardId, shard] = this.#at(index)
    if (shard.over) return
    // Quiet events give a number between records: from it, AT and AFTER are the same.
    const position: StartingPosition =
      at && shard.position.Type === 'AFTER_SEQUENCE_NUMBER' && this.#quiet.has(shard.position.SequenceNumber!)
        ? { ...shard.position, Type: 'AT_SEQUENCE_NUMBER' }
        : shard.position
    try {
      const input = { ConsumerARN: this.#consumer, ShardId: shardId, StartingPosition: position }
      shard.live = (this.#model.call('SubscribeToShard', input) as { EventStream: ShardSubscription }).EventStream
    } catch (error) {
      if (!(error instanceof KinesisModelError) || !/ResourceInUse|LimitExceeded/.test(error.code)) throw error
    }
  }

  close(index: number): void {
    const [, shard] = this.#at(index)
    shard.live?.close()
    shard.live = undefined
  }

  /** Steps until it would have to wait, at most so many. */
  read(index: number, steps = Number.POSITIVE_INFINITY): void {
    const [shardId, shard] = this.#at(index)
    for (let i = 0; i < steps && shard.live !== undefined; i++) {
      const step = shard.live.next()
      if (step.kind === 'wait') return
      if (step.kind === 'ended') shard.live = undefined
      else if (step.kind === 'failed') {
        expect(step.error.code).toBe('ResourceInUseException')
        shard.live = undefined
      } else {
        const { Records = [], ContinuationSequenceNumber: next, ChildShards } = step.event
        this.seen.get(shardId)!.push(...Records.map(({ SequenceNumber }) => SequenceNumber!))
        if (next !== undefined) {
          if (Records.length === 0) this.#quiet.add(next)
          shard.position = { Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: next }
        } else {
          shard.over = true
          for (const { ShardId } of ChildShards!) if (!this.seen.has(ShardId!)) this.#begin(ShardId!)
        }
      }
    }
  }

  get shardCount(): number {
    return this.#shards.size
  }

  readonly #quiet = new Set<string>()

  #at(index: number) {
    return [...this.#shards][index % this.#shards.size]!
  }

  #begin(shardId: string): void {
    this.#shards.set(shardId, { position: { Type: 'TRIM_HORIZON' }, live: undefined, over: false })
    this.seen.set(shardId, [])
  }
}

it('everything put is delivered once and in order, however it is subscribed, taken over, ended, closed and resharded', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 120, size: 'max' }), (acts) => {
      const clock = new ManualClock()
      const model = new KinesisModel({ clock, random: seededRandom(1), transitionMs: { create: 0, update: 150, consumer: 0 } })
      model.call('CreateStream', { StreamName: 's', ShardCount: 2 })
      const { Consumer } = model.call('RegisterStreamConsumer', { StreamARN: ARN, ConsumerName: 'c' }) as {
        Consumer: { ConsumerARN: string }
      }
      const reader = new Reader(model, Consumer.ConsumerARN)
      const put = new Map<string, string[]>()
      const attempt = (operation: string, input: object): object | undefined => {
        try {
          return model.call(operation, { StreamName: 's', ...input })
        } catch (error) {
          if (error instanceof KinesisModelError) return undefined
          throw error
        }
      }
      const open = () => {
        const { Shards } = model.call('ListShards', { StreamName: 's', ShardFilter: { Type: 'AT_LATEST' } }) as {
          Shards: { ShardId: string; HashKeyRange: { StartingHashKey: string; EndingHashKey: string } }[]
        }
        return Shards.sort((a, b) => (BigInt(a.HashKeyRange.StartingHashKey) < BigInt(b.HashKeyRange.StartingHashKey) ? -1 : 1))
      }
      for (const next of acts) {
        if (next.do === 'wait') clock.advance(next.ms)
        else if (next.do === 'put') {
          const placed = attempt('PutRecord', { PartitionKey: `k${next.key}`, Data: new Uint8Array(next.size) }) as
            | { ShardId: string; SequenceNumber: string }
            | undefined
          if (placed !== undefined) put.set(placed.ShardId, [...(put.get(placed.ShardId) ?? []), placed.SequenceNumber])
        } else if (next.do === 'split') {
          const { ShardId, HashKeyRange } = open()[next.shard % open().length]!
          const middle = (BigInt(HashKeyRange.StartingHashKey) + BigInt(HashKeyRange.EndingHashKey)) / 2n
          attempt('SplitShard', { ShardToSplit: ShardId, NewStartingHashKey: String(middle) })
        } else if (next.do === 'merge') {
          const shards = open()
          const at = next.shard % shards.length
          attempt('MergeShards', { ShardToMerge: shards[at]?.ShardId, AdjacentShardToMerge: shards[at + 1]?.ShardId ?? '0' })
        } else if (next.do === 'subscribe') reader.subscribe(next.shard, next.at)
        else if (next.do === 'close') reader.close(next.shard)
        else reader.read(next.shard, next.steps)
      }
      // Given time, everything comes.
      for (let round = 0; round < 60; round++) {
        clock.advance(5000)
        for (let shard = 0; shard < reader.shardCount; shard++) {
          reader.read(shard)
          reader.subscribe(shard)
          reader.read(shard)
        }
      }
      const delivered = Object.fromEntries([...reader.seen].filter(([, numbers]) => numbers.length > 0))
      expect(delivered).toEqual(Object.fromEntries(put))
    }),
    { numRuns: Number(process.env.SHARDWISE_SEEDS ?? 150) },
  )
})
