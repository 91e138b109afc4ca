import { DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { LeaseLostError } from '@shardwise/consumer'
import { ManualClock } from '@shardwise/core/clock'
import { expect, it } from 'vitest'
import { CREDENTIALS, Deliveries, REGION, recorded, StreamHarness } from './consumer-harness.js'

const HOUR = 3_600_000

it('tells the handler when another worker took the lease, starts no further call, and repeats what was not checkpointed', async () => {
  await using harness = await StreamHarness.start(1)
  for (const text of ['0', '1', '2']) await harness.put('a', text)
  const consumer = harness.consumer()
  const calls: string[] = []
  const lost: unknown[] = []
  let blocked = (): void => {}
  const reached = new Promise<void>((resolve) => {
    blocked = resolve
  })
  let done = (): void => {}
  const finished = new Promise<void>((resolve) => {
    done = resolve
  })
  consumer.events.on('shard-started', () => calls.push('started'))
  consumer.events.on('shard-stopped', ({ outcome }) => calls.push(outcome))
  const run = consumer.run({
    async eachRecord(record, { signal }) {
      const text = new TextDecoder().decode(record.data)
      calls.push(text)
      if (text === '1' && lost.length === 0) {
        blocked()
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
        lost.push(signal.reason)
      }
      if (text === '2') done()
    },
  })
  await reached
  const dynamodb = new DynamoDBClient({ endpoint: harness.local.dynamodbEndpoint, region: REGION, credentials: CREDENTIALS })
  await dynamodb.send(
    new UpdateItemCommand({
      TableName: 'delays',
      Key: { leaseKey: { S: 'shardId-000000000000' } },
      UpdateExpression: 'SET leaseOwner = :thief, leaseCounter = leaseCounter + :many',
      ExpressionAttributeValues: { ':thief': { S: 'thief' }, ':many': { N: '100' } },
    }),
  )
  dynamodb.destroy()
  // The thief never renews: after the failover time the consumer takes the lease back.
  await finished
  await consumer.stop()
  await run
  expect(lost).toMatchObject([{ code: 'ERR_SHARDWISE_LEASE_LOST' }])
  expect(lost[0]).toBeInstanceOf(LeaseLostError)
  const at = calls.indexOf('lost')
  expect(calls.slice(0, at)).toEqual(['started', '0', '1'])
  // A renewal may have carried record 0 or not; record 1 was not known to be completed when the lease was lost.
  expect(['started,0,1,2', 'started,1,2', 'started,2']).toContain(calls.slice(at + 1, -1).join())
})

it('goes on at the oldest record, loudly, when retention has taken the checkpointed one', async () => {
  const clock = new ManualClock({ wallTime: Date.now() })
  await using harness = await StreamHarness.start(1, { clock })
  harness.local.model.setQuotas(harness.stream, false)
  await harness.put('a', 'old')
  const one = harness.consumer()
  await one.run({ eachRecord: () => void one.stop() })
  clock.advance(20 * HOUR)
  await harness.put('a', 'expired unread')
  clock.advance(23 * HOUR)
  await harness.put('a', 'young')
  clock.advance(2 * HOUR)
  const got = new Deliveries()
  const two = harness.consumer()
  const events = recorded(two)
  const run = two.run(got.by('two'))
  await got.until((all) => all.length === 1)
  await two.stop()
  await run
  expect(got.texts).toEqual(['young'])
  expect(events.filter((event) => event.type === 'records-expired')).toMatchObject([
    { shardId: 'shardId-000000000000', after: expect.stringMatching(/^\d+$/) },
  ])
})

it('loses nothing when a slow handler lets the iterator expire', async () => {
  const clock = new ManualClock({ wallTime: Date.now() })
  await using harness = await StreamHarness.start(1, { clock })
  harness.local.model.setQuotas(harness.stream, false)
  await harness.put('a', '0')
  await harness.putAggregate('a', ['1', '2'])
  const got = new Deliveries()
  const consumer = harness.consumer({ maxRecordsPerRead: 1 })
  const events = recorded(consumer)
  const run = consumer.run({
    eachRecord(record) {
      got.add('one', record)
      clock.advance(6 * 60_000)
    },
  })
  await got.until((all) => all.length === 3)
  await harness.put('a', '3')
  await got.until((all) => all.length === 4)
  await consumer.stop()
  await run
  expect(got.texts).toEqual(['0', '1', '2', '3'])
  expect(events.some((event) => event.type === 'iterator-expired')).toBe(true)
})

it('outlasts throttling, a failing service and lost answers without losing its place', async () => {
  await using harness = await StreamHarness.start(1)
  for (const text of ['0', '1', '2', '3', '4']) await harness.put('a', text)
  const faults = harness.local.faults
  faults.on('GetRecords', { fail: { code: 'ProvisionedThroughputExceededException' } })
  const got = new Deliveries()
  const consumer = harness.consumer({ maxRecordsPerRead: 2 })
  const events = recorded(consumer)
  const run = consumer.run(got.by('one'))
  await got.until((all) => all.length >= 2)
  faults.on('GetRecords', { drop: 'after-work' })
  faults.on('GetRecords', { fail: { code: 'InternalFailureException', status: 500 } })
  await got.until((all) => all.length >= 5)
  await consumer.stop()
  await run
  expect(got.texts).toEqual(['0', '1', '2', '3', '4'])
  const types = events.map((event) => event.type)
  expect(types).toContain('read-throttled')
  expect(types).toContain('read-failed')
})

it('reads each Kinesis record once: one attempt per GetRecords, none hidden in the SDK', async () => {
  await using harness = await StreamHarness.start(1)
  await harness.put('a', '0')
  let calls = 0
  harness.local.faults.on('GetRecords', { observe: () => void calls++, times: Number.POSITIVE_INFINITY })
  harness.local.faults.on('GetRecords', { fail: { code: 'InternalFailureException', status: 500 }, times: 2 })
  const got = new Deliveries()
  const consumer = harness.consumer()
  const failed: number[] = []
  consumer.events.on('read-failed', ({ attempt }) => failed.push(attempt))
  const run = consumer.run(got.by('one'))
  await got.until((all) => all.length === 1)
  const seen = calls
  await consumer.stop()
  await run
  expect(failed).toEqual([1, 2])
  expect(seen).toBeLessThanOrEqual(4)
})
