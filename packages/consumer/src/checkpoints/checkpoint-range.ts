import type { RecordPosition } from '../delivery/completed-prefix.js'
import { comparePositions, formatPosition, type Position, sequencePosition } from './position.js'

interface Shard {
  /** Name or ARN. */
  readonly stream: string
  readonly shardId: string
}

/** What may be checkpointed of a shard: KCL's rule (ShardRecordProcessorCheckpointer.java), both ends included. */
export interface CheckpointRange extends Shard {
  readonly last: Position
  /** The end of what was handed over and has not failed. */
  readonly delivered: Position
  /** That, or a position that was handed over to an owner before us. */
  readonly largest: Position
}

/** A record, or where one lies. */
export type CheckpointTarget = (RecordPosition & Partial<Shard> & { readonly kind?: never }) | Position

/** The position to checkpoint: that of `record`, or all that was delivered. Throws RangeError where the rule forbids it. */
export function positionInRange(
  { stream, shardId, last, delivered, largest }: CheckpointRange,
  record: CheckpointTarget | undefined,
): Position {
  if (record === undefined) return delivered
  const position = positionIn({ stream, shardId }, record)
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

/** Throws RangeError where the record says that it is of another shard: sequence numbers of two shards cannot be told apart. */
export function positionIn({ stream, shardId }: Shard, target: CheckpointTarget): Position {
  if (target.kind === undefined) {
    const { stream: ofStream = stream, shardId: ofShard = shardId } = target
    if (ofShard !== shardId || nameOf(ofStream) !== nameOf(stream)) {
      throw new RangeError(
        `A position in ${shardId} of ${stream} must be of a record of that shard, got one of ${ofShard} of ${ofStream}`,
      )
    }
  }
  return positionOf(target)
}

/** Who reads by the name today may read by the ARN tomorrow. */
function nameOf(stream: string): string {
  return stream.slice(stream.lastIndexOf('/') + 1)
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
