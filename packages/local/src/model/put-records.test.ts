import { ManualClock } from '@shardwise/core/clock'
import { hashKeyOf } from '@shardwise/core/hash-key'
import { beforeEach, describe, expect, it } from 'vitest'
import { KinesisModel, KinesisModelError } from './index.js'

const MIB = 1_048_576
let clock: ManualClock
let model: KinesisModel
// biome-ignore lint/suspicious/noExplicitAny: answers are read field by field
const call = (operation: string, input: object): any => model.call(operation, input)
const refusal = (operation: string, input: object): KinesisModelError => {
  try {
    model.call(operation, input)
  } catch (error) {
    if (error instanceof KinesisModelError) return error
    throw error
  }
  throw new Error(`${operation} was not refused`)
}
const entry = (PartitionKey: string, bytes = 1) => ({ PartitionKey, Data: new Uint8Array(bytes) })
const put = (...Records: object[]) => call('PutRecords', { StreamName: 's', Records })
const refusedPut = (...Records: object[]) => refusal('PutRecords', { StreamName: 's', Records })
const create = (input: object): void => {
  call('CreateStream', { StreamName: 's', ...input })
  clock.advance(100)
}
const readAll = (shardId: string) => {
  const { ShardIterator } = call('GetShardIterator', { StreamName: 's', ShardId: shardId, ShardIteratorType: 'TRIM_HORIZON' })
  return call('GetRecords', { ShardIterator }).Records
}

beforeEach(() => {
  clock = new ManualClock()
  model = new KinesisModel({ clock })
})

describe('placement', () => {
  it('is by MD5 of the UTF-8 key, or by the explicit hash key', () => {
    create({ ShardCount: 3 })
    const third = 2n ** 128n / 3n
    const keys = ['a', 'b', 'c', 'd', 'ключ', '日本語', '__proto__', 'x'.repeat(256)]
    expect(put(...keys.map((key) => entry(key))).Records.map((result: { ShardId: string }) => result.ShardId)).toEqual(
      keys.map((key) => `shardId-00000000000${hashKeyOf(key) < third ? 0 : hashKeyOf(key) < third * 2n ? 1 : 2}`),
    )
    const explicit = ['0', `${third - 1n}`, `${third}`, `${2n ** 128n - 1n}`]
    expect(
      put(...explicit.map((ExplicitHashKey) => ({ ...entry('a'), ExplicitHashKey }))).Records.map(
        (result: { ShardId: string }) => result.ShardId,
      ),
    ).toEqual([0, 0, 1, 2].map((index) => `shardId-00000000000${index}`))
  })

  it('of a service-managed stream goes round the shards and ignores keys', () => {
    create({ StreamModeDetails: { StreamMode: 'ON_DEMAND' }, RecordDistributionStrategy: 'AUTO' })
    const results = put(...Array.from({ length: 8 }, () => ({ ...entry('same'), ExplicitHashKey: '9'.repeat(39) }))).Records
    expect(new Set(results.map((result: { ShardId: string }) => result.ShardId)).size).toBe(4)
    const { ShardId } = call('PutRecord', { StreamName: 's', Data: new Uint8Array(3) })
    expect(readAll(ShardId).at(-1)).not.toHaveProperty('PartitionKey')
    expect(
      refusal('PutRecord', { StreamName: 's', Data: new Uint8Array(1), SequenceNumberForOrdering: results[0].SequenceNumber })
        .code,
    ).toBe('InvalidArgumentException')
  })

  it('of a service-managed stream uses the room of every shard before it throttles', () => {
    create({ StreamModeDetails: { StreamMode: 'ON_DEMAND' }, RecordDistributionStrategy: 'AUTO' })
    const failed = Array.from({ length: 9 }, () => put(...Array.from({ length: 500 }, () => entry('k'))).FailedRecordCount)
    expect(failed).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 500])
  })
})

describe('one bad entry refuses the whole request', () => {
  it.each([
    ['no key', { Data: new Uint8Array(1) }, 'ValidationException', /Value null at 'records\.2\.member\.partitionKey'/],
    ['an empty key', entry(''), 'ValidationException', /'records\.2\.member\.partitionKey'.*greater than or equal to 1/],
    ['a key of 257 characters', entry('k'.repeat(257)), 'ValidationException', /less than or equal to 256/],
    ['no data', { PartitionKey: 'k' }, 'ValidationException', /Value null at 'records\.2\.member\.data'/],
    ['a signed hash key', { ...entry('k'), ExplicitHashKey: '-1' }, 'ValidationException', /explicitHashKey/],
    [
      'a hash key of 2^128',
      { ...entry('k'), ExplicitHashKey: `${2n ** 128n}` },
      'InvalidArgumentException',
      /^Invalid ExplicitHashKey/,
    ],
    ['a record of 1 MiB and its key', entry('k', MIB), 'InvalidArgumentException', /data and partition key have 1048577 bytes/],
    ['a record over every limit', entry('k', 10 * MIB + 1), 'ValidationException', /less than or equal to 10485760/],
  ])('%s', (_, bad, code, message) => {
    create({ ShardCount: 1 })
    const error = refusedPut(entry('good'), bad, entry('good'))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expect(readAll('0')).toEqual([])
  })

  it('takes 500 records and 10 MiB, keys included, and no more', () => {
    create({ ShardCount: 1, MaxRecordSizeInKiB: 10_240 })
    model.setQuotas('s', false)
    expect(refusedPut(...Array.from({ length: 501 }, () => entry('k'))).message).toMatch(
      /at 'records' failed to satisfy constraint: Member must have length less than or equal to 500$/,
    )
    expect(refusedPut().code).toBe('ValidationException')
    expect(put(...Array.from({ length: 500 }, () => entry('k'))).FailedRecordCount).toBe(0)
    expect(refusedPut(entry('k', 5 * MIB), entry('k', 5 * MIB - 1)).message).toMatch(/exceeds 10 MB limit/)
    expect(put(entry('k', 5 * MIB), entry('k', 5 * MIB - 2)).FailedRecordCount).toBe(0)
  })

  it('counts the key in bytes against the size of a record', () => {
    create({ ShardCount: 1 })
    expect(refusedPut(entry('日本', MIB - 5)).code).toBe('InvalidArgumentException')
    expect(put(entry('日本', MIB - 6)).FailedRecordCount).toBe(0)
  })
})

