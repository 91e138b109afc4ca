import { type MeterReport, unitedReports } from './meter-report.js'

/** Counts since the producer was made, and what it holds at this moment. */
export interface ProducerStats extends MeterReport {
  /** User records accepted and not settled, and their bytes (data and keys). */
  readonly bufferedRecords: number
  readonly bufferedBytes: number
  /** How long ago the oldest of them was accepted, in milliseconds, to within ten; 0 when there is none. */
  readonly oldestRecordAgeMs: number
  /** Puts that wait for room. */
  readonly waitingForRoom: number
  readonly openAggregates: number
  /** Packed and not yet sent. */
  readonly queuedKinesisRecords: number
  /** Written to a shard that is not known yet. */
  readonly heldKinesisRecords: number
  readonly requestsInFlight: number
  /** Of the present shard map; 0 before it is loaded. */
  readonly openShards: number

  /** User records. */
  readonly accepted: number
  readonly delivered: number
  readonly failed: number
  /** Delivered by an attempt after one that may have written them too. */
  readonly possibleDuplicates: number
  /** Kinesis records sent, retries included. */
  readonly kinesisRecords: number
  /** PutRecords requests sent, and those that failed as a whole. */
  readonly requests: number
  readonly requestsFailed: number
  /** Kinesis records sent again. */
  readonly retries: number
  /** Kinesis records that the service refused for a shard's quota. */
  readonly throttled: number
  /** Aggregates that landed outside their members' shard and were sent again. */
  readonly wrongShard: number
  /** Times that a Kinesis record was kept back because of its shard's write limit. */
  readonly limited: number
  /** Shard maps put to use. */
  readonly mapRefreshes: number
}

type Gauge =
  | 'bufferedRecords'
  | 'bufferedBytes'
  | 'oldestRecordAgeMs'
  | 'waitingForRoom'
  | 'openAggregates'
  | 'queuedKinesisRecords'
  | 'heldKinesisRecords'
  | 'requestsInFlight'
  | 'openShards'
  | 'limited'
  | 'metrics'
  | 'shards'
  | 'hottestKeys'

export class ProducerCounters implements Omit<ProducerStats, Gauge> {
  accepted = 0
  delivered = 0
  failed = 0
  possibleDuplicates = 0
  kinesisRecords = 0
  requests = 0
  requestsFailed = 0
  retries = 0
  throttled = 0
  wrongShard = 0
  mapRefreshes = 0

  snapshot(gauges: Pick<ProducerStats, Gauge>): ProducerStats {
    return { ...gauges, ...this }
  }
}

type Report = 'metrics' | 'shards' | 'hottestKeys'

/** Of all together. */
export function sum(all: readonly ProducerStats[]): ProducerStats {
  const total: Record<string, number> = { ...NOTHING }
  const reports = all.map(({ metrics, shards, hottestKeys, ...numbers }) => {
    for (const [name, value] of Object.entries(numbers)) total[name]! += value
    return { metrics, shards, hottestKeys }
  })
  total.oldestRecordAgeMs = Math.max(0, ...all.map(({ oldestRecordAgeMs }) => oldestRecordAgeMs))
  return { ...(total as unknown as Omit<ProducerStats, Report>), ...unitedReports(reports) }
}

/** Of what is over: the counts without what is held at this moment. */
export function past(stats: ProducerStats): ProducerStats {
  return { ...stats, ...EMPTY, limited: stats.limited, shards: [], hottestKeys: [] }
}

const EMPTY: Omit<Pick<ProducerStats, Gauge>, Report> = {
  bufferedRecords: 0,
  bufferedBytes: 0,
  oldestRecordAgeMs: 0,
  waitingForRoom: 0,
  openAggregates: 0,
  queuedKinesisRecords: 0,
  heldKinesisRecords: 0,
  requestsInFlight: 0,
  openShards: 0,
  limited: 0,
}
const NOTHING = { ...EMPTY, ...new ProducerCounters() }
