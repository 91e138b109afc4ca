import type { Random } from '@shardwise/core/random'
import { type Backoff, backoffDelay } from '../backoff.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { HandlerContext } from './handler.js'

/**
 * Takes over a record that the handler could not handle, before the shard goes on without it; `error` is that of the last attempt. A call
 * that throws or rejects is repeated with growing pauses for as long as the lease is held: nothing is skipped. `context.attempt` counts
 * the calls for this record. Of a record that the codec could not decode `bytes` are there.
 */
export type DeadLetter<T = Uint8Array> = (record: ConsumedRecord<T>, error: unknown, context: HandlerContext) => unknown

/**
 * What becomes of records whose handler failed.
 * - `'retry'`: the same records again, after growing pauses, until the handler succeeds. Their shard waits.
 * - `attempts`: a record gets so many calls, and is given up after the last of them has failed. Of a batch the record to blame is looked
 *   for first: a batch that fails twice is halved, and halved again, and only calls with a single record count, unless the handler names
 *   the record (FailedAtError). `giveUp` says what giving up is:
 *   - `'skip'`: the shard goes on without it, as if it had been handled;
 *   - `{ deadLetter }`: the shard goes on once this has taken it;
 *   - `'stop-shard'`: no further record of the shard is handed over, and its checkpoint stays before the record. The lease is kept, so
 *     that no other worker comes to fail in the same way.
 */
export type FailurePolicy<T = Uint8Array> =
  | 'retry'
  | { readonly attempts: number; readonly giveUp: 'skip' | 'stop-shard' | { readonly deadLetter: DeadLetter<T> } }

/** Records `from` up to, without, `to` of a batch, which are handed over together. */
export interface Span {
  readonly from: number
  readonly to: number
  /** Times that these records were handed over before, together or among others. */
  readonly handed: number
  /** Failures in a row that count against exactly these records. */
  readonly failures: number
}

export interface FailureVerdict {
  /** Present when the attempts of a record are used up. It is the first that is not completed, and the only one of its span. */
  readonly givenUp: Span | undefined
  /** What to hand over next, in order. Together with `givenUp` it covers the failed span, except for what the handler has completed. */
  readonly spans: readonly Span[]
  /** Before the next call, unless a record is given up. */
  readonly delayMs: number
}

/** Calls with the same batch before it is halved: one failure may have been a passing one. */
const CALLS_BEFORE_HALVING = 2

/**
 * Decides after a call with `span` has failed. `failedAt`: the record that the handler named, in the span; those before it are completed.
 * No verdict leaves out a record: giving one up is what the policy asks for by name, and then the caller has to act.
 */
export function afterFailure(
  policy: FailurePolicy,
  span: Span,
  failedAt: number | undefined,
  backoff: Backoff,
  random: Random,
): FailureVerdict {
  const { from, to } = span
  const at = failedAt ?? from
  const handed = span.handed + 1
  // What came before the named record has gone well, so the failures of the longer span say nothing about what is left of it.
  const failures = at === from ? span.failures + 1 : 1
  if (policy === 'retry') return verdict([{ from: at, to, handed, failures }])
  if (failedAt !== undefined && to - from > 1) {
    const named = { from: at, to: at + 1, handed, failures: 1 }
    const rest = at + 1 < to ? [{ from: at + 1, to, handed, failures: 0 }] : []
    return policy.attempts === 1 ? verdict(rest, named) : verdict([named, ...rest])
  }
  const again = { from, to, handed, failures }
  if (to - from === 1) return failures >= policy.attempts ? verdict([], again) : verdict([again])
  if (failures < CALLS_BEFORE_HALVING) return verdict([again])
  const middle = from + Math.ceil((to - from) / 2)
  return verdict([
    { from, to: middle, handed, failures: 0 },
    { from: middle, to, handed, failures: 0 },
  ])

  function verdict(spans: readonly Span[], givenUp?: Span): FailureVerdict {
    return { givenUp, spans, delayMs: backoffDelay(failures, backoff, random) }
  }
}
