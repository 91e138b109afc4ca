import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { type Clock, systemClock } from '@shardwise/core/clock'
import { bytes, type Codec } from '@shardwise/core/codec'
import type { FanOutPort } from '@shardwise/core/fan-out-port'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import { choiceOption, InvalidOptionError, integerOption, refuseUnknownOptions, stringOption } from '@shardwise/core/options'
import { type Random, systemRandom } from '@shardwise/core/random'
import { MAX_GET_RECORDS } from '@shardwise/core/service-limits'
import type { AwsConnection } from '@shardwise/core/transport'
import type { Backoff } from './backoff.js'
import type { LeaseStore } from './leases/lease-store.js'
import { checkLeaseTableOptions, type LeaseTableOptions, type LeaseTableSettings } from './leases/lease-table-options.js'
import { checkRetrieval, type RetrievalOption, type RetrievalSettings } from './retrieval-option.js'
import type { InitialPosition } from './shards/shard-discovery.js'
import {
  checkDistinct,
  checkInitialPosition,
  checkStream,
  type StreamOptions,
  type StreamSettings,
} from './streams/stream-settings.js'

/**
 * Options of a consumer. Each default holds where the option is absent or undefined. `client`, `region`, `endpoint`, `credentials`,
 * `wire` and `sender` are those of `AwsConnection` (@shardwise/core/transport); without them the AWS SDK's usual sources decide.
 */
