import { ManualClock } from '@shardwise/core/clock'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import { seededRandom } from '@shardwise/core/random'
import { KinesisModel, KinesisModelError } from '@shardwise/local/model'
import { expect, onTestFinished } from 'vitest'
import { Consumer } from '../consumer.js'
import { type ConsumerOptions, type InternalOptions, LEASE_STORE } from '../consumer-options.js'
import { MemoryLeaseStore } from '../leases/memory-lease-store.js'

export interface SmallFleet {
  readonly clock: ManualClock
  readonly model: KinesisModel
  readonly leaseStore: MemoryLeaseStore
  readonly consumer: <T = Uint8Array>(more?: Partial<InternalOptions> & Pick<ConsumerOptions<T>, 'codec'>) => Consumer<T>
  /** Records whose data are 0, 1, 2 and so on, over 32 keys. */
  readonly put: (count: number) => void
  readonly until: (holds: () => boolean, limitMs?: number) => Promise<void>
  readonly settled: (work: Promise<unknown>) => Promise<void>
}

/** Kinesis as a model in memory, leases in memory, and a clock that stands still: a whole fleet without real time. */
export function setUp(shards: number): SmallFleet {
  const clock = new ManualClock()
  const model = new KinesisModel({ clock, random: seededRandom(7), transitionMs: { create: 0, delete: 0, update: 0 } })
  model.call('CreateStream', { StreamName: 'flights', ShardCount: shards })
  const call =
    (operation: string) =>
    async (input: object): Promise<never> => {
      try {
        return model.call(operation, input) as never
      } catch (error) {
        throw error instanceof KinesisModelError ? asTheSdkSaysIt(error) : error
      }
    }
  const kinesis: KinesisPort = {
    putRecords: call('PutRecords'),
    getShardIterator: call('GetShardIterator'),
    getRecords: call('GetRecords'),
    listShards: call('ListShards'),
    describeStreamSummary: call('DescribeStreamSummary'),
  }
  const leaseStore = new MemoryLeaseStore()
  let seed = 0
  const consumer = <T = Uint8Array>(more: Partial<InternalOptions> & Pick<ConsumerOptions<T>, 'codec'> = {}): Consumer<T> => {
    const options: InternalOptions = {
      stream: 'flights',
      applicationName: 'delays',
      kinesis,
      [LEASE_STORE]: leaseStore,
      clock,
      random: seededRandom(++seed),
      initialPosition: 'trim-horizon',
      ...more,
    }
    return new Consumer(options as ConsumerOptions<T>)
  }
  let next = 0
  const put = (count: number): void => {
    for (let i = 0; i < count; i++) {
      model.call('PutRecord', {
        StreamName: 'flights',
        PartitionKey: `key-${next % 32}`,
        Data: new TextEncoder().encode(String(next)),
      })
      next++
    }
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
    void work.finally(() => {
      done = true
    })
    await until(() => done)
  }
  onTestFinished(() => expect(clock.pendingTimers).toBe(0))
  return { clock, model, leaseStore, consumer, put, until, settled }
}

function asTheSdkSaysIt({ message, code, statusCode }: KinesisModelError): Error {
  return Object.assign(new Error(message), { name: code, $metadata: { httpStatusCode: statusCode } })
}
