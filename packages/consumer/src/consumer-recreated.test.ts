import { KinesisModelError } from '@shardwise/local/model'
import { describe, expect, test, vi } from 'vitest'
import { type Position, SHARD_END, sequencePosition, TRIM_HORIZON } from './checkpoints/position.js'
import type { Consumer } from './consumer.js'
import type { ConsumerEvent } from './consumer-events.js'
import type { ConsumerOptions } from './consumer-options.js'
import { numberIn, Received, recorded } from './testing/received.js'
import { type SmallFleet, setUp } from './testing/small-fleet.js'

interface Reader {
  readonly consumer: Consumer
  readonly events: ConsumerEvent[]
  readonly received: Received
  readonly stop: () => Promise<void>
}

function read(fleet: SmallFleet, options: Partial<ConsumerOptions> = {}): Reader {
  const consumer = fleet.consumer(options)
  const events = recorded(consumer)
  const received = new Received()
  const run = consumer.run(received.handlers)
  return { consumer, events, received, stop: () => fleet.settled(Promise.all([consumer.stop(), run])) }
}

/** Ten records, and a shard to its end. */
async function untilSplit({ put, until, model }: SmallFleet, { consumer, received }: Reader): Promise<void> {
  put(10)
  await until(() => received.has('flights', 10))
  model.call('SplitShard', { StreamName: 'flights', ShardToSplit: 'shardId-000000000000', NewStartingHashKey: '5' })
  await until(() => consumer.snapshot().shards.some(({ checkpoint }) => checkpoint?.kind === 'shard-end'))
}

async function deleted({ until, clock, model }: SmallFleet, { events }: Pick<Reader, 'events'>): Promise<void> {
  model.call('DeleteStream', { StreamName: 'flights' })
  await until(() => events.some(({ type }) => type === 'stream-not-found'))
  await clock.advanceAsync(60_000)
}

function ownShards(consumer: Consumer): readonly { readonly stream: string }[] {
  return consumer.snapshot().shards.filter(({ worker }) => worker !== undefined)
}

/** With twenty records. */
function recreate({ create, put }: SmallFleet): void {
  create('flights', 3)
  put(20)
}

