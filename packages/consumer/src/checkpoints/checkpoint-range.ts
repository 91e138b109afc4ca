import type { RecordPosition } from '../delivery/completed-prefix.js'
import { comparePositions, formatPosition, type Position, sequencePosition } from './position.js'

/** What may be checkpointed of a shard: KCL's rule (ShardRecordProcessorCheckpointer.java), both ends included. */
export interface CheckpointRange {
  readonly shardId: string
  readonly last: Position
  /** The end of what was handed over and has not failed. */
  readonly delivered: Position
  /** That, or a position that was handed over to an owner before us. */
  readonly largest: Position
}

/** A record, or where one lies. */
export type CheckpointTarget = (RecordPosition & { readonly shardId?: string; readonly kind?: never }) | Position

/** The position to checkpoint: that of `record`, or all that was delivered. Throws RangeError where the rule forbids it. */
export function positionInRange(
  { shardId, last, delivered, largest }: CheckpointRange,
  record: CheckpointTarget | undefined,
): Position {
  if (record === undefined) return delivered
  if (record.kind === undefined && record.shardId !== undefined && record.shardId !== shardId) {
    throw new RangeError(`A checkpoint of ${shardId} must be at a record of that shard, got one of ${record.shardId}`)
  }
  const position = positionOf(record)
  if (comparePositions(position, last) < 0) {
    throw new RangeError(
      `A checkpoint of ${shardId} must not lie before the last one, ${text(last)}, got ${text(position)}: it moves only forward`,
    )
  }
  if (comparePositions(position, largest) > 0) {
    throw new RangeError(
      `A checkpoint of ${shardId} must not lie beyond what may be completed, which ends at ${text(largest)}, got ${text(position)}: ` +
        'not handed over yet, or failed, or records before it are in hand elsewhere (order: "key")',
    )
  }
  return position
}

export function positionOf(target: CheckpointTarget): Position {
  return target.kind === undefined || target.kind === 'sequence'
    ? sequencePosition(target.sequenceNumber, target.subSequenceNumber)
    : target
}

export function laterPosition(a: Position, b: Position): Position {
  return comparePositions(a, b) < 0 ? b : a
}

function text(position: Position): string {
  const { checkpoint, checkpointSubSequenceNumber } = formatPosition(position)
  return position.kind === 'sequence' ? `${checkpoint}/${checkpointSubSequenceNumber}` : checkpoint
}
