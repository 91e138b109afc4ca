import { KinesisModelError } from '@shardwise/local/model'
import { describe, expect, test, vi } from 'vitest'
import { SHARD_END, TRIM_HORIZON } from './checkpoints/position.js'
import type { Consumer } from './consumer.js'
import { actualOwner, type Lease } from './leases/lease.js'
import { numberIn, Received, recorded } from './testing/received.js'
import { type SmallFleet, setUp } from './testing/small-fleet.js'

async function rowsOf({ leaseStore }: SmallFleet, stream: string): Promise<Lease[]> {
  return (await leaseStore.list()).leases.filter(({ streamId }) => streamId?.includes(`:${stream}:`))
}

/** How many leases each worker has, by the first part of its id. */
async function shares({ leaseStore }: SmallFleet): Promise<Record<string, number>> {
  const shares: Record<string, number> = {}
  for (const lease of (await leaseStore.list()).leases) {
    const owner = actualOwner(lease)?.split(':')[0] ?? 'nobody'
    shares[owner] = (shares[owner] ?? 0) + 1
  }
  return shares
}

describe('several streams in one consumer', () => {
  test('share one table and one fleet; each record comes once, and says of which stream it is', async () => {
    const fleet = setUp(3)
    const { consumer, create, put, until, settled } = fleet
    create('weather', 3)
    const received = new Received()
    const one = consumer({ streams: ['flights', 'weather'], workerId: 'one' })
    const events = recorded(one)
    const run = one.run(received.handlers)
    put(100)
    put(50, 'weather')
    await until(() => received.has('flights', 100) && received.has('weather', 50))
    const two = consumer({ streams: ['weather', 'flights'], workerId: 'two' })
    const second = two.run(received.handlers)
    await until(() => two.snapshot().shards.filter(({ worker }) => worker?.state === 'running').length === 3)
    expect(await shares(fleet)).toEqual({ one: 3, two: 3 })
    put(100)
    put(50, 'weather')
    await until(() => received.has('flights', 200) && received.has('weather', 100))

    for (const row of (await fleet.leaseStore.list()).leases) {
      expect(row.streamId).toMatch(/^\d{12}:(flights|weather):\d{10}$/)
      expect(row).toMatchObject({
        leaseKey: `${row.streamId}:${row.shardId}`,
        shardId: expect.stringMatching(/^shardId-\d{12}$/),
      })
    }
    expect(new Set(one.snapshot().shards.map(({ stream, shardId }) => `${stream}/${shardId}`)).size).toBe(6)
    expect(one.snapshot().streams).toEqual(['flights', 'weather'])
    const ofShards = events.filter((event) => 'shardId' in event)
    expect(ofShards.length).toBeGreaterThan(5)
    for (const event of ofShards) expect(event).toMatchObject({ stream: expect.stringMatching(/^(flights|weather)$/) })
    expect(events).toContainEqual(expect.objectContaining({ type: 'consumer-started', streams: ['flights', 'weather'] }))
    await settled(Promise.all([one.stop(), two.stop(), run, second]))
  })

  test('each begins at a position of its own, and LATEST of one does not move another’s', async () => {
    const { consumer, create, put, until, settled, clock } = setUp(1)
    create('weather', 1)
    put(10)
    put(10, 'weather')
    await clock.advanceAsync(5_000)
    const received = new Received()
    const one = consumer({ streams: [{ stream: 'flights', initialPosition: 'latest' }, 'weather'] })
    const run = one.run(received.handlers)
    await until(() => one.snapshot().state === 'running')
    put(5)
    await until(() => received.has('weather', 10) && received.of('flights').length === 5)
    expect(received.of('flights')).toEqual([10, 11, 12, 13, 14])
    await settled(Promise.all([one.stop(), run]))
  })

  test('LATEST is of each stream the moment at which it was first read', async () => {
    const { consumer, create, put, until, settled, clock } = setUp(1)
    create('weather', 1)
    const received = new Received()
    const one = consumer({ streams: ['flights'], initialPosition: 'latest' })
    const events = recorded(one)
    const run = one.run(received.handlers)
    await until(() => one.snapshot().shards.some(({ worker }) => worker?.state === 'running'))
    put(5, 'weather')
    await clock.advanceAsync(10_000)
    await settled(one.addStream('weather'))
    put(5)
    put(5, 'weather')
    await until(() => received.has('flights', 5) && received.of('weather').length === 5)
    expect(received.of('weather')).toEqual([5, 6, 7, 8, 9])
    expect(events.filter(({ type }) => type === 'lease-starts-at-tip')).toEqual([])
    await settled(Promise.all([one.stop(), run]))
  })

  test('a loop gives no further record of a stream that its body removes, nor of any once it stops the consumer', async () => {
    const { consumer, create, put, until, settled } = setUp(1)
    create('weather', 1)
    put(20)
    const one = consumer({ streams: ['flights', 'weather'] })
    const texts: string[] = []
    let atStop = Number.POSITIVE_INFINITY
    const loop = (async () => {
      for await (const record of one.records()) {
        texts.push(`${record.stream} ${numberIn(record)}`)
        if (texts.at(-1) === 'flights 4') void one.removeStream('flights')
        if (texts.at(-1) !== 'weather 9') continue
        atStop = texts.length
        void one.stop()
      }
    })()
    await until(() => texts.includes('flights 4'))
    put(20, 'weather')
    await until(() => texts.includes('weather 9'))
    await settled(loop)
    expect(texts.filter((text) => text.startsWith('flights'))).toEqual([0, 1, 2, 3, 4].map((n) => `flights ${n}`))
    expect(texts).toHaveLength(atStop)
  })

  test('a loop gives the records of shards with one id in turns', async () => {
    const { consumer, create, put, until, settled } = setUp(1)
    create('weather', 1)
    put(3)
    put(3, 'weather')
    const one = consumer({ streams: ['flights', 'weather'] })
    const texts: string[] = []
    const loop = (async () => {
      for await (const record of one.records()) {
        texts.push(`${record.stream} ${numberIn(record)}`)
        if (texts.length === 6) void one.stop()
      }
    })()
    await until(() => texts.length === 6)
    await settled(loop)
    expect(texts.filter((text) => text.startsWith('flights'))).toEqual(['flights 0', 'flights 1', 'flights 2'])
    expect(texts.filter((text) => text.startsWith('weather'))).toEqual(['weather 0', 'weather 1', 'weather 2'])
  })

  test('a shard that splits has children of its own stream', async () => {
    const fleet = setUp(1)
    const { consumer, create, put, until, settled, model } = fleet
    create('weather', 1)
    const received = new Received()
    const one = consumer({ streams: ['flights', 'weather'] })
    const run = one.run(received.handlers)
    put(10)
    put(10, 'weather')
    model.call('SplitShard', { StreamName: 'weather', ShardToSplit: 'shardId-000000000000', NewStartingHashKey: `${2n ** 127n}` })
    put(10)
    put(10, 'weather')
    await until(() => received.has('flights', 20) && received.has('weather', 20))
    expect((await rowsOf(fleet, 'flights')).map(({ shardId }) => shardId)).toEqual(['shardId-000000000000'])
    const [parent, ...children] = await rowsOf(fleet, 'weather')
    expect(parent).toMatchObject({ checkpoint: SHARD_END, childShardIds: ['shardId-000000000001', 'shardId-000000000002'] })
    expect(children.map(({ parentShardIds }) => parentShardIds)).toEqual([['shardId-000000000000'], ['shardId-000000000000']])
    await settled(Promise.all([one.stop(), run]))
  })

  test('a pause is of one shard of one stream, of one stream, or of all', async () => {
    const { consumer, create, put, until, settled, clock } = setUp(1)
    create('weather', 1)
    const received = new Received()
    const one = consumer({ streams: ['flights', 'weather'] })
    one.pause(undefined, 'weather')
    const events = recorded(one)
    const run = one.run(received.handlers)
    put(5)
    put(5, 'weather')
    await until(() => received.has('flights', 5))
    await clock.advanceAsync(3_000)
    expect(received.of('weather')).toEqual([])
    one.resume('shardId-000000000000', 'weather')
    await until(() => received.has('weather', 5))
    one.pause('shardId-000000000000', 'flights')
    put(5)
    put(5, 'weather')
    await until(() => received.has('weather', 10))
    expect(received.has('flights', 5)).toBe(true)
    one.pause()
    one.resume()
    await until(() => received.has('flights', 10))
    const pauses = events.flatMap((event) => (event.type.startsWith('shard-paused') && 'stream' in event ? event.stream : []))
    expect(pauses).toEqual(['weather', 'flights', 'weather'])
    await settled(Promise.all([one.stop(), run]))
  })
})

