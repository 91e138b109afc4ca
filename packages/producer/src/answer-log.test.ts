import type { KinesisPort, PutRecordsOutput } from '@shardwise/core/kinesis-port'
import { expect, test } from 'vitest'
import { AnswerLog } from './answer-log.js'

function answering(log: AnswerLog, answers: readonly object[], StreamName = 'flights'): () => Promise<PutRecordsOutput> {
  const left = [...answers]
  const port = { putRecords: async () => left.shift() as PutRecordsOutput } as unknown as KinesisPort
  const heard = log.overhear(port)
  return () => heard.putRecords({ StreamName, Records: [] })
}

const place = (number: number) => ({ shardId: 's', sequenceNumber: `${number}` })
const answer = (requestId: string, ...numbers: readonly number[]) => ({
  Records: numbers.map((number) => ({ ShardId: 's', SequenceNumber: `${number}` })),
  $metadata: { requestId },
  EncryptionType: 'KMS',
})

test('finds the answer of a place, once or as often as it is shared', async () => {
  const log = new AnswerLog()
  const next = answering(log, [answer('one', 1, 2), answer('two', 3)])
  await next()
  await next()
  expect(log.factsOf('flights', place(2), true)).toEqual({ metadata: { requestId: 'one' }, encryptionType: 'KMS' })
  expect(log.factsOf('flights', place(2), false)).toEqual({ metadata: { requestId: 'one' }, encryptionType: 'KMS' })
  expect(log.factsOf('flights', place(2), false)).toEqual({ metadata: { httpStatusCode: 200 }, encryptionType: undefined })
  expect(log.factsOf('flights', place(3), false)).toMatchObject({ metadata: { requestId: 'two' } })
})

test('forgets the oldest places', async () => {
  const log = new AnswerLog()
  const numbers = Array.from({ length: 2000 }, (_, i) => i + 1)
  const next = answering(log, [answer('old', 0), answer('new', ...numbers)])
  await next()
  expect(log.factsOf('flights', place(0), true).metadata).toEqual({ requestId: 'old' })
  await next()
  expect(log.factsOf('flights', place(0), true).metadata).toEqual({ httpStatusCode: 200 })
  expect(log.factsOf('flights', place(2000), true).metadata).toEqual({ requestId: 'new' })
})

test('the same place in two streams is two places', async () => {
  const log = new AnswerLog()
  await answering(log, [answer('one', 1)])()
  await answering(log, [answer('two', 1)], 'gates')()
  expect(log.factsOf('gates', place(1), false).metadata).toEqual({ requestId: 'two' })
  expect(log.factsOf('flights', place(1), false).metadata).toEqual({ requestId: 'one' })
  expect(log.factsOf('crews', place(1), false).metadata).toEqual({ httpStatusCode: 200 })
})
