import type { StartingPosition } from '@shardwise/core/fan-out-port'
import type { ServiceFailure } from '@shardwise/core/service-error'
import type { IteratorStart } from './shard-iterator.js'

/** SubscribeToShard takes the same positions as GetShardIterator, by other names. */
export function startingPosition({
  ShardIteratorType: Type,
  StartingSequenceNumber,
  Timestamp,
}: IteratorStart): StartingPosition {
  return {
    Type,
    ...(StartingSequenceNumber !== undefined && { SequenceNumber: StartingSequenceNumber }),
    ...(Timestamp !== undefined && { Timestamp }),
  }
}

/** The sequence number is not accepted. A wrong ARN, too, is an invalid argument, and no reason to read the shard from its beginning. */
export function refusesPosition({ kind, code, message }: ServiceFailure): boolean {
  return kind === 'invalid' && code.startsWith('InvalidArgument') && /sequence ?number/i.test(message)
}
