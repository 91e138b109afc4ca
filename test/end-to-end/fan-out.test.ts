import type { LocalServices, ObservedCall } from '@shardwise/local'
import { expect, it } from 'vitest'
import { clockFaster } from '../support/fast-clock.js'
import { Deliveries, eventually, heldShards, recorded, StreamHarness } from './consumer-harness.js'
import { Fleet, KEYS } from './fleet.js'
import { NetworkLink } from './network-link.js'
import { FAN_OUT } from './retrievals.js'

/** Calls of an operation that the service has answered, not refused. */
class Answered {
  count = 0
  refused = 0

  constructor(local: LocalServices, operation: string, told: () => void = () => {}) {
    const observe = ({ outcome }: ObservedCall): void => {
      if (outcome.kind === 'answered') this.count++
      else this.refused++
      told()
    }
    local.faults.on(operation, { observe, times: Number.POSITIVE_INFINITY })
  }
}

it('the service restarts and all connections break at once, twice: everything is subscribed again, nothing is lost or repeated, and nothing was polled', async () => {
  const shards = 8
  await using fleet = await Fleet.start(shards, FAN_OUT)
  const { log, harness } = fleet
  const polls = new Answered(harness.local, 'GetRecords')
  const subscriptions = new Answered(harness.local, 'SubscribeToShard', () => log.look())
  await using link = await NetworkLink.to(harness.local.kinesisEndpoint)
  const workers = await Promise.all(['one', 'two'].map((name) => fleet.join(name, { endpoint: link.endpoint })))
  await fleet.shared(shards, 'one', 'two')
  fleet.load()
  await fleet.delivered(5)
  for (const _ of [1, 2]) {
    const before = subscriptions.count
    const doors = [link, ...workers.map((worker) => worker.link)]
    for (const door of doors) door.fall()
    const connects = link.refused
    await log.until('both workers to knock at the closed door', () => link.refused >= connects + 2)
    for (const door of doors) door.rise()
    await log.until('all shards to be subscribed again', () => subscriptions.count >= before + shards)
    await fleet.delivered(fleet.rounds + 5)
  }
  await fleet.quiet()
  await Promise.all(workers.map((worker) => worker.stop()))
  expect(log.faults(KEYS, fleet.rounds), log.shown()).toEqual([])
  expect(log.repeats(), log.shown()).toEqual([])
  expect(log.events('lease-lost')).toEqual([])
  expect(polls.count).toBe(0)
})

it('a suspended worker wakes with its subscription taken over: it subscribes no more, hands nothing over, and knows that the lease is lost', async () => {
  await using fleet = await Fleet.start(1, { failoverTimeMs: 3000, ...FAN_OUT })
  const { log, harness } = fleet
  const subscriptions = new Answered(harness.local, 'SubscribeToShard', () => log.look())
  const one = await fleet.join('one', { suspends: true })
  await fleet.shared(1, 'one')
  const two = await fleet.join('two')
  await log.until('the peer to run', () => log.events('consumer-started').length === 2)
  one.withholds = true
  await fleet.put()
  await log.until('a call', () => log.entries.some((entry) => entry.type === 'called'))
  one.signal('SIGSTOP')
  await log.until('the peer to take over', () => log.held('two').length === 1)
  await fleet.put()
  await fleet.delivered(2)
  const woken = log.entries.length
  const before = subscriptions.count + subscriptions.refused
  // Its clock stood still and the table is silent: that somebody else has the subscription is all that it can know.
  one.link.silence()
  one.confirm()
  one.signal('SIGCONT')
  await log.until('the end of its subscription', () =>
    log.events('subscription-ended', woken).some(({ by, detail }) => by === 'one' && detail?.includes('"taken-over"')),
  )
  await fleet.put()
  await fleet.delivered(3)
  await log.until('its trust to end', () => log.events('lease-in-doubt', woken).some(({ by }) => by === 'one'))
  one.link.speak()
  await log.until('the loss to be known', () => log.events('lease-lost', woken).some(({ by }) => by === 'one'))
  expect(log.entries.slice(woken).filter((entry) => entry.by === 'one' && entry.type === 'called')).toEqual([])
  expect(subscriptions.count + subscriptions.refused).toBe(before)
  expect((await fleet.leases()).get('shardId-000000000000')?.owner).toBe('two')
  await Promise.all([one.stop(), two.stop()])
  expect(log.faults(KEYS, fleet.rounds)).toEqual([])
})

