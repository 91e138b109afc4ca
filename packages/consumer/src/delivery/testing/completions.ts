import { TRIM_HORIZON } from '../../checkpoints/position.js'
import { ShardCheckpoints } from '../../checkpoints/shard-checkpoints.js'
import type { RecordPosition } from '../completed-prefix.js'

/** Checkpoints of a shard whose table takes everything at once, telling what is completed. */
export function completions(
  completed: (position: RecordPosition, records: number) => unknown,
  sideBySide = false,
): ShardCheckpoints {
  return new ShardCheckpoints({
    stream: 'orders',
    lease: {
      shardId: 'shard',
      generation: 1,
      resumeFrom: TRIM_HORIZON,
      pendingCheckpoint: undefined,
      checkpointNow: async () => {},
    },
    automatic: { completed },
    sideBySide,
  })
}
