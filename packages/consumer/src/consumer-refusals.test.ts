import { InvalidOptionError } from '@shardwise/core/options'
import { describe, expect, test } from 'vitest'
import { ConsumerRanError } from './consumer-error.js'
import { recorded } from './testing/received.js'
import { setUp } from './testing/small-fleet.js'

const NOTHING = { eachRecord: (): void => {} }

describe('pause and resume', () => {
  const refused: readonly [string, string | undefined, string | undefined, RegExp][] = [
    ['a stream that is not read', undefined, 'fligths', /^Option `stream` must be one of flights, arn:.*, got 'fligths'/],
    ['a name that two of the streams have', undefined, 'weather', /^Option `stream` must be one of flights, arn:/],
    ['the name of a stream for a shard', 'flights', undefined, /^Option `shardId` must be the id of a shard, .*got 'flights'/],
    ['an id with too few zeros', 'shardId-0000001', 'flights', /^Option `shardId` .*got 'shardId-0000001'/],
    ['no text', 5 as unknown as string, undefined, /^Option `shardId` /],
  ]
  test.each(refused)('refuse %s', (_name, shardId, stream, message) => {
    const arn = (account: number): string => `arn:aws:kinesis:us-east-1:00000000000${account}:stream/weather`
    const one = setUp(1).consumer({ streams: ['flights', arn(1), arn(2)] })
    for (const act of [one.pause.bind(one), one.resume.bind(one)]) {
      expect(() => act(shardId, stream)).toThrow(InvalidOptionError)
      expect(() => act(shardId, stream)).toThrow(message)
    }
    expect(() => one.pause('shardId-000000000000', 'flights')).not.toThrow()
    expect(() => one.pause(undefined, arn(2))).not.toThrow()
  })

  test('take a shard that comes later, a stream that is being added, and the name of one given by its ARN', async () => {
    const { consumer, create, put, until, settled, clock } = setUp(1)
    create('weather', 1)
    put(1)
    put(1, 'weather')
    const arn = 'arn:aws:kinesis:us-east-1:000000000000:stream/flights'
    const one = consumer({ streams: [arn] })
    const got: string[] = []
    one.pause('shardId-000000000000', 'flights')
    const run = one.run({ eachRecord: ({ stream }) => void got.push(stream) })
    const adding = one.addStream('weather')
    one.pause(undefined, 'weather')
    await settled(adding)
    await clock.advanceAsync(20_000)
    expect(got).toEqual([])
    one.resume('shardId-000000000000', 'flights')
    await until(() => got.length === 1)
    one.resume(undefined, 'weather')
    await until(() => got.length === 2)
    expect(got).toEqual([arn, 'weather'])
    await settled(Promise.all([one.stop(), run]))
  })

  test('take what the service calls a shard, whatever its form', async () => {
    const { consumer, leaseStore, until, settled } = setUp(1)
    const leaseKey = 'shard-of-another-form'
    await leaseStore.create({
      leaseKey,
      checkpoint: { kind: 'trim-horizon' },
      parentShardIds: [],
      range: undefined,
      startAt: undefined,
    })
    const one = consumer()
    const run = one.run(NOTHING)
    expect(() => one.pause(leaseKey)).toThrow(InvalidOptionError)
    await until(() => one.snapshot().shards.length === 2)
    expect(() => one.pause(leaseKey)).not.toThrow()
    await settled(Promise.all([one.stop(), run]))
  })
})

describe('after stop', () => {
  test.each(['never run', 'stopping', 'stopped'] as const)('streams do not change any more: %s', async (when) => {
    const { consumer, create, put, until, settled } = setUp(1)
    create('weather', 1)
    put(1)
    const one = consumer({ streams: ['flights'] })
    const events = recorded(one)
    let finish: (() => void) | undefined
    const run = when === 'never run' ? undefined : one.run({ eachRecord: () => new Promise<void>((done) => (finish = done)) })
    if (run !== undefined) await until(() => finish !== undefined)
    const stopping = one.stop()
    if (when === 'stopped') {
      finish?.()
      await settled(stopping)
    }
    for (const change of [() => one.addStream('weather'), () => one.removeStream('flights')]) {
      await expect(change()).rejects.toThrow(ConsumerRanError)
      await expect(change()).rejects.toThrow(/`stop` was called.*make a new Consumer/)
    }
    finish?.()
    await settled(Promise.all([stopping, run]))
    expect(one.snapshot().streams).toEqual(['flights'])
    expect(events.filter(({ type }) => type.startsWith('stream-'))).toEqual([])
  })

  test('a change that a stop has overtaken resolves, and is not announced', async () => {
    const { consumer, create, put, until, settled } = setUp(1)
    create('weather', 1)
    create('radar', 1)
    put(1, 'weather')
    const one = consumer({ streams: ['flights', 'weather'] })
    const events = recorded(one)
    let finish: (() => void) | undefined
    const run = one.run({ eachRecord: () => new Promise<void>((done) => (finish = done)) })
    await until(() => finish !== undefined)
    const changes = Promise.all([one.removeStream('weather'), one.addStream('radar')])
    const stopping = one.stop()
    finish!()
    await settled(Promise.all([changes, stopping, run]))
    expect(await changes).toEqual([{ deletedLeases: 0 }, undefined])
    expect(events.filter(({ type }) => type.startsWith('stream-'))).toEqual([])
    expect(events.at(-1)?.type).toBe('consumer-stopped')
  })
})

test('what only automatic checkpoints know is refused with manual ones, of a loop over shards too', async () => {
  const { consumer } = setUp(1)
  for (const [option, value] of Object.entries({
    checkpointIntervalMs: 500,
    checkpointEveryRecords: 100,
    dedupe: { maxRecordIds: 9 },
  })) {
    const one = consumer({ [option]: value })
    const message = new RegExp(`^Option \`${option}\` must be left out with manual checkpoints`)
    await expect(one.run(NOTHING, { checkpoint: 'manual' })).rejects.toThrow(message)
    await expect(one.shards().next()).rejects.toThrow(message)
    await expect(one.records({ checkpoint: 'manual' }).next()).rejects.toThrow(message)
    expect(one.snapshot().state).toBe('new')
    await one.stop()
  }
})

test('a start that fails before anything is connected has run: stopped, announced, and not to be repeated', async () => {
  const one = setUp(1).consumer({ kinesis: undefined, endpoint: 'localhost:4567' })
  const events = recorded(one)
  await expect(one.run(NOTHING)).rejects.toThrow(/^Option `endpoint` must be a URL/)
  expect([one.snapshot().state, events.map(({ type }) => type)]).toEqual(['stopped', ['consumer-stopped']])
  await expect(one.run(NOTHING)).rejects.toThrow(ConsumerRanError)
  expect(await one.stop()).toEqual({ abandonedShards: [] })
})