describe('a stream that was deleted and created anew', () => {
  test.each([
    ['one stream', {}],
    ['several streams', { streams: ['flights'] }],
  ])('%s: at the next start nothing of it is skipped, wherever it would begin otherwise', async (_name, options) => {
    const fleet = setUp(2)
    const first = read(fleet, options)
    await untilSplit(fleet, first)
    await first.stop()
    fleet.model.call('DeleteStream', { StreamName: 'flights' })
    await fleet.clock.advanceAsync(60_000)
    recreate(fleet)
    await fleet.clock.advanceAsync(60_000)
    const { received, stop } = read(fleet, { ...options, initialPosition: 'latest' })
    await fleet.until(() => received.records.length === 20)
    expect(received.records.map(numberIn).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 10))
    await stop()
  })

  test.each([
    ['one stream', {}],
    ['several streams', { streams: ['flights'] }],
  ])('%s: while it is read, the worker begins anew by itself', async (_name, options) => {
    const fleet = setUp(2)
    const reader = read(fleet, options)
    await untilSplit(fleet, reader)
    await deleted(fleet, reader)
    recreate(fleet)
    await fleet.until(() => reader.events.some(({ type }) => type === 'stream-recreated'))
    await fleet.until(() => new Set(reader.received.records.map(numberIn)).size === 30)
    await reader.stop()
  })

  test.each([
    ['one stream, by polling', {}],
    ['several streams, by polling', { streams: ['flights'] }],
    ['one stream, by fan-out', { retrieval: { fanOut: {} } }],
    ['several streams, by fan-out', { streams: ['flights'], retrieval: { fanOut: {} } }],
  ])('%s: nothing of the present one is read under a lease of the former one, so nothing comes twice', async (_name, options) => {
    const fleet = setUp(2)
    const reader = read(fleet, options)
    const { until, clock, model, put, create } = fleet
    put(10)
    await until(() => reader.received.has('flights', 10))
    model.call('DeleteStream', { StreamName: 'flights', EnforceConsumerDeletion: true })
    await until(() => reader.events.some(({ type }) => type === 'stream-not-found' || type === 'stream-consumer-lost'))
    // The shards ask for a place to read from several times before the stream is looked at again.
    for (let i = 0; i < 3; i++) await clock.advanceAsync(6_500)
    create('flights', 2)
    put(20)
    await until(() => new Set(reader.received.records.map(numberIn)).size === 30)
    await clock.advanceAsync(120_000)
    expect(reader.events.some(({ type }) => type === 'stream-recreated')).toBe(true)
    expect(reader.received.records.map(numberIn).sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i))
    await reader.stop()
  })

  test.each<[string, number, number, Partial<ConsumerOptions>]>([
    ['a shard is missing', 2, 1, {}],
    ['the registration is gone, by fan-out', 1, 2, { retrieval: { fanOut: {} } }],
  ])(
    '%s: that is enough of a hint where the stream was never seen to be away, and no word of lost records',
    async (_, before, after, options) => {
      const fleet = setUp(before)
      const { clock, create, model, put, until } = fleet
      let isAway = false
      // Whoever asks meanwhile gets no answer.
      const kinesis = new Proxy(fleet.kinesis, {
        get: (port, operation) =>
          isAway
            ? async () => {
                throw Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT' })
              }
            : Reflect.get(port, operation),
      })
      const { consumer, events, received, stop } = read(fleet, { kinesis, ...options })
      const types = () => events.map(({ type }) => type)
      // Before it has a place in a shard that the other stream's would not know.
      consumer.events.on('shard-started', () => {
        isAway = !types().includes('stream-recreated')
      })
      await until(() => types().includes('read-failed'))
      model.call('DeleteStream', { StreamName: 'flights', EnforceConsumerDeletion: true })
      await clock.advanceAsync(10_000)
      create('flights', after)
      isAway = false
      await until(() => types().includes('stream-recreated'))
      expect(types()).not.toContain('stream-not-found')
      expect(types()).not.toContain('records-expired')
      put(20)
      await until(() => received.has('flights', 20))
      await stop()
    },
  )

  test('a sink can tell its shards from those of the former one, whose tokens say nothing about them', async () => {
    const fleet = setUp(1)
    const { consumer, clock, create, model, until, settled } = fleet
    const one = consumer({ streams: ['flights'] })
    const seen: string[] = []
    const reading = (async () => {
      for await (const shard of one.shards()) {
        seen.push(`${shard.shardId} of ${shard.streamCreatedAt?.toISOString()}`)
        void (async () => {
          for await (const _ of shard.records());
        })()
      }
    })()
    await until(() => seen.length === 1)
    model.call('DeleteStream', { StreamName: 'flights' })
    await clock.advanceAsync(60_000)
    create('flights', 1)
    await until(() => seen.length === 2)
    expect(new Set(seen).size).toBe(2)
    await settled(Promise.all([one.stop(), reading]))
  })

  test('the worker learns it although nobody can look at the stream when its shards give the only hint', async () => {
    const fleet = setUp(2)
    const { until, clock, model } = fleet
    const reader = read(fleet)
    await untilSplit(fleet, reader)
    await deleted(fleet, reader)
    const answer = model.call.bind(model)
    const asked = vi.spyOn(model, 'call').mockImplementation((operation, input) => {
      if (operation === 'DescribeStreamSummary') throw new KinesisModelError('LimitExceededException', 'Rate exceeded')
      return answer(operation, input)
    })
    recreate(fleet)
    await clock.advanceAsync(300_000)
    // Not knowing of which stream it would be, it reads nothing, and says so again and again.
    expect(reader.received.records).toHaveLength(10)
    const told = reader.events.filter((event) => event.type === 'stream-in-doubt')
    const refused = told.filter(({ failure }) => failure.kind === 'limit-exceeded')
    expect(refused.length).toBeGreaterThan(3)
    for (const event of refused) expect(event).toMatchObject({ stream: 'flights', isRead: false })
    for (const { retryInMs } of told) expect(retryInMs).toBeLessThanOrEqual(60_000)
    asked.mockRestore()
    await until(() => reader.events.some(({ type }) => type === 'stream-recreated'))
    await until(() => new Set(reader.received.records.map(numberIn)).size === 30)
    await reader.stop()
  })

  test.each([
    ['polling', {}],
    ['fan-out', { retrieval: { fanOut: {} } }],
  ])(
    'a worker that may not ask any more goes on, by %s: what would come twice at most would else be lost at last',
    async (_, options) => {
      const fleet = setUp(2)
      const { until, model, put } = fleet
      const reader = read(fleet, options)
      put(10)
      await until(() => reader.received.has('flights', 10))
      const answer = model.call.bind(model)
      let isAway = true
      vi.spyOn(model, 'call').mockImplementation((operation, input) => {
        if (operation === 'DescribeStreamSummary') throw new KinesisModelError('AccessDeniedException', 'not authorized')
        if (isAway) throw new KinesisModelError('ResourceNotFoundException', 'A slip')
        return answer(operation, input)
      })
      await until(() => reader.events.some(({ type }) => type === 'stream-in-doubt'), 600_000)
      isAway = false
      put(10)
      await until(() => reader.received.has('flights', 20), 600_000)
      const told = reader.events.find((event) => event.type === 'stream-in-doubt')
      expect(told).toMatchObject({ stream: 'flights', isRead: true, failure: { kind: 'access-denied' } })
      await reader.stop()
    },
  )

  test('it is begun although the lease table fails just then, as soon as that can be read', async () => {
    const fleet = setUp(2)
    const { until, clock, leaseStore } = fleet
    const reader = read(fleet)
    await untilSplit(fleet, reader)
    await deleted(fleet, reader)
    const list = leaseStore.list.bind(leaseStore)
    let isFailing = true
    leaseStore.list = async () => {
      if (isFailing) throw Object.assign(new Error('Internal server error'), { name: 'InternalServerError' })
      return list()
    }
    recreate(fleet)
    await until(() => reader.events.some(({ type }) => type === 'stream-recreated'))
    await clock.advanceAsync(3_000)
    isFailing = false
    // The next audit may be two minutes away.
    await until(() => new Set(reader.received.records.map(numberIn)).size === 30, 10_000)
    await reader.stop()
  })

  test('a hint is not forgotten that comes when a look has just shown nothing new', async () => {
    const fleet = setUp(1)
    const { until, clock, model, create, put } = fleet
    const reader = read(fleet)
    put(10)
    await until(() => reader.received.has('flights', 10))
    await clock.advanceAsync(60_000)
    const answer = model.call.bind(model)
    let looks = 0
    const slip = vi.spyOn(model, 'call').mockImplementation((operation, input) => {
      if (operation !== 'DescribeStreamSummary') throw new KinesisModelError('ResourceNotFoundException', 'A slip')
      looks++
      return answer(operation, input)
    })
    await until(() => looks > 0)
    await clock.advanceAsync(0)
    slip.mockRestore()
    model.call('DeleteStream', { StreamName: 'flights', EnforceConsumerDeletion: true })
    create('flights', 1)
    put(20)
    await until(() => reader.events.some(({ type }) => type === 'stream-recreated'))
    await until(() => new Set(reader.received.records.map(numberIn)).size === 30)
    await reader.stop()
  })

  test('a worker that had none of its shards learns it, too, and does not go on with the leases of the former stream', async () => {
    const fleet = setUp(1)
    const { create, put, until, clock, leaseStore } = fleet
    create('weather', 1)
    const readers = [read(fleet, { streams: ['flights', 'weather'] }), read(fleet, { streams: ['flights', 'weather'] })]
    await until(() => readers.every(({ consumer }) => ownShards(consumer).length === 1))
    const holder = readers.find(({ consumer }) => ownShards(consumer)[0]?.stream === 'flights')!
    // Nothing was read of the former stream: its lease begins at the oldest record, of whatever stream there is.
    await deleted(fleet, holder)
    create('flights', 1)
    put(20)
    await until(() => readers.every(({ events }) => events.some(({ type }) => type === 'stream-recreated')))
    await clock.advanceAsync(60_000)
    const { leases } = await leaseStore.list()
    const [former, present] = leases.filter(({ streamId }) => streamId?.includes(':flights:'))
    expect(former!.streamCreatedAt).toBeLessThan(present!.streamCreatedAt!)
    expect([former!.leaseOwner, present!.leaseOwner !== undefined]).toEqual([undefined, true])
    put(1)
    await clock.advanceAsync(30_000)
    const newest = readers.flatMap(({ received }) => received.records.map(numberIn)).filter((number) => number === 20)
    expect(newest).toEqual([20])
    for (const { stop } of readers) await stop()
  })

  test('it is begun with although another that is being added gives no answer, and that holds up no removal either', async () => {
    const fleet = setUp(2)
    const { create, put, until, settled, kinesis } = fleet
    for (const stream of ['weather', 'radar']) create(stream, 1)
    let answer: (() => void) | undefined
    const describeStreamSummary: typeof kinesis.describeStreamSummary = async (input) => {
      if (input.StreamName === 'weather') await new Promise<void>((resolve) => (answer = resolve))
      return kinesis.describeStreamSummary(input)
    }
    const reader = read(fleet, { streams: ['flights', 'radar'], kinesis: { ...kinesis, describeStreamSummary } })
    put(10)
    await until(() => reader.received.has('flights', 10))
    const adding = reader.consumer.addStream('weather')
    await until(() => answer !== undefined)
    await deleted(fleet, reader)
    recreate(fleet)
    await until(() => new Set(reader.received.records.map(numberIn)).size === 30)
    await settled(reader.consumer.removeStream('radar'))
    // What was asked for while the stream was being added follows it.
    const removing = reader.consumer.removeStream('weather')
    answer!()
    await settled(Promise.all([adding, removing]))
    expect(
      reader.events.flatMap((event) => (event.type === 'stream-added' || event.type === 'stream-removed' ? [event] : [])),
    ).toEqual([
      { type: 'stream-removed', stream: 'radar', deletedLeases: 0 },
      { type: 'stream-added', stream: 'weather' },
      { type: 'stream-removed', stream: 'weather', deletedLeases: 0 },
    ])
    await reader.stop()
  })

  test('a handler that hangs does not keep the worker from beginning with the stream that has taken its place', async () => {
    const fleet = setUp(2)
    const { consumer, put, until, settled } = fleet
    put(20)
    const one = consumer({ handoffTimeoutMs: 5_000 })
    const events = recorded(one)
    const received = new Received()
    let finish: (() => void) | undefined
    const run = one.run({
      eachRecord: (record) => {
        if (finish === undefined && record.shardId.endsWith('0')) return new Promise<void>((resolve) => (finish = resolve))
        return received.handlers.eachRecord(record)
      },
    })
    await until(() => finish !== undefined && received.records.length > 0)
    await deleted(fleet, { events })
    recreate(fleet)
    await until(() => events.some(({ type }) => type === 'stream-recreated'))
    await until(() => new Set(received.records.map(numberIn).filter((number) => number >= 20)).size === 20)
    finish!()
    await settled(Promise.all([one.stop(), run]))
  })

  test.each<[string, Position]>([
    ['SHARD_END of a shard that is open', SHARD_END],
    ['a checkpoint before the first record', sequencePosition('49600000000000000000000000000000000000000000000000000000')],
  ])('rows that KCL made give themselves away: %s', async (_name, checkpoint) => {
    const fleet = setUp(2)
    const { leaseStore, put, until } = fleet
    const made = { parentShardIds: [], range: undefined, startAt: undefined }
    await leaseStore.create({ leaseKey: 'shardId-000000000000', checkpoint, ...made })
    await leaseStore.create({ leaseKey: 'shardId-000000000001', checkpoint: TRIM_HORIZON, ...made })
    await leaseStore.create({ leaseKey: 'shardId-000000000007', checkpoint, ...made })
    put(20)
    const { events, received, stop } = read(fleet, { initialPosition: 'latest' })
    await until(() => received.has('flights', 20))
    expect(events.flatMap((event) => (event.type === 'lease-reset' ? event.leaseKey : []))).toEqual([
      'shardId-000000000000',
      'shardId-000000000001',
    ])
    expect(await leaseStore.read('shardId-000000000007')).toBeUndefined()
    await stop()
  })

  test('shards that are gone, each of which is a hint, keep no other waiting for longer than between two looks at the stream', async () => {
    const fleet = setUp(2)
    const { clock, leaseStore, model, put, until } = fleet
    const row = { parentShardIds: [], range: undefined, startAt: undefined, streamCreatedAt: undefined }
    for (let i = 10; i < 40; i++)
      await leaseStore.create({ ...row, leaseKey: `shardId-1000000000${i}`, checkpoint: sequencePosition('1') })
    // Each call takes its time.
    const kinesis = new Proxy(fleet.kinesis, {
      get: (port, operation) => {
        const call = Reflect.get(port, operation)
        return async (...args: unknown[]) => {
          await new Promise<void>((resolve) => clock.schedule(30, resolve))
          return call(...args)
        }
      },
    })
    const { events, received, stop } = read(fleet, { kinesis })
    put(10)
    await until(() => received.has('flights', 10))
    await clock.advanceAsync(1_000)
    model.call('SplitShard', { StreamName: 'flights', ShardToSplit: 'shardId-000000000000', NewStartingHashKey: '5' })
    put(10)
    await until(() => received.has('flights', 20), 8_000)
    await until(() => events.filter(({ type }) => type === 'records-expired').length === 30, 30_000)
    await stop()
  })
})