export interface ConsumerOptions<T = Uint8Array> extends AwsConnection {
  /** Name or ARN of the stream. This or `streams` is required. */
  readonly stream?: string | undefined
  /**
   * Several streams, each by name or ARN, or with options of its own. Their leases are in one table, in KCL's multi-stream form (a table has
   * either this form or that of one stream, also if there is one stream here), and the workers share them all. 0 to 1000; `addStream` and
   * `removeStream` change them. A worker takes no leases of streams that it was not given.
   */
  readonly streams?: readonly (string | StreamOptions)[] | undefined
  /**
   * All consumers with this name share the shards, and each record goes to one of them; applications with different names each get all
   * records. 1 to 128 of a-z, A-Z, 0-9, _ . -; it names the lease table, for which DynamoDB asks at least 3. Required.
   */
  readonly applicationName: string
  /** Name of the DynamoDB table with the leases, in KCL's schema; made when missing. Default: `applicationName`, as in KCL. */
  readonly leaseTable?: string | undefined
  /** How that table is made when it is missing. Default: on demand, without tags and deletion protection. */
  readonly leaseTableOptions?: LeaseTableOptions | undefined
  /**
   * `auto` (default): before it takes anything, and then every 30 or 60 seconds, a worker looks whether Java's KCL works on the lease table
   * too, and behaves as that needs (README, "Beside Java's KCL"): three small reads. After Java workers of KCL 3.x have stopped it waits up to two minutes before
   * it takes what they have left. `off`: does not look. For tables that no Java worker uses, or to take over at once when none is left.
   */
  readonly kcl?: 'auto' | 'off' | undefined
  /** A DynamoDB client of your own, used as it is and never destroyed. Default: one with the `region` and `credentials` given here. */
  readonly dynamodb?: DynamoDBClient | undefined
  /** URL of DynamoDB. Default: AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL, the profile, else that of the region. */
  readonly dynamodbEndpoint?: string | undefined
  /**
   * Where leases live, in place of a DynamoDB table: a MemoryLeaseStore, for one process and for tests. All consumers that shall share the
   * shards are given the same one; one for each stream and application. Not together with the options of a table.
   */
  readonly leaseStore?: LeaseStore | undefined
  /** How to reach Kinesis, in place of an AWS client: for tests and simulations. With enhanced fan-out it needs those calls too. */
  readonly kinesis?: (KinesisPort & Partial<FanOutPort>) | undefined
  /** Begins this worker's id in lease rows and events; a random ending is added, for no two workers may have the same. Default: the host name. */
  readonly workerId?: string | undefined
  /**
   * Milliseconds after which the shards of a worker that died are taken over. Default 10000, as KCL's failoverTimeMillis; 1000 to 600000.
   * Each lease is renewed three times within it: less means quicker takeover and more writes. All workers of an application must
   * have the same.
   */
  readonly failoverTimeMs?: number | undefined
  /**
   * Milliseconds that handler calls in hand have when another worker, a new one mostly, asks for their shard. Then `context.signal` aborts, and a
   * second later the shard goes without them, at its last completed record: what they had in hand is delivered again there. As long have the calls
   * of a stream that is removed, or that was deleted and created anew. Default
   * 30000, as KCL's gracefulLeaseHandoffTimeoutMillis; 1000 to 3600000. Choose more than a call may take.
   */
  readonly handoffTimeoutMs?: number | undefined
  /**
   * Where to begin when the application has no leases yet; afterwards its checkpoints decide. Default `latest`, as KCL: what is written
   * from the start of the first worker on, also if that worker dies before its first checkpoint.
   */
  readonly initialPosition?: InitialPosition | undefined
  /**
   * Milliseconds from the completion of a record to its checkpoint in the table, about, and so how much a crash repeats. Default
   * `failoverTimeMs` / 3, when each lease is written anyway; 100 to 600000. Less adds a DynamoDB write per shard and period; more
   * saves nothing. Not with manual checkpoints.
   */
  readonly checkpointIntervalMs?: number | undefined
  /**
   * Records of a shard after which a checkpoint is written at once, beside the interval. Default: the interval alone; 1 to 10000000. A write for
   * each so many records: 1 means one for every call of the handler. Not with manual checkpoints.
   */
  readonly checkpointEveryRecords?: number | undefined
  /**
   * `polling` (default): by GetRecords, which all applications of a stream share: 2 MiB and five reads a second of each shard. `{ fanOut }`: records are
   * pushed over HTTP/2, 2 MiB a second of each shard for this application alone, some 70 ms after they were put; AWS charges for it. Where a
   * shard is read and how far does not depend on it: it may be changed at any time, worker by worker.
   */
  readonly retrieval?: RetrievalOption | undefined
  /**
   * Milliseconds between two reads of a shard that has nothing new, give or take 1/64. Default 500 (KCL 1500); 200 to 60000. A shard gives five reads a
   * second to all its applications together (API_GetRecords): 500 leaves room for another one at this pace. While it is behind,
   * a consumer reads as often as the shard allows.
   */
  readonly idleTimeBetweenReadsMs?: number | undefined
  /** Kinesis records in one read, so also the most of a batch that are not aggregated. Default 10000, as KCL; 1 to 10000. */
  readonly maxRecordsPerRead?: number | undefined
  /**
   * Payload bytes of Kinesis records in memory, read and not completed, of all shards together. Default 64 MiB; 1 MiB to 16 GiB. One shard holds at most 8 MiB and one
   * read (10 MiB) more, and while nothing is left shards are not read ahead of their handlers. Each shard may hold its part
   * of one half, whatever the others hold, so that shards whose handlers hang do not keep the others waiting. Objects made of the
   * records, and answers being parsed, come on top; with enhanced fan-out also what waits in a shard's connection (512 KiB), and an event that
   * is larger than the part of its shard.
   */
  readonly maxBufferedBytes?: number | undefined
  /**
   * Milliseconds before a failed handler call is repeated: about `baseMs`, doubled each time up to `maxMs`, less up to half at random.
   * Defaults 200 and 30000, or `baseMs` when that is more; 1 to 600000, `maxMs` at least `baseMs`.
   */
  readonly retry?: { readonly baseMs?: number | undefined; readonly maxMs?: number | undefined } | undefined
  /**
   * What makes `record.data` of a record's bytes, when the handler asks for it. Default: bytes as they are; `json()`, `text()` or one of your own
   * (@shardwise/core/codec). What it throws is a failure of the handler.
   */
  readonly codec?: Codec<T> | undefined
  /**
   * Drops records whose id (`recordIds` of @shardwise/producer) this process has completed with another copy, among its last `maxRecordIds`
   * records with one; 1 to 10,000,000, some 200 bytes each. Best effort: copies pass that come to different processes, side by side, or too far
   * apart. Not with manual checkpoints. Default: none are dropped.
   */
  readonly dedupe?: { readonly maxRecordIds: number } | undefined
  /** Default: the machine's. */
  readonly clock?: Clock | undefined
  /** For jitter, ids and the order of taking leases. Default: Math.random. */
  readonly random?: Random | undefined
}

