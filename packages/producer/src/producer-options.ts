import type { Clock } from '@shardwise/core/clock'
import { systemClock } from '@shardwise/core/clock'
import { bytes, type Codec } from '@shardwise/core/codec'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import { type Logger, loggerOption } from '@shardwise/core/logger'
import {
  booleanOption,
  choiceOption,
  functionsOption,
  InvalidOptionError,
  integerOption,
  refuseUnknownOptions,
  stringOption,
} from '@shardwise/core/options'
import type { Random } from '@shardwise/core/random'
import { systemRandom } from '@shardwise/core/random'
import { MAX_PUT_REQUEST_BYTES, MAX_RECORD_BYTES_CEILING, MAX_RECORDS_PER_PUT } from '@shardwise/core/service-limits'
import { type Telemetry, telemetryOption } from '@shardwise/core/telemetry'
import { type AwsConnection, checkConnection } from '@shardwise/core/transport'
import type { RetryOptions } from './retry-policy.js'
import type { SendRate } from './token-bucket.js'
import type { OnUndelivered } from './undelivered.js'

const MIB = 1024 * 1024

/**
 * Options of a producer. Each default holds where the option is absent or undefined. `client`, `region`, `endpoint`, `credentials`,
 * `wire` and `sender` are those of `AwsConnection` (@shardwise/core/transport); without them the AWS SDK's usual sources decide.
 */
