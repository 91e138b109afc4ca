import type { SoakOptions } from './soak-options.js'
import { MEAN_RECORD_BYTES } from './workload.js'

/** When what happens in a run, in milliseconds of putting, and how hard it is. */
export interface SoakPlan {
  /** At least: it lasts until enough has happened to prove something, but not beyond `longestMs`. */
  readonly durationMs: number
  readonly longestMs: number
  readonly reshardEveryMs: number
  readonly flushEveryMs: number
  /** The memory that the end is measured against is taken here. */
  readonly baselineAtMs: number
  /** Once a run all PutRecords are refused for longer than records live. */
  readonly outageAtMs: number
  readonly outageMs: number
  readonly recordTtlMs: number
  readonly requestTimeoutMs: number
  readonly maxBufferedBytes: number
  readonly maxBufferedRecords: number
  /** In order, one Kinesis record of a shard is under way at a time: larger ones, so that slow answers do not decide the rate. */
  readonly aggregateMaxBytes: number
  /** 1 for a long run. */
  readonly faultDensity: number
  /** How much more than at the baseline the heap may be, as a share. */
  readonly heapTolerance: number
  /** The most records there can be. */
  readonly capacity: number
}

const MINUTE_MS = 60_000
const MIB = 1024 * 1024
const LONG_MINUTES = 3
const LATE_MS = 3 * MINUTE_MS

export function planOf({ minutes, shards, ordering, aggregation }: SoakOptions): SoakPlan {
  const durationMs = minutes * MINUTE_MS
  const longestMs = durationMs + LATE_MS
  const isLong = minutes >= LONG_MINUTES
  const partMs = Math.round(Math.min(30_000, durationMs / 8))
  // Not less, however short the run: a machine that gives processes little time takes seconds for a first answer.
  const recordTtlMs = Math.max(5000, partMs)
  // What a reshard may add at a time, and the quota's first second.
  const shardSeconds = (shards + 2) * (longestMs / 1000 + 10)
  const bytesBound = (shardSeconds * MIB) / MEAN_RECORD_BYTES
  return {
    durationMs,
    longestMs,
    reshardEveryMs: isLong ? MINUTE_MS : durationMs / 4,
    flushEveryMs: Math.min(7000, durationMs / 12),
    baselineAtMs: isLong ? MINUTE_MS : durationMs / 4,
    outageAtMs: durationMs * 0.55,
    outageMs: recordTtlMs * 1.2,
    recordTtlMs,
    requestTimeoutMs: Math.round(Math.min(3000, recordTtlMs / 4)),
    // Little enough that a record gets its turn long before it expires.
    maxBufferedBytes: Math.max(MIB, Math.round((shards * MIB * partMs) / 8000)),
    maxBufferedRecords: 100_000,
    aggregateMaxBytes: ordering === 'none' ? 51_200 : 4 * 51_200,
    faultDensity: isLong ? 1 : 3,
    heapTolerance: isLong ? 0.1 : 0.4,
    capacity: Math.ceil(1.3 * (aggregation === 'off' ? Math.min(bytesBound, shardSeconds * 1000) : bytesBound)),
  }
}
