import { createHash } from 'node:crypto'
import type { Consumer } from '@shardwise/consumer'
import { expect, it } from 'vitest'
import { clockFaster } from '../support/fast-clock.js'
import { Deliveries, eventually, recorded, StreamHarness } from './consumer-harness.js'
import { NetworkLink } from './network-link.js'

const KEYS = 16

/** Texts `key:number`, each key counting for itself. */
class Load {
  readonly #harness: StreamHarness
  #next = 0

  constructor(harness: StreamHarness) {
    this.#harness = harness
  }

  get put(): number {
    return this.#next
  }

  async more(count: number): Promise<void> {
    for (let i = 0; i < count; i++, this.#next++) {
      await this.#harness.put(`key-${this.#next % KEYS}`, `${this.#next % KEYS}:${Math.floor(this.#next / KEYS)}`)
    }
  }
}

function expectEachOnceInOrder(texts: readonly string[], count: number): void {
  expect(texts.length).toBe(count)
  expect(new Set(texts).size).toBe(count)
  for (let key = 0; key < KEYS; key++) {
    const ofKey = texts.filter((text) => text.startsWith(`${key}:`)).map((text) => Number(text.split(':')[1]))
    expect(ofKey).toEqual(ofKey.map((_, i) => i))
  }
}

it('enhanced fan-out over HTTP/2: shared by two, handed over, split and merged: each record once, each key in order', async () => {
  await using harness = await StreamHarness.start(4)
  const load = new Load(harness)
  const got = new Deliveries()
  const first = harness.consumer({ retrieval: { fanOut: {} } })
  const events = recorded(first)
  const firstRun = first.run(got.by('first'))
  await load.more(64)
  await got.until((all) => all.length === 64)
  expect(first.snapshot().shards.map(({ worker }) => worker?.retrieval)).toEqual(Array(4).fill('fan-out'))
  const second = harness.consumer({ retrieval: { fanOut: {} } })
  const secondRun = second.run(got.by('second'))
  await eventually([second], () => second.snapshot().shards.filter(({ worker }) => worker?.state === 'running').length === 2)
  await load.more(64)
  await got.until((all) => all.length === 128)
  expect(new Set(got.all.slice(64).map(({ by }) => by))).toEqual(new Set(['first', 'second']))
  const [one, two, three] = await harness.openShards()
  await harness.split(one!)
  await harness.merge(two!, three!)
  await load.more(64)
  await got.until((all) => all.length === 192)
  await first.stop()
  await firstRun
  await load.more(64)
  await got.until((all) => all.length === 256)
  await second.stop()
  await secondRun
  expectEachOnceInOrder(got.texts, load.put)
  expect(events.filter(({ type }) => type === 'stream-consumer-registered')).toHaveLength(1)
  expect(events.filter(({ type }) => type === 'read-failed')).toEqual([])
})

it('enhanced fan-out: the network falls silent for a while: nothing is lost, repeated or out of order', async () => {
  const clock = clockFaster(5)
  await using harness = await StreamHarness.start(2, { clock })
  await using link = await NetworkLink.to(harness.local.kinesisEndpoint)
  const load = new Load(harness)
  const got = new Deliveries()
  // Leases are renewed all the while: DynamoDB is reached by another way.
  const consumer = harness.consumer({ retrieval: { fanOut: {} }, endpoint: link.endpoint, clock, failoverTimeMs: 50_000 })
  const events = recorded(consumer)
  const run = consumer.run(got.by('it'))
  await load.more(32)
  await got.until((all) => all.length === 32)
  link.silence()
  await load.more(32)
  const broken = (): boolean => events.filter(({ type }) => type === 'subscription-ended').length >= 2
  await eventually([consumer], broken)
  await load.more(32)
  link.speak()
  await got.until((all) => all.length === 96)
  await consumer.stop()
  await run
  expectEachOnceInOrder(got.texts, load.put)
  expect(events.filter(({ type }) => type === 'lease-lost')).toEqual([])
})

