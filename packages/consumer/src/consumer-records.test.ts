import { AggregateBuilder } from '@shardwise/aggregation'
import { sleep } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { tagsOf } from '@shardwise/core/record-tags'
import { describe, expect, it } from 'vitest'
import { ConsumerRanError, ConsumerStartError, ConsumerStoppingError } from './consumer-error.js'
import type { StreamedRecord } from './delivery/record-turns.js'
import { LeaseLostError } from './leases/lease-lost-error.js'
import { setUp } from './testing/small-fleet.js'

const numberIn = ({ data }: StreamedRecord): number => Number(new TextDecoder().decode(data))

describe('Consumer.records', () => {
  it('a duplicate that is left out gives the turn of its shard to the others', async () => {
    const { consumer, model, until, settled, clock } = setUp(2)
    const builder = new AggregateBuilder()
    const put = (id: string, key: string): void => {
      builder.tryAdd(key, Buffer.from(id), undefined, tagsOf(id, undefined))
      model.call('PutRecord', { StreamName: 'flights', PartitionKey: key, Data: Buffer.from(builder.seal().bytes) })
    }
    const one = consumer({ dedupe: { maxRecordIds: 100 } })
    const got: string[] = []
    const loop = (async () => {
      for await (const { recordId } of one.records()) got.push(recordId!)
    })()
    put('a', 'key-1')
    await until(() => got.length === 1)
    put('a', 'key-1')
    await clock.advanceAsync(5_000)
    put('b', 'key-5')
    await until(() => got.length === 2)
    await settled(one.stop())
    await loop
    expect(got).toEqual(['a', 'b'])
  })

  it('lets shards take turns, each in its order, and ends when the consumer is stopped, all completed', async () => {
    const { leaseStore, clock, consumer, put, settled } = setUp(3)
    put(300)
    const one = consumer()
    const failures = one.events.next('handler-failed').then(() => expect.unreachable())
    void failures.catch(() => {})
    const got: { shardId: string; key: string; value: number }[] = []
    const loop = (async () => {
      for await (const record of one.records()) {
        got.push({ shardId: record.context.shardId, key: record.partitionKey, value: numberIn(record) })
        clock.advance(1)
        if (got.length === 300) void one.stop()
      }
    })()
    await settled(loop)
    await loop
    expect(got).toHaveLength(300)
    expect(new Set(got.slice(100, 106).map(({ shardId }) => shardId)).size).toBe(3)
    expect(new Set(got.map(({ value }) => value)).size).toBe(300)
    for (let i = 0; i < 32; i++) {
      const values = got.filter(({ key }) => key === `key-${i}`).map(({ value }) => value)
      expect(values).toEqual([...values].sort((a, b) => a - b))
    }
    // Another finds nothing left.
    for (const { leaseOwner, checkpoint } of (await leaseStore.list()).leases) {
      expect(leaseOwner).toBeUndefined()
      expect(checkpoint.kind).toBe('sequence')
    }
  })

  it.each(['break', 'throw', 'return'])(
    'leaving by %s stops it and completes what was asked past, not the record in hand',
    async (how) => {
      const { leaseStore, consumer, put, settled, until } = setUp(1)
      put(10)
      const one = consumer()
      const types: string[] = []
      one.events.onAny(({ type }) => types.push(type))
      const got: number[] = []
      const body = async (): Promise<void> => {
        for await (const record of one.records()) {
          got.push(numberIn(record))
          if (got.length < 4) continue
          if (how === 'break') break
          if (how === 'return') return
          throw new Error('enough')
        }
      }
      const loop = body().catch((error: Error) => expect(error.message).toBe('enough'))
      await settled(loop)
      await loop
      expect(types.at(-1)).toBe('consumer-stopped')
      expect(types).not.toContain('handler-failed')
      expect(types).not.toContain('handler-abandoned')
      expect((await leaseStore.list()).leases).toMatchObject([{ leaseOwner: undefined }])
      const two = consumer()
      const run = two.run({ eachRecord: ({ data }) => void got.push(Number(new TextDecoder().decode(data))) })
      await until(() => got.at(-1) === 9)
      expect(got).toEqual([0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9])
      await settled(two.stop())
      await run
    },
  )

  it.each([1, 2, 3, 4, 5, 6])('loops that come and go leave nothing out and repeat only what they left (%i)', async (seed) => {
    const { consumer, put, settled, clock } = setUp(3)
    const random = seededRandom(seed)
    const pick = (count: number): number => Math.floor(random() * count)
    put(200)
    const got: { key: string; value: number }[] = []
    const left: number[] = []
    const seen = new Set<number>()
    while (seen.size < 200) {
      const one = consumer({ failoverTimeMs: 3000 })
      const quit = new AbortController()
      let budget = 1 + pick(80)
      const how = pick(3)
      const loop = (async () => {
        for await (const record of one.records({ signal: quit.signal })) {
          got.push({ key: record.partitionKey, value: numberIn(record) })
          seen.add(numberIn(record))
          if (random() < 0.1) await sleep(clock, pick(2000))
          if (random() < 0.05) one.pause(record.shardId)
          if (random() < 0.2) one.resume()
          const last = --budget <= 0 || seen.size === 200
          if (!last) continue
          if (how === 0) quit.abort()
          else if (how === 1) void one.stop()
          else {
            left.push(numberIn(record))
            break
          }
        }
      })()
      let resumer = clock.schedule(5000, resume)
      function resume(): void {
        one.resume()
        resumer = clock.schedule(5000, resume)
      }
      await settled(loop)
      resumer.cancel()
    }
    expect(got.map(({ value }) => value).sort((a, b) => a - b)).toEqual(
      [...Array.from({ length: 200 }, (_, i) => i), ...left.slice(0, got.length - 200)].sort((a, b) => a - b),
    )
    for (let i = 0; i < 32; i++) {
      const values = got.filter(({ key }) => key === `key-${i}`).map(({ value }) => value)
      expect(values).toEqual([...values].sort((a, b) => a - b))
    }
  })

  it('tells the body when the lease is lost, checkpoints nothing of it any more, and goes on with other shards', async () => {
    const { leaseStore, consumer, put, until, settled, clock } = setUp(2)
    put(100)
    const one = consumer()
    const got: StreamedRecord[] = []
    let goOn = (): void => {}
    const loop = (async () => {
      for await (const record of one.records()) {
        got.push(record)
        if (got.length !== 10) continue
        await new Promise<void>((resolve) => {
          goOn = resolve
        })
      }
    })()
    await until(() => got.length === 10)
    const { shardId, context } = got[9]!
    const row = (await leaseStore.list()).leases.find((lease) => lease.shardId === shardId)!
    await leaseStore.take(row, 'thief')
    await until(() => context.signal.aborted)
    expect(context.signal.reason).toBeInstanceOf(LeaseLostError)
    const stolen = await leaseStore.read(shardId)
    expect(one.snapshot().shards.find((shard) => shard.shardId === shardId)).toMatchObject({ worker: { state: 'lost' } })
    goOn()
    await until(() => got.length > 50)
    await clock.advanceAsync(100)
    expect((await leaseStore.read(shardId))?.checkpoint).toEqual(stolen?.checkpoint)
    await settled(Promise.all([one.stop(), loop]))
  })

  it('holds back the shards while the body works', async () => {
    const { consumer, put, until, settled, clock } = setUp(2)
    put(50)
    const one = consumer({ maxRecordsPerRead: 5 })
    let reads = 0
    one.events.on('batch-completed', () => reads++)
    let goOn = (): void => {}
    let got = 0
    const loop = (async () => {
      for await (const _ of one.records())
        if (++got === 1)
          await new Promise<void>((resolve) => {
            goOn = resolve
          })
    })()
    await until(() => got === 1)
    await clock.advanceAsync(30_000)
    expect(got).toBe(1)
    expect(reads).toBe(0)
    for (const { worker } of one.snapshot().shards) expect(worker?.bufferedRecords).toBeLessThanOrEqual(10)
    goOn()
    await until(() => got === 50)
    await settled(Promise.all([one.stop(), loop]))
  })

  it('is stopped within its time though the body never asks again; what it completes afterwards counts for nothing', async () => {
    const { leaseStore, consumer, put, settled } = setUp(1)
    put(5)
    const one = consumer()
    const records = one.records()
    const first = records.next()
    await settled(first)
    const second = records.next()
    await settled(second)
    const stop = one.stop({ timeoutMs: 1000 })
    await settled(stop)
    expect(await stop).toEqual({ abandonedShards: [{ stream: 'flights', shardId: 'shardId-000000000000' }] })
    const { value } = await second
    expect((value as StreamedRecord).context.signal.reason).toBeInstanceOf(ConsumerStoppingError)
    const rows = (await leaseStore.list()).leases
    expect(await records.next()).toEqual({ done: true, value: undefined })
    expect((await leaseStore.list()).leases).toEqual(rows)
    const { sequenceNumber } = (await first).value as StreamedRecord
    expect(rows).toMatchObject([{ leaseOwner: undefined, checkpoint: { sequenceNumber } }])
  })

  it('who waits for a record can leave at once', async () => {
    const { consumer, settled, until } = setUp(1)
    const one = consumer()
    const records = one.records()
    const next = records.next()
    await until(() => one.snapshot().state === 'running')
    const left = records.return!()
    await settled(Promise.all([next, left]))
    expect(await next).toEqual({ done: true, value: undefined })
    expect(one.snapshot().state).toBe('stopped')
  })

  it('rejects as the start does', async () => {
    const { consumer, settled } = setUp(1)
    const next = consumer({ stream: 'typo' }).records().next()
    await settled(next.catch(() => {}))
    await expect(next).rejects.toBeInstanceOf(ConsumerStartError)
  })

  it('runs once, and a second loop does not disturb the first', async () => {
    const { consumer, put, settled } = setUp(1)
    put(2)
    const one = consumer()
    const records = one.records()
    await settled(records.next())
    await expect(one.records().next()).rejects.toBeInstanceOf(ConsumerRanError)
    await one.records().return!()
    const second = records.next()
    await settled(second)
    expect(numberIn((await second).value as StreamedRecord)).toBe(1)
    await settled(records.return!())
  })

  it.each(Array.from({ length: 25 }, (_, i) => i + 1))(
    'next, return, throw, stop and abort in any order and at any moment: all settle, and nothing is checkpointed that was not asked past (%i)',
    async (seed) => {
      const { leaseStore, consumer, put, clock, settled } = setUp(1)
      const random = seededRandom(seed)
      const pick = (count: number): number => Math.floor(random() * count)
      put(30)
      const one = consumer({ failoverTimeMs: 3000 })
      const quit = new AbortController()
      const records = one.records({ signal: quit.signal })
      const got: StreamedRecord[] = []
      const calls: Promise<unknown>[] = []
      let last = Promise.resolve()
      /** Completed at most: records after which another was asked for. */
      let asked = 0
      const ops: (() => Promise<unknown> | undefined)[] = [
        ...Array.from({ length: 12 }, () => () => {
          asked++
          return records.next().then(({ done, value }) => void (done !== true && got.push(value)))
        }),
        () => records.return!(),
        () => records.throw!(new Error('thrown in')).catch(() => {}),
        () => one.stop(),
        () => one.stop({ timeoutMs: 0 }),
        () => void quit.abort(),
      ]
      for (let i = 0; i < 25; i++) {
        const call = ops[pick(ops.length)]!()
        if (call !== undefined) calls.push(call)
        if (call !== undefined && random() < 0.3) last = call.then(() => {})
        const way = pick(3)
        if (way === 0) await Promise.race([last, clock.advanceAsync(1 + pick(700))])
        if (way === 1) await Promise.resolve()
      }
      calls.push(records.return!())
      await settled(Promise.all([...calls, one.stop({ timeoutMs: 0 })]))
      expect(one.snapshot().state).toBe('stopped')
      const { leases } = await leaseStore.list()
      const checkpoint = leases[0]?.checkpoint
      const numbers = got.map(({ sequenceNumber }) => sequenceNumber)
      if (checkpoint?.kind === 'sequence') {
        const index = numbers.indexOf(checkpoint.sequenceNumber)
        expect(index).toBeGreaterThanOrEqual(0)
        expect(index).toBeLessThan(asked - 1)
      }
      expect(got.map(numberIn)).toEqual(got.map((_, i) => i))
      expect(leases.every(({ leaseOwner }) => leaseOwner === undefined)).toBe(true)
    },
  )

  it('does nothing when its signal has aborted, and refuses options that it does not know', async () => {
    const { consumer } = setUp(1)
    expect(await consumer().records({ signal: AbortSignal.abort() }).next()).toEqual({ done: true, value: undefined })
    expect(() => consumer().records({ sginal: AbortSignal.abort() } as never)).toThrow('`sginal`')
    expect(() => consumer().records({ signal: new AbortController() } as never)).toThrow('`signal` must be an AbortSignal')
  })
})