const KNOWN = [
  ...[
    'stream',
    'streams',
    'applicationName',
    'leaseTable',
    'leaseTableOptions',
    'kcl',
    'leaseStore',
    'client',
    'region',
    'endpoint',
    'credentials',
    'wire',
    'sender',
    'dynamodb',
    'dynamodbEndpoint',
  ],
  ...[
    'kinesis',
    'workerId',
    'failoverTimeMs',
    'handoffTimeoutMs',
    'initialPosition',
    'checkpointIntervalMs',
    'checkpointEveryRecords',
    'retrieval',
    'idleTimeBetweenReadsMs',
  ],
  ...['maxRecordsPerRead', 'maxBufferedBytes', 'retry', 'codec', 'dedupe', 'clock', 'random'],
]

/** Options checked and complete. */
export interface ConsumerSettings {
  /** As messages name it: the stream, or all of them. */
  readonly stream: string
  /** Those of the start. */
  readonly streams: readonly StreamSettings[]
  /** The table has the form for several streams. */
  readonly severalStreams: boolean
  readonly applicationName: string
  readonly leaseTable: string
  readonly leaseTableSettings: LeaseTableSettings
  readonly kcl: 'auto' | 'off'
  readonly workerId: string | undefined
  readonly failoverTimeMs: number
  readonly handoffTimeoutMs: number
  readonly initialPosition: InitialPosition
  /** Undefined: the renewals are often enough. */
  readonly checkpointWriteAfterMs: number | undefined
  readonly checkpointEveryRecords: number | undefined
  readonly retrieval: RetrievalSettings
  readonly idleTimeBetweenReadsMs: number
  readonly maxRecordsPerRead: number
  readonly maxBufferedBytes: number
  readonly handlerBackoff: Backoff
  readonly codec: Codec<unknown>
  /** Undefined: no duplicates are dropped. */
  readonly maxRecordIds: number | undefined
  readonly clock: Clock
  readonly random: Random
}

const MIB = 1024 * 1024
/** https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html: TableName. */
const TABLE = /^[a-zA-Z0-9_.-]{3,255}$/

/** Throws InvalidOptionError. Does not touch the caller's object. */
export function checkOptions(options: ConsumerOptions<unknown>): ConsumerSettings {
  if (typeof options !== 'object' || options === null) throw new InvalidOptionError('options', 'an object', options)
  refuseUnknownOptions(options, KNOWN)
  const retry = options.retry ?? {}
  if (typeof retry !== 'object') throw new InvalidOptionError('retry', '{ baseMs, maxMs }', retry)
  refuseUnknownOptions(retry, ['baseMs', 'maxMs'], 'retry')
  const failoverTimeMs = integerOption('failoverTimeMs', options.failoverTimeMs, { min: 1000, max: 600_000, fallback: 10_000 })
  const renewalMs = Math.floor(failoverTimeMs / 3)
  const checkpointMs = integerOption('checkpointIntervalMs', options.checkpointIntervalMs, {
    min: 100,
    max: 600_000,
    fallback: renewalMs,
  })
  const baseMs = integerOption('retry.baseMs', retry.baseMs, { min: 1, max: 600_000, fallback: 200 })
  const applicationName = stringOption('applicationName', options.applicationName, {
    pattern: /^[a-zA-Z0-9_.-]{1,128}$/,
    says: 'a name of 1 to 128 of a-z, A-Z, 0-9, _ . -',
  })
  const streams = checkStreams(options)
  return {
    ...streams,
    applicationName,
    leaseTable: leaseTable(options, applicationName),
    leaseTableSettings: checkLeaseTableOptions(options.leaseTableOptions),
    kcl: choiceOption('kcl', options.kcl, ['auto', 'off'], 'auto'),
    workerId:
      options.workerId === undefined
        ? undefined
        : stringOption('workerId', options.workerId, {
            pattern: /^[\x21-\x7e]{1,128}$/,
            says: '1 to 128 printable characters without blanks',
          }),
    failoverTimeMs,
    handoffTimeoutMs: integerOption('handoffTimeoutMs', options.handoffTimeoutMs, {
      min: 1000,
      max: 3_600_000,
      fallback: 30_000,
    }),
    initialPosition: checkInitialPosition(options.initialPosition, 'initialPosition'),
    checkpointWriteAfterMs: checkpointMs < renewalMs ? checkpointMs : undefined,
    checkpointEveryRecords:
      options.checkpointEveryRecords === undefined
        ? undefined
        : integerOption('checkpointEveryRecords', options.checkpointEveryRecords, { min: 1, max: 10_000_000, fallback: 1 }),
    retrieval: checkRetrieval(options.retrieval, { ...streams, applicationName, kinesis: options.kinesis }),
    idleTimeBetweenReadsMs: integerOption('idleTimeBetweenReadsMs', options.idleTimeBetweenReadsMs, {
      min: 200,
      max: 60_000,
      fallback: 500,
    }),
    maxRecordsPerRead: integerOption('maxRecordsPerRead', options.maxRecordsPerRead, {
      min: 1,
      max: MAX_GET_RECORDS,
      fallback: MAX_GET_RECORDS,
    }),
    maxBufferedBytes: integerOption('maxBufferedBytes', options.maxBufferedBytes, {
      min: MIB,
      max: 16 * 1024 * MIB,
      fallback: 64 * MIB,
    }),
    handlerBackoff: {
      baseMs,
      maxMs: integerOption('retry.maxMs', retry.maxMs, { min: baseMs, max: 600_000, fallback: Math.max(30_000, baseMs) }),
    },
    codec: codecOption(options.codec),
    maxRecordIds: dedupeOption(options.dedupe),
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  }
}