it('enhanced fan-out: subscriptions that end early, are reset, fail, are taken over, fall silent or lose their connection', async () => {
  const { promise: others, resolve: breakOff } = deferred()
  const interruptions = [
    { by: 'end' },
    { by: 'reset' },
    { by: { code: 'InternalFailureException' } },
    { by: { code: 'ResourceInUseException' } },
    { by: 'stall' },
    // All of them are on one connection, so this is for the end.
    { by: 'break', hold: others },
  ] as const
  const clock = clockFaster(5)
  await using harness = await StreamHarness.start(interruptions.length, { clock })
  const shards = (await harness.openShards()).map(({ ShardId }) => ShardId!)
  const faults = interruptions.map((interruption, i) =>
    harness.local.faults.on('SubscribeToShard', {
      interrupt: { ...interruption, afterEvents: 1 },
      when: ({ ShardId }) => ShardId === shards[i],
    }),
  )
  const load = new Load(harness)
  const got = new Deliveries()
  const consumer = harness.consumer({ retrieval: { fanOut: {} }, clock, failoverTimeMs: 50_000 })
  const events = recorded(consumer)
  const run = consumer.run(got.by('it'))
  const started = (shard: string): number =>
    events.filter((event) => event.type === 'subscription-started' && event.shardId === shard).length
  const ended = (shard: string): string[] =>
    events.flatMap((event) => (event.type === 'subscription-ended' && event.shardId === shard ? [event.reason] : []))
  const goingOn = async (holds: () => boolean): Promise<void> => {
    while (!holds()) {
      await load.more(8)
      await nextEvent(consumer)
    }
  }
  await goingOn(() => shards.slice(0, -1).every((shard) => started(shard) === 2))
  expect(shards.slice(0, -1).map((shard) => ended(shard))).toEqual([
    ['completed'],
    ['failed'],
    ['failed'],
    ['taken-over'],
    ['stalled'],
  ])
  breakOff()
  await goingOn(() => shards.every((shard) => started(shard) === (shard === shards.at(-1) ? 2 : 3)))
  await load.more(32)
  await got.until((all) => all.length === load.put)
  await consumer.stop()
  await run
  expect(faults.map(({ hits }) => hits)).toEqual(interruptions.map(() => 1))
  expectEachOnceInOrder(got.texts, load.put)
  expect(events.filter(({ type }) => type === 'records-repeated' || type === 'lease-lost')).toEqual([])
})

it('enhanced fan-out: handlers of one shard that hang do not keep the records of others, on the same connection', async () => {
  await using harness = await StreamHarness.start(2, { quotas: false })
  const got = new Deliveries()
  let open = (): void => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const consumer = harness.consumer({ retrieval: { fanOut: {} }, maxBufferedBytes: 2 ** 20 })
  const shards = new Map<string, string>()
  for (let i = 0; shards.size < 2; i++) {
    const key = `key-${i}`
    const shard = BigInt(`0x${md5(key)}`) < 2n ** 127n ? 'first' : 'second'
    if (!shards.has(shard)) shards.set(shard, key)
  }
  const [hung, free] = [shards.get('first')!, shards.get('second')!]
  const run = consumer.run({
    eachRecord: async (record) => {
      if (record.partitionKey === hung) await gate
      got.add('it', record)
    },
  })
  const large = 'x'.repeat(500_000)
  for (let i = 0; i < 16; i++) {
    await harness.put(hung, `${i}${large}`)
    await harness.put(free, `${i}`)
  }
  const ofFree = (): string[] => got.all.filter(({ record }) => record.partitionKey === free).map(({ text }) => text)
  await got.until(() => ofFree().length === 16)
  expect(got.all.length).toBe(16)
  open()
  await got.until((all) => all.length === 32)
  const ofHung = got.all.filter(({ record }) => record.partitionKey === hung).map(({ text }) => Number.parseInt(text, 10))
  expect(ofHung).toEqual(Array.from({ length: 16 }, (_, i) => i))
  await consumer.stop()
  await run
})

it('enhanced fan-out: a stream consumer that is missing and may not be registered ends the start, or is done without', async () => {
  await using harness = await StreamHarness.start(1)
  const strict = harness.consumer({ retrieval: { fanOut: { register: false } } })
  await expect(strict.run({ eachRecord: () => {} })).rejects.toThrow(
    /Stream consumer delays of stream flights does not exist, and is not to be registered/,
  )
  const got = new Deliveries()
  const lenient = harness.consumer({ retrieval: { fanOut: { register: false, fallbackToPolling: true } } })
  const events = recorded(lenient)
  const run = lenient.run(got.by('it'))
  await harness.put('a', '1')
  await got.until((all) => all.length === 1)
  expect(lenient.snapshot().shards.map(({ worker }) => worker?.retrieval)).toEqual(['polling'])
  expect(events.map(({ type }) => type)).toContain('fan-out-unavailable')
  await lenient.stop()
  await run
})

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}

function nextEvent(consumer: Consumer): Promise<void> {
  return new Promise((resolve) => {
    const off = consumer.events.onAny(() => {
      off()
      resolve()
    })
  })
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
