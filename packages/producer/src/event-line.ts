import type { EventOf } from '@shardwise/core/events'
import type { Logger } from '@shardwise/core/logger'
import { failureReason } from './failure-reason.js'
import { DeliveryFailedError, StreamUnusableError } from './producer-error.js'
import type { ProducerEvent } from './producer-events.js'

type Field = string | number | boolean | readonly string[] | undefined

/** What a log says of an event. */
export interface LogLine {
  readonly level: keyof Logger
  readonly message: string
  readonly fields: Readonly<Record<string, Field>>
  /** Lines of the same subject that may come by the thousand are counted, and told again after a while. Absent: each is told. */
  readonly subject?: string
}

/** Fields are picked one by one: nothing that an event carries gets into a log unless it is named here. */
export function lineOf(event: ProducerEvent): LogLine {
  const lines = LINES as Record<string, (event: ProducerEvent) => LogLine>
  const line = lines[event.type]!(event)
  return line.subject === undefined ? line : { ...line, subject: `${event.type} ${line.subject}` }
}

/** The service's words for these repeat what it was sent: a partition key, or a part of the data. */
const TELLS_INPUT = ['ValidationException', 'InvalidArgumentException', 'SerializationException']

const LINES: { readonly [T in ProducerEvent['type']]: (event: EventOf<ProducerEvent, T>) => LogLine } = {
  'map-refreshed': ({ stream, openShards, opened, closed }) => ({
    level: opened.length + closed.length > 0 ? 'info' : 'debug',
    message: 'shard map refreshed',
    fields: { stream, openShards, opened: opened.length, closed: closed.length },
  }),
  'shard-map-failed': ({ stream, code, message: problem, retryable }) => ({
    level: 'warn',
    message: 'shard map not available',
    fields: { stream, code, problem, retryable },
    subject: `${stream} ${code}`,
  }),
  'stream-unusable': ({ stream, error }) => ({
    level: 'error',
    message: 'stream cannot be written to: all that waited for it was rejected',
    fields: { stream, code: error.serviceCode, problem: error.message },
    subject: `${stream} ${error.serviceCode}`,
  }),
  'distribution-changed': ({ stream, distribution }) => ({
    level: 'info',
    message: distribution === 'auto' ? 'the service distributes records: nothing is aggregated' : 'records go by partition key',
    fields: { stream, distribution },
  }),
  'probe-denied': ({ stream, message: problem }) => ({
    level: 'warn',
    message: "the stream's description may not be read: distribution by partition key and records of up to 1 MiB are assumed",
    fields: { stream, problem },
    subject: stream,
  }),
  'request-sent': ({ stream, requestId, kinesisRecords, userRecords, bytes }) => ({
    level: 'debug',
    message: 'request sent',
    fields: { stream, requestId, kinesisRecords, userRecords, bytes },
  }),
  'request-succeeded': ({ stream, requestId, tookMs, refusedKinesisRecords }) => ({
    level: 'debug',
    message: 'request answered',
    fields: { stream, requestId, tookMs, refusedKinesisRecords },
  }),
  'request-failed': ({ stream, requestId, tookMs, kinesisRecords, code, message: problem, retryable, written }) => ({
    level: retryable ? 'info' : 'warn',
    message: retryable ? 'request failed and will be tried again' : 'request failed for good',
    fields: {
      ...{ stream, requestId, tookMs, kinesisRecords, code, written },
      ...(TELLS_INPUT.includes(code) ? {} : { problem }),
    },
    subject: `${stream} ${code}`,
  }),
  throttled: ({ stream, requestId, shardId, kinesisRecords }) => ({
    level: 'debug',
    message: 'shard throttled',
    fields: { stream, requestId, shardId, kinesisRecords },
  }),
  'record-retried': ({ stream, shardId, code, throttled, userRecords, attempts, delayMs }) => ({
    level: 'debug',
    message: 'record will be tried again',
    fields: { stream, shardId, code, throttled, userRecords, attempts, delayMs },
  }),
  'wrong-shard': ({ stream, predictedShardId, shardId, userRecords, outcome }) => ({
    level: 'debug',
    message: 'record landed in another shard than predicted',
    fields: { stream, predictedShardId, shardId, userRecords, outcome },
  }),
  'records-expired': ({ stream, userRecords, neverSent }) => ({
    level: 'debug',
    message: 'records expired',
    fields: { stream, userRecords, neverSent },
  }),
  'record-failed': ({ stream, error }) => {
    const [reason, code] = [failureReason(error), serviceCodeOf(error)]
    const { written, waitedFor } = error as { readonly written?: string; readonly waitedFor?: string }
    return {
      level: 'warn',
      message: 'record was not delivered',
      fields: { stream, reason, code, written, waitedFor },
      subject: `${stream} ${reason} ${waitedFor ?? code}`,
    }
  },
  'undelivered-hook-failed': ({ userRecords, error }) => ({
    level: 'error',
    message: 'onUndelivered failed: what it was given is lost unless the puts are looked at',
    fields: { userRecords, error: error.name },
    subject: error.name,
  }),
  'lane-halted': ({ stream, shardId, partitionKey, startingHashKey, endingHashKey, cause }) => ({
    level: 'error',
    message: 'a record failed: to keep the order, these hash keys take no more until resume()',
    fields: {
      ...{ stream, shardId },
      // Of a partition key the hash key is its MD5, by which a person may be found.
      ...(partitionKey === undefined ? { startingHashKey: `${startingHashKey}`, endingHashKey: `${endingHashKey}` } : {}),
      ...{ reason: failureReason(cause), code: serviceCodeOf(cause) },
    },
    // Thousands of keys may halt one after the other.
    ...(partitionKey === undefined ? {} : { subject: stream }),
  }),
  'backpressure-on': ({ bufferedRecords, bufferedBytes }) => ({
    level: 'info',
    message: 'the buffer is full: records wait for room',
    fields: { bufferedRecords, bufferedBytes },
    subject: '',
  }),
  'backpressure-off': ({ bufferedRecords, bufferedBytes }) => ({
    level: 'info',
    message: 'the buffer has room again',
    fields: { bufferedRecords, bufferedBytes },
    subject: '',
  }),
}

function serviceCodeOf(error: Error): string | undefined {
  return error instanceof DeliveryFailedError || error instanceof StreamUnusableError ? error.serviceCode : undefined
}