describe('workers with different streams on one table', () => {
  test('take what they read, share what they have in common, and leave the rest alone', async () => {
    const fleet = setUp(4)
    const { consumer, create, put, until, settled, clock } = fleet
    create('weather', 4)
    const received = new Received()
    const both = consumer({ streams: ['flights', 'weather'], workerId: 'both' })
    const only = consumer({ streams: ['weather'], workerId: 'only' })
    const events = [...[both, only].map(recorded)]
    const runs = [both.run(received.handlers)]
    await until(() => both.snapshot().shards.filter(({ worker }) => worker?.state === 'running').length === 8)
    runs.push(only.run(received.handlers))
    await until(() => only.snapshot().shards.filter(({ worker }) => worker?.state === 'running').length === 4)
    expect(await shares(fleet)).toEqual({ both: 4, only: 4 })
    expect(only.snapshot().shards.every(({ stream }) => stream === 'weather')).toBe(true)
    const moved = events.flat().filter(({ type }) => type === 'lease-taken').length
    put(50)
    put(50, 'weather')
    await until(() => received.has('flights', 50) && received.has('weather', 50))
    await clock.advanceAsync(30_000)
    expect(events.flat().filter(({ type }) => type === 'lease-taken').length).toBe(moved)
    await settled(both.stop())
    await clock.advanceAsync(30_000)
    expect(await shares(fleet)).toEqual({ only: 4, nobody: 4 })
    await settled(Promise.all([only.stop(), ...runs]))
  })
})

