import { KMSDisabledException, ResourceNotFoundException } from '@aws-sdk/client-kinesis'
import { describe, expect, test } from 'vitest'
import {
  DeliveryFailedError,
  LaneHaltedError,
  ProducerClosedError,
  RecordRejectedError,
  StreamUnusableError,
} from './producer-error.js'
import { type PutOutcome, putRecordOutput, putRecordsOutput } from './sdk-output.js'

const result = { shardId: 'shardId-000000000000', sequenceNumber: '1', subSequenceNumber: 0, attempts: 3 }
const facts = { metadata: { httpStatusCode: 200, requestId: 'r', totalRetryDelay: 0 }, encryptionType: undefined }
const put: PutOutcome = { kind: 'put', result, facts }
const disabled = new KMSDisabledException({ message: 'the key is disabled', $metadata: {} })
const reset = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })

const record = { stream: 's', partitionKey: 'k', explicitHashKey: undefined, data: new Uint8Array(1), headers: undefined }

function undelivered(serviceCode: string | undefined, cause?: Error): DeliveryFailedError {
  const fields = { record, written: 'no', attempts: 2, reason: 'expired', serviceCode } as const
  return new DeliveryFailedError('not delivered', fields, cause === undefined ? {} : { cause })
}

/** The error, what PutRecord raises, and the code of its entry beside a record that was written. */
const failures: readonly (readonly [string, Error, string, string])[] = [
  ['throttled', undelivered('ProvisionedThroughputExceededException'), 'ProvisionedThroughputExceededException', 'same'],
  ['never sent', undelivered(undefined), 'ProvisionedThroughputExceededException', 'same'],
  ['internal, one by one', undelivered('InternalFailure'), 'InternalFailure', 'same'],
  ['refused by KMS', undelivered('KMSDisabledException', disabled), 'KMSDisabledException', 'same'],
  ['connection lost', undelivered('ECONNRESET', reset), 'Error', 'InternalFailure'],
  ['record refused', new RecordRejectedError('data', 'is too large'), 'InvalidArgumentException', 'same'],
  ['stream deleting', new StreamUnusableError('s', 'StreamDeleting', 'it is deleted'), 'ResourceNotFoundException', 'same'],
  ['no order', new StreamUnusableError('s', 'AutoDistribution', 'AUTO'), 'InvalidArgumentException', 'same'],
  ['halted', new LaneHaltedError(record, 'no', new Error('before')), 'LaneHaltedError', 'same'],
  ['closed', new ProducerClosedError(), 'ProducerClosedError', 'same'],
]

describe.each(failures)('%s', (_, error, name, code) => {
  test('PutRecord', () => {
    expect(() => putRecordOutput({ kind: 'failed', error })).toThrow(expect.objectContaining({ name }))
  })

  test('PutRecords, beside one that was written', () => {
    const output = putRecordsOutput([{ kind: 'failed', error }, put])
    expect(output).toEqual({
      Records: [
        { ErrorCode: code === 'same' ? name : code, ErrorMessage: error.message },
        { SequenceNumber: '1', ShardId: 'shardId-000000000000' },
      ],
      FailedRecordCount: 1,
      $metadata: { httpStatusCode: 200, requestId: 'r', attempts: 3 },
    })
  })
})

test('the exception of the service is raised as it came', () => {
  const gone = new ResourceNotFoundException({ message: 'gone', $metadata: {} })
  const error = new StreamUnusableError('s', gone.name, 'gone', { cause: gone })
  let raised: unknown
  try {
    putRecordsOutput([
      { kind: 'failed', error },
      { kind: 'failed', error },
    ])
  } catch (given) {
    raised = given
  }
  expect(raised).toBe(gone)
})
