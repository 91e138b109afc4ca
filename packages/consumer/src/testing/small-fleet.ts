import { ManualClock } from '@shardwise/core/clock'
import type { FanOutPort } from '@shardwise/core/fan-out-port'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { fanOutPort, KinesisModel, KinesisModelError } from '@shardwise/local/model'
import { expect, onTestFinished } from 'vitest'
import { Consumer } from '../consumer.js'
import type { ConsumerOptions } from '../consumer-options.js'
import { MemoryLeaseStore } from '../leases/memory-lease-store.js'

export interface SmallFleet {
  readonly clock: ManualClock
  readonly model: KinesisModel
  readonly kinesis: KinesisPort & FanOutPort
  readonly leaseStore: MemoryLeaseStore
  readonly consumer: <T = Uint8Array>(more?: Partial<ConsumerOptions<unknown>> & Pick<ConsumerOptions<T>, 'codec'>) => Consumer<T>
  /** Another stream. */
  readonly create: (stream: string, shards: number) => void
  /** Records whose data are 0, 1, 2 and so on, over 32 keys; each stream counts for itself. Default: the first stream. */
  readonly put: (count: number, stream?: string) => void
  readonly until: (holds: () => boolean, limitMs?: number) => Promise<void>
  readonly settled: (work: Promise<unknown>) => Promise<void>
}

/** Kinesis as a model in memory, leases in memory, and a clock that stands still: a whole fleet without real time. */
export function setUp(shards: number): SmallFleet {
  const clock = new ManualClock()
  const model = new KinesisModel({ clock, random: seededRandom(7), transitionMs: { create: 0, delete: 0, update: 0 } })
  const create = (stream: string, ShardCount: number): void => {
    model.call('CreateStream', { StreamName: stream, ShardCount })
  }
  create('flights', shards)
  const call =
    (operation: string) =>
    async (input: object): Promise<never> => {
      try {
        return model.call(operation, input) as never
      } catch (error) {
        throw error instanceof KinesisModelError ? asTheSdkSaysIt(error) : error
      }
    }
  const kinesis: KinesisPort & FanOutPort = {
    ...fanOutPort(model, clock),
    putRecords: call('PutRecords'),
    getShardIterator: call('GetShardIterator'),
    getRecords: call('GetRecords'),
    listShards: call('ListShards'),
    describeStreamSummary: call('DescribeStreamSummary'),
  }
  const leaseStore = new MemoryLeaseStore()
  let seed = 0
  const consumer = <T = Uint8Array>(
    more: Partial<ConsumerOptions<unknown>> & Pick<ConsumerOptions<T>, 'codec'> = {},
  ): Consumer<T> => {
    const options: ConsumerOptions<unknown> = {
      ...(more.streams === undefined && { stream: 'flights' }),
      applicationName: 'delays',
      kinesis,
      leaseStore,
      clock,
      random: seededRandom(++seed),
      initialPosition: 'trim-horizon',
      ...more,
    }
    return new Consumer(options as ConsumerOptions<T>)
  }
  const counts = new Map<string, number>()
  const put = (count: number, stream = 'flights'): void => {
    let next = counts.get(stream) ?? 0
    for (let i = 0; i < count; i++, next++) {
      const Data = new TextEncoder().encode(String(next))
      model.call('PutRecord', { StreamName: stream, PartitionKey: `key-${next % 32}`, Data })
    }
    counts.set(stream, next)
  }
  const until = async (holds: () => boolean, limitMs = 120_000): Promise<void> => {
    const end = clock.now() + limitMs
    while (!holds()) {
      if (clock.now() > end) throw new Error(`Not within ${limitMs} ms`)
      await clock.advanceAsync(50)
    }
  }
  const settled = async (work: Promise<unknown>): Promise<void> => {
    let done = false
    const end = (): void => {
      done = true
    }
    void work.then(end, end)
    await until(() => done)
  }
  onTestFinished(() => expect(clock.pendingTimers).toBe(0))
  return { clock, model, kinesis, leaseStore, consumer, create, put, until, settled }
}

function asTheSdkSaysIt({ message, code, statusCode }: KinesisModelError): Error {
  return Object.assign(new Error(message), { name: code, $metadata: { httpStatusCode: statusCode } })
}
