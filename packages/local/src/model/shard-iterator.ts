import type { GetShardIteratorInput } from '@shardwise/core/kinesis-port'
import { ITERATOR_LIFETIME_MS } from '@shardwise/core/service-limits'
import type { Account } from './account.js'
import { refuseDryRun } from './dry-run.js'
import { required, SEQUENCE_NUMBER, SHARD_ID, STREAM, TIMESTAMP } from './field-rules.js'
import { invalidArgument, KinesisModelError, notFound } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { parseSequenceNumber } from './sequence-number.js'
import { resolveShardId, type Shard, shardIdOf } from './shard.js'
import type { Stream } from './stream.js'

const TYPES = ['AFTER_SEQUENCE_NUMBER', 'LATEST', 'AT_TIMESTAMP', 'TRIM_HORIZON', 'AT_SEQUENCE_NUMBER']

type Input = GetShardIteratorInput & { readonly DryRun?: boolean }

/** Every type comes down to a position in the shard, decided when the iterator is asked for. */
export const getShardIterator: Operation = operation<Input>(
  {
    ...STREAM,
    ShardId: required(SHARD_ID),
    ShardIteratorType: { type: 'string', choices: TYPES, required: true },
    StartingSequenceNumber: SEQUENCE_NUMBER,
    Timestamp: TIMESTAMP,
    DryRun: { type: 'boolean' },
  },
  (account, input) => {
    const stream = account.stream(input)
    const shard = findShard(account, stream, input.ShardId)
    const position = positionOf(account, stream, shard, input)
    refuseDryRun(input.DryRun)
    return { ShardIterator: sealIterator(account, stream, shard, position) }
  },
)

function findShard(account: Account, stream: Stream, given: string): Shard {
  const shardId = resolveShardId(given)
  if (shardId === undefined)
    throw notFound(`Could not find shard ${given} in stream ${stream.name} under account ${account.accountId}.`)
  const shard = stream.shard(shardId, account.wallTime)
  if (shard === undefined) throw noSuchShard(account, stream.name, shardId)
  return shard
}

function noSuchShard(account: Account, streamName: string, shardId: string): KinesisModelError {
  return notFound(`Shard ${shardId} in stream ${streamName} under account ${account.accountId} does not exist`)
}

function positionOf(account: Account, stream: Stream, shard: Shard, input: Input): number {
  const { ShardIteratorType: type, StartingSequenceNumber: number, Timestamp: time } = input
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
      return sequencePosition(account, stream, shard, number!)
    case 'AFTER_SEQUENCE_NUMBER': {
      const position = sequencePosition(account, stream, shard, number!)
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
function sequencePosition(account: Account, stream: Stream, shard: Shard, text: string): number {
  const used = `used in GetShardIterator on shard ${shard.shardId} in stream ${stream.name} under account ${account.accountId}`
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

export function sealIterator(account: Account, stream: Stream, shard: Shard, position: number): string {
  return account.options.tokens.seal(['iterator', account.wallTime, stream.name, stream.incarnation, shard.shardId, position])
}

export interface OpenedIterator {
  readonly stream: Stream
  readonly shard: Shard
  readonly position: number
}

/** Throws for what is no iterator of ours, for one older than 300 seconds, and for one whose stream or shard is gone. */
export function openIterator(account: Account, iterator: string): OpenedIterator {
  const [kind, givenAt, name, incarnation, shardId, position] = account.options.tokens.open(iterator) ?? []
  if (kind !== 'iterator') throw invalidArgument('Invalid ShardIterator.')
  const given = Number(givenAt)
  if (account.wallTime - given > ITERATOR_LIFETIME_MS) {
    throw new KinesisModelError(
      'ExpiredIteratorException',
      `Iterator expired. The iterator was created at time ${dateText(given)} while right now it is ${dateText(account.wallTime)} which is ` +
        `further in the future than the tolerated delay of ${ITERATOR_LIFETIME_MS} milliseconds.`,
    )
  }
  const stream = account.streams.get(String(name))
  const shard = stream?.incarnation === incarnation ? stream?.shard(String(shardId), account.wallTime) : undefined
  if (stream === undefined || shard === undefined) throw noSuchShard(account, String(name), String(shardId))
  return { stream, shard, position: Number(position) }
}

/** As in `Thu Jan 22 01:22:02 UTC 2015`. */
function dateText(wallTime: number): string {
  const [weekday, day, month, year, time] = new Date(wallTime).toUTCString().replace(',', '').split(' ')
  return `${weekday} ${month} ${day} ${time} UTC ${year}`
}
