import type { FailureKind } from '@shardwise/core/service-error'
import type { FailurePace } from './polling-pace.js'

/** Failures that pass by themselves. The others wait for a person and are retried slowly. */
const PASSING: ReadonlySet<FailureKind> = new Set(['internal', 'connection', 'in-use', 'limit-exceeded', 'expired-iterator'])

export function failurePace(kind: FailureKind): FailurePace {
  if (kind === 'timeout') return 'waited'
  return PASSING.has(kind) ? 'passing' : 'lasting'
}
