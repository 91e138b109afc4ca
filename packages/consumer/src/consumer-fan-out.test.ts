import type { KinesisPort } from '@shardwise/core/kinesis-port'
import { describe, expect, it } from 'vitest'
import type { ConsumerEvent } from './consumer-events.js'
import type { ConsumedRecord } from './delivery/consumed-record.js'
import type { ShardStream } from './delivery/shard-stream.js'
import { setUp as smallFleet } from './testing/small-fleet.js'

const HALF = `${2n ** 127n}`
const text = ({ bytes }: Pick<ConsumedRecord, 'bytes'>): string => new TextDecoder().decode(bytes)

function denied(action: string): Error {
  return Object.assign(new Error(`User is not authorized to perform: kinesis:${action}`), { name: 'AccessDeniedException' })
}

function setUp(shards: number) {
  const fleet = smallFleet(shards)
  const { model } = fleet
  const ask = <Answer>(operation: string, input: object): Answer => model.call(operation, input) as Answer
  const arnOf = (StreamName: string): string =>
    ask<{ StreamDescriptionSummary: { StreamARN: string } }>('DescribeStreamSummary', { StreamName }).StreamDescriptionSummary
      .StreamARN
  const StreamARN = arnOf('flights')
  const consumers = (stream = StreamARN): string[] =>
    ask<{ Consumers: { ConsumerName: string }[] }>('ListStreamConsumers', { StreamARN: stream }).Consumers.map(
      ({ ConsumerName }) => ConsumerName,
    )
  const calls: string[] = []
  const call = model.call.bind(model)
  model.call = (operation, input) => {
    calls.push(operation)
    return call(operation, input)
  }
  const got: string[] = []
  const eachRecord = (record: ConsumedRecord): void => void got.push(text(record))
  const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`)
  const inAnyOrder = (): string[] => [...got].sort((a, b) => Number(a) - Number(b))
  return { ...fleet, ask, StreamARN, arnOf, consumers, calls, got, eachRecord, numbers, inAnyOrder }
}

const FAN_OUT = { retrieval: { fanOut: {} } } as const

describe('a consumer with enhanced fan-out', () => {
  it('registers the stream consumer of its name, is pushed each record once, and makes no read', async () => {
    const { clock, consumer, consumers, put, until, settled, calls, got, eachRecord, numbers, inAnyOrder } = setUp(4)
    put(100)
    const events: ConsumerEvent[] = []
    const one = consumer(FAN_OUT)
    one.events.onAny((event) => events.push(event))
    const run = one.run({ eachRecord })
    await until(() => got.length === 100)
    const since = clock.now()
    put(100)
    await until(() => got.length === 200)
    expect(clock.now() - since).toBeLessThanOrEqual(50)
    await until(() => one.snapshot().shards.every(({ worker }) => worker?.millisBehindLatest === 0))
    expect(one.snapshot().shards.map(({ worker }) => worker?.retrieval)).toEqual(Array(4).fill('fan-out'))
    await settled(Promise.all([one.stop(), run]))
    expect(inAnyOrder()).toEqual(numbers(200))
    expect(consumers()).toEqual(['delays'])
    expect(events).toContainEqual(expect.objectContaining({ type: 'stream-consumer-registered', consumerName: 'delays' }))
    expect(calls).not.toContain('GetRecords')
    expect(calls.filter((operation) => operation === 'RegisterStreamConsumer')).toHaveLength(1)
    expect(calls.filter((operation) => operation === 'DescribeStreamConsumer').length).toBeLessThanOrEqual(4)
  })

  it('goes on for an hour, through the end of each subscription, without a gap or a repetition', async () => {
    const { clock, consumer, put, until, settled, got, eachRecord, numbers, inAnyOrder } = setUp(2)
    const ends: string[] = []
    const one = consumer(FAN_OUT)
    one.events.on('subscription-ended', ({ reason }) => ends.push(reason))
    const run = one.run({ eachRecord })
    for (let minute = 1; minute <= 60; minute++) {
      put(10)
      await clock.advanceAsync(60_000)
    }
    await until(() => got.length === 600)
    await settled(Promise.all([one.stop(), run]))
    expect(inAnyOrder()).toEqual(numbers(600))
    expect([ends.length >= 22, new Set(ends)]).toEqual([true, new Set(['completed'])])
  })

  it('reads through a split and a merge, each key in its order', async () => {
    const { model, consumer, put, until, settled, got, eachRecord, numbers, inAnyOrder } = setUp(1)
    const one = consumer(FAN_OUT)
    const run = one.run({ eachRecord })
    put(50)
    await until(() => got.length === 50)
    model.call('SplitShard', { StreamName: 'flights', ShardToSplit: 'shardId-000000000000', NewStartingHashKey: HALF })
    put(50)
    await until(() => got.length === 100)
    model.call('MergeShards', {
      StreamName: 'flights',
      ShardToMerge: 'shardId-000000000001',
      AdjacentShardToMerge: 'shardId-000000000002',
    })
    put(50)
    await until(() => got.length === 150)
    await settled(Promise.all([one.stop(), run]))
    expect(inAnyOrder()).toEqual(numbers(150))
    // 32 keys in turn: number n has key n % 32.
    for (let key = 0; key < 32; key++) {
      const ofKey = got.map(Number).filter((number) => number % 32 === key)
      expect(ofKey).toEqual([...ofKey].sort((a, b) => a - b))
    }
  })

  it('a rolling deploy delivers every record once: who leaves closes its subscriptions, and nobody fights for one', async () => {
    const { consumer, put, until, settled, got, eachRecord } = setUp(4)
    const reasons: string[] = []
    const start = () => {
      const one = consumer(FAN_OUT)
      one.events.on('subscription-ended', ({ reason }) => reasons.push(reason))
      return { one, run: one.run({ eachRecord }) }
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
    expect(reasons).not.toContain('taken-over')
    await settled(Promise.all(old.flatMap(({ one, run }) => [one.stop(), run])))
  })

  it('a handler that is slow for half an hour loses nothing, keeps the order, and is never taken for a stall of the service', async () => {
    const { clock, consumer, put, until, settled, got, numbers } = setUp(1)
    const reasons: string[] = []
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const one = consumer(FAN_OUT)
    one.events.on('subscription-ended', ({ reason }) => reasons.push(reason))
    const run = one.run({
      eachRecord: async (record) => {
        await gate
        got.push(text(record))
      },
    })
    for (let i = 0; i < 30; i++) {
      put(10)
      await clock.advanceAsync(60_000)
    }
    open()
    await until(() => got.length === 300)
    expect(got).toEqual(numbers(300))
    expect(new Set(reasons)).toEqual(new Set(['completed']))
    await settled(Promise.all([one.stop(), run]))
  })

  it('loops over shards are pushed their records too, from the place that the sink says', async () => {
    const { consumer, put, until, settled, got, numbers, inAnyOrder } = setUp(2)
    put(60)
    const one = consumer(FAN_OUT)
    const work = async (shard: ShardStream): Promise<void> => {
      for await (const batch of shard.batches({ maxRecords: 7 })) got.push(...batch.map(text))
    }
    const loop = (async () => {
      for await (const shard of one.shards()) void work(shard)
    })()
    await until(() => got.length === 60)
    expect(inAnyOrder()).toEqual(numbers(60))
    await settled(Promise.all([one.stop(), loop]))
  })

  it('several streams have a consumer each, or one that is named', async () => {
    const { ask, consumer, consumers, create, arnOf, put, until, settled, got, eachRecord, clock } = setUp(1)
    create('trains', 1)
    const { Consumer } = ask<{ Consumer: { ConsumerARN: string } }>('RegisterStreamConsumer', {
      StreamARN: arnOf('trains'),
      ConsumerName: 'own',
    })
    await clock.advanceAsync(10_000)
    const streams = ['flights', { stream: 'trains', consumerArn: Consumer.ConsumerARN }]
    const one = consumer({ ...FAN_OUT, streams })
    const run = one.run({ eachRecord })
    put(10)
    put(10, 'trains')
    await until(() => got.length === 20)
    expect([consumers(), consumers(arnOf('trains'))]).toEqual([['delays'], ['own']])
    await settled(Promise.all([one.stop(), run]))
  })

  it('a stream consumer that is deleted while it is read with is registered again, and nothing is lost or repeated', async () => {
    const { model, StreamARN, consumer, put, until, settled, got, eachRecord, numbers, inAnyOrder } = setUp(2)
    const types: string[] = []
    const one = consumer(FAN_OUT)
    one.events.onAny(({ type }) => types.push(type))
    const run = one.run({ eachRecord })
    put(20)
    await until(() => got.length === 20)
    model.call('DeregisterStreamConsumer', { StreamARN, ConsumerName: 'delays' })
    put(20)
    await until(() => got.length === 40)
    await settled(Promise.all([one.stop(), run]))
    expect(inAnyOrder()).toEqual(numbers(40))
    expect(types.filter((type) => type.startsWith('stream-consumer'))).toEqual([
      'stream-consumer-registered',
      'stream-consumer-lost',
      'stream-consumer-registered',
    ])
  })

  it('a stream that was deleted and created anew is read from its oldest record', async () => {
    const { model, consumer, create, put, until, settled, got, eachRecord, clock } = setUp(1)
    const one = consumer(FAN_OUT)
    const types: string[] = []
    one.events.onAny(({ type }) => types.push(type))
    const run = one.run({ eachRecord })
    put(5)
    await until(() => got.length === 5)
    model.call('DeleteStream', { StreamName: 'flights', EnforceConsumerDeletion: true })
    await clock.advanceAsync(5_000)
    create('flights', 1)
    put(5)
    await until(() => types.includes('stream-recreated') && got.length >= 10, 600_000)
    put(5)
    await until(() => new Set(got).size === 15)
    await settled(Promise.all([one.stop(), run]))
  })

  describe('without permission', () => {
    it('to look for the stream consumer: the start says so', async () => {
      const { consumer, kinesis, eachRecord } = setUp(1)
      const port = { ...kinesis, describeStreamConsumer: () => Promise.reject(denied('DescribeStreamConsumer')) }
      const one = consumer({ ...FAN_OUT, kinesis: port })
      await expect(one.run({ eachRecord })).rejects.toMatchObject({
        name: 'ConsumerStartError',
        message: expect.stringMatching(/Finding the stream consumer.*AccessDenied.*kinesis:DescribeStreamConsumer/s),
      })
    })

    it('and without a consumer that may be registered: the start says so', async () => {
      const { consumer, eachRecord } = setUp(1)
      const one = consumer({ retrieval: { fanOut: { register: false } } })
      await expect(one.run({ eachRecord })).rejects.toThrow(
        /Stream consumer delays of stream flights does not exist, and is not to be/,
      )
    })

    it.each(['describeStreamConsumer', 'registerStreamConsumer', 'subscribeToShard'] as const)(
      'for %s, with fallbackToPolling: says so, reads by polling, and returns when it is given, each record once',
      async (method) => {
        const { clock, consumer, kinesis, put, until, settled, calls, got, eachRecord, numbers, inAnyOrder } = setUp(2)
        let allowed = false
        const port = {
          ...kinesis,
          [method]: (...input: never[]) =>
            allowed ? (kinesis[method] as (...given: never[]) => Promise<never>)(...input) : Promise.reject(denied(method)),
        } as typeof kinesis & KinesisPort
        const events: ConsumerEvent[] = []
        const one = consumer({ retrieval: { fanOut: { fallbackToPolling: true } }, kinesis: port })
        one.events.onAny((event) => events.push(event))
        const run = one.run({ eachRecord })
        put(40)
        await until(() => got.length === 40)
        expect(clock.now()).toBeLessThan(5_000)
        expect(one.snapshot().shards.map(({ worker }) => worker?.retrieval)).toEqual(['polling', 'polling'])
        const types = events.map(({ type }) => type)
        expect(types).toContain('fan-out-suspended')
        expect(types.includes('fan-out-unavailable')).toBe(method !== 'subscribeToShard')
        allowed = true
        let total = 40
        while (one.snapshot().shards.some(({ worker }) => worker?.retrieval === 'polling')) {
          put(4)
          total += 4
          await clock.advanceAsync(5_000)
          if (clock.now() > 600_000) throw new Error('It does not return')
        }
        const reads = calls.filter((operation) => operation === 'GetRecords').length
        put(40)
        await until(() => got.length === total + 40)
        expect(calls.filter((operation) => operation === 'GetRecords').length).toBe(reads)
        expect(inAnyOrder()).toEqual(numbers(total + 40))
        await settled(Promise.all([one.stop(), run]))
      },
    )
  })
})
