import type { HotKey } from './hottest-keys.js'
import { type ProducerMetrics, unitedMetrics } from './producer-metrics.js'
import { type HotShard, hotter } from './shard-heat.js'

/** What a producer measures, as part of its `stats()`. */
export interface MeterReport {
  /** By the KPL's names. */
  readonly metrics: ProducerMetrics
  /** The twenty busiest shards of the last ten seconds or so, those with the most use of their quota first. */
  readonly shards: readonly HotShard[]
  /**
   * The partition keys put most, as many as the option `hottestKeys` says. Keys may be personal data: they are told here and in the events
   * and errors of single records, never to `logger` or `telemetry`.
   */
  readonly hottestKeys: readonly HotKey[]
}

/** How many shards are reported, of however many there are. */
export const HOT_SHARDS = 20

/** Of several streams together. A key's share stays that of its own stream. */
export function unitedReports(reports: readonly MeterReport[]): MeterReport {
  const keys = reports.flatMap(({ hottestKeys }) => hottestKeys)
  const mostKeys = Math.max(0, ...reports.map(({ hottestKeys }) => hottestKeys.length))
  const shards = reports.flatMap((report) => report.shards)
  return {
    metrics: unitedMetrics(reports.map(({ metrics }) => metrics)),
    shards: shards.sort(hotter).slice(0, HOT_SHARDS),
    hottestKeys: keys.sort((a, b) => b.share - a.share).slice(0, mostKeys),
  }
}
