import type { GetShardIteratorInput } from '@shardwise/core/kinesis-port'
import { ITERATOR_LIFETIME_MS } from '@shardwise/core/service-limits'
import type { Account } from './account.js'
import { refuseDryRun } from './dry-run.js'
import { required, SEQUENCE_NUMBER, SHARD_ID, STREAM, TIMESTAMP } from './field-rules.js'
import { invalidArgument, KinesisModelError } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import type { Shard } from './shard.js'
import { findShard, noSuchShard, POSITION_TYPES, startingPosition } from './starting-position.js'
import type { Stream } from './stream.js'

type Input = GetShardIteratorInput & { readonly DryRun?: boolean }

/** Every type comes down to a position in the shard, decided when the iterator is asked for. */
export const getShardIterator: Operation = operation<Input>(
  {
    ...STREAM,
    ShardId: required(SHARD_ID),
    ShardIteratorType: { type: 'string', choices: POSITION_TYPES, required: true },
    StartingSequenceNumber: SEQUENCE_NUMBER,
    Timestamp: TIMESTAMP,
    DryRun: { type: 'boolean' },
  },
  (account, input) => {
    const stream = account.stream(input)
    const shard = findShard(account, stream, input.ShardId)
    const { ShardIteratorType: type, StartingSequenceNumber: number, Timestamp: timestamp } = input
    const position = startingPosition(account, stream, shard, { operation: 'GetShardIterator', type, number, timestamp })
    refuseDryRun(input.DryRun)
    return { ShardIterator: sealIterator(account, stream, shard, position) }
  },
)

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
