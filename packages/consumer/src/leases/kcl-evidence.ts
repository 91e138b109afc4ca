import type { Row } from './lease-row.js'

/** Where KCL keeps what is not a lease: nowhere (2.x), in two tables of its own (3.0 to 3.4), or among the leases (3.5). */
export type KclLayout = 'leases-only' | 'three-tables' | 'single-table'

/** What a probe has found of Java's KCL. docs/lease-protocol.md, "With Java's KCL on the same table". */
export interface KclEvidence {
  readonly layout: KclLayout
  /** `cv` of the row `Migration3.0` (ClientVersion.java). */
  readonly clientVersion: string | undefined
  readonly leader: LeaderLock | undefined
}

/** The row `Leader`, written by amazon-dynamodb-lock-client. */
export interface LeaderLock {
  readonly owner: string
  /** Another with each heartbeat. */
  readonly version: string
  readonly leaseDurationMs: number
  readonly released: boolean
}

/** A row of WorkerMetricStats.java. */
export interface KclWorker {
  readonly workerId: string
  /** `lut`: epoch seconds, by that machine's clock. */
  readonly lastUpdate: number
  /** Written by a Shardwise worker. */
  readonly shardwise: boolean
}

/** The lock client's default, for a row without it. */
const LEASE_DURATION_MS = 120_000

export function parseLeader(row: Row | undefined): LeaderLock | undefined {
  const owner = row?.ownerName?.S
  const version = row?.recordVersionNumber?.S
  if (owner === undefined || version === undefined) return undefined
  const duration = Number(row?.leaseDuration?.S)
  const leaseDurationMs = Number.isFinite(duration) && duration > 0 ? duration : LEASE_DURATION_MS
  return { owner, version, leaseDurationMs, released: row?.isReleased !== undefined }
}

/** `key`: the partition key of the table that the row is from. Undefined: not a worker's row. */
export function parseWorker(row: Row, key: 'wid' | 'leaseKey'): KclWorker | undefined {
  const workerId = row[key]?.S
  const lastUpdate = Number(row.lut?.N)
  if (workerId === undefined || !Number.isFinite(lastUpdate)) return undefined
  if (key === 'leaseKey' && row.entityType?.S !== 'WORKER_METRIC_STATS') return undefined
  return { workerId, lastUpdate, shardwise: row.swWorker !== undefined }
}
