import { choiceOption, InvalidOptionError, integerOption, refuseUnknownOptions } from '@shardwise/core/options'
import type { ConsumerOptions } from './consumer-options.js'
import type { FailurePolicy } from './delivery/failure-policy.js'
import type { RunHandlers } from './run-handlers.js'

/** How records are handed over. */
export interface RunOptions<T = Uint8Array> {
  /**
   * Calls of `eachRecord` in hand at a time, of each shard. Default 1; 1 to 1000. More than 1 needs `order: 'key'`. Calls of one process: up to
   * this times the shards that it holds.
   */
  readonly concurrency?: number | undefined
  /**
   * Which records wait for each other. Default `'shard'`: each waits for the one before it in the shard. `'key'`, for `eachRecord` only: each waits for the
   * one before it with the same partition key. The checkpoint covers what is completed without a gap: a crash repeats also what was
   * completed beyond one, at most some 20,000 records. A stop closes the gaps first.
   */
  readonly order?: 'shard' | 'key' | undefined
  /** What becomes of records whose handler fails. Default `'retry'`: they are handed over again until it succeeds. */
  readonly onFailure?: FailurePolicy<T> | undefined
  /**
   * Who makes the checkpoints. Default `'auto'`: completed records are checkpointed by themselves, with the lease's renewals, or more often
   * (`checkpointIntervalMs`, `checkpointEveryRecords`). `'manual'`: only `context.checkpoint` and a committed `context.prepareCheckpoint`. A shard is then
   * handed over at the last checkpoint that the handler made, what came after it is delivered again, and a shard that has been read to its
   * end waits until all of it is checkpointed (event `checkpoint-awaited`): its children do not start before. A `shardRecordProcessor` always is
   * `'manual'`.
   */
  readonly checkpoint?: 'auto' | 'manual' | undefined
}

/** Options checked and complete. */
export interface RunSettings {
  readonly concurrency: number
  readonly onFailure: FailurePolicy
  readonly checkpoint: 'auto' | 'manual'
}

/** Throws InvalidOptionError. `handlers` have been checked. */
export function checkRunOptions(handlers: RunHandlers, options: RunOptions): RunSettings {
  if (typeof options !== 'object' || options === null) throw new InvalidOptionError('options', 'an object', options)
  refuseUnknownOptions(options, ['concurrency', 'order', 'onFailure', 'checkpoint'])
  const order = choiceOption('order', options.order, ['shard', 'key'], 'shard')
  if (order === 'key' && handlers.eachRecord === undefined) {
    throw new InvalidOptionError(
      'order',
      "'shard' with eachBatch and shardRecordProcessor, whose calls may hold many keys",
      order,
    )
  }
  const concurrency = integerOption('concurrency', options.concurrency, { min: 1, max: 1000, fallback: 1 })
  if (concurrency > 1 && order === 'shard') {
    throw new InvalidOptionError(
      'concurrency',
      "1 unless order is 'key': the order of the shard allows one call at a time",
      concurrency,
    )
  }
  const own = handlers.shardRecordProcessor !== undefined
  const checkpoint = choiceOption('checkpoint', options.checkpoint, ['auto', 'manual'], own ? 'manual' : 'auto')
  if (own && checkpoint === 'auto') {
    throw new InvalidOptionError(
      'checkpoint',
      "'manual' with shardRecordProcessor, which makes the checkpoints itself",
      checkpoint,
    )
  }
  return { concurrency, onFailure: failurePolicy(options.onFailure), checkpoint }
}

const NOT_WITH_MANUAL = {
  dedupe: 'whose handler must see every record',
  checkpointIntervalMs: 'which are written when the handler makes them',
  checkpointEveryRecords: 'which are written when the handler makes them',
} as const

/** What is set for the consumer and has no meaning in this run. Throws InvalidOptionError. */
export function checkTogether(options: ConsumerOptions<unknown>, run: RunSettings): void {
  if (run.checkpoint === 'auto') return
  for (const name of Object.keys(NOT_WITH_MANUAL) as (keyof typeof NOT_WITH_MANUAL)[]) {
    const given = options[name]
    const rule = `left out with manual checkpoints (also of shards() and shardRecordProcessor), ${NOT_WITH_MANUAL[name]}`
    if (given !== undefined) throw new InvalidOptionError(name, rule, given)
  }
}

function failurePolicy(given: FailurePolicy | undefined): FailurePolicy {
  if (given === undefined || given === 'retry') return 'retry'
  if (typeof given !== 'object' || given === null) {
    throw new InvalidOptionError('onFailure', "'retry' or { attempts, giveUp }", given)
  }
  refuseUnknownOptions(given, ['attempts', 'giveUp'], 'onFailure')
  if (given.attempts === undefined) throw new InvalidOptionError('onFailure.attempts', 'a whole number from 1 to 1000', undefined)
  const attempts = integerOption('onFailure.attempts', given.attempts, { min: 1, max: 1000, fallback: 1 })
  const { giveUp } = given
  if (giveUp === 'skip' || giveUp === 'stop-shard') return { attempts, giveUp }
  if (typeof giveUp !== 'object' || giveUp === null || typeof giveUp.deadLetter !== 'function') {
    throw new InvalidOptionError('onFailure.giveUp', "'skip', 'stop-shard' or { deadLetter: a function }", giveUp)
  }
  refuseUnknownOptions(giveUp, ['deadLetter'], 'onFailure.giveUp')
  const { deadLetter } = giveUp
  return { attempts, giveUp: { deadLetter: (...call) => deadLetter.apply(giveUp, call) } }
}
