import { NO_SAMPLES, type StatisticSet, Tally, united } from './statistic-set.js'

/**
 * The KPL's metrics by its names (aws/metrics/metrics_constants.cc, aws/kinesis/core/retrier.cc), and ours for waits that the KPL does not
 * tell apart. Sums since the producer was made: the difference of two readings is what happened between them, except for `min` and `max`.
 * Times are milliseconds. Every metric has one sample for each of the things that it names.
 */
export interface ProducerMetrics {
  /** 1 for each user record accepted. */
  readonly UserRecordsReceived: StatisticSet
  /** User records accepted and not settled, looked at up to five times a second while anything happens, and whenever none is left. */
  readonly UserRecordsPending: StatisticSet
  /** 1 for each user record delivered, 0 for each that finally failed: the mean is the rate of success. */
  readonly UserRecordsPut: StatisticSet
  /** Bytes of data of each user record delivered. */
  readonly UserRecordsDataPut: StatisticSet
  /** 1 for each Kinesis record that the service took, 0 for each that it refused. */
  readonly KinesisRecordsPut: StatisticSet
  /** Bytes of each Kinesis record that the service took, partition key included. */
  readonly KinesisRecordsDataPut: StatisticSet
  /** By code: 1 for each Kinesis record refused, and for each request that failed as a whole. */
  readonly ErrorsByCode: Readonly<Record<string, StatisticSet>>
  /** The same for all codes, and 0 for each Kinesis record taken. */
  readonly AllErrors: StatisticSet
  /** Attempts after the first one, of each user record that has settled. */
  readonly RetriesPerRecord: StatisticSet
  /** 1 for each user record whose time to live was over. */
  readonly UserRecordExpired: StatisticSet
  /** Of each user record in each request: since it was accepted, or since the attempt before had ended. */
  readonly BufferingTime: StatisticSet
  /** Of each PutRecords. */
  readonly RequestTime: StatisticSet
  readonly UserRecordsPerKinesisRecord: StatisticSet
  readonly KinesisRecordsPerPutRecordsRequest: StatisticSet
  readonly UserRecordsPerPutRecordsRequest: StatisticSet

  /** Not of the KPL. Of each Kinesis record sent the first time: the part of its BufferingTime within `lingerMs`. */
  readonly LingerTime: StatisticSet
  /**
   * Not of the KPL. How long the first in a shard's queue was held back by the write limit (the shard's, with its pause
   * after a refusal, or the stream's), by what must settle before it to keep
   * the order, and by the wait before another attempt. What queues behind it waits as long; that shows in BufferingTime.
   */
  readonly LimitTime: StatisticSet
  readonly OrderTime: StatisticSet
  readonly RetryTime: StatisticSet
}

type Single = Exclude<keyof ProducerMetrics, 'ErrorsByCode'>

/** In the order of the KPL's documentation. */
const SINGLE = [
  ...(['UserRecordsReceived', 'UserRecordsPending', 'UserRecordsPut', 'UserRecordsDataPut', 'KinesisRecordsPut'] as const),
  ...(['KinesisRecordsDataPut', 'AllErrors', 'RetriesPerRecord', 'UserRecordExpired', 'BufferingTime', 'RequestTime'] as const),
  ...(['UserRecordsPerKinesisRecord', 'KinesisRecordsPerPutRecordsRequest', 'UserRecordsPerPutRecordsRequest'] as const),
  ...(['LingerTime', 'LimitTime', 'OrderTime', 'RetryTime'] as const),
] satisfies readonly Single[]

/** Codes come from the service and are few. Should it make them up, those past this many count as one. */
const MOST_CODES = 50
const OTHER_CODES = 'OtherErrors'

/** What `stats().metrics` is made of. */
export class MetricTallies implements Record<Single, Tally> {
  readonly UserRecordsReceived: Tally = new Tally()
  readonly UserRecordsPending: Tally = new Tally()
  readonly UserRecordsPut: Tally = new Tally()
  readonly UserRecordsDataPut: Tally = new Tally()
  readonly KinesisRecordsPut: Tally = new Tally()
  readonly KinesisRecordsDataPut: Tally = new Tally()
  readonly AllErrors: Tally = new Tally()
  readonly RetriesPerRecord: Tally = new Tally()
  readonly UserRecordExpired: Tally = new Tally()
  readonly BufferingTime: Tally = new Tally()
  readonly RequestTime: Tally = new Tally()
  readonly UserRecordsPerKinesisRecord: Tally = new Tally()
  readonly KinesisRecordsPerPutRecordsRequest: Tally = new Tally()
  readonly UserRecordsPerPutRecordsRequest: Tally = new Tally()
  readonly LingerTime: Tally = new Tally()
  readonly LimitTime: Tally = new Tally()
  readonly OrderTime: Tally = new Tally()
  readonly RetryTime: Tally = new Tally()
  readonly #errorsByCode = new Map<string, Tally>()

  error(code: string): void {
    this.AllErrors.add(1)
    let tally = this.#errorsByCode.get(code)
    if (tally === undefined) {
      const key = this.#errorsByCode.size < MOST_CODES ? code : OTHER_CODES
      tally = this.#errorsByCode.get(key) ?? new Tally()
      this.#errorsByCode.set(key, tally)
    }
    tally.add(1)
  }

  get snapshot(): ProducerMetrics {
    const sets = Object.fromEntries(SINGLE.map((name) => [name, this[name].snapshot])) as Record<Single, StatisticSet>
    return { ...sets, ErrorsByCode: Object.fromEntries([...this.#errorsByCode].map(([code, tally]) => [code, tally.snapshot])) }
  }
}

/** The samples of all of them: of several streams, say. */
export function unitedMetrics(all: readonly ProducerMetrics[]): ProducerMetrics {
  const sets = Object.fromEntries(SINGLE.map((name) => [name, united(all.map((metrics) => metrics[name]))])) as Record<
    Single,
    StatisticSet
  >
  const codes = new Set(all.flatMap(({ ErrorsByCode }) => Object.keys(ErrorsByCode)))
  const byCode = [...codes].map((code) => [code, united(all.map(({ ErrorsByCode }) => ErrorsByCode[code] ?? NO_SAMPLES))])
  return { ...sets, ErrorsByCode: Object.fromEntries(byCode) }
}
