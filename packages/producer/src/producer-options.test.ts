import { describe, expect, test } from 'vitest'
import { checkOptions, type ProducerOptions } from './producer-options.js'

describe('checkOptions', () => {
  test('fills in the defaults, also for undefined', () => {
    expect(checkOptions({ stream: 'flights', lingerMs: undefined, retry: { baseMs: undefined } })).toMatchObject({
      ...{ stream: 'flights', aggregation: 'shard', aggregateMaxBytes: 51_200, aggregateMaxRecords: 10_000, lingerMs: 100 },
      ...{ connectTimeoutMs: 5000 },
      ...{ maxBufferedBytes: 67_108_864, maxBufferedRecords: 100_000, maxRequestsInFlight: 24, ordering: 'none' },
      ...{
        recordTtlMs: 30_000,
        requestTimeoutMs: 10_000,
        retry: { baseMs: 100, maxMs: 5000, maxAttempts: Number.MAX_SAFE_INTEGER },
      },
      failIfThrottled: false,
      ...{ shardMapRefreshMs: 60_000, distributionIfUnknown: 'partition-key' },
      ...{ requestMaxRecords: 500, requestMaxBytes: 5_242_880, shardRatePercent: 100 },
      ...{ streamRate: { recordsPerSecond: Infinity, bytesPerSecond: Infinity } },
    })
  })

  test('takes an ARN', () => {
    const stream = 'arn:aws:kinesis:eu-west-1:123456789012:stream/flights'
    expect(checkOptions({ stream }).stream).toBe(stream)
  })

  test.each<[Partial<Record<keyof ProducerOptions, unknown>>, RegExp]>([
    [{ stream: '' }, /`stream` must be the name/],
    [{ stream: 5 }, /`stream` must be the name/],
    [{ stream: 'a b' }, /`stream` must be the name/],
    [{ aggregation: 'keys' }, /`aggregation` must be 'shard' or 'key' or 'off'/],
    [{ ordering: 'perkey' }, /`ordering` must be 'none' or 'perShard' or 'perKey'/],
    [{ afterFailure: 'go' }, /`afterFailure` must be 'halt' or 'continue'/],
    [{ lingerMs: -1 }, /`lingerMs` must be a whole number from 0 to 60000, got -1/],
    [{ lingerMs: 500, recordTtlMs: 400 }, /`lingerMs` must be at most recordTtlMs \(400\)/],
    [{ aggregateMaxBytes: 10 }, /`aggregateMaxBytes` must be a whole number from 64/],
    [{ maxBufferedBytes: 5 }, /`maxBufferedBytes`/],
    [{ endpoint: 'localhost:4567' }, /`endpoint` must be a URL that begins with http:\/\/ or https:\/\/, got 'localhost:4567'/],
    [{ region: '' }, /`region` must be the name of a region, such as us-east-1, got ''/],
    [
      { credentials: { accessKeyId: 'a' } },
      /`credentials` must be a provider function, or accessKeyId and secretAccessKey as strings/,
    ],
    [{ client: {} }, /`client` must be a KinesisClient with the function send, got {}/],
    [{ wire: { reads: 'xml' } }, /`wire.reads` must be 'json' or 'cbor' or 'negotiate'/],
    [{ kinesis: null }, /`kinesis` must be an object with the functions describeStreamSummary, listShards, putRecords, got null/],
    [{ clock: Date }, /`clock` must be an object with the functions now, wallTime, schedule/],
    [{ random: 4 }, /`random` must be a function, got 4/],
    [{ retry: 4 }, /`retry` must be an object, got 4/],
    [{ connectTimeoutMs: 0 }, /`connectTimeoutMs` must be a whole number from 1 to 600000, got 0/],
    [{ maxBufferedRecords: 0 }, /`maxBufferedRecords`/],
    [{ maxRequestsInFlight: 257 }, /`maxRequestsInFlight`/],
    [{ recordTtlMs: 1 }, /`recordTtlMs`/],
    [{ retry: { baseMs: 10, maxMs: 5 } }, /`retry.maxMs` must be a whole number from 10/],
    [{ retry: { maxAttempts: 0 } }, /`retry.maxAttempts` must be a whole number/],
    [{ shardMapRefreshMs: 999 }, /`shardMapRefreshMs` must be a whole number/],
    [{ distributionIfUnknown: 'AUTO' }, /`distributionIfUnknown` must be 'partition-key' or 'auto'/],
    [{ distributionIfUnknown: 'auto', ordering: 'perKey' }, /`distributionIfUnknown` must be 'partition-key'/],
    [{ failIfThrottled: 'yes' }, /`failIfThrottled`/],
    [{ requestMaxRecords: 501 }, /`requestMaxRecords` must be a whole number from 1 to 500/],
    [{ requestMaxBytes: 10_485_761 }, /`requestMaxBytes` must be a whole number from 1024 to 10485760/],
    [{ shardRatePercent: 0 }, /`shardRatePercent` must be a whole number from 1 to 1000/],
    [{ streamRate: { bytesPerSecond: 0 } }, /`streamRate.bytesPerSecond` must be a whole number from 1/],
    [{ streamRate: { records: 5 } }, /`streamRate.records` must be/],
    [{ telemetry: { counter: 5 } }, /`telemetry.counter` must be a function/],
    [{ logger: {} }, /`logger` must be an object with the functions debug, info, warn, error/],
    [{ lingerMS: 5 } as object, /`lingerMS` must be/],
  ])('refuses %j', (given, message) => {
    expect(() => checkOptions({ stream: 'flights', ...given } as ProducerOptions)).toThrow(message)
  })
})
