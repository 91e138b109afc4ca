import type { FaultRule } from '@shardwise/local'
import { expect, it } from 'vitest'
import { Deliveries, eventually, heldShards, recorded, StreamHarness } from './consumer-harness.js'

const KEYS = Array.from({ length: 16 }, (_, i) => `key-${i}`)
const LEASE_CALLS = ['UpdateItem', 'PutItem', 'GetItem', 'Scan'] as const

async function putAll(harness: StreamHarness, n: number): Promise<void> {
  for (const key of KEYS) await harness.put(key, `${key}:${n}`)
}

it('an outage of DynamoDB longer than the failover time: nobody handles in doubt, nobody raids its peers afterwards, nothing is lost or repeated', async () => {
  await using harness = await StreamHarness.start(4)
  const got = new Deliveries()
  const consumers = [harness.consumer(), harness.consumer()]
  const held = consumers.map(heldShards)
  const runs = consumers.map((consumer, i) => consumer.run(got.by(`${i}`)))
  await eventually(consumers, () => held.every((shards) => shards.size === 2))
  await putAll(harness, 0)
  await got.until((all) => all.length === KEYS.length)
  const before = held.map((shards) => [...shards].sort())

  const events = consumers.map(recorded)
  const outage = LEASE_CALLS.map((operation) =>
    harness.local.faults.on(operation, { drop: 'before-work', times: Number.POSITIVE_INFINITY }),
  )
  await eventually(consumers, () => events.every((each) => each.filter(({ type }) => type === 'lease-in-doubt').length === 2))
  await putAll(harness, 1)
  // Long enough for a raid: each lease stands still for more than the failover time, as the workers see it.
  await eventually(consumers, () => events.every((each) => each.filter(({ type }) => type === 'lease-store-failed').length > 12))
  expect(got.all.length).toBe(KEYS.length)
  for (const fault of outage) fault.remove()
  await got.until((all) => all.length >= KEYS.length * 2)
  await putAll(harness, 2)
  await got.until((all) => all.length >= KEYS.length * 3)

  expect(held.map((shards) => [...shards].sort())).toEqual(before)
  for (const each of events) expect(each.filter(({ type }) => type === 'lease-taken' || type === 'lease-lost')).toEqual([])
  await Promise.all(consumers.map((consumer) => consumer.stop()))
  await Promise.all(runs)
  expect(got.texts).toHaveLength(KEYS.length * 3)
  for (const key of KEYS)
    expect(got.texts.filter((text) => text.startsWith(`${key}:`))).toEqual([0, 1, 2].map((n) => `${key}:${n}`))
})

it.each<{ name: string; rule: FaultRule }>([
  { name: 'whose answer is lost', rule: { drop: 'after-work' } },
  { name: 'that never arrive', rule: { drop: 'before-work' } },
  { name: 'that are refused for too many requests', rule: { fail: { code: 'ProvisionedThroughputExceededException' } } },
  { name: 'that the service fails at', rule: { fail: { code: 'InternalServerError', status: 500 } } },
])('lease writes $name, every third of them: nothing is lost, repeated or taken for a loss', async ({ rule }) => {
  await using harness = await StreamHarness.start(2)
  let writes = 0
  harness.local.faults.on('UpdateItem', { ...rule, times: Number.POSITIVE_INFINITY, when: () => writes++ % 3 === 1 })
  const got = new Deliveries()
  const consumers = [harness.consumer({ checkpointIntervalMs: 100 }), harness.consumer({ checkpointIntervalMs: 100 })]
  const events = consumers.map(recorded)
  const runs = consumers.map((consumer, i) => consumer.run(got.by(`${i}`)))
  for (let n = 0; n < 4; n++) {
    await putAll(harness, n)
    await got.until((all) => all.length >= KEYS.length * (n + 1))
    if (n === 1) await harness.split((await harness.openShards())[0]!)
  }
  await Promise.all(consumers.map((consumer) => consumer.stop()))
  await Promise.all(runs)
  expect(writes).toBeGreaterThan(6)
  for (const each of events) expect(each.filter(({ type }) => type === 'lease-lost' || type === 'shard-failed')).toEqual([])
  for (const key of KEYS)
    expect(got.texts.filter((text) => text.startsWith(`${key}:`))).toEqual([0, 1, 2, 3].map((n) => `${key}:${n}`))
})

it('says what to do about a secret that is wrong, as the service tells it', async () => {
  const credentials = { accessKeyId: 'key', secretAccessKey: 'right' }
  await using harness = await StreamHarness.start(0, { credentials })
  const run = harness.consumer({ credentials: { accessKeyId: 'key', secretAccessKey: 'wrong' } }).run({ eachRecord: () => {} })
  await expect(run).rejects.toMatchObject({
    code: 'ERR_SHARDWISE_CONSUMER_START',
    message: expect.stringMatching(/InvalidSignatureException.*the secret must match/s),
  })
})
