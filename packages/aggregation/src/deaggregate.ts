import { decodeAggregate } from './aggregate-decoder.js'
import { AggregationError, described } from './aggregation-error.js'
import { decodeBase64 } from './base64.js'
import { isUint8Array } from './byte-array.js'
import type { Tag } from './user-record.js'

/** A record as GetRecords and SubscribeToShard of the AWS SDK v3 give it (`_Record`). */
export interface SdkKinesisRecord {
  readonly Data: Uint8Array | undefined
  readonly PartitionKey?: string | undefined
  readonly SequenceNumber: string | undefined
  readonly ApproximateArrivalTimestamp?: Date | undefined
}

/** A record of the event that Lambda passes to a function reading a stream. */
export interface LambdaKinesisRecord {
  readonly kinesis: {
    /** base64 */
    readonly data: string
    readonly partitionKey: string
    readonly sequenceNumber: string
    /** Seconds since 1970, with a fraction. */
    readonly approximateArrivalTimestamp?: number | undefined
  }
}

export type KinesisRecord = SdkKinesisRecord | LambdaKinesisRecord

/** What one PutRecord of a user, or one member of an aggregate, has become. */
export interface DeaggregatedRecord<T extends KinesisRecord = KinesisRecord> {
  /** Empty only where Kinesis gives none, as streams with service-managed distribution may. */
  readonly partitionKey: string
  /** Known for members of aggregates only: Kinesis does not hand it to readers otherwise. */
  readonly explicitHashKey: string | undefined
  readonly data: Uint8Array
  /** Of the Kinesis record, so all members of an aggregate share it. */
  readonly sequenceNumber: string
  /** Position in the aggregate; 0 for an ordinary record. */
  readonly subSequenceNumber: number
  readonly aggregated: boolean
  readonly tags: readonly Tag[]
  readonly approximateArrivalTimestamp: Date | undefined
  /** What it came in, as it was passed. */
  readonly kinesisRecord: T
}

/**
 * The user records in Kinesis records, in order: members of an aggregate one by one, ordinary records as they are. Lazy: use it in
 * `for...of` or spread it into an array. Data of aggregate members are views of the Kinesis record's bytes.
 *
 * Takes records of the AWS SDK v3 or of Lambda, or what carries them in `Records`: a GetRecords reply or a Lambda event. Throws
 * AggregationError for anything else; bytes that are no valid aggregate are an ordinary record and never an error.
 */
export function deaggregate<T extends KinesisRecord>(
  records: Iterable<T> | { readonly Records: Iterable<T> | undefined },
): Generator<DeaggregatedRecord<T>, void, undefined> {
  const source: unknown = isIterable(records) ? records : (records as { readonly Records?: unknown } | undefined)?.Records
  if (!isIterable(source)) {
    throw new AggregationError(`\`records\` must be Kinesis records or hold them in \`Records\`, got ${described(records)}`)
  }
  return userRecords<T>(source)
}

function* userRecords<T extends KinesisRecord>(records: Iterable<T>): Generator<DeaggregatedRecord<T>, void, undefined> {
  let position = 0
  for (const kinesisRecord of records) {
    const shared = commonFields(kinesisRecord, position++)
    const aggregate = decodeAggregate(shared.data)
    if (aggregate === undefined) {
      yield { ...shared, explicitHashKey: undefined, subSequenceNumber: 0, aggregated: false, tags: [], kinesisRecord }
      continue
    }
    for (let i = 0; i < aggregate.length; i++) {
      yield {
        partitionKey: aggregate.partitionKey(i),
        explicitHashKey: aggregate.explicitHashKey(i),
        data: aggregate.data(i),
        sequenceNumber: shared.sequenceNumber,
        subSequenceNumber: i,
        aggregated: true,
        tags: aggregate.tags(i),
        approximateArrivalTimestamp: shared.approximateArrivalTimestamp,
        kinesisRecord,
      }
    }
  }
}

type CommonFields = Pick<DeaggregatedRecord, 'partitionKey' | 'data' | 'sequenceNumber' | 'approximateArrivalTimestamp'>

function commonFields(record: KinesisRecord, position: number): CommonFields {
  if (typeof record === 'object' && record !== null) {
    if ('kinesis' in record && typeof record.kinesis?.data === 'string') {
      const { data, partitionKey, sequenceNumber, approximateArrivalTimestamp: seconds } = record.kinesis
      return {
        partitionKey: partitionKey ?? '',
        data: decodeBase64(data),
        sequenceNumber,
        approximateArrivalTimestamp: seconds === undefined ? undefined : new Date(Math.round(seconds * 1000)),
      }
    }
    if ('Data' in record && isUint8Array(record.Data)) {
      return {
        partitionKey: record.PartitionKey ?? '',
        data: record.Data,
        sequenceNumber: record.SequenceNumber ?? '',
        approximateArrivalTimestamp: record.ApproximateArrivalTimestamp,
      }
    }
  }
  throw new AggregationError(
    `Record ${position} is no Kinesis record: expected \`Data\` as Uint8Array (AWS SDK v3) or \`kinesis.data\` as base64 text (Lambda)`,
  )
}

function isIterable(value: unknown): value is Iterable<never> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}