/** A worker has had the two leases of `weather`, and given them up. */
async function leaveLeases({ consumer, until, settled }: SmallFleet): Promise<void> {
  const before = consumer({ streams: ['weather'] })
  const run = before.run({ eachRecord: () => {} })
  await until(() => before.snapshot().shards.filter(({ owner }) => owner !== undefined).length === 2)
  await settled(Promise.all([before.stop(), run]))
}

describe('addStream and removeStream', () => {
  test('while running: nothing is lost, and nothing comes twice when the stream moves to who still reads it', async () => {
    const fleet = setUp(2)
    const { consumer, create, put, until, settled } = fleet
    create('weather', 4)
    const received = new Received()
    const [one, two] = ['one', 'two'].map((workerId) => consumer({ streams: ['flights'], workerId })) as [Consumer, Consumer]
    const runs = [one.run(received.handlers), two.run(received.handlers)]
    const events = recorded(one)
    put(20)
    put(20, 'weather')
    await until(() => received.has('flights', 20))
    await settled(Promise.all([one.addStream('weather'), two.addStream({ stream: 'weather', initialPosition: 'trim-horizon' })]))
    await until(() => received.has('weather', 20))
    for (let i = 0; i < 20; i++) {
      put(5)
      put(5, 'weather')
      if (i === 10) void one.removeStream('weather')
      await fleet.clock.advanceAsync(200)
    }
    await until(() => received.has('flights', 120) && received.has('weather', 120))
    expect(one.snapshot()).toMatchObject({ streams: ['flights'] })
    expect(one.snapshot().shards.every(({ stream }) => stream === 'flights')).toBe(true)
    expect(events).toContainEqual({ type: 'stream-added', stream: 'weather' })
    expect(events).toContainEqual({ type: 'stream-removed', stream: 'weather', deletedLeases: 0 })
    for (const row of await rowsOf(fleet, 'weather')) expect(actualOwner(row)).toMatch(/^two:/)
    await settled(Promise.all([one.stop(), two.stop(), ...runs]))
  })

  test('before run; and a stream that was removed with its leases kept goes on at its checkpoints', async () => {
    const fleet = setUp(1)
    const { consumer, create, put, until, settled } = fleet
    create('weather', 1)
    const received = new Received()
    const one = consumer({ streams: [] })
    await one.addStream('weather')
    await one.addStream('flights')
    expect(await one.removeStream('flights')).toEqual({ deletedLeases: 0 })
    const run = one.run(received.handlers)
    put(10, 'weather')
    await until(() => received.has('weather', 10))
    await settled(one.removeStream('weather'))
    put(10, 'weather')
    await settled(one.addStream('weather'))
    await until(() => received.has('weather', 20))
    expect(await rowsOf(fleet, 'flights')).toEqual([])
    await settled(Promise.all([one.stop(), run]))
  })

  test('leases are deleted when nobody else reads the stream, and not when somebody does', async () => {
    const fleet = setUp(1)
    const { consumer, create, until, settled } = fleet
    create('weather', 2)
    const received = new Received()
    const [one, two] = ['one', 'two'].map((workerId) => consumer({ streams: ['flights', 'weather'], workerId })) as [
      Consumer,
      Consumer,
    ]
    const runs = [one.run(received.handlers), two.run(received.handlers)]
    await until(() => one.snapshot().shards.filter(({ owner }) => owner !== undefined).length === 3)
    const first = one.removeStream('weather', { leases: 'delete' })
    await settled(first)
    expect(await first).toEqual({ deletedLeases: 0 })
    expect(await rowsOf(fleet, 'weather')).toHaveLength(2)
    const second = two.removeStream('weather', { leases: 'delete' })
    await settled(second)
    expect(await second).toEqual({ deletedLeases: 2 })
    expect(await rowsOf(fleet, 'weather')).toEqual([])
    await settled(Promise.all([one.stop(), two.stop(), ...runs]))
  })

  test('a stream that cannot be read is not added, and the others go on', async () => {
    const { consumer, put, until, settled } = setUp(1)
    const received = new Received()
    const one = consumer({ streams: ['flights'] })
    const run = one.run(received.handlers)
    const adding = one.addStream('nowhere')
    await settled(adding)
    await expect(adding).rejects.toThrow(/Consumer of stream nowhere .*ResourceNotFoundException/)
    expect(one.snapshot().streams).toEqual(['flights'])
    put(5)
    await until(() => received.has('flights', 5))
    await settled(Promise.all([one.stop(), run]))
  })

  test('a stream whose shards cannot be listed is given up again, though some of its leases were taken meanwhile', async () => {
    const fleet = setUp(1)
    const { consumer, create, put, until, settled, clock, model } = fleet
    create('weather', 2)
    await leaveLeases(fleet)
    const received = new Received()
    const one = consumer({ streams: ['flights'] })
    const events = recorded(one)
    const run = one.run(received.handlers)
    await until(() => one.snapshot().shards.some(({ worker }) => worker?.state === 'running'))
    const answer = model.call.bind(model)
    let refusal = 'LimitExceededException'
    vi.spyOn(model, 'call').mockImplementation((operation, input) => {
      const isWeather = (input as { readonly StreamName?: string }).StreamName === 'weather'
      if (operation === 'ListShards' && isWeather) throw new KinesisModelError(refusal, 'Refused')
      return answer(operation, input)
    })
    const adding = one.addStream('weather')
    adding.catch(() => {})
    await until(() => events.some((event) => event.type === 'shard-started' && event.stream === 'weather'))
    refusal = 'AccessDeniedException'
    await settled(adding)
    await expect(adding).rejects.toThrow(/AccessDeniedException/)
    put(5, 'weather')
    await clock.advanceAsync(30_000)
    expect(received.of('weather')).toEqual([])
    for (const { leaseOwner } of await rowsOf(fleet, 'weather')) expect(leaseOwner).toBe(undefined)
    expect(one.snapshot().shards.map(({ stream }) => stream)).toEqual(['flights'])
    await settled(Promise.all([one.stop(), run]))
  })

  test('a removal that was asked for while the stream was being added gives up what is being taken, too', async () => {
    const fleet = setUp(1)
    const { consumer, create, put, until, settled, clock, leaseStore } = fleet
    create('weather', 2)
    await leaveLeases(fleet)
    const received = new Received()
    // The write lands, and the answer takes its time.
    const take = leaseStore.take.bind(leaseStore)
    leaseStore.take = async (...how) => {
      const write = await take(...how)
      await new Promise<void>((resolve) => clock.schedule(700, resolve))
      return write
    }
    const one = consumer({ streams: ['flights'] })
    const run = one.run(received.handlers)
    await until(() => one.snapshot().shards.some(({ worker }) => worker?.state === 'running'))
    const changes = [one.addStream('weather'), one.removeStream('weather')]
    await settled(Promise.all(changes))
    put(5, 'weather')
    await clock.advanceAsync(30_000)
    expect(received.of('weather')).toEqual([])
    for (const { leaseOwner } of await rowsOf(fleet, 'weather')) expect(leaseOwner).toBe(undefined)
    await settled(Promise.all([one.stop(), run]))
  })

  test('a removal deletes the leases also when the table let them be given back only after it had begun to wait', async () => {
    const fleet = setUp(1)
    const { consumer, create, until, settled, leaseStore } = fleet
    create('weather', 2)
    const one = consumer({ streams: ['flights', 'weather'] })
    const run = one.run(new Received().handlers)
    await until(() => one.snapshot().shards.filter(({ worker }) => worker?.state === 'running').length === 3)
    let isThrottled = true
    const { renew, handOver } = leaseStore
    const throttle = async (): Promise<never> => {
      throw Object.assign(new Error('Too fast'), { name: 'ProvisionedThroughputExceededException' })
    }
    const isRefused = ({ streamId }: { readonly streamId: string | undefined }) => isThrottled && streamId?.includes('weather')
    leaseStore.renew = (...how) => (isRefused(how[0]) ? throttle() : renew.apply(leaseStore, how))
    leaseStore.handOver = (...how) => (isRefused(how[0]) ? throttle() : handOver.apply(leaseStore, how))
    const removed = one.removeStream('weather', { leases: 'delete' })
    await until(() => one.snapshot().shards.filter(({ worker }) => worker !== undefined).length === 1)
    isThrottled = false
    await settled(removed)
    expect(await removed).toEqual({ deletedLeases: 2 })
    await settled(Promise.all([one.stop(), run]))
  })

  test('are refused where they cannot be', async () => {
    const { consumer } = setUp(1)
    await expect(consumer().addStream('weather')).rejects.toThrow(/streams.*given to the constructor/)
    await expect(consumer().removeStream('flights')).rejects.toThrow(/streams.*given to the constructor/)
    const one = consumer({ streams: ['flights'] })
    await expect(one.addStream('flights')).rejects.toThrow(/not one and the same/)
    await expect(one.addStream('arn:aws:kinesis:us-east-1:123456789012:stream/flights')).rejects.toThrow(/not one and the same/)
    await expect(one.removeStream('weather')).rejects.toThrow(/one of flights/)
    await expect(one.removeStream('flights', { leases: 'burn' as 'keep' })).rejects.toThrow(/'keep' or 'delete'/)
  })

  test('a removal waits for the handler in hand, and a stop for both', async () => {
    const fleet = setUp(1)
    const { consumer, create, put, until, settled, clock } = fleet
    create('weather', 2)
    put(1, 'weather')
    let finish: (() => void) | undefined
    const one = consumer({ streams: ['flights', 'weather'] })
    const run = one.run({ eachRecord: () => new Promise<void>((resolve) => (finish = resolve)) })
    await until(() => finish !== undefined)
    let removed = false
    const removing = one.removeStream('weather').then(() => {
      removed = true
    })
    await clock.advanceAsync(20_000)
    expect(removed).toBe(false)
    // The other shard has been given up, and is not taken again meanwhile.
    expect((await rowsOf(fleet, 'weather')).filter(({ leaseOwner }) => leaseOwner === undefined)).toHaveLength(1)
    const stopping = one.stop()
    finish!()
    await settled(Promise.all([removing, stopping, run]))
  })
})

