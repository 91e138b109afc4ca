import type { PendingCheckpoint } from '../checkpoints/pending-checkpoint.js'
import type { Position } from '../checkpoints/position.js'

/** What an owner's write changes of how far its shard is. */
export interface LeaseProgress {
  readonly checkpoint?: Position | undefined
  /** null: none is pending any more. Undefined: a checkpoint removes it, and without one it stays. */
  readonly pending?: PendingCheckpoint | null | undefined
}