export interface ProducerOptions<T = Uint8Array> extends AwsConnection {
  /** Name or ARN of the stream that records go to which name none. Default: each record names its own. */
  readonly stream?: string | undefined
  /**
   * Makes the bytes of what is put as `data`. Default: `bytes()`, which takes them as they are; `json<T>()`, `text()`, or one of your own
   * (@shardwise/core/codec). What it throws refuses the record.
   */
  readonly codec?: Codec<T> | undefined
  /**
   * Gives each record an id that stays the same through all of its retries and that no other record has, so that readers can tell
   * duplicates: @shardwise/consumer as `recordId` and `idempotencyKey`. Default false. **Every reader of the stream must then
   * de-aggregate**, with `aggregation: 'off'` too. Left out on streams with service-managed distribution (AUTO).
   */
  readonly recordIds?: boolean | undefined
  /** How to reach Kinesis, in place of an AWS client: for tests and simulations. It must not change `Data`, nor keep it after a call has settled. */
  readonly kinesis?: KinesisPort | undefined
  /**
   * `shard` (default): records for the same shard travel together in the KPL's aggregated format, so every reader of the stream must
   * de-aggregate, as the KCL, Lambda's helper and @shardwise/consumer do. `key`: only records of one partition key (and one explicit hash
   * key) travel together, so that no reshard can part them: none lands in a wrong shard, where readers drop it, and is sent again.
   * It pays where many records of a key come within `lingerMs`. `off`: each record is a Kinesis record.
   * On streams with service-managed distribution (AUTO) nothing is aggregated.
   */
  readonly aggregation?: 'shard' | 'key' | 'off' | undefined
  /**
   * Bytes of an aggregate. Default 51200, as the KPL's AggregationMaxSize; 64 to 10485760, and never above what the stream takes.
   * Larger means fewer Kinesis records; a lost answer then repeats more.
   */
  readonly aggregateMaxBytes?: number | undefined
  /** User records in an aggregate. Default 10000; 1 to 1000000. */
  readonly aggregateMaxRecords?: number | undefined
  /**
   * Milliseconds until a connection must be established; then the attempt counts as failed and is repeated. Default 5000 (the KPL's
   * ConnectTimeout is 6000); 1 to 600000. Without effect where `client` or `kinesis` is given.
   */
  readonly connectTimeoutMs?: number | undefined
  /**
   * Milliseconds a record may wait for company, from `put` to ready-to-send. Default 100, as the KPL's RecordMaxBufferedTime; 0 to 60000,
   * at most `recordTtlMs`. Less where a request fills; by up to a third where another shard's aggregate is due, with which it leaves; and where more
   * is put than the buffer has room for while, of all streams, nothing is under way or waits for a limit, for order or for a retry: no
   * company can come then. Waits for shard limits, for order and for retries come on top.
   */
  readonly lingerMs?: number | undefined
  /**
   * Bytes (data and keys) of records accepted and not settled, over all streams and stages. Default 67108864 (64 MiB); 1048576 up. At the limit
   * `put` waits in line and `offer` returns false. While records are packed the process holds up to about twice as much.
   */
  readonly maxBufferedBytes?: number | undefined
  /** Records accepted and not settled, over all streams. Default 100000; 1 up. */
  readonly maxBufferedRecords?: number | undefined
  /** PutRecords requests at a time, for each stream. Default 24, as the KPL's MaxConnections; 1 to 256. */
  readonly maxRequestsInFlight?: number | undefined
  /**
   * `none` (default): records may overtake each other. `perShard`: records of one shard, and so of one partition key, are first written in
   * the order in which they were put, at the price of one Kinesis record in flight per shard (of one partition key alone with `aggregation: 'key'`,
   * and between the records of two shards that merge). `perKey`: only records of one partition key
   * (and one explicit hash key) are, at the price of one Kinesis record in flight per key: faster where records travel plain or are
   * aggregated by key, and no faster where every aggregate holds all keys. `afterFailure` says what follows a record that finally fails.
   * Both are refused on streams with service-managed distribution.
   */
  readonly ordering?: Ordering | undefined
  /**
   * With order kept, when an accepted record finally fails: `halt` (default) fails what is queued behind it, too, and takes no more records
   * of its shard's hash keys, or of its key, until `resume()`, so that nothing is written behind a gap that the caller has not seen.
   * `continue` leaves the record out and goes on in order; its put rejects, and the event `record-failed` tells. Without order it has no effect.
   */
  readonly afterFailure?: 'halt' | 'continue' | undefined
  /**
   * Milliseconds from acceptance after which a record is not sent any more and fails. Default 30000, as the KPL's RecordTtl; 100 up. A
   * request that is under way then is still waited for. Records that are put within a thousandth of this time (at most 10 ms) may expire
   * with the first of them, and up to 16 calls (`put`, `offer`) of one synchronous run with the first of these, whatever you do.
   */
  readonly recordTtlMs?: number | undefined
  /**
   * Bytes (data and keys) of a PutRecords request. Default 5242880 (5 MiB), as the KPL's CollectionMaxSize; 1024 to 10485760, what the
   * service takes. A single Kinesis record that is larger still goes, alone.
   * https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
   */
  readonly requestMaxBytes?: number | undefined
  /** Kinesis records in a PutRecords request. Default 500, as the KPL's CollectionMaxCount and what the service takes; 1 to 500. */
  readonly requestMaxRecords?: number | undefined
  /**
   * Milliseconds after which the answer to a PutRecords counts as lost and its records are sent again, which may duplicate them.
   * Default 10000; 100 to 600000 (the KPL's RequestTimeout is 6000).
   */
  readonly requestTimeoutMs?: number | undefined
  /**
   * Waits between attempts are uniform in [0, min(maxMs, baseMs * 2^n)). Defaults 100 and 5000; 1 to 60000. `maxAttempts`: PutRecords
   * requests that may carry a record, the first one included; then it fails with the reason 'attempts-exhausted'. Default: no limit but
   * `recordTtlMs`, as in the KPL; 1 up. A small limit turns a second of throttling or one reshard into lost records.
   */
  readonly retry?:
    | {
        readonly baseMs?: number | undefined
        readonly maxMs?: number | undefined
        readonly maxAttempts?: number | undefined
      }
    | undefined
  /**
   * `true`: a record that is refused with ProvisionedThroughputExceededException fails at once, with the reason 'throttled', for callers
   * that would rather slow down than wait. Default false: it is tried again. As the KPL's FailIfThrottled. What our own limits hold back was not
   * refused, and waits.
   */
  readonly failIfThrottled?: boolean | undefined
  /**
   * The most that this producer sends to a shard, in percent of what a shard takes: 1000 Kinesis records and 1 MiB a second. Default 100;
   * 1 to 1000. The rate goes down by itself while the shard is throttled, for instance because others write to it, and comes back up to
   * this. Below 100 it leaves room for others from the start. Above 100 it saturates a shard whose quota is not used up to the last
   * record, and has some records refused and sent again, out of order unless order is kept: the KPL's RateLimit, default 150, does so.
   */
  readonly shardRatePercent?: number | undefined
  /**
   * The most that this producer sends to the whole stream a second: Kinesis records, and bytes of data and keys. Default: no limit but the
   * shards'; 1 up. What waits for it is served entry by entry, shard after shard in turn.
   */
  readonly streamRate?: Partial<SendRate> | undefined
  /**
   * Where measurements go. Default: nowhere. See @shardwise/core/telemetry, and the README for the names. With `inject` records carry what
   * it sets as headers, and **every reader of the stream must de-aggregate**.
   */
  readonly telemetry?: Telemetry | undefined
  /**
   * How many of the keys that are put most `stats().hottestKeys` tells. Default 10; 0 to 1000, with 0 nothing is counted. Memory: ten
   * counters for each and at least a hundred, with a key in each, for each stream.
   */
  readonly hottestKeys?: number | undefined
  /**
   * Where log lines go: a pino or bunyan logger as it is (@shardwise/core/logger). Default: nowhere, the producer is silent. What is logged
   * at which level is in the README; payloads and partition keys never are.
   */
  readonly logger?: Logger | undefined
  /**
   * Called with records that were accepted and finally failed, before their puts reject, their outcomes are told and `record-failed` is
   * announced: to put them aside. One call at a time; what fails meanwhile gathers for the next. What it returns is awaited without a limit: the
   * records keep their room in the buffer until then, and `flush` and `close` wait. If it throws or rejects, `undelivered-hook-failed` is
   * announced and the records fail all the same. It may put to this producer, also while that is closing, and such puts do not wait for
   * room and never come back to the hook; `flush` and `close` within it reject, since they would wait for it. Default: none.
   */
  readonly onUndelivered?: OnUndelivered<T> | undefined
  /**
   * Age in milliseconds at which the shard map is listed anew while records are put; up to a fifth earlier at random. Default 60000; 1000 up,
   * or 0 for never. Nothing is listed while nothing is put: the first record after as long a silence waits for a listing, for at most a
   * second. Every fifth time the record size and the way of distribution are asked for as well. Where shards change, a producer learns of
   * it from the first answer in any case, and lists then.
   */
  readonly shardMapRefreshMs?: number | undefined
  /**
   * What is assumed of a stream while DescribeStreamSummary is denied (the event `probe-denied` tells): `partition-key` (default), so that
   * records are aggregated, or `auto` for a stream with service-managed distribution (AUTO), where nothing may be. With `partition-key`
   * on such a stream the first aggregate that lands elsewhere shows it, as long as there are two shards. `auto` goes with no order.
   */
  readonly distributionIfUnknown?: 'partition-key' | 'auto' | undefined
  /** Measures every wait and deadline. Default: the machine's. */
  readonly clock?: Clock | undefined
  /** For jitter. Default: Math.random. */
  readonly random?: Random | undefined
}

