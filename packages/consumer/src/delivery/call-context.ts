import type { FoundCheckpoint, ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { RecordPosition } from './completed-prefix.js'
import type { HandlerContext } from './handler.js'

type CallCheckpoints = Pick<ShardCheckpoints, 'generation' | 'found' | 'checkpoint' | 'prepareCheckpoint'>

/**
 * What one call is told. Most calls checkpoint nothing, and making functions for each of them would cost more than all the rest of a call: they are
 * made when they are asked for. What must not be missed without a word, where somebody copies the context, are its own members.
 */
export class CallContext implements HandlerContext {
  readonly shardId: string
  readonly signal: AbortSignal
  readonly millisBehindLatest: number | undefined
  readonly attempt: number
  readonly generation: number
  readonly pendingCheckpoint: FoundCheckpoint | undefined
  readonly #checkpoints: CallCheckpoints
  readonly #last: RecordPosition

  /** `last`: of the call's records. */
  constructor(
    { shardId, signal }: Pick<HandlerContext, 'shardId' | 'signal'>,
    millisBehindLatest: number | undefined,
    attempt: number,
    checkpoints: CallCheckpoints,
    last: RecordPosition,
  ) {
    this.shardId = shardId
    this.signal = signal
    this.millisBehindLatest = millisBehindLatest
    this.attempt = attempt
    this.generation = checkpoints.generation
    this.pendingCheckpoint = checkpoints.found
    this.#checkpoints = checkpoints
    this.#last = last
  }

  get checkpoint(): HandlerContext['checkpoint'] {
    return (record) => this.#checkpoints.checkpoint(record, this.#last)
  }

  get prepareCheckpoint(): HandlerContext['prepareCheckpoint'] {
    return (record, state) => this.#checkpoints.prepareCheckpoint(record, state, this.#last)
  }
}
