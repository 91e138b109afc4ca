import { expect, it } from 'vitest'
import type { ServiceInput } from './faults.js'
import { rejectingEntries } from './rejected-entries.js'

const entry = (key: string): object => ({ PartitionKey: key, Data: new Uint8Array() })

/** Writes every entry but those whose key begins with `full`. */
function service(input: ServiceInput): object {
  const records = input.Records as { PartitionKey: string }[]
  if (records.length === 0) throw new Error('ValidationException')
  return {
    EncryptionType: 'NONE',
    FailedRecordCount: records.filter(({ PartitionKey }) => PartitionKey.startsWith('full')).length,
    Records: records.map(({ PartitionKey }) =>
      PartitionKey.startsWith('full') ? { ErrorCode: 'Full' } : { ShardId: 's', SequenceNumber: PartitionKey },
    ),
  }
}

const written = (key: string): object => ({ ShardId: 's', SequenceNumber: key })
const rejected = {
  ErrorCode: 'ProvisionedThroughputExceededException',
  ErrorMessage: 'ProvisionedThroughputExceededException, by a fault rule',
}

it.each([
  ['none', [], [written('a'), { ErrorCode: 'Full' }, written('b'), written('c')], 1],
  ['the first', ['a'], [rejected, { ErrorCode: 'Full' }, written('b'), written('c')], 2],
  ['in the middle and at the end', ['full', 'c'], [written('a'), rejected, written('b'), rejected], 2],
  ['all', ['a', 'full', 'b', 'c'], [rejected, rejected, rejected, rejected], 4],
])('%s', async (_, keys: string[], results, failed) => {
  const input = { StreamName: 's', Records: ['a', 'full', 'b', 'c'].map(entry) }
  const work = rejectingEntries({ when: ({ PartitionKey }) => keys.includes(PartitionKey ?? '') }, service)
  expect(await work(input)).toMatchObject({ FailedRecordCount: failed, Records: results })
})

it('gives its own code and message, and the index to the condition', async () => {
  const work = rejectingEntries({ when: (_, index) => index === 1, code: 'InternalFailure', message: 'hm' }, service)
  expect(await work({ Records: [entry('a'), entry('b')] })).toEqual({
    EncryptionType: 'NONE',
    FailedRecordCount: 1,
    Records: [written('a'), { ErrorCode: 'InternalFailure', ErrorMessage: 'hm' }],
  })
})

it.each([[{}], [{ Records: 5 }], [{ Records: [] }]])('leaves %j for the service to refuse', async (input) => {
  const work = rejectingEntries({ when: () => true }, () => {
    throw new Error('refused')
  })
  await expect(work(input)).rejects.toThrow('refused')
})