it('polls while the consumer cannot be registered, and while shards cannot be subscribed, and returns: nothing is lost or repeated', async () => {
  const shards = 4
  // Who cannot subscribe asks again after half a minute, and then after one. The service's clock is as fast: a subscription that says nothing is left.
  const clock = clockFaster(5)
  await using harness = await StreamHarness.start(shards, { clock })
  const { faults } = harness.local
  const polls = new Answered(harness.local, 'GetRecords')
  const subscriptions = new Answered(harness.local, 'SubscribeToShard')
  const refuse = (operation: string, code: string) => faults.on(operation, { fail: { code }, times: Number.POSITIVE_INFINITY })
  await using link = await NetworkLink.to(harness.local.kinesisEndpoint)
  const consumer = harness.consumer({
    ...{ retrieval: { fanOut: { fallbackToPolling: true } }, endpoint: link.endpoint },
    ...{ clock, failoverTimeMs: 50_000, idleTimeBetweenReadsMs: 1_000 },
  })
  const subscribed = new Set<string>()
  consumer.events.on('subscription-started', ({ shardId }) => subscribed.add(shardId))
  consumer.events.on('subscription-ended', ({ shardId }) => subscribed.delete(shardId))
  const deliveries = new Deliveries()
  let rounds = 0
  const putAndGet = async (): Promise<void> => {
    for (const key of KEYS) await harness.put(key, `${key}:${rounds}`)
    rounds++
    await deliveries.until((all) => all.length >= rounds * KEYS.length)
  }

  const unregistered = refuse('RegisterStreamConsumer', 'LimitExceededException')
  const run = consumer.run(deliveries.by('one'))
  await putAndGet()
  expect([polls.count > 0, subscriptions.count, unregistered.hits > 0]).toEqual([true, 0, true])
  unregistered.remove()
  await eventually([consumer], () => subscribed.size === shards)
  // What a source had asked for before it was subscribed has been answered by then.
  await putAndGet()
  let polled = polls.count
  await putAndGet()
  expect(polls.count).toBe(polled)

  const unsubscribed = refuse('SubscribeToShard', 'AccessDeniedException')
  const before = subscriptions.count
  link.fall()
  link.rise()
  await eventually([consumer], () => subscribed.size === 0)
  await putAndGet()
  expect([polls.count > polled, subscriptions.count]).toEqual([true, before])
  unsubscribed.remove()
  await eventually([consumer], () => subscribed.size === shards)
  await putAndGet()
  polled = polls.count
  await putAndGet()
  expect(polls.count).toBe(polled)
  await consumer.stop()
  await run
  expect(deliveries.all).toHaveLength(rounds * KEYS.length)
  for (const key of KEYS) {
    const numbers = deliveries.texts.filter((text) => text.startsWith(`${key}:`)).map((text) => Number(text.split(':')[1]))
    expect(numbers).toEqual(Array.from({ length: rounds }, (_, n) => n))
  }
})

it('a handler that hangs: its shard holds back no other of the connection, and has everything in order when it goes on', async () => {
  const shards = 16
  const rounds = 40
  const backlog = 24
  await using harness = await StreamHarness.start(shards, { quotas: false })
  const consumer = harness.consumer(FAN_OUT)
  const events = recorded(consumer)
  const held = heldShards(consumer)
  const deliveries = new Deliveries()
  const handled = new Set<string>()
  let stalled: string | undefined
  let goOn: () => void = () => {}
  const stall = new Promise<void>((resolve) => {
    goOn = resolve
  })
  const run = consumer.run({
    async eachRecord(record) {
      if (record.shardId === stalled) await stall
      const [text] = new TextDecoder().decode(record.bytes).split(' ')
      handled.add(text!)
      deliveries.add('one', record)
    },
  })
  for (const key of KEYS) await harness.put(key, `${key}:0`)
  await deliveries.until((all) => all.length === KEYS.length)
  expect(held.size).toBe(shards)
  const shardOf = new Map(deliveries.all.map(({ record }) => [record.partitionKey, record.shardId]))
  const [slow, ...others] = KEYS
  stalled = shardOf.get(slow!)!
  const quick = others.filter((key) => shardOf.get(key) !== stalled)

  // Far more than one shard may hold here and on its way.
  const much = 'x'.repeat(1_000_000)
  for (let n = 1; n <= backlog; n++) await harness.put(slow!, `${slow}:${n} ${much}`)
  for (let n = 1; n <= rounds; n++) {
    const key = quick[n % quick.length]!
    await harness.put(key, `${key}:${n}`)
    await deliveries.until(() => handled.has(`${key}:${n}`))
  }
  expect(handled.has(`${slow}:1`)).toBe(false)
  // On the subscriptions that there were: none was given up for silence, and made again, which would have brought them, too.
  expect(events.filter(({ type }) => type === 'subscription-ended')).toEqual([])
  goOn()
  await deliveries.until((all) => all.length === KEYS.length + rounds + backlog)
  const ofSlow = deliveries.all.filter(({ record }) => record.shardId === stalled && record.partitionKey === slow)
  expect(ofSlow.map(({ text }) => text.split(' ')[0])).toEqual(Array.from({ length: backlog + 1 }, (_, n) => `${slow}:${n}`))
  await consumer.stop()
  await run
})