const KNOWN = [
  ...[
    'stream',
    'codec',
    'recordIds',
    'kinesis',
    'client',
    'region',
    'endpoint',
    'credentials',
    'wire',
    'sender',
    'aggregation',
    'aggregateMaxBytes',
  ],
  ...[
    'aggregateMaxRecords',
    'connectTimeoutMs',
    'lingerMs',
    'maxBufferedBytes',
    'maxBufferedRecords',
    'maxRequestsInFlight',
    'ordering',
    'afterFailure',
    'recordTtlMs',
  ],
  ...[
    'requestTimeoutMs',
    'retry',
    'hottestKeys',
    'onUndelivered',
    'failIfThrottled',
    'shardMapRefreshMs',
    'distributionIfUnknown',
    'telemetry',
    'logger',
    'clock',
    'random',
  ],
  ...['requestMaxBytes', 'requestMaxRecords', 'shardRatePercent', 'streamRate'],
]

/** What order is kept of. */
export type Ordering = 'none' | 'perShard' | 'perKey'

/** Options of a producer, checked and complete. */
export interface ProducerSettings extends Omit<Settings, 'stream'> {
  readonly stream: string | undefined
}

/** Those for one stream. */
export interface Settings {
  readonly stream: string
  readonly codec: Codec<unknown>
  readonly recordIds: boolean
  readonly aggregation: 'shard' | 'key' | 'off'
  readonly aggregateMaxBytes: number
  readonly aggregateMaxRecords: number
  readonly connectTimeoutMs: number
  readonly lingerMs: number
  readonly maxBufferedBytes: number
  readonly maxBufferedRecords: number
  readonly maxRequestsInFlight: number
  readonly ordering: Ordering
  readonly afterFailure: 'halt' | 'continue'
  readonly recordTtlMs: number
  readonly requestMaxBytes: number
  readonly requestMaxRecords: number
  readonly requestTimeoutMs: number
  readonly retry: RetryOptions
  readonly failIfThrottled: boolean
  readonly onUndelivered: OnUndelivered<unknown> | undefined
  readonly shardMapRefreshMs: number
  readonly distributionIfUnknown: 'partition-key' | 'auto'
  readonly hottestKeys: number
  readonly shardRatePercent: number
  readonly streamRate: SendRate
  readonly telemetry: Telemetry | undefined
  readonly logger: Logger | undefined
  readonly clock: Clock
  readonly random: Random
}