function leaseTable(options: ConsumerOptions<unknown>, applicationName: string): string {
  const { leaseTable, leaseStore } = options
  if (leaseStore !== undefined) {
    checkLeaseStore(leaseStore, options)
    return applicationName
  }
  const says = 'a DynamoDB table name: 3 to 255 of a-z, A-Z, 0-9, _ . -'
  if (leaseTable !== undefined) return stringOption('leaseTable', leaseTable, { pattern: TABLE, says })
  return stringOption('applicationName', applicationName, { pattern: TABLE, says: `${says}, unless \`leaseTable\` is given` })
}

function checkLeaseStore(leaseStore: LeaseStore, options: ConsumerOptions<unknown>): void {
  if (typeof leaseStore !== 'object' || leaseStore === null || typeof leaseStore.take !== 'function') {
    throw new InvalidOptionError('leaseStore', 'a lease store, as MemoryLeaseStore', leaseStore)
  }
  for (const name of ['leaseTable', 'leaseTableOptions', 'dynamodb', 'dynamodbEndpoint'] as const) {
    if (options[name] !== undefined) throw new InvalidOptionError(name, 'absent where `leaseStore` is given', options[name])
  }
}

const MOST_STREAMS = 1_000

function checkStreams(options: ConsumerOptions<unknown>): Pick<ConsumerSettings, 'stream' | 'streams' | 'severalStreams'> {
  const { stream, streams } = options
  const position = checkInitialPosition(options.initialPosition, 'initialPosition')
  if (streams === undefined) {
    const settings = checkStream(stream as string, 'stream', position)
    return { stream: settings.stream, streams: [settings], severalStreams: false }
  }
  if (stream !== undefined) throw new InvalidOptionError('stream', 'absent where `streams` is given', stream)
  if (!Array.isArray(streams) || streams.length > MOST_STREAMS) {
    throw new InvalidOptionError('streams', `an array of at most ${MOST_STREAMS} streams`, streams)
  }
  const checked = streams.map((each: string | StreamOptions, i) => checkStream(each, `streams[${i}]`, position))
  checkDistinct(checked, 'streams')
  return { stream: checked.map((each) => each.stream).join(', '), streams: checked, severalStreams: true }
}

function codecOption(given: Codec<unknown> | undefined): Codec<unknown> {
  const codec = given ?? bytes()
  if (typeof codec.decode !== 'function')
    throw new InvalidOptionError('codec', 'an object with the functions encode and decode', given)
  return codec
}

function dedupeOption(given: ConsumerOptions['dedupe']): number | undefined {
  if (given === undefined) return undefined
  if (typeof given !== 'object' || given === null) throw new InvalidOptionError('dedupe', '{ maxRecordIds }', given)
  refuseUnknownOptions(given, ['maxRecordIds'], 'dedupe')
  if (given.maxRecordIds === undefined) throw new InvalidOptionError('dedupe.maxRecordIds', 'a whole number', undefined)
  return integerOption('dedupe.maxRecordIds', given.maxRecordIds, { min: 1, max: 10_000_000, fallback: 1 })
}
