import type { KinesisPort } from '@shardwise/core/kinesis-port'
import type { KinesisModel } from '@shardwise/local/model'
import { describe, expect, it } from 'vitest'
import type { Consumer } from './consumer.js'
import type { ConsumerEvent } from './consumer-events.js'
import { recorded } from './testing/received.js'
import { setUp } from './testing/small-fleet.js'

const MINUTE = 60_000
const HALF = `${2n ** 127n}`
const id = (number: number): string => `shardId-${String(number).padStart(12, '0')}`

interface Reader {
  readonly got: number[]
  readonly events: ConsumerEvent[]
  readonly run: Promise<void>
}

function read(consumer: Consumer): Reader {
  const got: number[] = []
  const events = recorded(consumer)
  return { got, events, run: consumer.run({ eachRecord: ({ data }) => void got.push(Number(new TextDecoder().decode(data))) }) }
}

function numbers(to: number): number[] {
  return Array.from({ length: to }, (_, i) => i)
}

const ascending = (a: number, b: number): number => a - b

describe('finished shards', () => {
  it('lose their leases when their children have begun and twenty minutes are over; nothing is read again, by newcomers neither', async () => {
    const { model, leaseStore, consumer, put, until, settled, clock } = setUp(1)
    const one = consumer()
    const first = read(one)
    put(64)
    await until(() => first.got.length === 64)
    model.call('SplitShard', { StreamName: 'flights', ShardToSplit: id(0), NewStartingHashKey: HALF })
    put(64)
    await until(() => first.got.length === 128)
    for (let minute = 0; minute < 18; minute++) await clock.advanceAsync(MINUTE)
    const keys = async (): Promise<string[]> => (await leaseStore.list()).leases.map(({ leaseKey }) => leaseKey).sort()
    expect(await keys()).toEqual([id(0), id(1), id(2)])
    for (let minute = 0; minute < 8; minute++) await clock.advanceAsync(MINUTE)
    expect(await keys()).toEqual([id(1), id(2)])
    expect(first.events.filter(({ type }) => type === 'lease-deleted')).toEqual([{ type: 'lease-deleted', leaseKey: id(0) }])
    // The closed shard is listed until its retention ends.
    const { Shards } = model.call('ListShards', { StreamName: 'flights' }) as { Shards: { ShardId: string }[] }
    expect(Shards.map(({ ShardId }) => ShardId)).toContain(id(0))
    await settled(one.stop())
    const two = consumer()
    const second = read(two)
    put(64)
    await until(() => second.got.length === 64)
    for (let minute = 0; minute < 5; minute++) await clock.advanceAsync(MINUTE)
    expect([...first.got, ...second.got].sort(ascending)).toEqual(numbers(192))
    expect(await keys()).toEqual([id(1), id(2)])
    await settled(two.stop())
    await Promise.all([first.run, second.run])
  })
})

describe('without ListShards', () => {
  it('reading goes on through a reshard, and a second worker starts and shares', async () => {
    const { model, consumer, put, until, settled, clock } = setUp(2)
    let denied = false
    const kinesis = portTo(model, () => denied)
    const one = consumer({ kinesis })
    const first = read(one)
    put(64)
    await until(() => first.got.length === 64)
    denied = true
    model.call('SplitShard', { StreamName: 'flights', ShardToSplit: id(0), NewStartingHashKey: `${2n ** 126n}` })
    put(64)
    await until(() => first.got.length === 128)
    const two = consumer({ kinesis })
    const second = read(two)
    await until(() => second.events.some(({ type }) => type === 'shard-started'))
    put(64)
    await until(() => first.got.length + second.got.length === 192)
    await clock.advanceAsync(2 * MINUTE)
    expect([...first.got, ...second.got].sort(ascending)).toEqual(numbers(192))
    for (const { events } of [first, second]) {
      expect(events).toContainEqual({
        type: 'shard-audit-failed',
        failure: expect.objectContaining({ kind: 'access-denied', message: expect.stringContaining('ListShards') }),
      })
    }
    await settled(Promise.all([one.stop(), two.stop()]))
    await Promise.all([first.run, second.run])
  })
})

function portTo(model: KinesisModel, denied: () => boolean): KinesisPort {
  const call =
    (operation: string) =>
    async (input: object): Promise<never> => {
      if (operation !== 'ListShards' || !denied()) return model.call(operation, input) as never
      throw Object.assign(new Error('not authorized to perform: kinesis:ListShards'), { name: 'AccessDeniedException' })
    }
  return {
    putRecords: call('PutRecords'),
    getShardIterator: call('GetShardIterator'),
    getRecords: call('GetRecords'),
    listShards: call('ListShards'),
    describeStreamSummary: call('DescribeStreamSummary'),
  }
}