describe('a handler that hangs while its stream is removed', () => {
  test('is cut off as in a handoff, and what it does later counts for nothing; the changes behind the removal follow', async () => {
    const fleet = setUp(1)
    const { consumer, create, put, until, settled, clock } = fleet
    create('weather', 1)
    create('radar', 1)
    put(2, 'weather')
    let finish: (() => void) | undefined
    let signal: AbortSignal | undefined
    const one = consumer({ streams: ['flights', 'weather'], handoffTimeoutMs: 5_000 })
    const events = recorded(one)
    const run = one.run({
      eachRecord: (record, context) => {
        if (record.stream !== 'weather') return undefined
        signal = context.signal
        return new Promise<void>((resolve) => (finish = resolve))
      },
    })
    await until(() => finish !== undefined)
    const removing = one.removeStream('weather')
    const adding = one.addStream('radar')
    await clock.advanceAsync(4_900)
    expect(signal!.aborted).toBe(false)
    await until(() => signal!.aborted, 200)
    expect(signal!.reason).toMatchObject({
      name: 'ConsumerStoppingError',
      message: expect.stringMatching(/stops reading weather/),
    })
    await until(() => events.some(({ type }) => type === 'stream-added'), 3_000)
    await settled(Promise.all([removing, adding]))
    const [row] = await rowsOf(fleet, 'weather')
    expect(row).toMatchObject({ leaseOwner: undefined, checkpoint: TRIM_HORIZON })
    finish!()
    await clock.advanceAsync(10_000)
    expect(await rowsOf(fleet, 'weather')).toEqual([row])
    expect(events.filter(({ type }) => type === 'handler-abandoned')).toMatchObject([{ stream: 'weather', records: 2 }])
    const stopping = one.stop()
    await settled(Promise.all([stopping, run]))
    expect(await stopping).toEqual({ abandonedShards: [] })
  })
})
