import { type LocalServices, startLocal } from '@shardwise/local'
import { Producer, type ProducerOptions } from '@shardwise/producer'
import { afterEach, expect, test } from 'vitest'
import { CREDENTIALS, REGION } from './local-account.js'

const open: (() => unknown)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

async function serviceAndProducer(options: Partial<ProducerOptions>): Promise<[LocalServices, Producer]> {
  const local = await startLocal({ dynamodb: false, transitionMs: { create: 0 } })
  open.push(() => local.stop())
  local.model.call('CreateStream', { StreamName: 'flights', ShardCount: 1 })
  const producer = new Producer({
    ...{ stream: 'flights', endpoint: local.kinesisEndpoint, region: REGION, credentials: CREDENTIALS },
    ...{ lingerMs: 0, aggregation: 'off', retry: { baseMs: 1, maxMs: 2 }, ...options },
  })
  open.push(() => producer.close())
  return [local, producer]
}

const isBad = ({ Data }: { readonly Data?: Uint8Array }): boolean => Buffer.from(Data ?? []).toString() === 'bad'
const record = (data: string): { partitionKey: string; data: Buffer } => ({ partitionKey: 'k', data: Buffer.from(data) })
const QUOTA = 'ProvisionedThroughputExceededException'

test('retry.maxAttempts: a record that is refused each time fails after so many requests, and others do not', async () => {
  const [local, producer] = await serviceAndProducer({ retry: { baseMs: 1, maxMs: 2, maxAttempts: 3 } })
  const rule = local.faults.on('PutRecords', {
    rejectEntries: { when: isBad, code: 'InternalFailure' },
    times: Number.POSITIVE_INFINITY,
  })
  const [bad, good] = await Promise.allSettled([producer.put(record('bad')), producer.put(record('good'))])
  expect(bad).toMatchObject({
    status: 'rejected',
    reason: { name: 'DeliveryFailedError', reason: 'attempts-exhausted', attempts: 3, serviceCode: 'InternalFailure' },
  })
  expect(good).toMatchObject({ status: 'fulfilled', value: { shardId: 'shardId-000000000000' } })
  expect(rule.hits).toBeGreaterThanOrEqual(3)
})

test('failIfThrottled: what the quota refuses fails at once and stops what is behind it, where order is kept', async () => {
  const [local, producer] = await serviceAndProducer({ failIfThrottled: true, ordering: 'perShard' })
  local.faults.on('PutRecords', { rejectEntries: { when: isBad } })
  const failed = { name: 'DeliveryFailedError', reason: 'throttled', attempts: 1, written: 'no', serviceCode: QUOTA }
  const [bad, behind] = await Promise.allSettled([producer.put(record('bad')), producer.put(record('behind'))])
  expect(bad).toMatchObject({ status: 'rejected', reason: failed })
  expect(behind).toMatchObject({ status: 'rejected', reason: { name: 'LaneHaltedError', written: 'no', cause: failed } })
  producer.resume()
  expect(await producer.put(record('after'))).toMatchObject({ attempts: 1 })
})
