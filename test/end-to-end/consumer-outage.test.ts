import type { FaultRule } from '@shardwise/local'
import { expect, it } from 'vitest'
import { Deliveries, recorded, StreamHarness } from './consumer-harness.js'

const KEYS = Array.from({ length: 16 }, (_, i) => `key-${i}`)

async function putAll(harness: StreamHarness, n: number): Promise<void> {
  for (const key of KEYS) await harness.put(key, `${key}:${n}`)
}

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
