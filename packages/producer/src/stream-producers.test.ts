import { connectKinesis, type KinesisConnection } from '@shardwise/core/transport'
import { type LocalServices, startLocal } from '@shardwise/local'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ProducerClosedError } from './producer-error.js'
import { StreamProducers } from './stream-producers.js'

const input = { partitionKey: 'k', data: Buffer.from('x') }
let local: LocalServices
let connection: KinesisConnection

beforeEach(async () => {
  local = await startLocal({ transitionMs: { create: 0 }, dynamodb: false })
  for (const StreamName of ['a', 'b', 'c']) local.model.call('CreateStream', { StreamName, ShardCount: 1 })
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
  connection = connectKinesis({ endpoint: local.kinesisEndpoint, region: 'us-east-1', credentials })
})

afterEach(async () => {
  connection.close()
  await local.stop()
})

test('one producer a stream, and the one used least lately makes room when it has nothing to do', async () => {
  const producers = new StreamProducers(connection.port, { aggregation: 'off', lingerMs: 0 }, 2)
  const [a, b] = [producers.of('a')!, producers.of('b')!]
  expect(producers.of('a')).toBe(a)
  const [first] = [a.put(input), b.put(input)]
  expect(producers.isIdle).toBe(false)
  expect(producers.of('c')).toBeUndefined()
  expect(await first).toMatchObject({ kind: 'put', result: { shardId: 'shardId-000000000000' } })
  await producers.flush()
  expect(producers.isIdle).toBe(true)
  expect(producers.of('c')).toBeDefined()
  // Of a and b, b was asked for last before c came, but a after it.
  expect(producers.of('a')).toBe(a)
  expect(await b.put(input)).toMatchObject({ kind: 'failed', error: expect.any(ProducerClosedError) })
  await producers.close()
  expect(() => producers.of('a')).toThrow(ProducerClosedError)
})

test('a producer with halted shards does not make room until it is told to resume', async () => {
  const options = { aggregation: 'off', ordering: 'perShard', lingerMs: 0, recordTtlMs: 100 } as const
  const producers = new StreamProducers(connection.port, options, 1)
  local.faults.on('PutRecords', { rejectEntries: { when: () => true }, times: Number.POSITIVE_INFINITY })
  expect(await producers.of('a')!.put(input)).toMatchObject({ kind: 'failed', error: { name: 'DeliveryFailedError' } })
  expect(await producers.of('a')!.put(input)).toMatchObject({ kind: 'failed', error: { name: 'LaneHaltedError' } })
  expect(producers.of('b')).toBeUndefined()
  producers.resume()
  expect(producers.of('b')).toBeDefined()
  await producers.close()
})