/** https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html: StreamName and StreamARN. */
const STREAM: RegExp = /^([a-zA-Z0-9_.-]{1,128}|arn:aws[\w-]*:kinesis:[a-z0-9-]+:\d{12}:stream\/[a-zA-Z0-9_.-]{1,128})$/

export const STREAM_RULE = 'the name (1 to 128 of a-z, A-Z, 0-9, _ . -) or the ARN of a stream'

export function isStream(given: unknown): given is string {
  return typeof given === 'string' && STREAM.test(given)
}

/** Throws InvalidOptionError. Does not touch the caller's object. */
export function checkOptions(options: ProducerOptions<unknown> & { readonly stream: string }): Settings
export function checkOptions(options: ProducerOptions<unknown>): ProducerSettings
export function checkOptions(options: ProducerOptions<unknown>): ProducerSettings {
  if (typeof options !== 'object' || options === null) throw new InvalidOptionError('options', 'an object', options)
  refuseUnknownOptions(options, KNOWN)
  checkConnection(options)
  if (options.kinesis !== undefined)
    functionsOption('kinesis', options.kinesis, ['describeStreamSummary', 'listShards', 'putRecords'])
  if (options.clock !== undefined) functionsOption('clock', options.clock, ['now', 'wallTime', 'schedule'])
  if (options.random !== undefined && typeof options.random !== 'function') {
    throw new InvalidOptionError('random', 'a function', options.random)
  }
  const retry = options.retry ?? {}
  if (typeof retry !== 'object') throw new InvalidOptionError('retry', 'an object', retry)
  refuseUnknownOptions(retry, ['baseMs', 'maxMs', 'maxAttempts'], 'retry')
  const streamRate = options.streamRate ?? {}
  refuseUnknownOptions(streamRate, ['recordsPerSecond', 'bytesPerSecond'], 'streamRate')
  const recordTtlMs = integerOption('recordTtlMs', options.recordTtlMs, { min: 100, fallback: 30_000 })
  const lingerMs = integerOption('lingerMs', options.lingerMs, { min: 0, max: 60_000, fallback: Math.min(100, recordTtlMs) })
  const ordering = choiceOption('ordering', options.ordering, ['none', 'perShard', 'perKey'], 'none')
  if (lingerMs > recordTtlMs) throw new InvalidOptionError('lingerMs', `at most recordTtlMs (${recordTtlMs})`, lingerMs)
  const baseMs = integerOption('retry.baseMs', retry.baseMs, { min: 1, max: 60_000, fallback: 100 })
  return {
    stream:
      options.stream === undefined ? undefined : stringOption('stream', options.stream, { pattern: STREAM, says: STREAM_RULE }),
    codec: codecOption(options.codec),
    recordIds: booleanOption('recordIds', options.recordIds, false),
    aggregation: choiceOption('aggregation', options.aggregation, ['shard', 'key', 'off'], 'shard'),
    aggregateMaxBytes: integerOption('aggregateMaxBytes', options.aggregateMaxBytes, {
      min: 64,
      max: MAX_RECORD_BYTES_CEILING,
      fallback: 51_200,
    }),
    aggregateMaxRecords: integerOption('aggregateMaxRecords', options.aggregateMaxRecords, {
      min: 1,
      max: 1_000_000,
      fallback: 10_000,
    }),
    connectTimeoutMs: integerOption('connectTimeoutMs', options.connectTimeoutMs, { min: 1, max: 600_000, fallback: 5000 }),
    lingerMs,
    maxBufferedBytes: integerOption('maxBufferedBytes', options.maxBufferedBytes, { min: MIB, fallback: 64 * MIB }),
    maxBufferedRecords: integerOption('maxBufferedRecords', options.maxBufferedRecords, { min: 1, fallback: 100_000 }),
    maxRequestsInFlight: integerOption('maxRequestsInFlight', options.maxRequestsInFlight, { min: 1, max: 256, fallback: 24 }),
    ordering,
    afterFailure: choiceOption('afterFailure', options.afterFailure, ['halt', 'continue'], 'halt'),
    recordTtlMs,
    requestMaxBytes: integerOption('requestMaxBytes', options.requestMaxBytes, {
      min: 1024,
      max: MAX_PUT_REQUEST_BYTES,
      fallback: MAX_PUT_REQUEST_BYTES / 2,
    }),
    requestMaxRecords: integerOption('requestMaxRecords', options.requestMaxRecords, {
      min: 1,
      max: MAX_RECORDS_PER_PUT,
      fallback: MAX_RECORDS_PER_PUT,
    }),
    requestTimeoutMs: integerOption('requestTimeoutMs', options.requestTimeoutMs, { min: 100, max: 600_000, fallback: 10_000 }),
    retry: {
      baseMs,
      maxMs: integerOption('retry.maxMs', retry.maxMs, { min: baseMs, max: 60_000, fallback: Math.max(5000, baseMs) }),
      maxAttempts: integerOption('retry.maxAttempts', retry.maxAttempts, { min: 1, fallback: Number.MAX_SAFE_INTEGER }),
    },
    failIfThrottled: booleanOption('failIfThrottled', options.failIfThrottled, false),
    onUndelivered: hookOption(options.onUndelivered),
    shardMapRefreshMs:
      options.shardMapRefreshMs === 0
        ? 0
        : integerOption('shardMapRefreshMs', options.shardMapRefreshMs, { min: 1000, fallback: 60_000 }),
    distributionIfUnknown: choiceOption(
      'distributionIfUnknown',
      options.distributionIfUnknown,
      ordering === 'none' ? ['partition-key', 'auto'] : ['partition-key'],
      'partition-key',
    ),
    hottestKeys: integerOption('hottestKeys', options.hottestKeys, { min: 0, max: 1000, fallback: 10 }),
    shardRatePercent: integerOption('shardRatePercent', options.shardRatePercent, { min: 1, max: 1000, fallback: 100 }),
    streamRate: {
      recordsPerSecond: rateOption('streamRate.recordsPerSecond', streamRate.recordsPerSecond),
      bytesPerSecond: rateOption('streamRate.bytesPerSecond', streamRate.bytesPerSecond),
    },
    telemetry: telemetryOption('telemetry', options.telemetry),
    logger: loggerOption('logger', options.logger),
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  }
}

function hookOption(given: OnUndelivered<unknown> | undefined): OnUndelivered<unknown> | undefined {
  if (given !== undefined && typeof given !== 'function') throw new InvalidOptionError('onUndelivered', 'a function', given)
  return given
}

/** Without the option: no limit. */
function rateOption(option: string, value: number | undefined): number {
  return value === undefined ? Number.POSITIVE_INFINITY : integerOption(option, value, { min: 1, fallback: 1 })
}

function codecOption(given: Codec<unknown> | undefined): Codec<unknown> {
  const codec = given ?? (bytes() as Codec<unknown>)
  if (typeof codec.encode !== 'function' || typeof codec.decode !== 'function') {
    throw new InvalidOptionError('codec', 'an object with the functions encode and decode', given)
  }
  return codec
}