describe('quotas', () => {
  it('throttle each record by itself, in the service’s words', () => {
    create({ ShardCount: 2 })
    const low = { ...entry('k', 900_000), ExplicitHashKey: '0' }
    const answer = put(low, low, { ...low, Data: new Uint8Array(10) }, { ...entry('k'), ExplicitHashKey: `${2n ** 127n}` })
    const throttled = {
      ErrorCode: 'ProvisionedThroughputExceededException',
      ErrorMessage: 'Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.',
    }
    expect(answer.FailedRecordCount).toBe(1)
    expect(answer.Records[1]).toEqual(throttled)
    expect(answer.Records.map((result: object) => 'SequenceNumber' in result)).toEqual([true, false, true, true])
    expect(readAll('0')).toHaveLength(2)
    const error = refusal('PutRecord', { StreamName: 's', ...low })
    expect([error.code, error.message, error.statusCode]).toEqual([throttled.ErrorCode, throttled.ErrorMessage, 400])
    clock.advance(1000)
    expect(call('PutRecord', { StreamName: 's', ...low }).ShardId).toBe('shardId-000000000000')
  })

  it('can be lifted and restored without losing anything', () => {
    create({ ShardCount: 1 })
    const thousand = () => [0, 0].map(() => put(...Array.from({ length: 500 }, () => entry('k'))).FailedRecordCount)
    expect(thousand()).toEqual([0, 0])
    expect(thousand()).toEqual([500, 500])
    model.setQuotas('s', false)
    expect(thousand()).toEqual([0, 0])
    expect(readAll('0')).toHaveLength(2000)
    model.setQuotas('s', true)
    expect(thousand()).toEqual([500, 500])
    expect(() => model.setQuotas('none', true)).toThrow(/not found/)
  })

  it('are off where the model is made without', () => {
    model = new KinesisModel({ clock, quotas: false })
    create({ ShardCount: 1 })
    for (let i = 0; i < 5; i++) expect(put(...Array.from({ length: 500 }, () => entry('k'))).FailedRecordCount).toBe(0)
  })
})

it('keeps copies: what the caller does to its buffer afterwards does not matter', () => {
  create({ ShardCount: 1 })
  const buffer = new Uint8Array([0, 1, 2, 3])
  put(
    { PartitionKey: 'k', Data: buffer.subarray(1, 3) },
    { PartitionKey: 'k', Data: new Uint8Array(0) },
    { PartitionKey: 'k', Data: buffer },
  )
  buffer.fill(9)
  expect(readAll('0').map((record: { Data: Uint8Array }) => [...record.Data])).toEqual([[1, 2], [], [0, 1, 2, 3]])
})

it('keeps no memory for what was throttled', () => {
  create({ ShardCount: 1 })
  put(...Array.from({ length: 300 }, () => entry('k', 10_000)))
  const [first] = readAll('0')
  expect(first.Data.buffer.byteLength).toBe(104 * 10_000)
})

it('PutRecord orders after the number given, and refuses nonsense', () => {
  create({ ShardCount: 1 })
  const first = call('PutRecord', { StreamName: 's', ...entry('k') }).SequenceNumber
  const second = call('PutRecord', { StreamName: 's', ...entry('k'), SequenceNumberForOrdering: first }).SequenceNumber
  expect(second > first).toBe(true)
  const future = `${BigInt(first) + (1000n << 36n)}`
  for (const SequenceNumberForOrdering of ['0', '5', future]) {
    expect(refusal('PutRecord', { StreamName: 's', ...entry('k'), SequenceNumberForOrdering }).message).toBe(
      `ExclusiveMinimumSequenceNumber ${SequenceNumberForOrdering} used in PutRecord on stream s under account 000000000000 is invalid.`,
    )
  }
})

it('marks records put under encryption, and only those', () => {
  create({ ShardCount: 1 })
  expect(put(entry('k'))).not.toHaveProperty('EncryptionType')
  call('StartStreamEncryption', { StreamName: 's', EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' })
  clock.advance(100)
  expect(put(entry('k')).EncryptionType).toBe('KMS')
  call('StopStreamEncryption', { StreamName: 's', EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' })
  clock.advance(100)
  expect(call('PutRecord', { StreamName: 's', ...entry('k') })).not.toHaveProperty('EncryptionType')
  expect(readAll('0').map((record: { EncryptionType?: string }) => record.EncryptionType)).toEqual([undefined, 'KMS', undefined])
})

it('a dry run is refused by its own name and writes nothing', () => {
  create({ ShardCount: 1 })
  expect(refusal('PutRecords', { StreamName: 's', Records: [entry('k')], DryRun: true }).code).toBe('DryRunOperationException')
  expect(refusal('PutRecord', { StreamName: 's', ...entry('k'), DryRun: true }).code).toBe('DryRunOperationException')
  expect(refusal('PutRecord', { StreamName: 'none', ...entry('k'), DryRun: true }).code).toBe('ResourceNotFoundException')
  expect(readAll('0')).toEqual([])
})
