import { readFileSync } from 'node:fs'
import type { Logger } from '@shardwise/core/logger'
import { describe, expect, test } from 'vitest'
import { type LogLine, lineOf } from './event-line.js'
import { DeliveryFailedError, LaneHaltedError, StreamUnusableError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'

const stream = 'flights'
const data = Buffer.from('PAYLOAD')
const partitionKey = 'PERSONAL'
const record = { stream, partitionKey, explicitHashKey: undefined, data, headers: { secret: 'PERSONAL' } }
const expired = new DeliveryFailedError(
  'The record with partition key "PERSONAL" was not delivered',
  { record, written: 'unknown', attempts: 3, reason: 'expired', serviceCode: 'InternalFailure' },
  { cause: new Error('PERSONAL') },
)
const neverSent = new DeliveryFailedError('The record with partition key "PERSONAL" was not delivered', {
  ...{ record, written: 'no', attempts: 0, reason: 'expired', serviceCode: undefined, waitedFor: 'limit' },
})
const halted = new LaneHaltedError(record, 'no', expired)
const unusable = new StreamUnusableError(stream, 'AccessDeniedException', 'you may not')

type Samples = {
  readonly [T in ProducerEvent['type']]: readonly [ProducerEvent & { type: T }, keyof Logger, LogLine['fields']][]
}

/** One of each at least: a new event without a row here does not compile. */
const samples: Samples = {
  'map-refreshed': [
    [
      { type: 'map-refreshed', stream, openShards: 2, opened: ['shardId-1', 'shardId-2'], closed: ['shardId-0'] },
      'info',
      { stream, openShards: 2, opened: 2, closed: 1 },
    ],
    [
      { type: 'map-refreshed', stream, openShards: 2, opened: [], closed: [] },
      'debug',
      { stream, openShards: 2, opened: 0, closed: 0 },
    ],
  ],
  'shard-map-failed': [
    [
      { type: 'shard-map-failed', stream, code: 'LimitExceededException', message: 'slow down', retryable: true },
      'warn',
      { stream, code: 'LimitExceededException', problem: 'slow down', retryable: true },
    ],
  ],
  'stream-unusable': [
    [
      { type: 'stream-unusable', stream, error: unusable },
      'error',
      { stream, code: 'AccessDeniedException', problem: unusable.message },
    ],
  ],
  'distribution-changed': [
    [{ type: 'distribution-changed', stream, distribution: 'auto' }, 'info', { stream, distribution: 'auto' }],
    [{ type: 'distribution-changed', stream, distribution: 'partition-key' }, 'info', { stream, distribution: 'partition-key' }],
  ],
  'probe-denied': [[{ type: 'probe-denied', stream, message: 'no' }, 'warn', { stream, problem: 'no' }]],
  'request-sent': [
    [
      { type: 'request-sent', stream, requestId: 7, kinesisRecords: 2, userRecords: 30, bytes: 900 },
      'debug',
      { stream, requestId: 7, kinesisRecords: 2, userRecords: 30, bytes: 900 },
    ],
  ],
  'request-succeeded': [
    [
      { type: 'request-succeeded', stream, requestId: 7, tookMs: 12, refusedKinesisRecords: 1 },
      'debug',
      { stream, requestId: 7, tookMs: 12, refusedKinesisRecords: 1 },
    ],
  ],
  'request-failed': [
    [failedRequest('ECONNRESET', true, 'cut'), 'info', { ...failedFields('ECONNRESET'), problem: 'cut' }],
    [failedRequest('AccessDeniedException', false, 'no'), 'warn', { ...failedFields('AccessDeniedException'), problem: 'no' }],
    [
      failedRequest('ValidationException', false, "Value 'PERSONAL' at 'records.1.member.partitionKey' failed"),
      'warn',
      failedFields('ValidationException'),
    ],
    [failedRequest('SerializationException', false, 'PAYLOAD'), 'warn', failedFields('SerializationException')],
    [failedRequest('InvalidArgumentException', false, 'PERSONAL'), 'warn', failedFields('InvalidArgumentException')],
  ],
  throttled: [
    [
      { type: 'throttled', stream, requestId: 7, shardId: 'shardId-1', kinesisRecords: 4 },
      'debug',
      { stream, requestId: 7, shardId: 'shardId-1', kinesisRecords: 4 },
    ],
  ],
  'record-retried': [
    [
      {
        ...{ type: 'record-retried', stream, shardId: 'shardId-1', code: 'InternalFailure', throttled: false },
        ...{ userRecords: 5, attempts: 2, delayMs: 80 },
      },
      'debug',
      { stream, shardId: 'shardId-1', code: 'InternalFailure', throttled: false, userRecords: 5, attempts: 2, delayMs: 80 },
    ],
  ],
  'wrong-shard': [
    [
      { type: 'wrong-shard', stream, predictedShardId: 'shardId-0', shardId: 'shardId-1', userRecords: 3, outcome: 'resent' },
      'debug',
      { stream, predictedShardId: 'shardId-0', shardId: 'shardId-1', userRecords: 3, outcome: 'resent' },
    ],
  ],
  'records-expired': [
    [{ type: 'records-expired', stream, userRecords: 9, neverSent: 2 }, 'debug', { stream, userRecords: 9, neverSent: 2 }],
  ],
  'record-failed': [
    [
      { type: 'record-failed', stream, partitionKey, explicitHashKey: '77777777', data, error: expired },
      'warn',
      { stream, reason: 'expired', code: 'InternalFailure', written: 'unknown', waitedFor: undefined },
    ],
    [
      { type: 'record-failed', stream, partitionKey, explicitHashKey: undefined, data, error: neverSent },
      'warn',
      { stream, reason: 'expired', code: undefined, written: 'no', waitedFor: 'limit' },
    ],
    [
      { type: 'record-failed', stream, partitionKey, explicitHashKey: undefined, data, error: halted },
      'warn',
      { stream, reason: 'lane-halted', code: undefined, written: 'no', waitedFor: undefined },
    ],
    [
      { type: 'record-failed', stream, partitionKey, explicitHashKey: undefined, data, error: unusable },
      'warn',
      { stream, reason: 'stream-unusable', code: 'AccessDeniedException', written: undefined, waitedFor: undefined },
    ],
  ],
  'undelivered-hook-failed': [
    [
      { type: 'undelivered-hook-failed', userRecords: 3, error: expired },
      'error',
      { userRecords: 3, error: 'DeliveryFailedError' },
    ],
  ],
  'lane-halted': [
    [
      {
        ...{ type: 'lane-halted', stream, shardId: undefined, partitionKey: undefined, explicitHashKey: undefined },
        ...{ startingHashKey: 0n, endingHashKey: 9n, cause: expired },
      },
      'error',
      { stream, shardId: undefined, startingHashKey: '0', endingHashKey: '9', reason: 'expired', code: 'InternalFailure' },
    ],
    [
      {
        ...{ type: 'lane-halted', stream, shardId: undefined, partitionKey, explicitHashKey: '5' },
        ...{ startingHashKey: 77777777n, endingHashKey: 77777777n, cause: expired },
      },
      'error',
      { stream, shardId: undefined, reason: 'expired', code: 'InternalFailure' },
    ],
  ],
  'backpressure-on': [
    [{ type: 'backpressure-on', bufferedRecords: 5, bufferedBytes: 50 }, 'info', { bufferedRecords: 5, bufferedBytes: 50 }],
  ],
  'backpressure-off': [
    [{ type: 'backpressure-off', bufferedRecords: 1, bufferedBytes: 10 }, 'info', { bufferedRecords: 1, bufferedBytes: 10 }],
  ],
}

function failedRequest(code: string, retryable: boolean, message: string): ProducerEvent & { type: 'request-failed' } {
  return {
    ...{ type: 'request-failed', stream, requestId: 7, tookMs: 3, kinesisRecords: 2, code, message },
    ...{ retryable, written: 'unknown' },
  }
}

function failedFields(code: string): LogLine['fields'] {
  return { stream, requestId: 7, tookMs: 3, kinesisRecords: 2, code, written: 'unknown' }
}

describe.each(Object.entries(samples))('%s', (_, rows) => {
  test.each(rows as Samples['throttled'])('$type %#', (event, level, fields) => {
    const line = lineOf(event)
    expect([line.level, line.fields]).toEqual([level, fields])
    expect(JSON.stringify(line)).not.toMatch(/PERSONAL|PAYLOAD|77777777/)
  })
})

test('what recurs is told apart by type, stream and reason', () => {
  const subjects = [
    ...Object.values(samples).flatMap((rows) => rows.map(([event]) => event as ProducerEvent)),
    { type: 'probe-denied', stream: 'another', message: 'no' } as const,
  ].map((event) => lineOf(event).subject)
  const given = subjects.filter((subject) => subject !== undefined)
  expect(new Set(given).size).toBe(given.length)
  expect(given.length).toBeGreaterThan(10)
  // A hook that fails does so for every record of a failing stream.
  expect(given).toContain('undelivered-hook-failed DeliveryFailedError')
})

test('the README has all events with their levels', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const table = readme.slice(readme.indexOf('### Events'), readme.indexOf('### Log'))
  const rows = table.split('\n').filter((line) => line.startsWith('| `'))
  const told = new Map(
    rows.flatMap((row) => {
      const [, names, , levels] = row.split('|')
      return [...names!.matchAll(/`([\w-]+)`/g)].map(([, name]) => [
        name!,
        [...levels!.matchAll(/debug|info|warn|error/g)].join(),
      ])
    }),
  )
  expect([...told.keys()].sort()).toEqual(Object.keys(samples).sort())
  for (const [type, rows] of Object.entries(samples)) {
    const levels = new Set(rows.map(([event]) => lineOf(event as ProducerEvent).level))
    expect(told.get(type)!.split(',').sort()).toEqual([...levels].sort())
  }
})
