import type { StartingPosition } from '@shardwise/core/fan-out-port'
import type { Account } from './account.js'
import { invalidArgument, type KinesisModelError, notFound } from './kinesis-error.js'
import { parseSequenceNumber } from './sequence-number.js'
import { resolveShardId, type Shard, shardIdOf } from './shard.js'
import type { Stream } from './stream.js'

export const POSITION_TYPES: readonly StartingPosition['Type'][] = [
  'AFTER_SEQUENCE_NUMBER',
  'LATEST',
  'AT_TIMESTAMP',
  'TRIM_HORIZON',
  'AT_SEQUENCE_NUMBER',
]

/** Where in a shard somebody wants to begin, as GetShardIterator and SubscribeToShard take it. */
export interface WantedPosition {
  /** For messages. */
  readonly operation: string
  readonly type: StartingPosition['Type']
  readonly number: string | undefined
  readonly timestamp: Date | undefined
}

export function findShard(account: Account, stream: Stream, given: string): Shard {
  const shardId = resolveShardId(given)
  if (shardId === undefined)
    throw notFound(`Could not find shard ${given} in stream ${stream.name} under account ${account.accountId}.`)
  const shard = stream.shard(shardId, account.wallTime)
  if (shard === undefined) throw noSuchShard(account, stream.name, shardId)
  return shard
}

export function noSuchShard(account: Account, streamName: string, shardId: string): KinesisModelError {
  return notFound(`Shard ${shardId} in stream ${streamName} under account ${account.accountId} does not exist`)
}

/** Every type comes down to a position in the shard, decided at once. */
export function startingPosition(account: Account, stream: Stream, shard: Shard, wanted: WantedPosition): number {
  const { type, number, timestamp: time } = wanted
  const bySequence = type === 'AT_SEQUENCE_NUMBER' || type === 'AFTER_SEQUENCE_NUMBER'
  if (bySequence !== (number !== undefined)) {
    throw invalidArgument(
      'Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and ' +
        `no StartingSequenceNumber. Request specified ${type} and ${bySequence ? 'no' : 'also a'} StartingSequenceNumber.`,
    )
  }
  switch (type) {
    case 'TRIM_HORIZON':
      return shard.firstPosition
    case 'LATEST':
      return shard.nextPosition
    case 'AT_SEQUENCE_NUMBER':
      return sequencePosition(account, stream, shard, number!, wanted.operation)
    case 'AFTER_SEQUENCE_NUMBER': {
      const position = sequencePosition(account, stream, shard, number!, wanted.operation)
      return shard.recordAt(position)?.sequenceNumber === number ? position + 1 : position
    }
    case 'AT_TIMESTAMP':
      if (time === undefined) {
        throw invalidArgument(
          'Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.',
        )
      }
      if (time.getTime() > account.wallTime) {
        throw invalidArgument(
          'The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. ' +
            `timestampInMillis: ${time.getTime()}, currentTimestampInMillis: ${account.wallTime}`,
        )
      }
      return shard.positionAtTime(time.getTime())
  }
}

/** Any number of this shard's will do, whether or not a record has it. */
function sequencePosition(account: Account, stream: Stream, shard: Shard, text: string, operation: string): number {
  const used = `used in ${operation} on shard ${shard.shardId} in stream ${stream.name} under account ${account.accountId}`
  const number = parseSequenceNumber(text)
  if (number === undefined) throw invalidArgument(`StartingSequenceNumber ${text} ${used} is invalid.`)
  if (number.shardIndex !== shard.origin.index) {
    throw invalidArgument(
      `Invalid StartingSequenceNumber. It encodes ${shardIdOf(number.shardIndex)}, while it was used in a call to a shard with ` +
        shard.shardId,
    )
  }
  if (number.beganSecond !== shard.origin.beganSecond) {
    throw invalidArgument(`StartingSequenceNumber ${text} ${used} is invalid because it did not come from this stream.`)
  }
  return shard.positionAtNumber(text, number)
}
