import { describe, expect, it } from 'vitest'
import type { ConsumerEvent } from './consumer-events.js'
import type { ConsumedRecord } from './delivery/consumed-record.js'
import type { HandlerContext } from './delivery/handler.js'
import { recorded } from './testing/received.js'
import { setUp } from './testing/small-fleet.js'

const text = ({ bytes }: ConsumedRecord): string => new TextDecoder().decode(bytes)

describe('shards that move between consumers', () => {
  it('a handler that hangs is cut off when another consumer asks for its shard: told, and its records are delivered there', async () => {
    const { consumer, put, until, settled, clock } = setUp(2)
    const hung: HandlerContext[] = []
    const first = consumer({ handoffTimeoutMs: 5_000 })
    const events = recorded(first)
    const firstRun = first.run({
      eachRecord: (_record, context) => {
        hung.push(context)
        return new Promise(() => {})
      },
    })
    put(20)
    await until(() => hung.length === 2)
    const got: string[] = []
    const second = consumer()
    const secondRun = second.run({ eachRecord: (record) => void got.push(text(record)) })
    await until(() => hung.some(({ signal }) => signal.aborted))
    const cutOffAt = clock.now()
    expect(hung.filter(({ signal }) => signal.aborted)).toHaveLength(1)
    const told = hung.find(({ signal }) => signal.aborted)!
    expect(told.signal.reason).toMatchObject({ name: 'LeaseLostError', leaseKey: told.shardId })
    await until(() => got.length > 0)
    expect(clock.now() - cutOffAt).toBeLessThan(3_000)
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'lease-handoff-forced', leaseKey: told.shardId, waitedMs: 5_000 }),
    )
    const { shards } = second.snapshot()
    expect(shards.find(({ shardId }) => shardId === told.shardId)!.worker).toBeDefined()
    await settled(Promise.all([first.stop({ timeoutMs: 0 }), firstRun]))
    await until(() => got.length === 20)
    expect(new Set(got).size).toBe(20)
    await settled(Promise.all([second.stop(), secondRun]))
  })

  it('a rolling deploy delivers every record once, and the checkpoint goes with the shard', async () => {
    const { consumer, put, until, settled, leaseStore } = setUp(4)
    const got: string[] = []
    const start = () => {
      const one = consumer()
      return { one, run: one.run({ eachRecord: (record) => void got.push(text(record)) }) }
    }
    let old = [start(), start()]
    let total = 0
    for (let round = 0; round < 3; round++) {
      const next = []
      for (const { one, run } of old) {
        put(50)
        total += 50
        next.push(start())
        await until(() => got.length === total)
        await settled(Promise.all([one.stop(), run]))
      }
      old = next
    }
    put(50)
    await until(() => got.length === total + 50)
    expect(new Set(got).size).toBe(got.length)
    await settled(Promise.all(old.flatMap(({ one, run }) => [one.stop(), run])))
    expect((await leaseStore.list()).leases.filter(({ leaseOwner }) => leaseOwner !== undefined)).toEqual([])
  })

  it('a source that is dead is noticed: the shard is given up, read anew, and nothing is lost', async () => {
    const { consumer, put, until, settled, model } = setUp(1)
    const call = model.call.bind(model)
    let dead = false
    const hang = new Promise<never>(() => {})
    const got: string[] = []
    const events: ConsumerEvent[] = []
    const one = consumer({
      kinesis: {
        getRecords: async (input, options) => {
          // A promise that never settles, but for the signal.
          if (dead)
            return Promise.race([
              hang,
              new Promise<never>((_, reject) => options?.signal?.addEventListener('abort', () => reject(options.signal!.reason))),
            ])
          return call('GetRecords', input) as never
        },
        putRecords: async (input) => call('PutRecords', input) as never,
        getShardIterator: async (input) => call('GetShardIterator', input) as never,
        listShards: async (input) => call('ListShards', input) as never,
        describeStreamSummary: async (input) => call('DescribeStreamSummary', input) as never,
      },
    })
    one.events.onAny((event) => {
      events.push(event)
      if (event.type === 'lease-reader-stalled') dead = false
    })
    const run = one.run({ eachRecord: (record) => void got.push(text(record)) })
    put(5)
    await until(() => got.length === 5)
    dead = true
    await until(() => events.some(({ type }) => type === 'lease-reader-stalled'), 200_000)
    put(5)
    await until(() => got.length === 10)
    expect(new Set(got).size).toBe(10)
    await settled(Promise.all([one.stop(), run]))
  })
})
