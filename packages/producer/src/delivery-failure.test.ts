import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { expired, misunderstood, refused, spoilt } from './delivery-failure.js'
import { failedRecord } from './failed-record.js'
import { type DeliveryFailedError, LaneHaltedError } from './producer-error.js'
import { recordOf } from './testing/records.js'
import type { UserRecord } from './user-record.js'

const cause = new Error('below')
const lastFailure = { code: 'InternalFailure', message: 'Try again', cause }
const record = (state: Partial<UserRecord> = {}): UserRecord => Object.assign(recordOf('a'), state)

describe('the words for a record that failed', () => {
  test.each<[string, DeliveryFailedError, Partial<DeliveryFailedError>, RegExp]>([
    [
      'expired and never sent, for no reason of the service',
      expired(record(), 500, 'limit'),
      { reason: 'expired', written: 'no', attempts: 0, serviceCode: undefined, waitedFor: 'limit' },
      /^The record with partition key "a" was not delivered within recordTtlMs \(500\), and was never sent: it waited for the shard's write limit\. Put/,
    ],
    [
      'expired and never sent, for want of a map',
      expired(record({ lastFailure }), 500),
      { reason: 'expired', written: 'no', attempts: 0, serviceCode: 'InternalFailure', cause },
      /and was never sent: Try again$/,
    ],
    [
      'expired after one attempt',
      expired(record({ attempts: 1, lastFailure }), 500, 'limit'),
      { reason: 'expired', written: 'no', attempts: 1, serviceCode: 'InternalFailure', cause, waitedFor: undefined },
      /after 1 attempt; the last one: InternalFailure: Try again$/,
    ],
    [
      'expired after some, one of which may have written it',
      expired(record({ attempts: 2, mayBeWritten: true, lastFailure }), 500),
      { reason: 'expired', written: 'unknown', attempts: 2 },
      /after 2 attempts; .*Try again \(it may have been written; putting it again may duplicate it\)$/,
    ],
    [
      'refused',
      refused(record({ attempts: 1, lastFailure })),
      { reason: 'refused', written: 'no', attempts: 1, serviceCode: 'InternalFailure', cause },
      /"a" was refused for good: InternalFailure: Try again$/,
    ],
    [
      'refused, when an attempt before may have written it',
      refused(record({ attempts: 2, mayBeWritten: true, lastFailure })),
      { reason: 'refused', written: 'unknown' },
      /putting it again may duplicate it/,
    ],
    [
      'misunderstood',
      misunderstood(record({ attempts: 1, mayBeWritten: true, lastFailure: { ...lastFailure, cause: undefined } })),
      { reason: 'malformed-response', written: 'unknown' },
      /has an unknown fate: Try again/,
    ],
  ])('%s', (_, error, fields, message) => {
    expect(error).toMatchObject({
      name: 'DeliveryFailedError',
      code: 'ERR_SHARDWISE_DELIVERY_FAILED',
      stream: 'flights',
      partitionKey: 'a',
      ...fields,
    })
    expect(error.message).toMatch(message)
    expect('cause' in error).toBe(error.cause !== undefined)
  })

  test('the record comes with the error, to be put again, and not with the error in print', () => {
    const tags = [
      { key: 'source', value: 'tower' },
      { key: 'shardwise-id', value: 'id-1' },
    ]
    const given = Object.assign(recordOf('a', 3, '77'), { tags })
    for (const error of [expired(given, 500), new LaneHaltedError(failedRecord(given), 'no', cause)]) {
      expect(error.record).toEqual({
        ...{ stream: 'flights', partitionKey: 'a', explicitHashKey: '77', data: new Uint8Array(3), headers: { source: 'tower' } },
      })
      for (const printed of [inspect(error), JSON.stringify(error)]) expect(printed).not.toMatch(/tower|Uint8Array|"data"/)
    }
  })

  test('data that is gone is named with both sizes', () => {
    const given = recordOf('a', 10)
    structuredClone(given.data.buffer, { transfer: [given.data.buffer as ArrayBuffer] })
    const error = spoilt(given)
    expect(error).toMatchObject({ reason: 'refused', written: 'no', attempts: 0 })
    expect(error.message).toMatch(/had 10 bytes when it was put and has 0 now\. Leave the buffer alone/)
  })

  test.each([
    ['k'.repeat(60), `"${'k'.repeat(60)}"`],
    ['k'.repeat(61), `"${'k'.repeat(60)}..."`],
    ['with "quotes"\n', '"with \\"quotes\\"\\n"'],
  ])('of a key, the message shows what fits on a line, and the field all: %j', (key, shown) => {
    const error = expired(recordOf(key), 500)
    expect(error.message).toContain(`partition key ${shown} was`)
    expect(error.partitionKey).toBe(key)
  })
})
